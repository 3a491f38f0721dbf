#include "smtp/receive_session.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "smtp/address.h"
#include "smtp/command_parser.h"
#include "smtp/xclient.h"

namespace umbra::smtp {
namespace {

/// A client that pipelines without reading makes replies pile up: beyond this they are written first.
constexpr std::size_t output_octets_high = 16 << 10;

/// A large message may come in thousands of chunks; smaller ones are commands like others.
constexpr std::uint64_t chunk_octets_worth_while = 512;

const Reply ok{250, "2.0.0", "ok"};

/// In a line that is no command: somebody may be logging on in a way of his own.
constexpr std::initializer_list<std::string_view> words_of_secrets = {"AUTH", "LOGIN", "PASS", "PLAIN",
                                                                      "SCRAM"};

bool begins_with_one_of(std::string_view line, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(
      words, [&](std::string_view word) { return equals_ignoring_case(line.substr(0, word.size()), word); });
}

bool holds_one_of(std::string_view line, std::initializer_list<std::string_view> words) {
  for (; !line.empty(); line.remove_prefix(1))
    if (begins_with_one_of(line, words)) return true;
  return false;
}

Verb verb_of(const Command& command) {
  if (const auto* hello = std::get_if<Hello>(&command)) return hello->is_extended ? Verb::ehlo : Verb::helo;
  static constexpr Verb by_place[] = {Verb::other,    Verb::mail, Verb::rcpt,   Verb::data, Verb::bdat,
                                      Verb::rset,     Verb::noop, Verb::vrfy,   Verb::help, Verb::quit,
                                      Verb::starttls, Verb::auth, Verb::xclient};
  static_assert(std::size(by_place) == std::variant_size_v<Command> &&
                std::is_same_v<std::variant_alternative_t<12, Command>, XClient>);
  return by_place[command.index()];
}

}  // namespace

ReceiveSession::ReceiveSession(const std::string& host_name, const ReceiveSessionLimits& limits,
                               ReceivePolicy& policy)
    : host_name_(host_name), limits_(limits), policy_(policy), decoder_(limits.body, host_name) {
  UMBRA_ASSERT(limits.command_octets_max >= 64);
  say({220, "", host_name_ + ' ' + limits_.banner});
}

ReceiveSession::Event ReceiveSession::next(std::string_view& input) {
  UMBRA_ASSERT(awaiting_ == Awaiting::nothing);
  while (true) {
    if (std::exchange(abandon_pending_, false)) return {Event::Kind::abandon, {}};
    if (state_ == State::closed) return {Event::Kind::close, {}};
    if (pause_ > Duration{}) return {Event::Kind::pause, {}, nullptr, std::exchange(pause_, {})};
    if (output_.size() >= output_octets_high) return {Event::Kind::flush, {}};
    if (commands_in_turn_ >= limits_.commands_at_once) {
      commands_in_turn_ = 0;
      if (commands_without_mail_ > limits_.commands_without_mail_max)
        return {Event::Kind::rest, {}, nullptr, limits_.rest};
      return {Event::Kind::flush, {}};
    }
    // A chunk of no octets, or one that is complete, goes on without more input.
    const bool is_complete = (state_ == State::chunk || state_ == State::skip_chunk) && chunk_left_ == 0;
    const bool is_at_end = state_ == State::data && decoder_.ended();
    if (input.empty() && !is_complete && !is_at_end) return {Event::Kind::need_input, {}};
    switch (state_) {
      case State::commands:
        take_command(input);
        if (awaiting_ == Awaiting::begin) return {Event::Kind::data_begin, {}};
        if (awaiting_ == Awaiting::introduction) return {Event::Kind::introduce, {}};
        if (awaiting_ == Awaiting::tls && begins_tls(input)) return {Event::Kind::start_tls, {}};
        if (awaiting_ == Awaiting::auth) return {Event::Kind::authenticate, {}};
        break;
      case State::auth:
        take_command(input);
        if (awaiting_ == Awaiting::auth) return {Event::Kind::authenticate, {}};
        break;
      case State::data:
        if (auto event = take_data(input)) return *event;
        break;
      case State::chunk:
        if (auto event = take_chunk(input)) return *event;
        break;
      case State::skip_chunk:
        take_skipped(input);
        break;
      case State::closed:
        break;
    }
  }
}

/// RFC 4954 section 4: answers to challenges may be longer than commands.
std::size_t ReceiveSession::line_octets_max() const {
  constexpr std::size_t auth_line_octets_max = 12'288;
  return state_ == State::auth ? auth_line_octets_max : limits_.command_octets_max;
}

/// Takes one command line off the input, or as much of it as there is.
void ReceiveSession::take_command(std::string_view& input) {
  const auto line_feed = input.find('\n');
  const bool is_whole = line_feed != std::string_view::npos;
  auto piece = input.substr(0, is_whole ? line_feed + 1 : line_feed);
  input.remove_prefix(piece.size());
  if (line_too_long_ || line_.size() + piece.size() > line_octets_max()) {
    const bool ends_with_crlf = piece.size() > 1 ? piece[piece.size() - 2] == '\r'
                                                 : (line_too_long_ ? last_octet_ : line_.back()) == '\r';
    last_octet_ = piece.back();
    // The verb is all that is still wanted of it.
    if (!line_too_long_) line_.append(piece.substr(0, 8));
    line_too_long_ = true;
    if (is_whole) on_long_line(ends_with_crlf);
    return;
  }
  if (line_.empty() && is_whole) return on_line(piece);
  line_.append(piece);
  if (is_whole) on_line(std::exchange(line_, {}));
}

void ReceiveSession::on_long_line(bool ends_with_crlf) {
  const bool is_bdat = equals_ignoring_case(std::string_view(line_).substr(0, 4), "BDAT");
  line_too_long_ = false;
  line_ = {};
  verb_ = Verb::other;
  may_be_confused_ = true;
  if (observer_ != nullptr)
    observer_->heard("*", "a line of more than " + std::to_string(line_octets_max()) + " octets");
  protocol_error({500, "5.5.2",
                  (state_ == State::auth ? "line over " : "command line over ") +
                      std::to_string(line_octets_max()) + " octets"});
  if (state_ == State::auth) {
    auth_ = {};
    state_ = State::commands;
  }
  if (is_bdat || !ends_with_crlf) state_ = State::closed;
}

/// `line` ends with LF.
void ReceiveSession::on_line(std::string_view line) {
  ++commands_in_turn_;
  ++commands_without_mail_;
  line.remove_suffix(1);
  if (state_ != State::auth) verb_ = Verb::other;
  if (!line.ends_with('\r')) {
    // Whoever sent this counts lines differently from us: nothing after it can be trusted to be a command.
    if (observer_ != nullptr) tell(line, false, "ends with a bare LF");
    protocol_error({500, "5.5.2", "line ends with a bare LF instead of CRLF, closing"});
    state_ = State::closed;
    return;
  }
  line.remove_suffix(1);
  if (state_ == State::auth) return on_auth_line(line);
  auto command =
      parse_command(line, {limits_.body.message_octets_max, limits_.auth.use != AuthLimits::Use::none,
                           smtputf8_, limits_.extensions, policy_.trusts_xclient()});
  if (observer_ != nullptr) tell(line, command.has_value());
  if (command) {
    verb_ = verb_of(*command);
    return std::visit([this](auto& c) { on(c); }, *command);
  }
  auto& bad = command.error();
  // Its message, or its password, may follow all the same.
  may_be_confused_ =
      may_be_confused_ || begins_with_one_of(line, {"DATA", "BDAT"}) || holds_one_of(line, words_of_secrets);
  chunk_is_last_ = false;
  if (bad.chunk_octets > 0) verb_ = Verb::bdat;
  if (bad.chunk_octets > 0) return skip_chunk(bad.chunk_octets, std::move(bad.reply), true);
  protocol_error(bad.reply);
  if (bad.must_close) state_ = State::closed;
}

/// `line` is without its line end. What is no command is told only while it can be neither a secret nor a
/// piece of a message: a client that does not wait for the reply to AUTH or DATA goes on as if it were the
/// right one, and one that miscounts a chunk has content left over.
void ReceiveSession::tell(std::string_view line, bool is_command, std::string_view context) {
  if (state_ == State::auth) return observer_->heard("*", context.empty() ? "answer in a log-on" : context);
  if (is_command) {
    // These take any words.
    if (may_be_confused_ && begins_with_one_of(line, {"HELP", "NOOP", "VRFY"}))
      return observer_->heard(line.substr(0, 4), line.size() > 4 ? "and more" : context);
    if (!begins_with_one_of(line, {"AUTH"})) return observer_->heard(line, context);
    const auto mechanism = line.find_first_not_of(' ', 4);
    const auto end = std::min(line.find(' ', mechanism), line.size());
    const bool has_response = line.find_first_not_of(' ', end) != std::string_view::npos;
    return observer_->heard(std::string(line.substr(0, end)) + (has_response ? " *" : ""), context);
  }
  const bool is_secret = may_be_confused_ || holds_one_of(line, words_of_secrets);
  if (!is_secret) return observer_->heard(line, context);
  observer_->heard("*",
                   context.empty() ? "no command; not shown, as it may be a secret or content" : context);
}

void ReceiveSession::on(const Hello& hello) {
  reset_transaction();
  is_extended_ = hello.is_extended;
  hello_name_ = hello.name;
  if (!is_extended_) return say({250, "", host_name_});
  const bool offers_tls = limits_.starttls != StartTlsOffer::none && !is_secured_;
  say({250, "",
       host_name_ + " greets " + hello_name_ + "\n" +
           extension_lines({limits_.extensions, limits_.body.message_octets_max, offers_tls,
                            policy_.trusts_xclient(),
                            offers_auth() ? policy_.auth_mechanisms() : std::string()})});
}

void ReceiveSession::on(const StartTls&) {
  if (is_secured_) return protocol_error({503, "5.5.1", "TLS has begun already"});
  if (limits_.starttls == StartTlsOffer::none)
    return protocol_error({502, "5.5.1", "command not offered here"});
  if (!is_extended_ || hello_name_.empty()) return protocol_error({503, "5.5.1", "EHLO first"});
  if (in_transaction_) return protocol_error({503, "5.5.1", "a transaction is open"});
  awaiting_ = Awaiting::tls;
}

void ReceiveSession::on(XClient& said) {
  if (in_transaction_) return protocol_error({503, "5.5.1", "a transaction is open"});
  xclient_ = std::make_unique<XClient>(std::move(said));
  awaiting_ = Awaiting::introduction;
}

/// STARTTLS is the last command of a group (RFC 3207 section 4.1). What stands behind it was not encrypted:
/// it may be anybody's.
bool ReceiveSession::begins_tls(std::string_view& input) {
  if (input.empty()) {
    say({220, "2.0.0", "ready to start TLS"});
    return true;
  }
  awaiting_ = Awaiting::nothing;
  input = {};
  protocol_error({554, "5.5.0", "octets behind STARTTLS that are not encrypted, closing"});
  state_ = State::closed;
  return false;
}

void ReceiveSession::tls_started() {
  UMBRA_ASSERT(!is_secured_ && state_ == State::commands && line_.empty() && !line_too_long_);
  awaiting_ = Awaiting::nothing;
  is_secured_ = true;
  reset_transaction();
  hello_name_.clear();
  is_extended_ = false;
  is_authenticated_ = false;
  errors_ = 0;
}

void ReceiveSession::on(MailFrom& mail) {
  if (chunks_refused_) reset_transaction();  // the message failed; the client begins anew without RSET
  if (hello_name_.empty()) return protocol_error({503, "5.5.1", "EHLO or HELO first"});
  if (in_transaction_) return protocol_error({503, "5.5.1", "a transaction is open"});
  if (limits_.starttls == StartTlsOffer::required && !is_secured_)
    return protocol_error({530, "5.7.0", "STARTTLS first"});
  if (limits_.auth.use == AuthLimits::Use::required && !is_authenticated_)
    return protocol_error({530, "5.7.0", offers_auth() ? "AUTH first" : "STARTTLS and AUTH first"});
  if (mail.has_parameters && !is_extended_) return protocol_error({555, "5.5.4", "parameters need EHLO"});
  if (auto refusal = policy_.refuse_sender(mail)) return refuse(*refusal);
  pause_ = std::max(pause_, policy_.delay_sender(mail));
  in_transaction_ = true;
  smtputf8_ = mail.smtputf8;
  envelope_.sender = std::move(mail.sender);
  envelope_.envelope_id = std::move(mail.envelope_id);
  envelope_.dsn_return = mail.dsn_return;
  envelope_.body_8bit = mail.body_8bit;
  envelope_.smtputf8 = mail.smtputf8;
  say({250, "2.1.0", "sender ok"});
}

void ReceiveSession::on(RcptTo& rcpt) {
  if (!in_transaction_) return protocol_error({503, "5.5.1", "MAIL first"});
  if (body_open_ || chunks_refused_) return protocol_error({503, "5.5.1", "the message has begun"});
  if (rcpt.has_parameters && !is_extended_) return protocol_error({555, "5.5.4", "parameters need EHLO"});
  rcpt_tried_ = true;
  if (envelope_.recipients.size() >= limits_.recipients_max)
    return say({452, "4.5.3", "too many recipients"});
  auto& recipient = rcpt.recipient;
  if (is_bare_postmaster(recipient.address)) recipient.address.append("@").append(host_name_);
  if (auto refusal = policy_.refuse_recipient(envelope_, recipient)) return refuse(*refusal);
  envelope_.recipients.push_back(std::move(recipient));
  say({250, "2.1.5", "recipient ok"});
}

std::optional<Reply> ReceiveSession::out_of_order_for_body() const {
  if (!in_transaction_) return Reply{503, "5.5.1", "MAIL first"};
  if (!rcpt_tried_) return Reply{503, "5.5.1", "RCPT first"};
  return std::nullopt;
}

void ReceiveSession::on(const Data&) {
  may_be_confused_ = true;
  if (auto reply = out_of_order_for_body()) return protocol_error(*reply);
  if (body_open_ || chunks_refused_) return protocol_error({503, "5.5.1", "DATA after BDAT"});
  if (envelope_.recipients.empty()) return refuse({554, "5.5.1", "no valid recipients"});
  is_chunked_ = false;
  awaiting_ = Awaiting::begin;
}

void ReceiveSession::on(const Bdat& bdat) {
  may_be_confused_ = true;
  chunk_is_last_ = bdat.is_last;
  if (!limits_.extensions.chunking)
    return skip_chunk(bdat.octets, {502, "5.5.1", "command not offered here"}, true);
  if (auto reply = out_of_order_for_body()) return skip_chunk(bdat.octets, std::move(*reply), true);
  // Chunks already on their way when the first was refused are no error of the client (RFC 3030 section 2).
  if (chunks_refused_) return skip_chunk(bdat.octets, {503, "5.5.1", "an earlier chunk was refused"}, false);
  if (!body_open_ && envelope_.recipients.empty())
    return skip_chunk(bdat.octets, {554, "5.5.1", "no valid recipients"}, false);
  chunk_octets_ = chunk_left_ = bdat.octets;
  if (bdat.octets >= chunk_octets_worth_while) --commands_without_mail_;
  if (body_open_) {
    state_ = State::chunk;
  } else {
    is_chunked_ = true;
    awaiting_ = Awaiting::begin;
  }
}

void ReceiveSession::on(const Rset&) {
  reset_transaction();
  say(ok);
}
void ReceiveSession::on(const Noop&) {
  say(ok);
}
void ReceiveSession::on(const Vrfy&) {
  say({252, "2.1.5", "cannot tell, but will take mail and try to deliver it"});
}
void ReceiveSession::on(const Help&) {
  say({214, "2.0.0",
       "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\nRFC 5321 says how they are used"});
}
void ReceiveSession::on(const Quit&) {
  reset_transaction();
  say({221, "2.0.0", host_name_ + " closes the connection"});
  state_ = State::closed;
}

void ReceiveSession::accept_body() {
  UMBRA_ASSERT(awaiting_ == Awaiting::begin);
  awaiting_ = Awaiting::nothing;
  body_open_ = true;
  decoder_.begin(is_chunked_ ? BodyDecoder::Framing::counted : BodyDecoder::Framing::dot);
  state_ = is_chunked_ ? State::chunk : State::data;
  if (!is_chunked_) say({354, "", "end data with <CR><LF>.<CR><LF>"});
}

void ReceiveSession::refuse_body(Reply reply) {
  UMBRA_ASSERT(awaiting_ == Awaiting::begin);
  awaiting_ = Awaiting::nothing;
  if (is_chunked_) return skip_chunk(chunk_left_, std::move(reply), false);
  reset_transaction();
  say(reply);
}

std::optional<ReceiveSession::Event> ReceiveSession::take_data(std::string_view& input) {
  if (decoder_.ended()) return body_ended();
  auto octets = decoder_.feed(input);
  if (octets.empty()) return std::nullopt;
  return Event{Event::Kind::body, octets};
}

std::optional<ReceiveSession::Event> ReceiveSession::take_chunk(std::string_view& input) {
  if (chunk_left_ > 0) {
    auto piece =
        input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(chunk_left_, input.size())));
    input.remove_prefix(piece.size());
    chunk_left_ -= piece.size();
    auto octets = decoder_.feed(piece);
    if (octets.empty()) return std::nullopt;
    return Event{Event::Kind::body, octets};
  }
  if (chunk_is_last_ && !decoder_.ended()) {
    auto octets = decoder_.finish();
    if (!octets.empty() && !decoder_.refusal()) return Event{Event::Kind::body, octets};
  }
  if (chunk_is_last_ || decoder_.refusal()) return body_ended();
  state_ = State::commands;
  say({250, "2.0.0", std::to_string(chunk_octets_) + " octets taken"});
  return std::nullopt;
}

ReceiveSession::Event ReceiveSession::body_ended() {
  awaiting_ = Awaiting::end;
  refusal_ = decoder_.refusal();
  if (observer_ != nullptr && !is_chunked_)
    observer_->heard(".", std::to_string(decoder_.octets()) + " octets of content");
  return {Event::Kind::body_end, {}, refusal_ ? &*refusal_ : nullptr};
}

void ReceiveSession::end_body(const Reply& reply) {
  UMBRA_ASSERT(awaiting_ == Awaiting::end);
  awaiting_ = Awaiting::nothing;
  body_open_ = false;
  decoder_.rest();
  state_ = State::commands;
  if (reply.is_positive()) commands_without_mail_ = 0;
  if (is_chunked_ && !chunk_is_last_) {
    chunks_refused_ = true;
  } else {
    reset_transaction();
  }
  verb_ = Verb::message_end;
  say(reply);
}

/// The octets of a chunk come whether it is wanted or not: they are read and forgotten, then answered.
void ReceiveSession::skip_chunk(std::uint64_t octets, Reply reply, bool is_error) {
  if (body_open_) {
    abandon_pending_ = true;
    body_open_ = false;
  }
  chunks_refused_ = in_transaction_;
  chunk_left_ = octets;
  chunk_reply_ = std::move(reply);
  chunk_is_error_ = is_error;
  state_ = State::skip_chunk;
}

void ReceiveSession::take_skipped(std::string_view& input) {
  const auto octets = std::min<std::uint64_t>(chunk_left_, input.size());
  input.remove_prefix(static_cast<std::size_t>(octets));
  chunk_left_ -= octets;
  if (chunk_left_ > 0) return;
  state_ = State::commands;
  if (chunk_is_last_) reset_transaction();
  auto before = pause_;
  if (chunk_is_error_)
    protocol_error(chunk_reply_);
  else
    say(chunk_reply_);
  pause_ = before;
}

void ReceiveSession::reset_transaction() {
  if (body_open_) abandon_pending_ = true;
  body_open_ = in_transaction_ = rcpt_tried_ = smtputf8_ = chunks_refused_ = chunk_is_last_ = false;
  envelope_ = {};
}

void ReceiveSession::close_with(const Reply& reply) {
  UMBRA_ASSERT(awaiting_ == Awaiting::nothing);
  reset_transaction();
  verb_ = Verb::other;
  say(reply);
  state_ = State::closed;
}

void ReceiveSession::say(const Reply& reply) {
  if (tally_ != nullptr) tally_->add(verb_, reply.code);
  output_ += to_wire(reply);
  if (reply.code == 421) state_ = State::closed;
}

void ReceiveSession::refuse(const Reply& reply) {
  if (reply.is_permanent()) pause_ = std::max(pause_, limits_.tarpit);
  say(reply);
}

void ReceiveSession::protocol_error(const Reply& reply) {
  if (++errors_ > limits_.errors_max) return say({421, "4.7.0", "too many errors, closing"});
  refuse(reply);
}

}  // namespace umbra::smtp
