// A copy of a body that is still coming in: its pieces go to the holder as they go to the own spool, so that
// at the end of data only the last one is missing (XCOPY BEGIN, XCHUNK, XCOPY END of docs/xshadow.md).
// Nothing is held before the end. Made by Copier, fed by one acceptance; at most two pieces of it are in
// memory. When anything goes wrong it ends quietly, and the body is copied from the spool after the end of
// data, as if there had been none.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "hub/net/task.h"
#include "storage/spool.h"

namespace umbra::hub {

struct EarlyCopy {
  EarlyCopy(asio::io_context& io, MessageId message, storage::Holder to)
      : id(message), holder(std::move(to)), work(io), room(io), done(io) {}

  const MessageId id;
  const storage::Holder holder;
  std::deque<std::shared_ptr<const std::string>> queue;  ///< not sent yet
  bool has_failed = false;
  bool is_closed = false;  ///< nothing more comes
  bool is_over = false;    ///< nothing is under way any more
  Event work;              ///< something was queued, or closed
  Event room;              ///< the queue became empty, or it has failed
  Event done;              ///< is_over
};
using EarlyCopyPtr = std::shared_ptr<EarlyCopy>;

}  // namespace umbra::hub
