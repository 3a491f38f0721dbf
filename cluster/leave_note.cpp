#include "cluster/leave_note.h"

#include <algorithm>
#include <utility>

#include "base/ids.h"

namespace umbra::cluster {

std::string format_leave(const DrainOrder& order) {
  std::string note = "leave rate=" + std::to_string(order.rate);
  for (const auto& hub : order.to) note += (&hub == &order.to.front() ? " to=" : ",") + hub;
  return note;
}

std::optional<DrainOrder> parse_leave(std::string_view note) {
  DrainOrder order;
  order.verb = DrainVerb::leave;
  bool is_first = true;
  while (!note.empty() || is_first) {
    auto word = note.substr(0, note.find(' '));
    note.remove_prefix(std::min(note.size(), word.size() + 1));
    if (std::exchange(is_first, false)) {
      if (word != "leave") return std::nullopt;
    } else if (word.starts_with("rate=")) {
      if (auto rate = parse_number(word.substr(5)); rate && *rate != 0) order.rate = *rate;
    } else if (word.starts_with("to=")) {
      word.remove_prefix(3);
      while (!word.empty()) {
        auto hub = word.substr(0, word.find(','));
        word.remove_prefix(std::min(word.size(), hub.size() + 1));
        if (!hub.empty()) order.to.emplace_back(hub);
      }
    }
  }
  return order;
}

}  // namespace umbra::cluster
