// The body of a message on its way in, by DATA (RFC 5321 section 4.5.2: dots removed) or BDAT (RFC 3030).
// Octets in, octets of the message out, in pieces that are views of the input wherever nothing had to be
// removed. Called by ReceiveSession.
//
// Strict: only CRLF.CRLF ends a DATA body; CR and LF stand together or the message is refused (otherwise two
// servers could disagree on where a message ends). Where the operator wants old applications' mail, `mending`
// makes lines of it, after its end was found by the same rule and before anything else looks at it. A refused
// message is still read to its true end, so that the next command is found, but nothing of it is kept: memory
// is bounded whatever comes. 8-bit octets without BODY=8BITMIME are let through and noted: refusing them
// would stop mail of many old applications, and clearing the high bit would damage it; the note lets delivery
// ask the next hop for 8BITMIME.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/dot_framer.h"
#include "smtp/line_mender.h"
#include "smtp/reply.h"

namespace umbra::smtp {

struct BodyLimits {
  std::uint64_t message_octets_max = 50ULL << 20;  ///< after removal of dots (RFC 1870); then 552 5.3.4
  std::uint32_t line_octets_max = 1000;            ///< with CRLF, without the removed dot; then 554 5.6.0
  std::uint32_t header_octets_max = 256U << 10;    ///< then 552 5.3.4
  std::uint32_t hops_max = 50;                     ///< Received fields; more: 554 5.4.6
  std::uint32_t own_hops_max = 4;                  ///< Received fields that this host wrote; more: 554 5.4.6
  Mending mending = {};                            ///< then the other limits are about what came out of it
};

class BodyDecoder {
 public:
  enum class Framing : std::uint8_t { dot, counted };

  /// The references must outlive the decoder. `host_name` is ours, for loop detection.
  BodyDecoder(const BodyLimits& limits, const std::string& host_name)
      : limits_(limits), host_name_(host_name), mender_(limits.mending, limits.line_octets_max) {}

  /// A new message.
  void begin(Framing framing);

  /// Removes from the front of `input` what belongs to the body (everything, or up to the end of data) and
  /// returns the octets of the message in it: empty once the message is refused. Valid until the next call.
  std::string_view feed(std::string_view& input);

  /// Counted framing: no more chunks. Returns what completes the last line: CRLF when the client left it out
  /// (everything later relies on whole lines), else nothing.
  std::string_view finish();

  /// Between messages: what a long one needed is given back.
  void rest();

  /// Dot framing: CRLF.CRLF was read.
  [[nodiscard]] bool ended() const { return place_ == Place::ended; }
  /// Why the message cannot be taken, so far. Which one is told does not depend on how the input was split.
  [[nodiscard]] std::optional<Reply> refusal() const;
  [[nodiscard]] bool has_8bit() const { return has_8bit_; }
  /// Octets of the message so far, CRLFs included.
  [[nodiscard]] std::uint64_t octets() const { return octets_; }

 private:
  enum class Place : std::uint8_t { line_start, dot, dot_cr, in_line, ended };

  std::string_view feed_lines(std::string_view& input);
  std::string_view finish_lines();
  void keep(const char* begin, const char* end);
  void count_line_octets(std::size_t octets);
  void header_octets(std::string_view octets);
  void header_line(std::string_view line);
  void end_field();
  void end_header();

  const BodyLimits& limits_;
  const std::string& host_name_;
  DotFramer framer_;  // of mending
  LineMender mender_;
  std::string mended_;
  std::string scratch_;      // pieces of one feed() joined, when a dot was removed between them
  std::string_view single_;  // the only piece so far
  std::string line_;         // header line whose end has not come yet
  std::string received_;     // the Received field being read, unfolded enough to look into
  std::uint64_t octets_ = 0;
  std::uint64_t carriage_returns_ = 0;
  std::uint64_t crlfs_ = 0;
  std::uint64_t header_octets_ = 0;
  std::uint64_t line_octets_ = 0;
  std::uint32_t hops_ = 0;
  std::uint32_t own_hops_ = 0;
  Framing framing_ = Framing::dot;  // of the lines; those that were mended have been counted off already
  bool has_dots_ = false;           // of mending
  Place place_ = Place::line_start;
  bool after_cr_ = false;
  bool in_header_ = true;
  bool in_received_ = false;
  bool has_field_ = false;
  bool has_8bit_ = false;
  bool bare_lf_ = false;
  bool bare_cr_ = false;  // found at the end of the message, or after a dot
  bool nul_ = false;
  bool long_line_ = false;
};

}  // namespace umbra::smtp
