// The spool, awaited: coroutines around Spool::write and Spool::read, for everything on the home thread.
#pragma once

#include <memory>
#include <utility>

#include "hub/net/task.h"
#include "storage/spool.h"

namespace umbra::hub {

/// Durable when it returns without error. `octets` is about how much the job writes (it bounds the batch).
inline Task<Result<void>> commit(asio::io_context& io, storage::Spool& spool, storage::Spool::WriteJob job,
                                 std::size_t octets = 256) {
  Event done(io);
  Result<void> result;
  spool.write(std::move(job), octets, [&done, &result](Result<void> r) {
    result = std::move(r);
    done.set();
  });
  co_await done.wait();
  co_return result;
}

/// What `question(Reader&)` returns (a Result<T>), asked of what is committed.
template <class T, class Question>
Task<Result<T>> query(asio::io_context& io, storage::Spool& spool, Question question) {
  Event done(io);
  std::optional<Result<T>> result;
  spool.read([&result, question = std::move(question)](
                 storage::Reader& reader) mutable { result.emplace(question(reader)); },
             [&done] { done.set(); });
  co_await done.wait();
  if (!result) co_return failure(std::errc::operation_canceled, "read the spool: it is stopped");
  co_return std::move(*result);
}

}  // namespace umbra::hub
