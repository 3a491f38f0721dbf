// The milter protocol, version 6, as octets: how a mail server asks a content filter about a message, stage
// by stage. This file has the frame (a length of four octets, a letter, data), the letters and the flags.
// Called by Conversation and parse_answer(). Hostile until parsed: what a filter sends is bounded by
// answer_octets_max before it is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace umbra::milter {

inline constexpr std::uint32_t version_lowest = 2;
inline constexpr std::uint32_t version_highest = 6;

/// Most data in one packet that is sent: what every filter can take.
inline constexpr std::size_t data_octets_max = 65'535;
/// Most octets in one packet of a filter, its letter included.
inline constexpr std::size_t answer_octets_max = 256U << 10;

/// What is said to the filter.
enum class Command : char {
  negotiate = 'O',
  macros = 'D',
  connect = 'C',
  hello = 'H',
  sender = 'M',
  recipient = 'R',
  data = 'T',
  header = 'L',
  end_of_header = 'N',
  body = 'B',
  end_of_body = 'E',
  abort = 'A',
  quit = 'Q'
};

/// What a filter may want to change, as it says in its negotiation.
enum Action : std::uint32_t {
  action_add_header = 0x01,  // inserting one too
  action_change_body = 0x02,
  action_add_recipient = 0x04,
  action_delete_recipient = 0x08,
  action_change_header = 0x10,
  action_quarantine = 0x20,
  action_change_sender = 0x40,
  action_add_recipient_with_parameters = 0x80
};

/// Stages that a filter does not want, or does not answer.
enum Protocol : std::uint32_t {
  no_connect = 0x01,
  no_hello = 0x02,
  no_sender = 0x04,
  no_recipient = 0x08,
  no_body = 0x10,
  no_header = 0x20,
  no_end_of_header = 0x40,
  silent_header = 0x80,
  no_unknown = 0x100,
  no_data = 0x200,
  may_skip_body = 0x400,
  rejected_recipients = 0x800,
  silent_connect = 0x1000,
  silent_hello = 0x2000,
  silent_sender = 0x4000,
  silent_recipient = 0x8000,
  silent_data = 0x10000,
  silent_unknown = 0x20000,
  silent_end_of_header = 0x40000,
  silent_body = 0x80000,
  leading_space = 0x100000
};

void put_u32(std::string& out, std::uint32_t n);
/// `data` has at most data_octets_max octets.
void put_packet(std::string& out, Command command, std::string_view data);

struct Packet {
  char letter = 0;
  std::string data;
};

/// Takes octets as they come and gives packets. Keeps what was not taken yet: feed little, then take all.
class PacketReader {
 public:
  void feed(std::string_view octets) { buffer_.append(octets); }
  /// Nothing: more is needed, or is_malformed().
  std::optional<Packet> next();
  /// A length that no packet may have: nothing more can be read.
  [[nodiscard]] bool is_malformed() const { return is_malformed_; }
  /// Something was fed that no packet took.
  [[nodiscard]] bool has_rest() const { return at_ < buffer_.size(); }

 private:
  std::string buffer_;
  std::size_t at_ = 0;
  bool is_malformed_ = false;
};

/// Reads the data of a packet. After any failure ok() is false, and every further read gives 0 or "".
class DataReader {
 public:
  explicit DataReader(std::string_view data) : rest_(data) {}
  std::uint32_t u32();
  /// Up to the next NUL, which must be there.
  std::string_view text();
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace umbra::milter
