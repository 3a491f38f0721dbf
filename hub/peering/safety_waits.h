// Who waits until a message is safe: delivered, or with its copies. One waiter per message: an
// acknowledgement that is delayed (hub/inbound/acceptor). Told by delivery and by the copier. Home thread.
#pragma once

#include <map>

#include "base/ids.h"
#include "hub/net/task.h"

namespace umbra::hub {

class SafetyWaits {
 public:
  enum class End : std::uint8_t {
    delivered,   ///< every recipient has ended, durably
    protected_,  ///< another hub holds a copy
    timed_out,
    closing  ///< the hub stops, or may not go on
  };

  explicit SafetyWaits(asio::io_context& io) : io_(io) {}

  /// Until `row` is told, at most so long.
  Task<End> wait(RowId row, Duration at_most) {
    Waiter waiter(io_);
    if (is_closed_) co_return End::closing;
    waiting_.insert_or_assign(row, &waiter);
    co_await waiter.timer.wait_for(at_most);
    waiting_.erase(row);
    co_return waiter.end;
  }

  void tell(RowId row, End end) {
    if (waiting_.empty()) return;
    if (auto found = waiting_.find(row); found != waiting_.end()) {
      found->second->end = end;
      found->second->timer.cancel();
    }
  }

  /// Nobody waits from now on.
  void close() {
    is_closed_ = true;
    for (auto& [row, waiter] : waiting_) {
      waiter->end = End::closing;
      waiter->timer.cancel();
    }
  }

 private:
  struct Waiter {
    explicit Waiter(asio::io_context& io) : timer(io) {}
    Timer timer;
    End end = End::timed_out;
  };
  asio::io_context& io_;
  std::map<RowId, Waiter*> waiting_;
  bool is_closed_ = false;
};

}  // namespace umbra::hub
