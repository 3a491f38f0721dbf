#include "hub/logs/record_format.h"

#include <algorithm>
#include <array>

#include "hub/admin/version.h"
#include "hub/logs/log_line.h"

namespace umbra::hub {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";
constexpr std::string_view date_name = "{\"date-time\":\"";
constexpr std::size_t date_octets = 10;  // 2026-11-27

/// By octet: 0 as it is, 1 in quotation marks, 2 to be looked at.
constexpr auto classes = [] {
  std::array<std::uint8_t, 256> all{};
  for (std::size_t octet = 0; octet < 256; ++octet)
    all[octet] = octet < 0x20 || octet >= 0x7f ? 2 : octet == ',' || octet == '"' ? 1 : 0;
  return all;
}();

std::uint8_t class_of(char c) {
  return classes[static_cast<unsigned char>(c)];
}

/// Not C1: terminals obey some of them.
bool is_shown(std::string_view character) {
  return character.size() != 2 || character[0] != '\xc2' || static_cast<unsigned char>(character[1]) >= 0xa0;
}

void append_quoted(std::string& out, std::string_view value) {
  out += '"';
  while (!value.empty()) {
    std::size_t plain = 0;
    while (plain < value.size() && class_of(value[plain]) != 2 && value[plain] != '"') ++plain;
    out.append(value.substr(0, plain));
    value.remove_prefix(plain);
    if (value.empty()) break;
    if (value.front() == '"') {
      out += "\"\"";
      value.remove_prefix(1);
      continue;
    }
    const auto length = static_cast<unsigned char>(value.front()) < 0x80 ? 0 : utf8_length(value);
    const auto character = value.substr(0, length);
    out += length != 0 && is_shown(character) ? character : replacement;
    value.remove_prefix(std::max<std::size_t>(length, 1));
  }
  out += '"';
}

}  // namespace

void append_csv_value(std::string& out, std::string_view value, std::size_t octets_max) {
  const bool is_cut = value.size() > octets_max;
  if (is_cut) {
    // Not within a character.
    for (int i = 0;
         i < 3 && octets_max > 0 && (static_cast<unsigned char>(value[octets_max]) & 0xc0U) == 0x80; ++i)
      --octets_max;
    value = value.substr(0, octets_max);
  }
  // A blank at an end is kept by every reader only within quotation marks.
  const bool is_plain = std::ranges::all_of(value, [](char c) { return class_of(c) == 0; }) &&
                        !value.starts_with(' ') && !value.ends_with(' ') && !value.starts_with('#');
  if (is_plain && !is_cut) {
    out.append(value);
    return;
  }
  append_quoted(out, value);
  if (!is_cut) return;
  out.pop_back();
  out += "...\"";
}

RecordWriter::RecordWriter(const RecordKind& kind, RecordLogsConfig::Format format)
    : kind_(kind), is_json_(format == RecordLogsConfig::Format::json) {
  for (auto rest = kind.fields; !rest.empty();) {
    const auto end = std::min(rest.find(','), rest.size());
    names_.push_back("\"" + std::string(rest.substr(0, end)) + "\":");
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

void RecordWriter::write_time(std::string& out, WallTime time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  if (const auto number = second.time_since_epoch().count(); number != second_) {
    second_ = number;
    second_text_ = to_text(WallTime(second)).substr(0, 20);  // with the point
  }
  out += second_text_;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time - second).count();
  const char digits[] = {static_cast<char>('0' + ms / 100), static_cast<char>('0' + ms / 10 % 10),
                         static_cast<char>('0' + ms % 10), 'Z'};
  out.append(digits, sizeof digits);
}

void RecordWriter::write(std::string& out, WallTime time, std::span<const std::string_view> values) {
  const auto count = std::min(values.size(), names_.size() - 1);
  if (is_json_) {
    out += date_name;
    write_time(out, time);
    out += '"';
    for (std::size_t i = 0; i < count; ++i) {
      if (values[i].empty()) continue;
      out += ',';
      out += names_[i + 1];
      append_json_string(out, values[i], record_value_octets_max);
    }
    out += "}\n";
    return;
  }
  write_time(out, time);
  for (std::size_t i = 0; i < count; ++i) {
    out += ',';
    append_csv_value(out, values[i]);
  }
  out.append(names_.size() - 1 - count, ',');
  out += '\n';
}

std::string RecordWriter::first_lines(WallTime now) const {
  if (is_json_) return {};
  std::string text = "#Software: Umbra\n#Version: ";
  text += version;
  text += "\n#Log-Type: ";
  text += kind_.type;
  text += "\n#Date: " + to_text(now).substr(0, 23) + "Z\n#Fields: ";
  text += kind_.fields;
  text += '\n';
  return text;
}

std::string day_of_record(std::string_view record, RecordLogsConfig::Format format) {
  if (format == RecordLogsConfig::Format::json)
    record.remove_prefix(std::min(date_name.size(), record.size()));
  std::string day;
  for (char c : record.substr(0, date_octets))
    if (c >= '0' && c <= '9') day += c;
  return day;
}

}  // namespace umbra::hub
