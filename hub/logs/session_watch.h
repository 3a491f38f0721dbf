// Those who follow sessions while they last (`umbra watch`): what each wants to see, and a queue of what it
// has not taken yet. The queue is bounded: what does not fit is dropped, counted and told, so that a slow or
// dead reader never slows mail. Made by SessionRecords, taken from by the admin API; home thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hub/config/config.h"
#include "hub/net/task.h"

namespace umbra::hub {

enum class SessionDirection : std::uint8_t { in, out };

/// A session, as its records and those who watch name it.
struct SessionFacts {
  SessionDirection direction = SessionDirection::in;
  std::string connector;  ///< the listener or the route
  std::string host;       ///< out: the next hop's name
  Endpoint local{};
  Endpoint remote{};
  bool is_logged = false;  ///< its connector has `protocol_log: verbose`
};

/// What somebody wants to see. Empty: everything.
struct WatchFilter {
  std::optional<AddressRange> client = {};
  std::string listener = {};
  std::string next_hop = {};  ///< a host, an address, or a route
  std::string address =
      {};  ///< of mail: sessions in whose MAIL or RCPT it stood. "@example.com": of that domain
  std::optional<SessionDirection> direction = {};

  /// But for the address, which only shows in time.
  [[nodiscard]] bool wants(const SessionFacts& session) const;
  /// `path`: what a MAIL or RCPT named.
  [[nodiscard]] bool names(std::string_view path) const;
};

class Watcher : public std::enable_shared_from_this<Watcher> {
 public:
  static constexpr std::size_t queue_octets_max = 1U << 20;

  Watcher(asio::io_context& io, WatchFilter wanted) : filter(std::move(wanted)), more_(io), limit_(io) {}
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// A line of JSON, with its line end. Dropped and counted when the queue is full.
  void push(std::string_view line);
  /// It has not taken what came before: a line more would be dropped and counted, as skip() does without it.
  [[nodiscard]] bool is_behind() const { return dropped_ != 0; }
  void skip() { ++dropped_; }
  /// It is told why, then there is nothing more.
  void end(std::string_view why);
  void end_after(Duration span);
  /// Nobody reads any more: next() returns nothing.
  void abandon();
  /// What has come, as soon as there is something. Empty: it is over.
  Task<std::string> next();

  const WatchFilter filter;

 private:
  std::string queue_;
  std::uint64_t dropped_ = 0;
  bool is_ended_ = false;
  Event more_;
  Timer limit_;
};

}  // namespace umbra::hub
