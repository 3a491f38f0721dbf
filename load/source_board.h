// What the sessions of a source share: which message is next, which targets are up, what has been counted and
// written to the ledger. Knows no sockets.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "load/connection.h"
#include "load/latencies.h"
#include "load/ledger_file.h"
#include "load/message_maker.h"
#include "load/source.h"

namespace umbra::load {

/// A message in a session's hands, or waiting to be tried again.
struct Work {
  std::uint64_t number = 0;
  std::uint32_t attempt = 1;
  std::size_t avoid = SIZE_MAX;  ///< the target that failed it last
  MonotonicTime not_before{};
  MonotonicTime first_attempt{};
};

struct Target {
  Address address;
  MonotonicTime down_until{};  ///< gave no greeting; the others are tried first until then
  std::uint64_t acknowledged = 0;
  std::uint64_t failures = 0;  ///< connections refused or lost
};

struct SourceCounts {
  std::uint64_t begun = 0;         ///< messages handed out for the first time
  std::uint64_t acknowledged = 0;  ///< messages
  std::uint64_t recipients = 0;    ///< acknowledged
  std::uint64_t refused_4xx = 0;   ///< attempts
  std::uint64_t refused_5xx = 0;   ///< messages
  std::uint64_t unsent = 0;        ///< attempts lost before the end of data
  std::uint64_t undecided = 0;     ///< attempts lost after it
  std::uint64_t abandoned = 0;     ///< messages
  std::uint64_t connections = 0;
  std::uint64_t connect_failures = 0;
  [[nodiscard]] std::uint64_t ended() const { return acknowledged + refused_5xx + abandoned; }
};

class SourceBoard {
 public:
  SourceBoard(const SourceCommand& command, std::vector<Target> targets, LedgerFile ledger, std::string run);

  /// Something to send through `target` now, if there is.
  std::optional<Work> take(std::size_t target);
  /// Whether take() may have something for some target.
  [[nodiscard]] bool has_work(MonotonicTime now) const;
  /// When the rate allows the next new message.
  [[nodiscard]] MonotonicTime next_due() const;
  [[nodiscard]] bool finished() const;
  /// No new messages from now on.
  void stop() { stopping_ = true; }

  /// A target to connect to: `home` while it is up, else the next that is, else whichever comes up first.
  [[nodiscard]] std::size_t choose_target(std::size_t home, std::size_t not_this) const;
  /// `unreachable`: no greeting came from it.
  void target_failed(std::size_t target, bool unreachable);

  // What became of an attempt. `work` is used up by all but attempted().
  void attempted(const Work& work, std::size_t target);
  void acknowledged(const Work& work, std::size_t target, std::uint32_t recipients,
                    const std::string& refused, std::string_view reply, std::uint64_t latency_us);
  void refused(Work work, std::size_t target, int code, std::string_view reply);
  void unsent(Work work, std::size_t target, std::string_view reason);
  void undecided(Work work, std::size_t target, std::string_view reason);
  /// Not even begun at this target.
  void give_back(Work work);

  const SourceCommand& command;
  MessageMaker maker;
  std::vector<Target> targets;
  SourceCounts counts;
  Latencies latencies;
  LedgerFile ledger;
  MonotonicTime started{};
  MonotonicTime last_acknowledged{};

 private:
  void again(Work work, std::size_t target, Duration wait);

  std::deque<Work> retries_;
  bool stopping_ = false;
};

}  // namespace umbra::load
