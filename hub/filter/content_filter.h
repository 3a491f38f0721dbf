// One configured content filter: its connections, kept and reused, its deadlines, its circuit breaker. Puts
// one message before it and says what became of it. Owned by ContentFilters (shared with the messages that
// are under way when the configuration changes); home thread.
//
// Bounded: connections_max connections, those that are kept for the next message of the same client among
// them; further messages wait their turn for command_timeout. Memory of a conversation: one chunk of the
// body, one answer, and the changes that are wanted (milter/conversation.h).
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/filter/circuit_breaker.h"
#include "hub/filter/message_buffer.h"
#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/net/runtime.h"
#include "smtp/milter/conversation.h"

namespace umbra::hub {

/// A message on its way through the filters; they change it in place.
struct FilteredMessage {
  MessageId id;
  std::string listener;
  Envelope envelope;
  milter::HeaderSection header;
  std::string separator;  ///< what stands between header and body: an empty line, or nothing
  std::unique_ptr<MessageBuffer> body;
  std::uint64_t octets_max = 0;  ///< of a new body
  std::size_t header_octets_max = 0;
  bool has_new_8bit = false;  ///< a filter has put octets above 127 into it
};

struct FilterResult {
  enum class Kind : std::uint8_t { passed, refused, discarded, down, busy, storage_failed, stopping };
  Kind kind = Kind::passed;
  smtp::Reply reply = {};  ///< refused, storage_failed
  std::string why = {};    ///< down
  bool is_changed = false;
  std::string quarantine = {};  ///< why it is to be held; empty: it is not
};

class ContentFilter {
 public:
  /// The references must outlive it.
  ContentFilter(Runtime runtime, const ContentFilterConfig& config, std::string host_name,
                storage::Spool& spool, EventLog& log, Metrics& metrics);
  ~ContentFilter();
  ContentFilter(const ContentFilter&) = delete;
  ContentFilter& operator=(const ContentFilter&) = delete;

  /// The message must outlive the call.
  Task<FilterResult> apply(FilteredMessage& message);
  /// Ends what is under way; from now on every message gets `stopping`.
  void stop();

  [[nodiscard]] const ContentFilterConfig& config() const { return config_; }
  [[nodiscard]] bool is_down() const { return breaker_.is_open(); }
  /// A message would be put before it now.
  [[nodiscard]] bool may_be_asked() const { return breaker_.may_be_asked(MonotonicClock::now()); }
  [[nodiscard]] const std::string& last_failure() const { return last_failure_; }
  [[nodiscard]] WallTime failed_at() const { return failed_at_; }

 private:
  struct Connection {
    std::unique_ptr<Stream> stream;
    milter::Channel channel;
    std::string client;  ///< whose messages it is for
    MonotonicTime idle_since{};
    bool is_new = true;
  };
  struct Waiter {
    explicit Waiter(asio::io_context& io) : event(io) {}
    Event event;
    bool is_admitted = false;
  };
  struct Attempt {
    milter::Conversation::Outcome outcome;
    std::unique_ptr<MessageBuffer> new_body;
    std::optional<Error> storage;  ///< the spool failed, not the filter
    bool has_leading_space = false;
    bool may_try_again = false;  ///< a kept connection was closed by the filter meanwhile
  };

  Task<bool> enter();
  void leave();
  Task<FilterResult> filter(FilteredMessage& message);
  Task<Attempt> attempt(FilteredMessage& message, MonotonicTime until);
  Task<void> converse(Connection& connection, FilteredMessage& message, MonotonicTime until,
                      Attempt& attempt);
  Task<std::string> move_octets(Connection& connection, FilteredMessage& message, MonotonicTime until,
                                milter::Conversation& talk, Watchdog& watchdog, Attempt& attempt);
  Task<std::string> connect(Connection& connection, MonotonicTime until);
  std::unique_ptr<Connection> take_idle(const std::string& client);
  void keep(std::unique_ptr<Connection> connection);
  void forget_the_idle();
  FilterResult apply_changes(FilteredMessage& message, Attempt& attempt);
  void note_failure(const std::string& why);
  void note_success();
  [[nodiscard]] Duration time_for(milter::Conversation::Stage stage) const;

  Runtime runtime_;
  const ContentFilterConfig config_;
  const std::string host_name_;
  storage::Spool& spool_;
  EventLog& log_;
  Metrics& metrics_;
  CircuitBreaker breaker_;
  std::string last_failure_;
  WallTime failed_at_{};
  std::uint32_t active_ = 0;
  std::deque<Waiter*> waiting_;
  std::list<Stream*> streams_;                    ///< of the conversations under way
  std::deque<std::unique_ptr<Connection>> idle_;  ///< the longest idle first
  Timer idle_timer_;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
