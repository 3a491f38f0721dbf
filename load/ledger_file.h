// The ledger files: append-only text, one line per event, blank-separated (docs/umbra-load.md). Written in
// big buffers; the owner calls flush() at least every 100 ms, and the destructor does.
//
//   attempted    TIME TOKEN ATTEMPT RECIPIENTS TARGET      a source is about to send the end of data
//   acknowledged TIME TOKEN ATTEMPT TARGET REFUSED TEXT    the reply was 2xx; REFUSED: recipients refused
//   before, "-" or "1,3" refused      TIME TOKEN ATTEMPT TARGET CODE TEXT       the message was refused with
//   4xx or 5xx unsent       TIME TOKEN ATTEMPT TARGET REASON          the connection was lost before the end
//   of data was sent undecided    TIME TOKEN ATTEMPT TARGET REASON          it was lost after that, without a
//   reply abandoned    TIME TOKEN ATTEMPT TARGET REASON          the source gave up delivered    TIME TOKEN
//   RECIPIENT OCTETS               a sink said 250 withheld     TIME TOKEN RECIPIENT OCTETS               a
//   sink took it but did not say so (a fault on purpose) deferred     TIME TOKEN RECIPIENT CODE a sink said
//   4xx rejected     TIME TOKEN RECIPIENT CODE                 a sink said 5xx: no delivery is owed
//
// TIME is Unix time in microseconds. TOKEN is "-" for mail without one.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace umbra::load {

class LedgerFile {
 public:
  LedgerFile() = default;  ///< writes nothing
  ~LedgerFile();
  LedgerFile(LedgerFile&& other) noexcept;
  LedgerFile& operator=(LedgerFile&& other) noexcept;

  static Result<LedgerFile> open(const std::string& path);

  void line(std::string_view kind, std::initializer_list<std::string_view> fields);
  /// Ends the process with a message when the file cannot be written: a ledger with holes proves nothing.
  void flush();

 private:
  int fd_ = -1;
  std::string path_;
  std::string buffer_;
};

}  // namespace umbra::load
