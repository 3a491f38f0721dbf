#include "hub/filter/message_buffer.h"

#include <algorithm>
#include <utility>

#include "hub/spool_tasks.h"
#include "smtp/shadow_verbs.h"

namespace umbra::hub {
namespace {

constexpr std::size_t chunk_octets = smtp::shadow_chunk_octets_max;

}  // namespace

Task<void> MessageBuffer::append(std::string_view octets) {
  while (!octets.empty() && !failed_) {
    if (last_->size() == chunk_octets) {
      if (chunks_ == 0) row_ = spool_.next_row();
      auto stored = co_await commit(
          io_, spool_,
          [row = row_, number = chunks_, body = last_](storage::Writer& w) {
            return w.put_chunk(row, number, *body);
          },
          last_->size());
      if (!stored) {
        failed_ = stored.error();
        co_return;
      }
      ++chunks_;
      last_ = std::make_shared<std::string>();
    }
    const auto part = octets.substr(0, chunk_octets - last_->size());
    last_->append(part);
    octets_ += part.size();
    octets.remove_prefix(part.size());
  }
}

Task<Result<std::string>> MessageBuffer::read() {
  while (is_borrowed_) {
    auto chunk = co_await query<std::string>(
        io_, spool_, [row = row_, number = next_++](storage::Reader& r) { return r.chunk(row, number); });
    if (!chunk || chunk->empty() || chunk->size() > skip_) {
      if (chunk) chunk->erase(0, std::exchange(skip_, 0));
      co_return chunk;
    }
    skip_ -= chunk->size();
  }
  const auto number = next_++;
  if (number > chunks_) co_return std::string{};
  if (number == chunks_) co_return *last_;
  co_return co_await query<std::string>(
      io_, spool_, [row = row_, number](storage::Reader& r) { return r.chunk(row, number); });
}

Task<void> MessageBuffer::drop() {
  last_ = std::make_shared<std::string>();
  if (std::exchange(chunks_, 0) == 0) co_return;
  (void)co_await commit(io_, spool_, [row = row_](storage::Writer& w) { return w.drop_body(row); });
}

std::string LineEnds::normalize(std::string_view octets) {
  std::string out;
  out.reserve(octets.size() + octets.size() / 32 + 2);
  for (char c : octets) {
    const bool after_cr = std::exchange(has_cr_, c == '\r');
    if (c == '\n' || after_cr) out.append("\r\n");
    if (c != '\n' && c != '\r') out.push_back(c);
  }
  return out;
}

std::string LineEnds::end() {
  return std::exchange(has_cr_, false) ? "\r\n" : "";
}

}  // namespace umbra::hub
