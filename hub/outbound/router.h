// Which way a recipient goes: domain -> route -> destination (the name of a queue). Pure; no resolution.
//
// The most specific route wins: the exact domain, then the longest "*.suffix" that it lies below, then "*". All smart-host
// mail of a route shares one destination "route:NAME"; by MX each domain is a destination of its own, in lower case.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/config/config.h"
#include "storage/spool.h"

namespace umbra::hub {

/// The destination of recipients that no route takes.
inline constexpr std::string_view unroutable = "unroutable";

/// Where the mail of a destination goes.
struct Target {
  const RouteConfig* route = nullptr;
  std::string domain;  ///< by MX: the domain (lower case) or an address literal; empty: the route's smart hosts
};

class Router {
 public:
  /// `routes` must outlive the router.
  explicit Router(const std::vector<RouteConfig>& routes);

  /// Of a recipient's address. An address without domain has no destination but `unroutable`.
  [[nodiscard]] std::string destination_of(std::string_view address) const;
  /// What a destination stands for; nothing for `unroutable` and for names that no configuration gives (any more).
  [[nodiscard]] std::optional<Target> target(std::string_view destination) const;
  /// One queue entry per destination of the recipients that are still pending, by name.
  [[nodiscard]] std::vector<storage::QueueEntry> entries_for(const Envelope& envelope,
                                                             const std::vector<storage::RecipientOutcome>& progress,
                                                             WallTime due) const;
  /// The pending recipients that go to `destination`, ascending.
  [[nodiscard]] std::vector<std::uint32_t> recipients_for(const storage::StoredMessage& message,
                                                          std::string_view destination) const;

 private:
  const RouteConfig* route_for(const std::string& domain) const;

  std::map<std::string, const RouteConfig*, std::less<>> exact_;
  std::map<std::string, const RouteConfig*, std::less<>> suffixes_;  // ".example.com"
  std::map<std::string, const RouteConfig*, std::less<>> by_name_;
  const RouteConfig* all_ = nullptr;
};

/// Which recipients have not ended yet, by index.
std::vector<bool> pending_recipients(std::size_t count, const std::vector<storage::RecipientOutcome>& progress);

}  // namespace umbra::hub
