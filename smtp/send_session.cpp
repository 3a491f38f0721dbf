#include "smtp/send_session.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/ids.h"
#include "base/result.h"
#include "smtp/base64.h"

namespace umbra::smtp {
namespace {

// Commands without an answer at any time: keeps both sides' buffers small for mail to very many recipients.
constexpr std::size_t unanswered_commands_max = 256;

void append_decimal(std::string& out, std::uint64_t n) {
  char digits[20];
  auto end = std::to_chars(digits, digits + sizeof digits, n).ptr;
  out.append(digits, end);
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(x) == lower(y);
  });
}

RecipientResult::State state_for(const Reply& reply) {
  return reply.is_permanent() ? RecipientResult::State::failed : RecipientResult::State::deferred;
}

Reply unanswered(std::string_view why) {
  return Reply{0, "", std::string(why)};
}

}  // namespace

NextHopExtensions parse_extensions(std::string_view text) {
  NextHopExtensions found;
  found.esmtp = true;
  bool is_first = true;  // the domain
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (std::exchange(is_first, false)) continue;
    std::string_view keyword = line.substr(0, line.find_first_of(" ="));
    std::string_view rest = line.substr(std::min(keyword.size() + 1, line.size()));
    if (equals_ignoring_case(keyword, "PIPELINING")) found.pipelining = true;
    if (equals_ignoring_case(keyword, "8BITMIME")) found.eight_bit_mime = true;
    if (equals_ignoring_case(keyword, "SMTPUTF8")) found.smtputf8 = true;
    if (equals_ignoring_case(keyword, "CHUNKING")) found.chunking = true;
    if (equals_ignoring_case(keyword, "DSN")) found.dsn = true;
    if (equals_ignoring_case(keyword, "ENHANCEDSTATUSCODES")) found.enhanced_codes = true;
    if (equals_ignoring_case(keyword, "STARTTLS")) found.starttls = true;
    if (equals_ignoring_case(keyword, "AUTH")) found.auth_mechanisms = rest;
    if (equals_ignoring_case(keyword, "SIZE")) {
      found.size = true;
      found.size_max = parse_number(rest.substr(0, rest.find(' '))).value_or(0);
    }
  }
  return found;
}

std::optional<Reply> refuses(const NextHopExtensions& next_hop, const Envelope& envelope,
                             std::uint64_t size) {
  if (envelope.smtputf8 && !next_hop.smtputf8)
    return Reply{550, "5.6.7", "the next hop does not offer SMTPUTF8, which this message needs"};
  if (next_hop.size_max != 0 && size > next_hop.size_max) {
    std::string text = "message of ";
    append_decimal(text, size);
    text += " octets is over the next hop's limit of ";
    append_decimal(text, next_hop.size_max);
    return Reply{552, "5.3.4", std::move(text)};
  }
  return std::nullopt;
}

SendSession::SendSession(std::string helo_name, StartTlsUse starttls, bool logs_on)
    : helo_name_(std::move(helo_name)), starttls_(starttls), logs_on_(logs_on) {}

// ---- replies

void SendSession::feed(std::string_view octets) {
  while (!octets.empty() && phase_ != Phase::over) {
    if (phase_ == Phase::handshake)
      return broken("octets behind the reply to STARTTLS that are not encrypted");
    auto step = parser_.feed(octets);
    octets.remove_prefix(step.consumed);
    if (step.status == ReplyParser::Status::malformed) return broken(parser_.problem());
    if (step.status == ReplyParser::Status::incomplete) return;
    take_reply(parser_.take());
  }
}

void SendSession::take_reply(Reply reply) {
  if (observer_ != nullptr) tell_reply(reply);
  if (phase_ == Phase::greeting) return take_greeting(reply);
  if (expected_.empty()) {
    if (reply.code == 421) return end(std::move(reply));
    return broken("a reply to nothing: " + to_line(reply));
  }
  Expected expected = expected_.front();
  expected_.pop_front();
  bool is_closing = reply.code == 421;
  switch (expected.command) {
    case Command::hello:
      return take_hello(std::move(reply));
    case Command::starttls:
      return take_starttls(reply);
    case Command::auth:
      return take_auth(std::move(reply));
    case Command::quit:
      return end(std::move(reply));
    case Command::reset:
      if (!reply.is_positive()) return end(std::move(reply));
      return;
    case Command::mail:
    case Command::rcpt:
    case Command::data:
    case Command::content:
      break;
  }
  UMBRA_ASSERT(active_.size() > (expected.is_next ? 1 : 0));
  Active& active = active_[expected.is_next ? 1 : 0];
  ++active.answered;
  if (expected.command == Command::mail) take_mail(active, reply);
  if (expected.command == Command::rcpt) take_rcpt(active, expected.recipient, reply);
  if (expected.command == Command::data) take_data(active, reply);
  if (expected.command == Command::content) take_content(active, reply);
  if (is_closing && phase_ != Phase::over) end(std::move(reply));
}

void SendSession::take_greeting(const Reply& reply) {
  if (!reply.is_positive()) return end(reply);
  phase_ = Phase::hello;
  send(Command::hello, "EHLO " + helo_name_ + "\r\n", false);
}

void SendSession::take_hello(Reply reply) {
  awaits_hello_after_tls_ = false;
  if (reply.is_positive()) {
    if (!is_helo_) extensions_ = parse_extensions(reply.text);
    if (!begins_tls()) phase_ = logs_on_ ? Phase::log_on : Phase::ready;
    return;
  }
  if (!is_helo_ && reply.is_permanent()) {
    is_helo_ = true;
    return send(Command::hello, "HELO " + helo_name_ + "\r\n", false);
  }
  end(std::move(reply));
}

/// True: STARTTLS is sent instead of mail, or the session is over for want of it.
bool SendSession::begins_tls() {
  if (is_secured_ || starttls_ == StartTlsUse::never) return false;
  if (!extensions_.starttls) {
    if (starttls_ == StartTlsUse::if_offered) return false;
    end(unanswered("4.7.4 the next hop does not offer STARTTLS"));
    return true;
  }
  phase_ = Phase::tls;
  send(Command::starttls, "STARTTLS\r\n", false);
  return true;
}

void SendSession::take_starttls(const Reply& reply) {
  // Still in output(): this answer was there before the question.
  if (!output_.empty()) return broken("a reply to STARTTLS before it was said");
  if (reply.code == 220) {
    phase_ = Phase::handshake;
    awaits_hello_after_tls_ = true;
  } else if (reply.code == 421 || starttls_ == StartTlsUse::always || reply.is_positive() ||
             reply.is_intermediate()) {
    end(reply.is_permanent() || reply.is_transient()
            ? reply
            : unanswered("protocol error: reply to STARTTLS: " + to_line(reply)));
  } else {
    phase_ = logs_on_ ? Phase::log_on : Phase::ready;
  }
}

// ---- logging on (RFC 4954)

void SendSession::auth(std::string_view mechanism, const std::optional<std::string>& initial) {
  UMBRA_ASSERT(phase_ == Phase::log_on);
  std::string line = "AUTH ";
  line += mechanism;
  if (initial) line += " " + (initial->empty() ? std::string("=") : encode_base64(*initial));
  phase_ = Phase::auth;
  if (observer_ != nullptr) observer_->said("AUTH " + std::string(mechanism) + (initial ? " *" : ""), {});
  send(Command::auth, line + "\r\n", false);
}

void SendSession::take_auth(Reply reply) {
  // Still in output(): this answer was there before the question.
  if (!output_.empty()) return broken("a reply to AUTH before it was said");
  if (reply.code == 235) {
    phase_ = Phase::logged_on;
  } else if (reply.code == 334) {
    auto challenge = decode_base64(reply.text);
    if (!challenge) return broken("a challenge that is not base 64");
    challenge_ = std::move(*challenge);
    phase_ = Phase::challenge;
  } else if (reply.is_positive() || reply.is_intermediate()) {
    broken("an unexpected reply to AUTH: " + to_line(reply));
  } else {
    is_log_on_refused_ = true;
    end(std::move(reply));
  }
}

void SendSession::auth_respond(std::string_view octets) {
  UMBRA_ASSERT(phase_ == Phase::challenge);
  challenge_.clear();
  phase_ = Phase::auth;
  if (observer_ != nullptr) observer_->said("*", "answer in a log-on");
  send(Command::auth, encode_base64(octets) + "\r\n", false);
}

void SendSession::auth_accept() {
  UMBRA_ASSERT(phase_ == Phase::logged_on);
  phase_ = Phase::ready;
}

void SendSession::tls_started() {
  UMBRA_ASSERT(phase_ == Phase::handshake && !is_secured_ && !parser_.is_within_reply());
  is_secured_ = true;
  extensions_ = {};
  is_helo_ = false;
  phase_ = Phase::hello;
  send(Command::hello, "EHLO " + helo_name_ + "\r\n", false);
}

void SendSession::take_mail(Active& active, const Reply& reply) {
  if (reply.is_intermediate()) return broken("an unexpected reply to MAIL: " + to_line(reply));
  if (!reply.is_positive()) {
    active.mail_refused = true;
    settle(active, SendStage::mail, reply, state_for(reply));
    // Nothing else of it was sent: the transaction never began at the next hop.
    if (active.sent == 1) return finish_first();
  }
  send_group(active, &active != &active_.front());
}

void SendSession::take_rcpt(Active& active, std::uint32_t position, const Reply& reply) {
  if (reply.is_intermediate()) return broken("an unexpected reply to RCPT: " + to_line(reply));
  auto& recipient = active.result.recipients[position];
  if (!active.mail_refused) {
    if (reply.is_positive()) {
      ++active.accepted;
    } else {
      recipient.state = state_for(reply);
      recipient.stage = SendStage::rcpt;
      recipient.reply = reply;
    }
  }
  send_group(active, &active != &active_.front());
}

void SendSession::take_data(Active& active, const Reply& reply) {
  if (reply.is_positive()) return broken("an unexpected reply to DATA: " + to_line(reply));
  if (reply.is_intermediate()) {
    if (active.accepted != 0) {
      active.is_content_open = true;
      encoder_ = BodyEncoder(true);
      return;
    }
    // Pipelined DATA after no valid recipient (RFC 2920 section 3.1): an empty message to nobody.
    if (observer_ != nullptr) observer_->said(".", "0 octets of content");
    return send(Command::content, ".\r\n", &active != &active_.front());
  }
  settle(active, SendStage::data, reply, state_for(reply));
  finish_first();
}

void SendSession::take_content(Active& active, const Reply& reply) {
  if (reply.is_intermediate()) return broken("an unexpected reply to the end of data: " + to_line(reply));
  settle(active, SendStage::content, reply,
         reply.is_positive() ? RecipientResult::State::delivered : state_for(reply));
  // RFC 3030 section 2: after a failed BDAT only RSET brings the session back.
  if (active.is_at_once && !reply.is_positive()) needs_reset_ = true;
  finish_first();
}

// The outcome of every recipient that has none yet.
void SendSession::settle(Active& active, SendStage stage, const Reply& reply, RecipientResult::State state) {
  for (auto& recipient : active.result.recipients) {
    if (recipient.state != RecipientResult::State::pending) continue;
    recipient.state = state;
    recipient.stage = stage;
    recipient.reply = reply;
  }
}

void SendSession::finish_first() {
  active_.front().result.passed_dsn = extensions_.dsn;
  results_.push_back(std::move(active_.front().result));
  active_.pop_front();
  for (auto& expected : expected_) expected.is_next = false;
}

// ---- commands

void SendSession::send(Command command, std::string_view line, bool is_next, std::uint32_t recipient) {
  if (observer_ != nullptr && command != Command::auth && command != Command::content)
    observer_->said(line.substr(0, line.size() - 2), {});
  output_.append(line);
  expected_.push_back({command, recipient, is_next});
}

/// The line that ends output_ and begins at `from`.
void SendSession::tell(std::size_t from, std::string_view context) {
  observer_->said(std::string_view(output_).substr(from, output_.size() - from - 2), context);
}

/// Each of its lines. What a server asks in a log-on is not shown.
void SendSession::tell_reply(const Reply& reply) {
  if (reply.code == 334) return observer_->heard("334 *", {});
  const std::string octets = to_wire(reply);
  for (std::string_view rest = octets; !rest.empty();) {
    const auto end = std::min(rest.find("\r\n"), rest.size());
    observer_->heard(rest.substr(0, end), {});
    rest.remove_prefix(std::min(end + 2, rest.size()));
  }
}

bool SendSession::can_begin() const {
  if (phase_ != Phase::ready) return false;
  if (active_.empty()) return true;
  return active_.size() == 1 && extensions_.pipelining && active_.front().is_end_sent &&
         !active_.front().is_at_once;
}

bool SendSession::can_send_at_once() const {
  return phase_ == Phase::ready && active_.empty() && extensions_.chunking && extensions_.pipelining;
}

void SendSession::begin(Transaction transaction) {
  UMBRA_ASSERT(can_begin());
  start(std::move(transaction), false);
}

void SendSession::begin(Transaction transaction, std::string_view body, std::string_view front) {
  UMBRA_ASSERT(can_send_at_once());
  bool is_small = transaction.recipients.size() + 4 <= unanswered_commands_max;
  start(std::move(transaction), is_small);
  if (!is_small) return;
  std::string clean;
  clean.reserve(front.size() + body.size());
  BodyEncoder encoder(false);
  encoder.encode(front, clean);
  encoder.encode(body, clean);
  const auto from = output_.size();
  output_ += "BDAT ";
  append_decimal(output_, clean.size());
  send(Command::content, " LAST\r\n", false);
  if (observer_ != nullptr) tell(from);
  output_ += clean;
  active_.front().is_end_sent = true;
}

void SendSession::start(Transaction transaction, bool is_at_once) {
  UMBRA_ASSERT(!transaction.recipients.empty());
  bool is_next = !active_.empty();
  Active& active = active_.emplace_back();
  active.is_at_once = is_at_once;
  active.transaction = std::move(transaction);
  active.result.key = active.transaction.key;
  active.result.recipients.resize(active.transaction.recipients.size());
  for (std::size_t i = 0; i < active.transaction.recipients.size(); ++i)
    active.result.recipients[i].index = active.transaction.recipients[i];
  if (std::exchange(needs_reset_, false)) send(Command::reset, "RSET\r\n", false);
  send_group(active, is_next);
}

// Sends what may be sent of MAIL, RCPT.., DATA: everything with PIPELINING, else one command at a time.
void SendSession::send_group(Active& active, bool is_next) {
  const std::size_t recipients = active.transaction.recipients.size();
  const std::size_t all = active.is_at_once ? 1 + recipients : 2 + recipients;
  while (active.sent < all) {
    std::size_t unanswered_count = active.sent - std::min(active.answered, active.sent);
    if (extensions_.pipelining ? unanswered_count >= unanswered_commands_max : unanswered_count != 0) return;
    bool is_hopeless = active.mail_refused ||
                       (active.sent == 1 + recipients && unanswered_count == 0 && active.accepted == 0);
    if (is_hopeless && active.sent != 0) {
      if (unanswered_count != 0) return;  // the rest of the replies first
      if (!active.mail_refused) needs_reset_ = true;
      return finish_first();
    }
    if (active.sent == 0) {
      append_mail(active);
      expected_.push_back({Command::mail, 0, is_next});
    } else if (active.sent <= recipients) {
      auto position = static_cast<std::uint32_t>(active.sent - 1);
      append_rcpt(active, position);
      expected_.push_back({Command::rcpt, position, is_next});
    } else {
      send(Command::data, "DATA\r\n", is_next);
    }
    ++active.sent;
  }
}

void SendSession::append_mail(const Active& active) {
  const auto from = output_.size();
  const Envelope& envelope = *active.transaction.envelope;
  output_ += "MAIL FROM:<";
  output_ += envelope.sender;
  output_ += '>';
  if (extensions_.size) {
    output_ += " SIZE=";
    append_decimal(output_, active.transaction.size);
  }
  if (extensions_.eight_bit_mime && active.transaction.is_8bit) output_ += " BODY=8BITMIME";
  if (extensions_.smtputf8 && envelope.smtputf8) output_ += " SMTPUTF8";
  if (extensions_.dsn) {
    if (envelope.dsn_return == DsnReturn::full) output_ += " RET=FULL";
    if (envelope.dsn_return == DsnReturn::headers) output_ += " RET=HDRS";
    if (!envelope.envelope_id.empty()) output_ += " ENVID=" + envelope.envelope_id;
  }
  output_ += "\r\n";
  if (observer_ != nullptr) tell(from);
}

void SendSession::append_rcpt(const Active& active, std::uint32_t position) {
  const Recipient& recipient =
      active.transaction.envelope->recipients[active.transaction.recipients[position]];
  const auto from = output_.size();
  output_ += "RCPT TO:<";
  output_ += recipient.address;
  output_ += '>';
  if (extensions_.dsn) {
    if (recipient.notify == notify_never) output_ += " NOTIFY=NEVER";
    if (recipient.notify > notify_never) {
      std::string list;
      if ((recipient.notify & notify_success) != 0) list += ",SUCCESS";
      if ((recipient.notify & notify_failure) != 0) list += ",FAILURE";
      if ((recipient.notify & notify_delay) != 0) list += ",DELAY";
      if (!list.empty()) output_ += " NOTIFY=" + list.substr(1);
    }
    if (!recipient.original_recipient.empty()) output_ += " ORCPT=" + recipient.original_recipient;
  }
  output_ += "\r\n";
  if (observer_ != nullptr) tell(from);
}

bool SendSession::wants_content() const {
  return phase_ == Phase::ready && !active_.empty() && active_.front().is_content_open &&
         !active_.front().is_end_sent;
}

std::uint64_t SendSession::content_key() const {
  UMBRA_ASSERT(wants_content());
  return active_.front().transaction.key;
}

void SendSession::content(std::string_view octets) {
  UMBRA_ASSERT(wants_content());
  active_.front().content_octets += octets.size();
  encoder_.encode(octets, output_);
}

void SendSession::end_content() {
  UMBRA_ASSERT(wants_content());
  encoder_.finish(output_);
  active_.front().is_end_sent = true;
  if (observer_ != nullptr)
    observer_->said(".", std::to_string(active_.front().content_octets) + " octets of content");
  send(Command::content, ".\r\n", false);
}

bool SendSession::awaits_final_reply() const {
  return !active_.empty() && active_.front().is_end_sent;
}

TransactionResult SendSession::next_result() {
  UMBRA_ASSERT(!results_.empty());
  TransactionResult result = std::move(results_.front());
  results_.pop_front();
  return result;
}

void SendSession::quit() {
  UMBRA_ASSERT(phase_ == Phase::ready && active_.empty());
  phase_ = Phase::quitting;
  send(Command::quit, "QUIT\r\n", false);
}

// ---- the end

// Nonsense is an answer too: the message it came for was attempted.
void SendSession::broken(std::string_view why) {
  if (!active_.empty()) ++active_.front().answered;
  end(unanswered("protocol error: " + std::string(why)));
}

void SendSession::lost(std::string_view why) {
  if (phase_ != Phase::over) end(unanswered(why));
}

void SendSession::end(Reply reason) {
  phase_ = Phase::over;
  over_reason_ = std::move(reason);
  expected_.clear();
  while (!active_.empty()) {
    Active& active = active_.front();
    bool is_open = std::ranges::any_of(
        active.result.recipients, [](const auto& r) { return r.state == RecipientResult::State::pending; });
    active.result.was_attempted = active.answered != 0 || active.is_end_sent;
    active.result.possible_duplicate = active.is_end_sent && is_open;
    settle(active, active.is_end_sent ? SendStage::content : SendStage::connection, over_reason_,
           RecipientResult::State::deferred);
    finish_first();
  }
}

}  // namespace umbra::smtp
