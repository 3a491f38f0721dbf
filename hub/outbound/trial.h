// Suspects (storage/suspects.h) under trial: the messages that were being delivered when the process ended
// without a word. All other mail flows; of these one at a time is attempted, so that the next end, if it
// comes, names one of them and no bystander. One that has been there `ends_max` times is not attempted any
// more. Decides; the scheduler acts. Home thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/spool.h"

namespace umbra::hub {

class Trial {
 public:
  /// 0: nobody is ever a suspect.
  explicit Trial(std::uint32_t ends_max) : ends_max_(ends_max) {}

  /// From the spool, or from another hub.
  void suspect(MessageId id, std::uint32_t ends);
  [[nodiscard]] bool is_idle() const { return suspects_.empty(); }

  enum class Verdict : std::uint8_t {
    attempt,  ///< not a suspect, or the one whose turn it is
    wait,     ///< another one is being tried: tell again once `next()` names it
    hold      ///< was there too often
  };
  Verdict judge(MessageId id, RowId row, const std::string& destination);
  [[nodiscard]] std::uint32_t ends_of(MessageId id) const;

  /// No attempt of this message is under way any more. `has_outcome`: it came to one, and the hub lives: no
  /// suspect any more (true is returned then, and the spool is to be told).
  bool ended(MessageId id, bool has_outcome);
  /// The rows that wait; not to be loaded again and again.
  [[nodiscard]] const std::unordered_map<std::int64_t, std::string>& waiting() const { return waiting_; }
  /// When nothing is being tried: one of those that wait, which is to be loaded for its destination now.
  std::optional<std::string> next();
  /// The operator lets it go on.
  void pardon(MessageId id) { suspects_.erase(id); }

 private:
  std::uint32_t ends_max_;
  std::map<MessageId, std::uint32_t> suspects_;
  std::optional<MessageId> on_trial_;
  std::unordered_map<std::int64_t, std::string> waiting_;  ///< row, destination
};

}  // namespace umbra::hub
