// The body of a message that is not accepted yet: up to one chunk in memory, the rest in the spool under a
// row of its own, which no message ever gets. Written once, then read as often as wanted. What a crash leaves
// of it the spool sweeps away when it opens, as it does with every body that has no message. Home thread;
// owned by who filters the message.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hub/net/runtime.h"
#include "storage/spool.h"

namespace umbra::hub {

class MessageBuffer {
 public:
  MessageBuffer(asio::io_context& io, storage::Spool& spool) : io_(io), spool_(spool) {}
  /// The body of a message that is in the spool, without its first `skipped` octets. Only read; nothing of it
  /// is dropped.
  MessageBuffer(asio::io_context& io, storage::Spool& spool, RowId message, std::uint64_t skipped,
                std::uint64_t octets)
      : io_(io), spool_(spool), row_(message), octets_(octets), skipped_(skipped), is_borrowed_(true) {}
  MessageBuffer(const MessageBuffer&) = delete;
  MessageBuffer& operator=(const MessageBuffer&) = delete;
  /// After drop().
  ~MessageBuffer() { UMBRA_ASSERT(chunks_ == 0); }

  /// A failure is remembered: see failed().
  Task<void> append(std::string_view octets);
  /// From the beginning; then read() gives piece after piece, at most one chunk each, and empty at the end.
  void rewind() {
    next_ = 0;
    skip_ = skipped_;
  }
  Task<Result<std::string>> read();
  Task<void> drop();

  [[nodiscard]] std::uint64_t octets() const { return octets_; }
  [[nodiscard]] const std::optional<Error>& failed() const { return failed_; }

 private:
  asio::io_context& io_;
  storage::Spool& spool_;
  RowId row_{};
  std::uint64_t octets_ = 0;
  std::shared_ptr<std::string> last_ = std::make_shared<std::string>();  // what is not in the spool
  std::uint32_t chunks_ = 0;                                             // that are in the spool
  std::uint32_t next_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t skip_ = 0;  // left of these
  bool is_borrowed_ = false;
  std::optional<Error> failed_;
};

/// Line ends as they must be: CRLF, whatever a filter writes. A CR at the end of a piece belongs to the next
/// one.
class LineEnds {
 public:
  std::string normalize(std::string_view octets);
  /// What is left when there is no more.
  std::string end();

 private:
  bool has_cr_ = false;
};

}  // namespace umbra::hub
