#include "base/iso_time.h"

#include <algorithm>

namespace umbra {
namespace {

constexpr WallClock::duration latest = std::chrono::seconds(253'402'300'799);  // the end of 9999

/// `count` digits at the front of `text`, taken off it.
std::optional<int> digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return std::nullopt;
  int value = 0;
  for (char c : text.substr(0, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(count);
  return value;
}

void set_digits(std::string& text, std::size_t at, std::size_t count, std::int64_t value) {
  for (; count > 0; value /= 10) text[at + --count] = static_cast<char>('0' + value % 10);
}

/// With so many digits of the second, at most six.
std::string with_digits(WallTime time, std::size_t count) {
  using namespace std::chrono;
  const sys_time<microseconds> at{std::clamp(time.time_since_epoch(), WallClock::duration{0}, latest)};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss clock{at - day};
  std::string text = "0000-00-00T00:00:00.000000";
  set_digits(text, 0, 4, static_cast<int>(date.year()));
  set_digits(text, 5, 2, static_cast<unsigned>(date.month()));
  set_digits(text, 8, 2, static_cast<unsigned>(date.day()));
  set_digits(text, 11, 2, clock.hours().count());
  set_digits(text, 14, 2, clock.minutes().count());
  set_digits(text, 17, 2, clock.seconds().count());
  set_digits(text, 20, 6, clock.subseconds().count());
  text.resize(20 + count);
  return text += 'Z';
}

bool skip(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string iso_time(WallTime time) {
  return with_digits(time, 3);
}

std::string iso_time_microseconds(WallTime time) {
  return with_digits(time, 6);
}

std::optional<WallTime> parse_iso_time(std::string_view text) {
  using namespace std::chrono;
  auto y = digits(text, 4);
  bool is_date = y && skip(text, '-');
  auto m = is_date ? digits(text, 2) : std::nullopt;
  is_date = m && skip(text, '-');
  auto d = is_date ? digits(text, 2) : std::nullopt;
  if (!d || (!skip(text, 'T') && !skip(text, ' '))) return std::nullopt;
  auto hour = digits(text, 2);
  bool is_clock = hour && skip(text, ':');
  auto minute = is_clock ? digits(text, 2) : std::nullopt;
  is_clock = minute && skip(text, ':');
  auto second = is_clock ? digits(text, 2) : std::nullopt;
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const year_month_day date{year{*y}, month{static_cast<unsigned>(*m)}, day{static_cast<unsigned>(*d)}};
  if (!date.ok()) return std::nullopt;
  microseconds fraction{0};
  if (skip(text, '.')) {
    std::int64_t unit = 100'000;
    std::size_t count = 0;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; ++count, unit /= 10) {
      fraction += microseconds((text.front() - '0') * unit);
      text.remove_prefix(1);
    }
    if (count == 0) return std::nullopt;
  }
  minutes offset{0};
  if (!skip(text, 'Z')) {
    if (text.empty() || (text.front() != '+' && text.front() != '-')) return std::nullopt;
    const int sign = text.front() == '-' ? -1 : 1;
    text.remove_prefix(1);
    auto hours_off = digits(text, 2);
    skip(text, ':');
    auto minutes_off = hours_off ? digits(text, 2) : std::nullopt;
    if (!minutes_off || *hours_off > 23 || *minutes_off > 59) return std::nullopt;
    offset = minutes(sign * (*hours_off * 60 + *minutes_off));
  }
  if (!text.empty()) return std::nullopt;
  const auto at = sys_days{date} + hours(*hour) + minutes(*minute) + seconds(*second) + fraction - offset;
  return WallTime{duration_cast<WallClock::duration>(at.time_since_epoch())};
}

}  // namespace umbra
