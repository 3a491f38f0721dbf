#include "hub/outbound/trial.h"

#include <algorithm>

namespace umbra::hub {

void Trial::suspect(MessageId id, std::uint32_t ends) {
  if (ends_max_ == 0) return;
  auto& known = suspects_[id];
  known = std::max(known, ends);
}

Trial::Verdict Trial::judge(MessageId id, RowId row, const std::string& destination) {
  auto found = suspects_.find(id);
  if (found == suspects_.end()) return Verdict::attempt;
  if (found->second >= ends_max_) return Verdict::hold;
  if (on_trial_ && *on_trial_ != id) {
    waiting_[row.value] = destination;
    return Verdict::wait;
  }
  on_trial_ = id;
  return Verdict::attempt;
}

std::uint32_t Trial::ends_of(MessageId id) const {
  auto found = suspects_.find(id);
  return found == suspects_.end() ? 0 : found->second;
}

bool Trial::ended(MessageId id, bool has_outcome) {
  if (on_trial_ == id) on_trial_.reset();
  return has_outcome && suspects_.erase(id) != 0;
}

std::optional<std::string> Trial::next() {
  if (on_trial_ || waiting_.empty()) return std::nullopt;
  auto first = std::ranges::min_element(waiting_, {}, [](const auto& entry) { return entry.first; });
  auto destination = std::move(first->second);
  waiting_.erase(first);
  return destination;
}

}  // namespace umbra::hub
