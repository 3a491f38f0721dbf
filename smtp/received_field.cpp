#include "smtp/received_field.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/ids.h"
#include "smtp/address.h"

namespace umbra::smtp {
namespace {

constexpr std::size_t word_octets_max = 320;
constexpr std::size_t words_max = 64;
constexpr std::string_view blanks = " \t\r\n";

/// Words and comments of a structured field, in order.
struct Word {
  std::string text;
  bool is_comment = false;
};

/// One octet after the other: a comment may hold comments, a quoted string anything.
std::vector<Word> words_of(std::string_view value) {
  std::vector<Word> words;
  Word word;
  std::size_t depth = 0;
  bool is_quoted = false;
  auto end_word = [&] {
    if (!word.text.empty() && words.size() < words_max) words.push_back(std::move(word));
    word = {};
  };
  auto put = [&](char c) {
    if (word.text.size() < word_octets_max) word.text.push_back(c);
  };
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    const bool is_blank = blanks.contains(c);
    if (c == '\\' && (depth != 0 || is_quoted) && i + 1 < value.size()) {
      put(value[++i]);
    } else if (is_quoted) {
      if (c == '"')
        is_quoted = false;
      else
        put(c);
    } else if (depth != 0) {
      if (c == '(') ++depth;
      if (c == ')' && --depth == 0) {
        word.is_comment = true;
        end_word();
      } else {
        put(is_blank ? ' ' : c);
      }
    } else if (c == '(') {
      end_word();
      depth = 1;
    } else if (c == '"') {
      is_quoted = true;
    } else if (is_blank) {
      end_word();
    } else {
      put(c);
    }
  }
  word.is_comment = depth != 0;
  end_word();
  return words;
}

/// Where the last ";" outside of comments and quoted strings is.
std::size_t date_mark(std::string_view value) {
  std::size_t found = std::string_view::npos;
  std::size_t depth = 0;
  bool is_quoted = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c == '\\')
      ++i;
    else if (is_quoted)
      is_quoted = c != '"';
    else if (c == '(')
      ++depth;
    else if (c == ')')
      depth -= depth != 0 ? 1 : 0;
    else if (depth != 0)
      continue;
    else if (c == '"')
      is_quoted = true;
    else if (c == ';')
      found = i;
  }
  return found;
}

/// "[192.0.2.1]" anywhere in a comment, or "unknown [192.0.2.1]"; without the brackets.
std::string literal_in(std::string_view text) {
  auto open = text.find('[');
  auto close = open == std::string_view::npos ? open : text.find(']', open);
  if (close == std::string_view::npos) return {};
  auto inside = text.substr(open + 1, close - open - 1);
  const bool is_address = !inside.empty() && inside.size() <= 64 && std::ranges::all_of(inside, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.' ||
           c == ':' || c == 'I' || c == 'P' || c == 'v';
  });
  return is_address ? std::string(inside) : std::string();
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

std::optional<int> number(std::string_view text, std::size_t digits_min, std::size_t digits_max) {
  if (text.size() < digits_min || text.size() > digits_max) return std::nullopt;
  auto value = parse_number(text);
  if (!value) return std::nullopt;
  return static_cast<int>(*value);
}

std::optional<unsigned> month_of(std::string_view text) {
  constexpr std::array<std::string_view, 12> months = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                       "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
  auto found = std::ranges::find(months, upper(text).substr(0, 3));
  if (text.size() < 3 || found == months.end()) return std::nullopt;
  return static_cast<unsigned>(found - months.begin()) + 1;
}

/// Minutes east of Greenwich (RFC 5322 section 4.3).
std::optional<int> zone_of(std::string_view text) {
  if (text.size() == 5 && (text[0] == '+' || text[0] == '-')) {
    auto hours = number(text.substr(1, 2), 2, 2);
    auto minutes = number(text.substr(3, 2), 2, 2);
    if (!hours || !minutes || *minutes > 59) return std::nullopt;
    return (text[0] == '-' ? -1 : 1) * (*hours * 60 + *minutes);
  }
  struct Named {
    std::string_view name;
    int hours;
  };
  constexpr std::array<Named, 8> named = {{{"EST", -5},
                                           {"EDT", -4},
                                           {"CST", -6},
                                           {"CDT", -5},
                                           {"MST", -7},
                                           {"MDT", -6},
                                           {"PST", -8},
                                           {"PDT", -7}}};
  const auto name = upper(text);
  for (const auto& zone : named)
    if (zone.name == name) return zone.hours * 60;
  const bool is_name = !name.empty() && name.size() <= 5 &&
                       std::ranges::all_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
  return is_name ? std::optional(0) : std::nullopt;
}

struct Clock {
  int hour = 0;
  int minute = 0;
  int second = 0;
};

std::optional<Clock> clock_of(std::string_view text) {
  auto first = text.find(':');
  if (first == std::string_view::npos) return std::nullopt;
  auto second = text.find(':', first + 1);
  Clock clock;
  auto hour = number(text.substr(0, first), 1, 2);
  auto minute =
      number(text.substr(first + 1, second == std::string_view::npos ? second : second - first - 1), 2, 2);
  // Some put a fraction behind the seconds.
  auto seconds = second == std::string_view::npos
                     ? std::optional(0)
                     : number(text.substr(second + 1, text.find('.', second) - second - 1), 2, 2);
  if (!hour || !minute || !seconds || *hour > 23 || *minute > 59 || *seconds > 60) return std::nullopt;
  clock = {*hour, *minute, *seconds};
  return clock;
}

/// obs-year (RFC 5322 section 4.3).
std::optional<int> year_of(std::string_view text) {
  auto value = number(text, 2, 4);
  if (!value) return std::nullopt;
  if (text.size() == 2) return *value + (*value < 50 ? 2000 : 1900);
  return text.size() == 3 ? *value + 1900 : *value;
}

}  // namespace

std::optional<WallTime> parse_date_time(std::string_view text) {
  std::vector<std::string> parts;
  std::string spaced;
  for (char c : text.substr(0, 512)) {  // "Fri,27" is seen
    spaced.push_back(c);
    if (c == ',') spaced.push_back(' ');
  }
  for (auto& word : words_of(spaced))
    if (!word.is_comment && word.text != ",") parts.push_back(std::move(word.text));
  std::size_t at = 0;
  if (!parts.empty() && parts[0].find_first_of("0123456789") == std::string::npos)
    ++at;  // the day of the week
  if (parts.size() < at + 5) return std::nullopt;
  auto day = number(parts[at], 1, 2);
  auto month = month_of(parts[at + 1]);
  auto year = year_of(parts[at + 2]);
  auto clock = clock_of(parts[at + 3]);
  auto zone = zone_of(parts[at + 4]);
  if (!day || !month || !year || !clock || !zone) return std::nullopt;
  using namespace std::chrono;
  const year_month_day date{std::chrono::year{*year}, std::chrono::month{*month},
                            std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  const auto moment =
      sys_days{date} + hours(clock->hour) + minutes(clock->minute) + seconds(clock->second) - minutes(*zone);
  return WallTime{duration_cast<WallClock::duration>(moment.time_since_epoch())};
}

Received parse_received(std::string_view value) {
  Received received;
  auto mark = date_mark(value);
  auto words = words_of(value.substr(0, mark));
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i].is_comment) continue;
    const auto& name = words[i].text;
    std::string* into = equals_ignoring_case(name, "from")   ? &received.from
                        : equals_ignoring_case(name, "by")   ? &received.by
                        : equals_ignoring_case(name, "with") ? &received.with
                        : equals_ignoring_case(name, "id")   ? &received.id
                        : equals_ignoring_case(name, "for")  ? &received.recipient
                                                             : nullptr;
    if (into == nullptr || !into->empty() || i + 1 == words.size() || words[i + 1].is_comment) continue;
    *into = words[++i].text;
    if (into != &received.from) continue;
    while (i + 1 < words.size() && words[i + 1].is_comment) {
      ++i;
      if (received.from_address.empty()) received.from_address = literal_in(words[i].text);
    }
  }
  if (received.from_address.empty()) received.from_address = literal_in(received.from);
  if (received.recipient.starts_with('<') && received.recipient.ends_with('>'))
    received.recipient = received.recipient.substr(1, received.recipient.size() - 2);
  if (mark == std::string_view::npos) return received;
  for (const auto& word : words_of(value.substr(mark + 1).substr(0, 512)))
    if (!word.is_comment) received.date += (received.date.empty() ? "" : " ") + word.text;
  received.time = parse_date_time(received.date);
  return received;
}

}  // namespace umbra::smtp
