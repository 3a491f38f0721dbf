#include "hub/logs/log_line.h"

#include <array>
#include <charconv>

#include "base/iso_time.h"
#include "hub/logs/trace_context.h"

namespace umbra::hub {
namespace {

constexpr std::string_view hexadecimal = "0123456789abcdef";

bool is_plain(char c) {
  auto octet = static_cast<unsigned char>(c);
  return octet >= 0x20 && octet < 0x7f && c != '"' && c != '\\';
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  auto octet = static_cast<unsigned char>(c);
  out += "\\u00";
  out += hexadecimal[octet >> 4U];
  out += hexadecimal[octet & 15U];
}

void append_number(std::string& out, std::int64_t value) {
  std::array<char, 24> digits{};
  auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

void append_hexadecimal(std::string& out, std::uint64_t value, std::size_t width) {
  std::array<char, 16> digits{};
  std::size_t count = 0;
  do {
    digits[count++] = hexadecimal[value & 15U];
    value >>= 4U;
  } while (value != 0);
  while (count < width) digits[count++] = '0';
  while (count > 0) out += digits[--count];
}

void append_fields(std::string& out, std::initializer_list<LogField> fields) {
  for (const auto& field : fields) {
    if (field.is_for_tracking) continue;
    out += ",\"";
    out += field.name;  // ours, not the network's
    out += "\":";
    if (const auto* number = std::get_if<std::int64_t>(&field.value)) {
      append_number(out, *number);
    } else {
      append_json_string(out, std::get<std::string_view>(field.value));
    }
  }
  out += "}\n";
}

std::string second_as_text(std::int64_t second) {
  return iso_time(WallTime(std::chrono::seconds(second))).substr(0, 19);
}

void append_microseconds(std::string& out, std::int64_t microseconds) {
  std::array<char, 8> text = {'.', '0', '0', '0', '0', '0', '0', 'Z'};
  for (std::size_t i = 6; i > 0; --i) {
    text[i] = static_cast<char>('0' + microseconds % 10);
    microseconds /= 10;
  }
  out.append(text.data(), text.size());
}

std::pair<std::int64_t, std::int64_t> split(WallTime time) {
  auto second = std::chrono::floor<std::chrono::seconds>(time);
  return {second.time_since_epoch().count(), (time - second).count()};
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned first = at(0);
  std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                       : first >= 0xe0 && first < 0xf0 ? 3
                       : first >= 0xf0 && first < 0xf5 ? 4
                                                       : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0U) != 0x80) return 0;
  }
  unsigned second = at(1);
  bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  bool surrogate = first == 0xed && second >= 0xa0;
  bool too_large = first == 0xf4 && second >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

void append_json_string(std::string& out, std::string_view text, std::size_t octets_max) {
  bool is_cut = text.size() > octets_max;
  if (is_cut) text = text.substr(0, octets_max);
  out += '"';
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && is_plain(text[plain])) ++plain;
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    if (static_cast<unsigned char>(text.front()) < 0x80) {
      append_escaped(out, text.front());
      text.remove_prefix(1);
    } else if (auto length = utf8_length(text); length != 0) {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
    } else {
      out += "\\ufffd";
      text.remove_prefix(1);
    }
  }
  if (is_cut) out += "...";
  out += '"';
}

std::string_view to_string(OwnerRecord::How how) {
  constexpr std::string_view names[] = {"owned", "accepted", "taken_over", "recovered", "handed_over"};
  return names[static_cast<std::size_t>(how)];
}

std::string to_text(const std::vector<OwnerRecord>& history) {
  std::string text;
  for (const auto& owner : history) {
    if (!text.empty()) text += "; ";
    text +=
        std::to_string(owner.generation.value) + ' ' + std::string(to_string(owner.how)) + " by " + owner.hub;
    if (owner.since != WallTime{}) text += ' ' + to_text(owner.since);
    if (owner.attempts != 0) text += " after " + std::to_string(owner.attempts) + " attempts";
  }
  return text;
}

std::string to_text(WallTime time) {
  return iso_time_microseconds(time);
}

LogLineWriter::LogLineWriter(std::string_view hub) : hub_hash_(hash_of_hub(hub)), hub_("\",\"hub\":") {
  append_json_string(hub_, hub);
}

void LogLineWriter::begin(std::string& out, WallTime now) {
  auto [second, microseconds] = split(now);
  if (second != second_) {
    second_ = second;
    second_text_ = "{\"time\":\"" + second_as_text(second);
  }
  out += second_text_;
  append_microseconds(out, microseconds);
  out += hub_;
}

void LogLineWriter::message(std::string& out, WallTime now, MessageEvent event, MessageId id,
                            std::initializer_list<LogField> fields) {
  begin(out, now);
  out += ",\"event\":\"";
  out += to_string(event);
  out += "\",\"id\":\"";
  append_hexadecimal(out, id.spool.value, 16);
  out += '-';
  append_hexadecimal(out, id.number, 1);
  const auto context = trace_context(id, hub_hash_);
  out.append("\",\"trace_id\":\"").append(context.trace()).append("\",\"span_id\":\"").append(context.span());
  out += '"';
  append_fields(out, fields);
}

void LogLineWriter::line(std::string& out, WallTime now, LogLevel level, std::string_view text,
                         std::initializer_list<LogField> fields) {
  begin(out, now);
  out += ",\"level\":\"";
  out += to_string(level);
  out += "\",\"text\":";
  append_json_string(out, text);
  append_fields(out, fields);
}

}  // namespace umbra::hub
