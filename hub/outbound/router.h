// Which way a recipient goes: domain -> route -> destination (the name of a queue). Pure; no resolution.
//
// The most specific route wins: the exact domain, then the longest "*.suffix" that it lies below, then "*".
// All smart-host mail of a route shares one destination "route:NAME"; by MX each domain is a destination of
// its own, in lower case.
//
// A route to hubs has a destination "route:NAME" too. It is passed over by the hubs named in it, and for a
// message that all of them have handed on already: then the next one that fits counts, which may be for the
// same domains. Where there is none, such a message stays with the route, and waits: nobody is handed a
// message twice.
//
// Where the operator has said a next hop (`next_hop`, hub/outbound/next_hop.h) all of a message goes there,
// whatever the routes are. One that this hub does not know, a route that is gone, counts for nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/config/bounce_profile.h"
#include "storage/spool.h"

namespace umbra::hub {

/// The destination of recipients that no route takes.
inline constexpr std::string_view unroutable = "unroutable";

/// Where the mail of a destination goes. Stays as it is when the routes change.
struct Target {
  std::shared_ptr<const RouteConfig> route;
  std::string
      domain;  ///< by MX: the domain (lower case) or an address literal; empty: the route's smart hosts
};

/// Of a destination's mail; nothing: it is unroutable.
inline const BounceProfileConfig& bounce_profile_of(const Config& config,
                                                    const std::optional<Target>& target) {
  return bounce_profile_of(config, target ? target->route.get() : nullptr);
}

class Router {
 public:
  /// Of the routes as they are now. `own_name`: this hub's.
  explicit Router(std::vector<RouteConfig> routes, std::string own_name = {});

  [[nodiscard]] const std::vector<RouteConfig>& all_routes() const { return *configured_; }
  /// Some route names one; else that of `delivery` holds for all mail.
  [[nodiscard]] bool has_bounce_profiles() const { return has_bounce_profiles_; }

  /// Of a recipient's address. An address without domain has no destination but `unroutable`.
  /// `trail`: of its envelope.
  [[nodiscard]] std::string destination_of(std::string_view address,
                                           const std::vector<std::string>& trail = {},
                                           const std::string& next_hop = {}) const;
  /// The hubs that the mail of a destination may be handed to, as configured; this one never among them.
  /// Empty: no hubs.
  [[nodiscard]] std::vector<std::string> hubs_of(std::string_view destination) const;
  [[nodiscard]] bool leads_to_hubs(std::string_view destination) const {
    return !hubs_of(destination).empty();
  }
  /// The hubs to which the message may be handed: of its routes to hubs, those in all of their lists if there
  /// are any, else those of the first one.
  [[nodiscard]] std::vector<std::string> next_hubs(const Envelope& envelope) const;
  /// What a destination stands for; nothing for `unroutable` and for names that no configuration gives (any
  /// more).
  [[nodiscard]] std::optional<Target> target(std::string_view destination) const;
  /// One queue entry per destination of the recipients that are still pending, by name.
  [[nodiscard]] std::vector<storage::QueueEntry> entries_for(
      const Envelope& envelope, const std::vector<storage::RecipientOutcome>& progress, WallTime due,
      const std::string& next_hop = {}) const;
  /// The pending recipients that go to `destination`, ascending.
  [[nodiscard]] std::vector<std::uint32_t> recipients_for(const storage::StoredMessage& message,
                                                          std::string_view destination) const;
  /// Why the operator may not send a message there (a destination) in place of its routes; empty: he may.
  /// Mail whose route asks for encryption goes to no host that is merely named, which would get it without.
  [[nodiscard]] std::string why_not_reroute(const storage::StoredMessage& message,
                                            const std::string& next_hop) const;

 private:
  using Routes = std::vector<const RouteConfig*>;
  template <class Fits>
  const RouteConfig* first(const std::string& domain, Fits fits) const;
  /// A next hop of the operator's that this hub knows.
  [[nodiscard]] bool is_next_hop(const std::string& destination) const;
  const RouteConfig* route_for(const std::string& domain, const std::vector<std::string>& trail) const;

  std::shared_ptr<const std::vector<RouteConfig>> configured_;
  std::string own_name_;
  std::map<std::string, Routes, std::less<>> exact_;
  std::map<std::string, Routes, std::less<>> suffixes_;  // ".example.com"
  std::map<std::string, const RouteConfig*, std::less<>> by_name_;
  Routes all_;
  bool has_hubs_ = false;
  bool has_bounce_profiles_ = false;
};

/// Which recipients have not ended yet, by index.
std::vector<bool> pending_recipients(std::size_t count,
                                     const std::vector<storage::RecipientOutcome>& progress);

}  // namespace umbra::hub
