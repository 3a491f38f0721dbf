#include "smtp/milter/packet.h"

#include <algorithm>

#include "base/result.h"

namespace umbra::milter {
namespace {

constexpr std::size_t length_octets = 4;

std::uint32_t get_u32(std::string_view octets) {
  std::uint32_t n = 0;
  for (char c : octets.substr(0, length_octets)) n = n << 8U | static_cast<unsigned char>(c);
  return n;
}

}  // namespace

void put_u32(std::string& out, std::uint32_t n) {
  for (unsigned shift = 32; shift != 0; shift -= 8)
    out.push_back(static_cast<char>(n >> (shift - 8) & 0xffU));
}

void put_packet(std::string& out, Command command, std::string_view data) {
  UMBRA_ASSERT(data.size() <= data_octets_max);
  put_u32(out, static_cast<std::uint32_t>(data.size() + 1));
  out.push_back(static_cast<char>(command));
  out.append(data);
}

std::optional<Packet> PacketReader::next() {
  const auto rest = std::string_view(buffer_).substr(at_);
  if (is_malformed_ || rest.size() < length_octets) return std::nullopt;
  const auto length = get_u32(rest);
  if (length == 0 || length > answer_octets_max) {
    is_malformed_ = true;
    return std::nullopt;
  }
  if (rest.size() - length_octets < length) return std::nullopt;
  Packet packet{rest[length_octets], std::string(rest.substr(length_octets + 1, length - 1))};
  at_ += length_octets + length;
  if (at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
  } else if (at_ > answer_octets_max) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  return packet;
}

std::uint32_t DataReader::u32() {
  if (!ok_ || rest_.size() < length_octets) {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  const auto n = get_u32(rest_);
  rest_.remove_prefix(length_octets);
  return n;
}

std::string_view DataReader::text() {
  const auto end = rest_.find('\0');
  if (!ok_ || end == std::string_view::npos) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  const auto text = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return text;
}

}  // namespace umbra::milter
