#include "smtp/body_decoder.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "smtp/address.h"
#include "smtp/header_field.h"
#include "smtp/trace_header.h"

namespace umbra::smtp {
namespace {

/// Enough of a Received field to know our own in it.
constexpr std::size_t received_octets_kept = 2000;
/// A buffer that grew beyond this is given back at the next message.
constexpr std::size_t scratch_octets_kept = 16 << 10;

struct Census {
  std::size_t carriage_returns = 0;
  bool has_nul = false;
  bool has_high = false;
};

/// One pass without branches, so that the compiler can use vector registers: blocks short enough for counts
/// of one octet.
Census take_census(const char* at, std::size_t left) {
  Census census;
  while (left > 0) {
    const std::size_t block = std::min<std::size_t>(left, 240);
    unsigned char carriage_returns = 0;
    unsigned char all = 0;
    unsigned char nuls = 0;
    for (std::size_t i = 0; i < block; ++i) {
      const auto octet = static_cast<unsigned char>(at[i]);
      carriage_returns = static_cast<unsigned char>(carriage_returns + (octet == '\r' ? 1 : 0));
      all = static_cast<unsigned char>(all | octet);
      nuls = static_cast<unsigned char>(nuls | (octet == 0 ? 1 : 0));
    }
    census.carriage_returns += carriage_returns;
    census.has_high = census.has_high || all > 127;
    census.has_nul = census.has_nul || nuls != 0;
    at += block;
    left -= block;
  }
  return census;
}

}  // namespace

void BodyDecoder::rest() {
  for (auto* buffer : {&scratch_, &mended_})
    if (buffer->capacity() > scratch_octets_kept) *buffer = {};
}

void BodyDecoder::begin(Framing framing) {
  rest();
  framer_.begin();
  mender_.begin();
  has_dots_ = framing == Framing::dot;
  scratch_.clear();
  single_ = {};
  line_.clear();
  received_.clear();
  octets_ = carriage_returns_ = crlfs_ = header_octets_ = line_octets_ = 0;
  hops_ = own_hops_ = 0;
  framing_ = limits_.mending.is_any() ? Framing::counted : framing;
  place_ = Place::line_start;
  after_cr_ = false;
  in_header_ = true;
  in_received_ = has_field_ = false;
  has_8bit_ = bare_lf_ = bare_cr_ = nul_ = long_line_ = false;
}

std::string_view BodyDecoder::feed(std::string_view& input) {
  if (!limits_.mending.is_any()) return feed_lines(input);
  mended_.clear();
  if (has_dots_) {
    std::string octets;
    framer_.feed(input, octets);
    mender_.feed(octets, mended_);
  } else {
    mender_.feed(std::exchange(input, {}), mended_);
  }
  std::string_view lines = mended_;
  auto out = feed_lines(lines);
  // The line before the dot is whole: nothing is left to be mended.
  if (framer_.ended()) finish_lines();
  return out;
}

std::string_view BodyDecoder::finish() {
  if (!limits_.mending.is_any()) return finish_lines();
  std::string rest;
  mender_.finish(rest);
  std::string_view lines = rest;
  auto last = std::string(feed_lines(lines));
  mended_ = last.append(finish_lines());
  return mended_;
}

/// Of clean lines, or of any where nothing is mended.
std::string_view BodyDecoder::feed_lines(std::string_view& input) {
  scratch_.clear();
  single_ = {};
  const char* at = input.data();
  const char* const end = at + input.size();
  const char* piece = at;  // from here on, everything up to `at` belongs to the message
  while (at != end && place_ != Place::ended) {
    switch (place_) {
      case Place::line_start:
        if (*at == '.' && framing_ == Framing::dot) {
          keep(piece, at);
          piece = ++at;
          place_ = Place::dot;
        } else {
          place_ = Place::in_line;
        }
        break;
      case Place::dot:
        if (*at == '\r') {
          piece = ++at;
          place_ = Place::dot_cr;
        } else {
          place_ = Place::in_line;
        }
        break;
      case Place::dot_cr:
        if (*at == '\n') {
          piece = ++at;
          place_ = Place::ended;
        } else {
          bare_cr_ = true;
          place_ = Place::in_line;
        }
        break;
      case Place::in_line: {
        const auto* line_feed =
            static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
        const char* const stop = line_feed == nullptr ? end : line_feed + 1;
        const auto count = static_cast<std::size_t>(stop - at);
        count_line_octets(count);
        if (in_header_) header_octets({at, count});
        if (line_feed != nullptr) {
          const bool is_crlf = line_feed == at ? after_cr_ : line_feed[-1] == '\r';
          after_cr_ = false;
          if (is_crlf) {
            ++crlfs_;
            line_octets_ = 0;
            place_ = Place::line_start;
          } else {
            bare_lf_ = true;
          }
        } else {
          after_cr_ = stop[-1] == '\r';
        }
        at = stop;
        break;
      }
      case Place::ended:
        break;
    }
  }
  if (place_ != Place::ended) keep(piece, at);
  if (ended()) {
    bare_cr_ = bare_cr_ || carriage_returns_ != crlfs_;
    if (in_header_) end_header();
  }
  input.remove_prefix(static_cast<std::size_t>(at - input.data()));
  return scratch_.empty() ? single_ : scratch_;
}

std::string_view BodyDecoder::finish_lines() {
  bare_cr_ = bare_cr_ || carriage_returns_ != crlfs_;
  const bool is_complete = place_ == Place::line_start;
  if (!is_complete && in_header_) header_octets("\r\n");
  if (in_header_) end_header();
  place_ = Place::ended;
  if (is_complete) return {};
  octets_ += 2;
  return "\r\n";
}

/// The octets belong to the message: counts them and, while it can still be taken, gives them out.
void BodyDecoder::keep(const char* begin, const char* end) {
  if (begin == end) return;
  const std::string_view piece{begin, static_cast<std::size_t>(end - begin)};
  const auto census = take_census(begin, piece.size());
  octets_ += piece.size();
  carriage_returns_ += census.carriage_returns;
  nul_ = nul_ || census.has_nul;
  has_8bit_ = has_8bit_ || census.has_high;
  if (octets_ > limits_.message_octets_max || nul_ || bare_lf_ || bare_cr_ || long_line_) {
    scratch_.clear();
    single_ = {};
    return;
  }
  if (single_.empty()) {
    single_ = piece;
    return;
  }
  if (scratch_.empty()) scratch_.assign(single_);
  scratch_.append(piece);
}

void BodyDecoder::count_line_octets(std::size_t octets) {
  line_octets_ += octets;
  long_line_ = long_line_ || line_octets_ > limits_.line_octets_max;
}

/// Part of the header, ending with its line or with the input.
void BodyDecoder::header_octets(std::string_view octets) {
  header_octets_ += octets.size();
  const bool is_line = octets.ends_with('\n');
  if (line_.empty() && is_line) {
    header_line(octets);
  } else {
    // A longer line is refused anyway.
    if (line_.size() <= limits_.line_octets_max) line_.append(octets);
    if (!is_line) return;
    header_line(line_);
    line_.clear();
  }
}

void BodyDecoder::header_line(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (!is_header_line(line, has_field_)) return end_header();
  if (line.front() == ' ' || line.front() == '\t') {
    if (in_received_ && received_.size() < received_octets_kept) received_.append(line);
    return;
  }
  end_field();
  has_field_ = true;
  auto name = field_name(line);
  if (!equals_ignoring_case(name, "received")) return;
  ++hops_;
  in_received_ = true;
  received_.assign(line.substr(0, received_octets_kept));
}

void BodyDecoder::end_field() {
  if (in_received_ && is_own_received_field(received_, host_name_)) ++own_hops_;
  in_received_ = false;
}

void BodyDecoder::end_header() {
  end_field();
  in_header_ = false;
  line_ = {};
  received_ = {};
}

std::optional<Reply> BodyDecoder::refusal() const {
  if (octets_ > limits_.message_octets_max)
    return Reply{552, "5.3.4", "message over " + std::to_string(limits_.message_octets_max) + " octets"};
  if (bare_lf_ || bare_cr_) return Reply{554, "5.6.0", "bare CR or LF: lines end with CRLF"};
  if (nul_) return Reply{554, "5.6.0", "NUL octet in the message"};
  if (long_line_)
    return Reply{554, "5.6.0", "line over " + std::to_string(limits_.line_octets_max) + " octets"};
  if (header_octets_ > limits_.header_octets_max)
    return Reply{552, "5.3.4",
                 "message header over " + std::to_string(limits_.header_octets_max) + " octets"};
  if (hops_ > limits_.hops_max)
    return Reply{554, "5.4.6", "routing loop: more than " + std::to_string(limits_.hops_max) + " hops"};
  if (own_hops_ > limits_.own_hops_max)
    return Reply{554, "5.4.6", "routing loop: was here " + std::to_string(own_hops_) + " times"};
  return std::nullopt;
}

}  // namespace umbra::smtp
