#include "load/sink_dialog.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/ids.h"

namespace umbra::load {

namespace {

constexpr std::size_t command_octets_max = 4096;
constexpr std::size_t header_line_octets_max = 4096;
constexpr std::size_t recipients_max = 10'000;
constexpr std::string_view token_header = "X-Umbra-Load:";

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

bool starts_with_verb(std::string_view line, std::string_view verb) {
  return line.size() >= verb.size() && same_ignoring_case(line.substr(0, verb.size()), verb);
}

/// What stands between < and >; the whole word without them.
std::string path_of(std::string_view argument) {
  auto open = argument.find('<');
  auto close = argument.find('>', open == std::string_view::npos ? 0 : open);
  auto path = open == std::string_view::npos || close == std::string_view::npos
                  ? argument.substr(0, argument.find(' '))
                  : argument.substr(open + 1, close - open - 1);
  std::string text(path.substr(0, 320));
  std::replace(text.begin(), text.end(), ' ', '_');
  return text.empty() ? "<>" : text;
}

/// "load-3.TOKEN@domain" gives TOKEN, anything else "-".
std::string token_of_recipient(std::string_view recipient) {
  auto local = recipient.substr(0, recipient.find('@'));
  auto dot = local.find('.');
  return dot == std::string_view::npos || dot + 1 == local.size() ? "-" : std::string(local.substr(dot + 1));
}

}  // namespace

std::uint64_t add_to_sum(std::uint64_t sum, std::string_view octets) {
  for (char c : octets) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return sum;
}

SinkDialog::SinkDialog(const SinkOptions& options, Random& random, SinkObserver& observer,
                       SinkStatistics& statistics)
    : options_(options), random_(random), observer_(observer), statistics_(statistics) {}

void SinkDialog::greet(std::string& out) const {
  out.append("220 ").append(options_.host_name).append(" ESMTP\r\n");
}

SinkDialog::Fed SinkDialog::feed(std::string_view octets, std::string& out) {
  Fed fed;
  while (fed.next == Next::go_on && fed.consumed < octets.size()) {
    auto rest = octets.substr(fed.consumed);
    if (in_data_) {
      fed.consumed += data(rest, fed.next, out);
      continue;
    }
    auto end = rest.find('\n');
    if (end == std::string_view::npos) {
      partial_.append(
          rest.substr(0, command_octets_max + 1 - std::min(partial_.size(), command_octets_max + 1)));
      fed.consumed = octets.size();
      break;
    }
    fed.consumed += end + 1;
    auto line = rest.substr(0, end);
    if (!partial_.empty()) {
      partial_.append(line);
      line = partial_;
    }
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.size() > command_octets_max) {
      ++statistics_.syntax_errors;
      out.append("500 5.5.2 Line too long\r\n");
    } else {
      fed.next = command(line, out);
    }
    partial_.clear();
  }
  return fed;
}

SinkDialog::Next SinkDialog::command(std::string_view line, std::string& out) {
  if (starts_with_verb(line, "MAIL FROM:")) return mail(out);
  if (starts_with_verb(line, "RCPT TO:")) return rcpt(line.substr(8), out);
  if (starts_with_verb(line, "BDAT ") && options_.chunking) return bdat(line.substr(5), out);
  auto verb = line.substr(0, line.find(' '));
  if (same_ignoring_case(verb, "DATA")) {
    if (strikes(Stage::data)) return strike(out);
    if (recipients_.empty()) {
      out.append(has_mail_ ? "554 5.5.1 No valid recipients\r\n" : "503 5.5.1 MAIL first\r\n");
      return Next::go_on;
    }
    in_data_ = true;
    in_chunk_ = false;
    out.append("354 End data with <CRLF>.<CRLF>\r\n");
  } else if (same_ignoring_case(verb, "EHLO")) {
    reset();
    out.append("250-").append(options_.host_name).append("\r\n");
    if (options_.pipelining) out.append("250-PIPELINING\r\n");
    if (options_.eight_bit) out.append("250-8BITMIME\r\n");
    if (options_.chunking) out.append("250-CHUNKING\r\n");
    if (options_.smtputf8) out.append("250-SMTPUTF8\r\n");
    out.append("250-SIZE ")
        .append(std::to_string(options_.size_max))
        .append("\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n");
  } else if (same_ignoring_case(verb, "HELO")) {
    reset();
    out.append("250 ").append(options_.host_name).append("\r\n");
  } else if (same_ignoring_case(verb, "RSET")) {
    reset();
    out.append("250 2.0.0 Ok\r\n");
  } else if (same_ignoring_case(verb, "NOOP")) {
    out.append("250 2.0.0 Ok\r\n");
  } else if (same_ignoring_case(verb, "VRFY")) {
    out.append("252 2.5.0 Send mail and see\r\n");
  } else if (same_ignoring_case(verb, "QUIT")) {
    out.append("221 2.0.0 Bye\r\n");
    return Next::quit;
  } else {
    ++statistics_.syntax_errors;
    out.append("500 5.5.2 Unknown command\r\n");
  }
  return Next::go_on;
}

SinkDialog::Next SinkDialog::mail(std::string& out) {
  if (has_mail_) {
    out.append("503 5.5.1 Nested MAIL\r\n");
    return Next::go_on;
  }
  draw_fault();
  if (strikes(Stage::mail)) return strike(out);
  has_mail_ = true;
  out.append("250 2.1.0 Ok\r\n");
  return Next::go_on;
}

SinkDialog::Next SinkDialog::rcpt(std::string_view argument, std::string& out) {
  if (!has_mail_) {
    out.append("503 5.5.1 MAIL first\r\n");
    return Next::go_on;
  }
  if (recipients_.size() >= recipients_max) {
    out.append("452 4.5.3 Too many recipients\r\n");
    return Next::go_on;
  }
  auto recipient = path_of(argument);
  if (strikes(Stage::rcpt)) {
    if (fault_ == Fault::disconnect) return strike(out);
    auto token = token_of_recipient(recipient);
    // A 5xx for a recipient that cannot be matched with a message would look like a loss: refuse the message
    // instead.
    if (fault_ == Fault::refuse_5xx && token == "-") {
      stage_ = Stage::end;
    } else {
      bool for_good = fault_ == Fault::refuse_5xx;
      observer_.refused(token, recipient, for_good ? 550 : 450);
      ++(for_good ? statistics_.rejected : statistics_.deferred);
      out.append(for_good ? "550 5.1.1 No such recipient (on purpose)\r\n"
                          : "450 4.2.1 Not now (on purpose)\r\n");
      fault_ = Fault::none;
      return Next::go_on;
    }
  }
  recipients_.push_back(std::move(recipient));
  out.append("250 2.1.5 Ok\r\n");
  return Next::go_on;
}

SinkDialog::Next SinkDialog::bdat(std::string_view argument, std::string& out) {
  auto blank = argument.find(' ');
  auto size = parse_number(argument.substr(0, blank));
  auto rest = blank == std::string_view::npos ? std::string_view{} : argument.substr(blank + 1);
  if (!size || (!rest.empty() && !same_ignoring_case(rest, "LAST"))) {
    ++statistics_.syntax_errors;
    out.append("501 5.5.4 BDAT size [LAST]\r\n");
    return Next::disconnect;  // what follows cannot be told from commands any more
  }
  if (strikes(Stage::data)) {
    if (fault_ == Fault::disconnect) return Next::disconnect;
    stage_ = Stage::end;  // the octets are on their way already
  }
  in_data_ = true;
  in_chunk_ = true;
  last_chunk_ = !rest.empty();
  chunk_left_ = *size;
  if (chunk_left_ == 0) {
    Next next = Next::go_on;
    data({}, next, out);
    return next;
  }
  return Next::go_on;
}

std::size_t SinkDialog::data(std::string_view octets, Next& next, std::string& out) {
  if (in_chunk_) octets = octets.substr(0, std::min<std::uint64_t>(octets.size(), chunk_left_));
  std::size_t position = 0;
  while (position < octets.size()) {
    const auto* start = octets.data() + position;
    const auto* lf = static_cast<const char*>(std::memchr(start, '\n', octets.size() - position));
    auto length = lf == nullptr ? octets.size() - position : static_cast<std::size_t>(lf - start) + 1;
    std::string_view piece(start, length);
    position += length;
    if (lf == nullptr) {
      bool matters = !line_.empty() || (at_line_start_ && (in_header_ || piece == "." || piece == ".\r"));
      if (matters && line_.size() + piece.size() <= header_line_octets_max) {
        line_.append(piece);
      } else {
        if (!line_.empty()) data_line(line_, true, false);
        data_line(piece, line_.empty() && at_line_start_, false);
        line_.clear();
        at_line_start_ = false;
      }
      break;
    }
    bool starts = at_line_start_;
    if (!line_.empty()) {
      line_.append(piece);
      piece = line_;
    }
    if (!in_chunk_ && starts && piece == ".\r\n") {
      next = end_of_data(out);
      return position;
    }
    data_line(piece, starts, true);
    line_.clear();
    at_line_start_ = true;
  }
  if (in_chunk_) {
    chunk_left_ -= position;
    if (chunk_left_ == 0) {
      in_data_ = false;
      if (last_chunk_) {
        if (!line_.empty()) data_line(line_, true, false);
        next = end_of_data(out);
      } else {
        out.append(recipients_.empty() ? "503 5.5.1 RCPT first\r\n" : "250 2.0.0 Ok, go on\r\n");
      }
    }
  }
  return position;
}

void SinkDialog::data_line(std::string_view line, bool starts, bool ends) {
  if (line.empty()) return;
  auto text = ends ? line.substr(0, line.size() - 1) : line;
  if (previous_was_cr_ && !(ends && text.empty())) bare_ = true;
  if (ends && !(text.empty() ? previous_was_cr_ : text.back() == '\r')) bare_ = true;
  if (!text.empty() && std::memchr(text.data(), '\r', text.size() - 1) != nullptr) bare_ = true;
  previous_was_cr_ = !ends && line.back() == '\r';

  if (starts && !in_chunk_ && line.front() == '.') line.remove_prefix(1);
  octets_ += line.size();
  if (!in_header_) {
    body_octets(line);
  } else if (starts && ends) {
    header_line(line);
  }
}

void SinkDialog::header_line(std::string_view line) {
  if (line == "\r\n" || line == "\n") {
    in_header_ = false;
    return;
  }
  if (!starts_with_verb(line, token_header) || !token_.empty()) return;
  auto rest = line.substr(token_header.size());
  std::array<std::string_view, 3> words;
  for (auto& word : words) {
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    auto end = std::min(rest.find_first_of(" \r\n"), rest.size());
    word = rest.substr(0, end);
    rest.remove_prefix(end);
  }
  token_ = words[0];
  if (auto announced = parse_number(words[1])) {
    announced_ = true;
    announced_octets_ = *announced;
  }
  std::from_chars(words[2].data(), words[2].data() + words[2].size(), announced_sum_, 16);
  sum_ = sum_start;
}

void SinkDialog::body_octets(std::string_view octets) {
  body_octets_ += octets.size();
  if (announced_sum_ != 0) sum_ = add_to_sum(sum_, octets);
}

SinkDialog::Next SinkDialog::end_of_data(std::string& out) {
  in_data_ = false;
  if (recipients_.empty()) {
    out.append("503 5.5.1 RCPT first\r\n");
    reset();
    return Next::go_on;
  }
  if (token_.empty()) token_ = "-";
  if (strikes(Stage::end)) return strike(out);
  bool withhold = fault_ == Fault::withhold;
  for (const auto& recipient : recipients_) {
    if (withhold) {
      observer_.withheld(token_, recipient, octets_);
    } else {
      observer_.delivered(token_, recipient, octets_);
    }
  }
  if (withhold) {
    ++statistics_.withheld;
    return Next::withhold;
  }
  ++statistics_.messages;
  statistics_.recipients += recipients_.size();
  statistics_.octets += octets_;
  if (bare_) ++statistics_.bare_line_ends;
  if (announced_ && (body_octets_ != announced_octets_ || (announced_sum_ != 0 && sum_ != announced_sum_))) {
    ++statistics_.damaged;
  }
  auto& reply = options_.delays ? final_reply_ : out;
  reply.append("250 2.0.0 Ok: taken ").append(token_).append("\r\n");
  reset();
  return options_.delays ? Next::pause : Next::go_on;
}

void SinkDialog::draw_fault() {
  fault_ = Fault::none;
  if (options_.withhold >= 1 && static_cast<double>(statistics_.withheld) < options_.withhold) {
    fault_ = Fault::withhold;
    return;
  }
  double withhold = options_.withhold < 1 ? options_.withhold : 0;
  if (options_.odds_4xx + options_.odds_5xx + options_.odds_disconnect + withhold <= 0) return;
  double drawn = static_cast<double>(random_.next() >> 11) * 0x1.0p-53;
  constexpr std::array<Stage, 4> all = {Stage::mail, Stage::rcpt, Stage::data, Stage::end};
  if ((drawn -= options_.odds_4xx) < 0) {
    fault_ = Fault::refuse_4xx;
    stage_ = all[random_.below(4)];
  } else if ((drawn -= options_.odds_5xx) < 0) {
    fault_ = Fault::refuse_5xx;
    stage_ = random_.below(2) == 0 ? Stage::rcpt : Stage::end;
  } else if ((drawn -= options_.odds_disconnect) < 0) {
    fault_ = Fault::disconnect;
    stage_ = all[random_.below(4)];
  } else if ((drawn -= withhold) < 0) {
    fault_ = Fault::withhold;  // looked at when the message is complete
  }
}

SinkDialog::Next SinkDialog::strike(std::string& out) {
  auto fault = std::exchange(fault_, Fault::none);
  if (fault == Fault::disconnect) {
    ++statistics_.disconnects;
    return Next::disconnect;
  }
  bool for_good = fault == Fault::refuse_5xx;
  int code = for_good ? 554 : 451;
  for (const auto& recipient : recipients_) observer_.refused(token_.empty() ? "-" : token_, recipient, code);
  ++(for_good ? statistics_.rejected : statistics_.deferred);
  out.append(for_good ? "554 5.7.1 Refused (on purpose)\r\n" : "451 4.3.0 Not now (on purpose)\r\n");
  reset();
  return Next::go_on;
}

void SinkDialog::reset() {
  has_mail_ = false;
  recipients_.clear();
  fault_ = Fault::none;
  in_data_ = in_chunk_ = last_chunk_ = false;
  chunk_left_ = 0;
  line_.clear();
  at_line_start_ = in_header_ = true;
  previous_was_cr_ = bare_ = false;
  token_.clear();
  announced_ = false;
  announced_octets_ = announced_sum_ = octets_ = body_octets_ = 0;
}

}  // namespace umbra::load
