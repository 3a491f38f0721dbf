// What is said on a connection, as records: in the protocol log of its connector, and to those who watch. One
// SessionRecord for a connection that somebody listens to, in both directions (hub/inbound/session,
// hub/outbound/connection); none for the others: they pay a comparison of a pointer, and a place in a list,
// by which whoever begins to watch finds the sessions that are under way.
//
// Events, Exchange's: + connected, - disconnected, > sent, < received, * information. Records are numbered
// from 0 in each session. The lines of commands come from the parser (smtp/session_observer.h): secrets are
// replaced by "*", the content of a message is told as a number of octets. What is sent is recorded when it
// is handed to the connection; that it did not arrive is said by the record of the end.
//
// Home thread; a RecordLog takes what is written from any thread, and never waits.
#pragma once

#include <boost/intrusive/list.hpp>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "hub/logs/record_log.h"
#include "hub/logs/session_watch.h"
#include "smtp/session_observer.h"

namespace umbra::hub {

class SessionRecord final : public smtp::SessionObserver {
 public:
  SessionRecord(std::uint64_t id, SessionFacts facts, RecordLog* log);

  /// '+'. What was not known before of the two ends is known now.
  void connected(const SessionFacts& facts, std::string_view context = {});
  void disconnected(std::string_view why) { write("-", {}, why); }
  /// '*'
  void note(std::string_view what) { write("*", {}, what); }
  /// '<'
  void heard(std::string_view line, std::string_view context) override;
  /// '>', of a reply or replies that are being written: each line is a record. What the server asks in a
  /// log-on is not shown.
  void replies(std::string_view octets);

  /// '>', of a command: kept until it is written.
  void said(std::string_view line, std::string_view context) override;
  /// What was said is being written.
  void sending();
  /// The same, but for the last end of data, and what is behind it.
  void sending_but_end();
  /// It will not be.
  void withheld(std::string_view why);

 private:
  friend class SessionRecords;
  struct Follower {
    std::shared_ptr<Watcher> watcher;
    bool is_shown = false;  ///< else kept until the session names the address
    std::deque<std::string> kept;
    std::size_t kept_octets = 0;
    std::uint64_t forgotten = 0;
  };
  struct Said {
    std::string line;
    std::string context;
  };

  void write(std::string_view event, std::string_view data, std::string_view context);
  void show(WallTime now, std::string_view event, std::string_view data, std::string_view context);
  void look_for_address(std::string_view line);
  void end_said(std::size_t count);
  [[nodiscard]] std::string to_json(WallTime time, std::string_view event, std::string_view data,
                                    std::string_view context) const;

  const std::uint64_t id_;
  SessionFacts facts_;
  std::string id_text_;
  std::string local_text_;
  std::string remote_text_;
  RecordLog* const log_;  // null: only for those who watch
  std::uint64_t sequence_ = 0;
  std::deque<Said> said_;
  std::vector<Follower> followers_;
};

/// A session whose records can be asked for.
class RecordedSession {
 public:
  [[nodiscard]] virtual SessionFacts session_facts() const = 0;
  /// As in its facts; asked for every session.
  [[nodiscard]] virtual bool is_logged() const = 0;
  /// From now on what is said goes to `record`; null: nowhere.
  virtual void record_to(SessionRecord* record) = 0;

 protected:
  ~RecordedSession() = default;
};

class SessionRecords;

/// A session's place among those whose records can be asked for. Owned by the session.
class SessionTap
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  /// `records`: null, or it outlives this.
  SessionTap(SessionRecords* records, RecordedSession& session) : records_(records), session_(session) {}
  SessionTap(const SessionTap&) = delete;
  SessionTap& operator=(const SessionTap&) = delete;

  /// The session begins. Asks for its facts.
  void open();
  /// It has ended: '-', when somebody listens.
  void close(std::string_view why);
  /// Null: nobody listens.
  [[nodiscard]] SessionRecord* record() const { return record_.get(); }
  /// Of the session that is open, or the next one.
  [[nodiscard]] std::uint64_t id();

 private:
  friend class SessionRecords;
  SessionRecords* records_;
  RecordedSession& session_;
  std::unique_ptr<SessionRecord> record_;
  std::uint64_t id_ = 0;
};

/// All of a hub. Owned by the composition root.
class SessionRecords {
 public:
  static constexpr std::size_t watchers_max = 8;

  struct Logs {
    RecordLog* receive = nullptr;
    RecordLog* send = nullptr;
    RecordLog* connectivity = nullptr;
  };
  /// `logs` outlive it.
  SessionRecords(asio::io_context& io, Random& random, Logs logs) : io_(io), random_(random), logs_(logs) {}

  /// Null: nobody keeps it.
  [[nodiscard]] RecordLog* connectivity() const {
    return logs_.connectivity != nullptr && logs_.connectivity->is_enabled() ? logs_.connectivity : nullptr;
  }
  std::uint64_t new_id();

  /// Null: as many watch as may, or the hub is stopping.
  std::shared_ptr<Watcher> watch(WatchFilter filter);
  void unwatch(const std::shared_ptr<Watcher>& watcher);
  [[nodiscard]] std::size_t watchers() const { return watchers_.size(); }
  /// Everybody who watches is told, and has a moment to take what is left.
  Task<void> stop();

 private:
  friend class SessionTap;
  void consider(SessionTap& tap);
  void follow(SessionTap& tap, const std::shared_ptr<Watcher>& watcher, bool is_under_way);
  SessionRecord& record_of(SessionTap& tap, const SessionFacts& facts, RecordLog* log);

  asio::io_context& io_;
  Random& random_;
  const Logs logs_;
  boost::intrusive::list<SessionTap, boost::intrusive::constant_time_size<false>> sessions_;
  std::vector<std::shared_ptr<Watcher>> watchers_;
  bool is_stopping_ = false;
};

/// "00000000deadbeef"
std::string session_id_text(std::uint64_t id);
/// A client that was closed without a word: '+' and '-'.
void record_turned_away(SessionRecords* records, const SessionFacts& facts, std::string_view why);

}  // namespace umbra::hub
