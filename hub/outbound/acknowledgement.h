// How a message was acknowledged: known in memory alone, to the run of the hub that accepted it, and said in
// the header field Umbra-Hop (hub/outbound/hop.h). It travels with the message from the acceptor to delivery;
// of mail that is tried again the latest are remembered. Lost with a restart: nothing depends on it.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "smtp/hop_field.h"

namespace umbra::hub {

struct Acknowledgement {
  smtp::RedundancyWay way = smtp::RedundancyWay::unknown;
  std::vector<std::string> copies = {};
  std::optional<std::chrono::milliseconds> copied = std::nullopt;
  std::optional<std::chrono::milliseconds> acknowledged = std::nullopt;
  std::optional<std::chrono::milliseconds> filtered = std::nullopt;
};
using AcknowledgementPtr = std::shared_ptr<const Acknowledgement>;

/// The latest, by row.
class RecentAcknowledgements {
 public:
  static constexpr std::size_t kept_max = 20'000;

  void keep(RowId row, AcknowledgementPtr acknowledgement) {
    if (!kept_.insert_or_assign(row, std::move(acknowledgement)).second) return;
    order_.push_back(row);
    if (order_.size() <= kept_max) return;
    kept_.erase(order_.front());
    order_.pop_front();
  }
  /// Null: nothing is known.
  [[nodiscard]] AcknowledgementPtr find(RowId row) const {
    auto found = kept_.find(row);
    return found == kept_.end() ? nullptr : found->second;
  }

 private:
  std::unordered_map<RowId, AcknowledgementPtr> kept_;
  std::deque<RowId> order_;
};

}  // namespace umbra::hub
