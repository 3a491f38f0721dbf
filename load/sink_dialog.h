// The server side of an SMTP dialog as umbra-load's sink holds it: fast and lenient, with faults on purpose.
// Octets in, octets and a verdict out; no socket, no clock. RFC 5321, 2920 (PIPELINING), 3030 (CHUNKING),
// 3461 (DSN parameters are taken and ignored).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"

namespace umbra::load {

struct SinkOptions {
  std::string host_name = "sink.example";
  bool pipelining = true;
  bool eight_bit = true;
  bool chunking = true;
  bool smtputf8 = true;
  std::uint64_t size_max = 0;  ///< octets announced with SIZE; 0: no limit
  double odds_4xx = 0;         ///< per message, at MAIL, RCPT, DATA or the end of data
  double odds_5xx = 0;  ///< per message, at RCPT (when the recipient carries the token) or the end of data
  double odds_disconnect = 0;  ///< per message, at MAIL, RCPT, DATA or the end of data, without a reply
  double withhold = 0;         ///< below 1: odds per message; 1 and more: the first so many messages
  bool delays = false;         ///< the reply to the end of data is handed out by take_final_reply()
};

struct SinkStatistics {
  std::uint64_t connections = 0;
  std::uint64_t messages = 0;    ///< delivered
  std::uint64_t recipients = 0;  ///< delivered
  std::uint64_t octets = 0;      ///< of delivered messages, dots unstuffed
  std::uint64_t deferred = 0;    ///< 4xx said on purpose
  std::uint64_t rejected = 0;    ///< 5xx said on purpose
  std::uint64_t disconnects = 0;
  std::uint64_t withheld = 0;
  std::uint64_t bare_line_ends = 0;  ///< messages with a CR or LF that stands alone
  std::uint64_t damaged = 0;         ///< messages whose body is not as long, or not what, X-Umbra-Load says
  std::uint64_t syntax_errors = 0;
};

/// Told of every outcome, before the reply leaves.
class SinkObserver {
 public:
  virtual ~SinkObserver() = default;
  virtual void delivered(std::string_view token, std::string_view recipient, std::uint64_t octets) = 0;
  virtual void withheld(std::string_view token, std::string_view recipient, std::uint64_t octets) = 0;
  virtual void refused(std::string_view token, std::string_view recipient, int code) = 0;
};

class SinkDialog {
 public:
  enum class Next : std::uint8_t {
    go_on,
    pause,       ///< a final reply is due later: call take_final_reply(), then feed the rest
    withhold,    ///< say nothing, and close in a while
    disconnect,  ///< close at once
    quit         ///< close when the output is sent
  };
  struct Fed {
    std::size_t consumed = 0;
    Next next = Next::go_on;
  };

  /// All references must outlive the dialog.
  SinkDialog(const SinkOptions& options, Random& random, SinkObserver& observer, SinkStatistics& statistics);

  void greet(std::string& out) const;
  /// Takes octets and appends replies to `out`. Consumes everything unless `next` is not go_on.
  Fed feed(std::string_view octets, std::string& out);
  std::string take_final_reply() { return std::exchange(final_reply_, {}); }

 private:
  enum class Stage : std::uint8_t { mail, rcpt, data, end };
  enum class Fault : std::uint8_t { none, refuse_4xx, refuse_5xx, disconnect, withhold };

  Next command(std::string_view line, std::string& out);
  Next mail(std::string& out);
  Next rcpt(std::string_view argument, std::string& out);
  Next bdat(std::string_view argument, std::string& out);
  std::size_t data(std::string_view octets, Next& next, std::string& out);
  void data_line(std::string_view line, bool starts, bool ends);
  void header_line(std::string_view line);
  void body_octets(std::string_view octets);
  Next end_of_data(std::string& out);
  void draw_fault();
  /// True when the message's fault strikes here.
  [[nodiscard]] bool strikes(Stage stage) const {
    return fault_ != Fault::none && fault_ != Fault::withhold && stage_ == stage;
  }
  Next strike(std::string& out);
  void reset();

  const SinkOptions& options_;
  Random& random_;
  SinkObserver& observer_;
  SinkStatistics& statistics_;

  std::string partial_;  ///< a command line that has not ended yet
  bool has_mail_ = false;
  std::vector<std::string> recipients_;
  Fault fault_ = Fault::none;
  Stage stage_ = Stage::end;
  std::string final_reply_;

  // The message under way.
  bool in_data_ = false;
  bool in_chunk_ = false;
  bool last_chunk_ = false;
  std::uint64_t chunk_left_ = 0;
  std::string line_;  ///< a line of the message that has not ended yet, while it matters
  bool at_line_start_ = true;
  bool in_header_ = true;
  bool previous_was_cr_ = false;
  bool bare_ = false;
  std::string token_;
  bool announced_ = false;
  std::uint64_t announced_octets_ = 0;
  std::uint64_t announced_sum_ = 0;
  std::uint64_t octets_ = 0;
  std::uint64_t body_octets_ = 0;
  std::uint64_t sum_ = 0;
};

/// FNV-1a, 64 bits; `sum` goes on where the last call ended.
inline constexpr std::uint64_t sum_start = 0xcbf29ce484222325ULL;
std::uint64_t add_to_sum(std::uint64_t sum, std::string_view octets);

}  // namespace umbra::load
