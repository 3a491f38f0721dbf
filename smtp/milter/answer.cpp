#include "smtp/milter/answer.h"

#include <algorithm>
#include <array>

#include "smtp/address.h"
#include "smtp/dsn_parameters.h"
#include "smtp/reply_parser.h"

namespace umbra::milter {
namespace {

using Kind = Answer::Kind;
using Problem = std::unexpected<std::string>;

constexpr std::size_t reply_octets_max = 2048;
constexpr std::size_t reply_lines_max = 20;
constexpr std::size_t name_octets_max = 255;

Problem bad(std::string what) {
  return Problem(std::move(what));
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); });
}

/// RFC 5322 section 3.6.8.
bool is_field_name(std::string_view name) {
  return !name.empty() && name.size() <= name_octets_max &&
         std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f && c != ':'; });
}

/// Folds are "\n" or "\r\n" before a blank; nothing else may leave the line. One line end at the end is
/// dropped.
std::expected<std::string, std::string> field_value(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  std::string value;
  value.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    if (c == '\r') return bad("a bare CR in a header");
    if (c == '\n' && (i + 1 == text.size() || (text[i + 1] != ' ' && text[i + 1] != '\t')))
      return bad("a line end in a header that is no fold");
    value.push_back(c);
  }
  return value;
}

/// "<local@domain>", or without the angle brackets.
std::expected<std::string, std::string> address(std::string_view text, bool may_be_null) {
  if (text.starts_with('<')) {
    auto path = smtp::parse_path(text, smtp::Utf8::allowed);
    if (!path || path->octets != text.size()) return bad("no address: " + std::string(text.substr(0, 80)));
    text = path->mailbox;
  } else if (!text.empty() && !smtp::is_mailbox(text, smtp::Utf8::allowed)) {
    return bad("no address: " + std::string(text.substr(0, 80)));
  }
  if (text.empty() && !may_be_null) return bad("an empty recipient");
  return std::string(text);
}

/// Parameters of RCPT, with blanks between them. Only those of RFC 3461 mean something here.
std::expected<void, std::string> take_parameters(Recipient& recipient, std::string_view text) {
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const auto equals = word.find('=');
    const auto keyword = word.substr(0, equals);
    const auto value = equals == std::string_view::npos ? std::string_view{} : word.substr(equals + 1);
    if (smtp::equals_ignoring_case(keyword, "NOTIFY")) {
      const auto notify = smtp::parse_notify(value);
      if (!notify) return bad("NOTIFY of a recipient");
      recipient.notify = *notify;
    } else if (smtp::equals_ignoring_case(keyword, "ORCPT")) {
      if (!smtp::is_original_recipient(value, false)) return bad("ORCPT of a recipient");
      recipient.original_recipient = std::string(value);
    } else if (!word.empty()) {
      return bad("a parameter of a recipient that is not known: " + std::string(word.substr(0, 40)));
    }
  }
  return {};
}

std::expected<Answer, std::string> header_edit(Edit::Kind kind, std::string_view data) {
  DataReader in(data);
  Answer answer{.kind = Kind::edit};
  auto& edit = answer.edit;
  edit.kind = kind;
  if (kind != Edit::Kind::add_header) edit.index = in.u32();
  edit.name = in.text();
  const auto text = in.text();
  if (!in.at_end()) return bad("a header that is cut short or has something behind it");
  if (!is_field_name(edit.name)) return bad("a header's name");
  auto value = field_value(text);
  if (!value) return bad(value.error());
  edit.value = std::move(*value);
  return answer;
}

std::expected<Answer, std::string> recipient_edit(Edit::Kind kind, bool has_parameters,
                                                  std::string_view data) {
  DataReader in(data);
  Answer answer{.kind = Kind::edit};
  answer.edit.kind = kind;
  auto path = address(in.text(), false);
  if (!path) return bad(path.error());
  answer.edit.recipient.address = std::move(*path);
  if (has_parameters && !in.at_end())
    if (auto taken = take_parameters(answer.edit.recipient, in.text()); !taken) return bad(taken.error());
  if (!in.at_end()) return bad("a recipient that is cut short or has something behind it");
  return answer;
}

std::expected<Answer, std::string> sender_edit(std::string_view data) {
  DataReader in(data);
  Answer answer{.kind = Kind::edit};
  answer.edit.kind = Edit::Kind::change_sender;
  auto path = address(in.text(), true);
  if (!path) return bad(path.error());
  answer.edit.sender = std::move(*path);
  if (in.ok() && !in.at_end())
    (void)in.text();  // parameters of MAIL say nothing that the envelope does not know
  if (!in.at_end()) return bad("a sender that is cut short or has something behind it");
  return answer;
}

std::expected<Answer, std::string> reply_answer(std::string_view data) {
  DataReader in(data);
  const auto text = in.text();
  if (!in.at_end()) return bad("a reply that is cut short or has something behind it");
  auto reply = parse_reply(text);
  if (!reply) return bad(reply.error());
  return Answer{.kind = Kind::refuse, .reply = std::move(*reply)};
}

std::expected<Answer, std::string> quarantine(std::string_view data) {
  DataReader in(data);
  Answer answer{.kind = Kind::edit};
  answer.edit.kind = Edit::Kind::quarantine;
  const auto why = in.text();
  if (!in.at_end() || !is_printable(why)) return bad("the reason of a quarantine");
  answer.edit.value = why.substr(0, reply_octets_max);
  return answer;
}

}  // namespace

std::expected<smtp::Reply, std::string> parse_reply(std::string_view text) {
  if (text.size() > reply_octets_max) return bad("a reply that is too long");
  smtp::Reply reply;
  std::size_t lines = 0;
  bool is_last = false;
  while (!is_last) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (++lines > reply_lines_max) return bad("a reply of too many lines");
    if (line.size() < 3 || (line[0] != '4' && line[0] != '5') ||
        !std::ranges::all_of(line.substr(0, 3), [](char c) { return c >= '0' && c <= '9'; }))
      return bad("a reply without a code of 400 to 599");
    const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (reply.code != 0 && code != reply.code) return bad("a reply with two codes");
    reply.code = code;
    is_last = line.size() == 3 || line[3] == ' ';
    if (!is_last && line[3] != '-') return bad("a reply whose code has no end");
    auto rest = line.substr(std::min<std::size_t>(4, line.size()));
    const auto word = rest.substr(0, rest.find(' '));
    if (smtp::is_enhanced_code(word)) {
      if (word.front() != line.front()) return bad("a reply whose two codes differ");
      if (lines == 1) reply.enhanced = word;
      rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    }
    if (!is_printable(rest)) return bad("control characters in a reply");
    if (lines > 1) reply.text += '\n';
    reply.text += rest;
    if (!is_last && end == std::string_view::npos) return bad("a reply whose last line is missing");
  }
  if (!text.empty()) return bad("octets behind the last line of a reply");
  if (reply.code == 421) reply.code = 451;
  if (reply.enhanced.empty()) reply.enhanced = reply.is_transient() ? "4.7.1" : "5.7.1";
  return reply;
}

std::expected<Answer, std::string> parse_answer(Packet packet) {
  const std::string_view data = packet.data;
  auto plain = [&](Kind kind, smtp::Reply reply = {}) -> std::expected<Answer, std::string> {
    if (!data.empty()) return bad(std::string("octets behind the answer \"") + packet.letter + "\"");
    return Answer{.kind = kind, .reply = std::move(reply)};
  };
  switch (packet.letter) {
    case 'c':
      return plain(Kind::proceed);
    case 'a':
      return plain(Kind::accept);
    case 'd':
      return plain(Kind::discard);
    case 's':
      return plain(Kind::skip);
    case 'p':
      return plain(Kind::progress);
    case 'f':
      return plain(Kind::failed);
    case 'r':
      return plain(Kind::refuse, {550, "5.7.1", "Message refused by a content filter"});
    case 't':
    case '4':
      return plain(Kind::refuse, {451, "4.7.1", "A content filter asks to try again later"});
    case 'y':
      return reply_answer(data);
    case 'h':
      return header_edit(Edit::Kind::add_header, data);
    case 'i':
      return header_edit(Edit::Kind::insert_header, data);
    case 'm':
      return header_edit(Edit::Kind::change_header, data);
    case '+':
      return recipient_edit(Edit::Kind::add_recipient, false, data);
    case '2':
      return recipient_edit(Edit::Kind::add_recipient, true, data);
    case '-':
      return recipient_edit(Edit::Kind::delete_recipient, false, data);
    case 'e':
      return sender_edit(data);
    case 'q':
      return quarantine(data);
    case 'b':
      return Answer{.kind = Kind::replace_body, .body = std::move(packet.data)};
    default:
      return bad("an answer that is not known");
  }
}

std::uint32_t action_for(Edit::Kind kind) {
  using K = Edit::Kind;
  switch (kind) {
    case K::add_header:
    case K::insert_header:
      return action_add_header | action_change_header;
    case K::change_header:
      return action_change_header;
    case K::add_recipient:
      return action_add_recipient | action_add_recipient_with_parameters;
    case K::delete_recipient:
      return action_delete_recipient;
    case K::change_sender:
      return action_change_sender;
    case K::quarantine:
      return action_quarantine;
  }
  return 0;
}

}  // namespace umbra::milter
