// Generations of the last so many messages: what a hub remembers of them for a while, in bounded memory.
// ShadowKeeper has two.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>

#include "base/ids.h"

namespace umbra::hub {

class RecentMessages {
 public:
  explicit RecentMessages(std::size_t max) : max_(max) {}

  /// The higher generation of two stays. The oldest message gives way to a new one.
  void note(MessageId id, Generation generation) {
    auto [at, is_new] = generations_.try_emplace(id, generation);
    if (!is_new) {
      at->second = std::max(at->second, generation);
      return;
    }
    order_.push_back(id);
    if (order_.size() <= max_) return;
    generations_.erase(order_.front());
    order_.pop_front();
  }
  [[nodiscard]] std::optional<Generation> find(MessageId id) const {
    auto at = generations_.find(id);
    return at == generations_.end() ? std::nullopt : std::optional(at->second);
  }
  /// It is known no more; its place is given up with its age.
  void forget(MessageId id) {
    if (auto at = generations_.find(id); at != generations_.end()) at->second = Generation{0};
  }

 private:
  std::size_t max_;
  std::unordered_map<MessageId, Generation> generations_;
  std::deque<MessageId> order_;
};

}  // namespace umbra::hub
