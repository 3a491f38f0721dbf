// Inside of Copier.
#pragma once

#include <optional>
#include <vector>

#include "hub/peering/copier.h"

namespace umbra::hub {

/// One copying of one message before its 250: what its copies, which are made side by side, have in common.
struct Copier::Round {
  Round(asio::io_context& io, CopySource s, std::vector<storage::Holder>& h, Protection p, MonotonicTime d)
      : source(std::move(s)), holders(h), protection(p), deadline(d), ended(io) {}
  CopySource source;
  std::vector<storage::Holder>& holders;
  Protection protection;
  MonotonicTime deadline;
  std::vector<storage::Holder> tried;  // as `holds`, which choose() leaves out
  std::size_t running = 0;
  Event ended;
};

}  // namespace umbra::hub
