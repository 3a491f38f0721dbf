// How often which command got which kind of reply: two closed lists, a table of counters. Counted by the
// receiving session, kept by whoever wants it. What is no command, and replies that belong to none (a
// timeout), are `other`.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace umbra::smtp {

enum class Verb : std::uint8_t {
  ehlo,
  helo,
  mail,
  rcpt,
  data,
  bdat,
  message_end,
  rset,
  noop,
  vrfy,
  help,
  quit,
  starttls,
  auth,
  xclient,
  other
};
inline constexpr std::size_t verbs = static_cast<std::size_t>(Verb::other) + 1;
inline constexpr std::array<std::string_view, verbs> verb_names = {
    "ehlo", "helo", "mail", "rcpt", "data",     "bdat", "message_end", "rset",
    "noop", "vrfy", "help", "quit", "starttls", "auth", "xclient",     "other"};
/// By the first digit of the reply, from 2.
inline constexpr std::array<std::string_view, 4> reply_classes = {"2xx", "3xx", "4xx", "5xx"};

struct CommandTally {
  std::array<std::array<std::uint64_t, reply_classes.size()>, verbs> counts{};
  void add(Verb verb, int code) {
    if (code >= 200 && code < 600)
      ++counts[static_cast<std::size_t>(verb)][static_cast<std::size_t>(code / 100 - 2)];
  }
};

}  // namespace umbra::smtp
