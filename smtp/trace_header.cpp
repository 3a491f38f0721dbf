#include "smtp/trace_header.h"

#include <array>
#include <chrono>
#include <cstdio>

#include "smtp/address.h"

namespace umbra::smtp {
namespace {

constexpr std::string_view blanks = " \t\r\n";

/// The word that follows `keyword` standing as a word of its own, at or after `from`; empty: not there.
std::string_view word_after(std::string_view field, std::string_view keyword, std::size_t from) {
  while (true) {
    auto at = field.find(keyword, from);
    if (at == std::string_view::npos) return {};
    from = at + keyword.size();
    const bool begins_word = at == 0 || blanks.contains(field[at - 1]) || field[at - 1] == ':';
    if (!begins_word || from >= field.size() || !blanks.contains(field[from])) continue;
    auto word = field.find_first_not_of(blanks, from);
    if (word == std::string_view::npos) return {};
    auto end = field.find_first_of(" \t\r\n;", word);
    return field.substr(word, end == std::string_view::npos ? end : end - word);
  }
}

}  // namespace

std::string received_field(const Trace& trace) {
  const bool is_ipv6 = trace.client_address.contains(':');
  std::string out;
  out.reserve(320);
  out.append("Received: from ").append(trace.client_name);
  out.append(trace.client_name.size() > 40 ? "\r\n\t([" : " ([").append(is_ipv6 ? "IPv6:" : "");
  out.append(trace.client_address).append("])");
  out.append("\r\n\tby ").append(trace.host_name);
  out.append(" with ").append(trace.smtputf8 ? "UTF8SMTP" : (trace.is_extended ? "ESMTP" : "SMTP"));
  if (!trace.tls_cipher.empty() && trace.is_extended) out.append("S");
  if (trace.is_authenticated && trace.is_extended) out.append("A");
  out.append(trace.host_name.size() > 24 ? "\r\n\tid " : " id ").append(to_string(trace.id));
  if (!trace.recipient.empty()) out.append("\r\n\tfor <").append(trace.recipient).append(">");
  if (!trace.tls_cipher.empty()) out.append("\r\n\ttls ").append(trace.tls_cipher);
  out.append(";\r\n\t").append(date_time(trace.time)).append("\r\n");
  return out;
}

void add_remark(std::string& field, std::string_view remark) {
  constexpr std::size_t remark_octets_max = 200;
  std::string comment = "\r\n\t(";
  for (char c : remark.substr(0, remark_octets_max))
    comment.push_back(c >= 0x20 && c < 0x7f && c != '(' && c != ')' && c != '\\' && c != ';' ? c : '?');
  comment.push_back(')');
  const auto date = field.rfind(';');
  field.insert(date == std::string::npos ? field.size() : date, comment);
}

bool is_own_received_field(std::string_view field, std::string_view host_name) {
  auto by = word_after(field, "by", 0);
  if (!equals_ignoring_case(by, host_name)) return false;
  const auto from = static_cast<std::size_t>(by.data() - field.data()) + by.size();
  return parse_message_id(word_after(field, "id", from)).has_value();
}

std::string date_time(WallTime time) {
  static constexpr std::array days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  using namespace std::chrono;
  const sys_time<microseconds> at{time.time_since_epoch()};
  const auto day = floor<std::chrono::days>(at);
  const year_month_day date{day};
  const hh_mm_ss clock{floor<seconds>(at - day)};
  std::array<char, 64> text{};
  const int octets = std::snprintf(
      text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d +0000", days[weekday{day}.c_encoding()],
      static_cast<unsigned>(date.day()), months[static_cast<unsigned>(date.month()) - 1],
      static_cast<int>(date.year()), static_cast<int>(clock.hours().count()),
      static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
  return {text.data(), static_cast<std::size_t>(octets)};
}

}  // namespace umbra::smtp
