// The balance of what this hub owns: every message that comes into its queue or leaves it is counted under
// one word, in the commit that moves it (Counts are taken back with what is rolled back). So at every commit
//   at_start + entered - left = rows of the table of messages,
// and anything else means that mail came or went in a way that nobody has named. Words are per message, not
// per recipient.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <numeric>
#include <optional>
#include <utility>

#include "base/ids.h"

namespace umbra::storage {

enum class Entered : std::uint8_t {
  accepted,      ///< from a client, before its 250
  received,      ///< handed over by another hub
  taken_over,    ///< of a hub that is gone: it was a shadow here
  notification,  ///< made here (DSN)
  resent,        ///< made from what the safety net keeps
  filtered       ///< made from one that waited for a content filter
};
enum class Left : std::uint8_t {
  delivered,    ///< every recipient has ended here, one or more of them delivered
  bounced,      ///< the same, none of them delivered; or ended by the operator
  expired,      ///< given up because of its age
  discarded,    ///< thrown away, as a content filter wanted
  deleted,      ///< by the operator, without a bounce: whatever was left of it
  filtered,     ///< replaced by what a content filter made of it
  elsewhere,    ///< another hub has said that it is done
  handed_over,  ///< another hub owns it
  ceded,        ///< another hub had taken it over
  withdrawn     ///< never acknowledged: the client got a 4xx, and keeps it
};
inline constexpr std::size_t entered_words = static_cast<std::size_t>(Entered::filtered) + 1;
inline constexpr std::size_t left_words = static_cast<std::size_t>(Left::withdrawn) + 1;

struct Ledger {
  std::uint64_t at_start = 0;  ///< rows when the process opened the spool
  std::array<std::uint64_t, entered_words> entered{};
  std::array<std::uint64_t, left_words> left{};

  void note(Entered how) { ++entered[static_cast<std::size_t>(how)]; }
  void note(Left how) { ++left[static_cast<std::size_t>(how)]; }
  /// How many rows there have to be.
  [[nodiscard]] std::int64_t expected() const {
    auto in = std::accumulate(entered.begin(), entered.end(), at_start);
    return static_cast<std::int64_t>(in) -
           static_cast<std::int64_t>(std::accumulate(left.begin(), left.end(), std::uint64_t{0}));
  }
  bool operator==(const Ledger&) const = default;
};

/// The ledger and what was counted, both as of one commit.
struct Balance {
  Ledger ledger;
  std::uint64_t queued =
      0;  ///< rows of the table: counted, but for the held ones, of which the spool keeps the number
  std::uint64_t handing_over = 0;  ///< of these
  std::optional<RowId> oldest;
  /// 0, or mail came (negative: went) that nobody has named.
  [[nodiscard]] std::int64_t imbalance() const {
    return static_cast<std::int64_t>(queued) - ledger.expected();
  }
};

/// The ledgers of the last commits. The writer lane puts one before it commits, the reader lane looks for
/// that of its snapshot: both sides of the balance are of one moment, however busy the hub is.
class LedgerHistory {
 public:
  void put(Sequence sequence, const Ledger& ledger) {
    std::lock_guard lock(mutex_);
    ring_[sequence.value % ring_.size()] = {sequence, ledger};
  }
  [[nodiscard]] std::optional<Ledger> at(Sequence sequence) {
    std::lock_guard lock(mutex_);
    const auto& [found, ledger] = ring_[sequence.value % ring_.size()];
    return found == sequence ? std::optional(ledger) : std::nullopt;
  }

 private:
  std::mutex mutex_;
  std::array<std::pair<Sequence, Ledger>, 512> ring_{};
};

}  // namespace umbra::storage
