// The receiving side of one SMTP session: octets in, replies and events out. RFC 5321 with PIPELINING (RFC
// 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), CHUNKING (RFC 3030), ENHANCEDSTATUSCODES
// (RFC 2034), DSN (RFC 3461), STARTTLS (RFC 3207), AUTH (RFC 4954). No socket and no clock: the driver
// (hub/inbound/session) moves octets, makes the TLS handshake, keeps deadlines and decides the fate of
// messages. Any split of the input gives the same replies and the same message, but for octets behind
// STARTTLS: those that came with it end the session, later ones reach the TLS layer, which takes them for a
// broken handshake. Nothing said before TLS is known after it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/envelope.h"
#include "smtp/body_decoder.h"
#include "smtp/command.h"
#include "smtp/command_tally.h"
#include "smtp/extensions.h"
#include "smtp/reply.h"
#include "smtp/session_observer.h"

namespace umbra::smtp {

/// Asked in the middle of a session, on its thread; answers at once. A reply refuses (421 also closes);
/// nothing accepts.
class ReceivePolicy {
 public:
  virtual ~ReceivePolicy() = default;
  virtual std::optional<Reply> refuse_sender(const MailFrom& mail) = 0;
  /// How long the 250 to a sender that was not refused is kept back. 0: not at all.
  virtual Duration delay_sender(const MailFrom&) { return {}; }
  /// May the client say by XCLIENT for whom it speaks?
  virtual bool trusts_xclient() { return false; }
  /// What AUTH offers now, separated by blanks; asked at EHLO and at AUTH.
  virtual std::string auth_mechanisms() { return {}; }
  /// `envelope` holds the sender and the recipients accepted so far.
  virtual std::optional<Reply> refuse_recipient(const Envelope& envelope, const Recipient& recipient) = 0;
};

/// What a session that is not encrypted yet says of STARTTLS.
enum class StartTlsOffer : std::uint8_t {
  none,  ///< nothing: 502
  offered,
  required  ///< no mail without: 530 5.7.0
};

/// Whether clients may say who they are.
struct AuthLimits {
  enum class Use : std::uint8_t {
    none,  ///< 502
    offered,
    required  ///< no mail without: 530 5.7.0
  };
  Use use = Use::none;
  bool allow_without_tls = false;  ///< else 538 5.7.11 on a connection that is not encrypted
  std::uint32_t failures_max = 3;  ///< answered with 535; the next AUTH gets 421
  Duration tarpit{};               ///< how long that 535 is kept back
};

struct ReceiveSessionLimits {
  BodyLimits body;
  Extensions extensions;
  std::string banner = "ESMTP Umbra";       ///< behind the host name, in the greeting
  std::uint32_t recipients_max = 1000;      ///< then 452 4.5.3
  std::uint32_t command_octets_max = 2048;  ///< with CRLF, at least 64; then 500 5.5.2
  std::uint32_t errors_max = 10;            ///< protocol errors answered; the next one gets 421 4.7.0
  StartTlsOffer starttls = StartTlsOffer::none;
  AuthLimits auth;
  std::uint32_t commands_at_once =
      32;  ///< then their replies are written, and other sessions have their turn
  std::uint32_t commands_without_mail_max =
      1500;  ///< since the last message that was taken; whoever says more rests after each turn
  Duration rest = std::chrono::seconds(1);
  Duration tarpit{};  ///< how long the 5xx reply to a command is kept back. Never one to BDAT, and never a
                      ///< reply that closes
};

class ReceiveSession {
 public:
  /// The references must outlive the session. The greeting is in output() from the start.
  ReceiveSession(const std::string& host_name, const ReceiveSessionLimits& limits, ReceivePolicy& policy);

  /// Is told the client's lines from now on (heard()); what is answered is output(), whole lines. Null:
  /// nobody.
  void observe(SessionObserver* observer) { observer_ = observer; }

  /// Counts replies there from now on; the greeting is none. Null: nowhere.
  void count_in(CommandTally* tally) { tally_ = tally; }

  struct Event {
    enum class Kind : std::uint8_t {
      need_input,  ///< input is used up: write output(), then read more
      flush,       ///< output() has grown long: write it, then call next() again
      data_begin,  ///< a body begins: envelope() is complete; call accept_body() or refuse_body()
      body,        ///< `octets` are the next piece of the message
      body_end,   ///< the message is complete; call end_body(). With `refusal`, that is the reply to give and
                  ///< nothing may be kept (after a refused BDAT chunk the client may go on: the session
                  ///< handles that)
      start_tls,  ///< write output(), make the handshake, forget what is left of the input (there is none),
                  ///< call tls_started(); when the handshake fails, close
      introduce,  ///< the client speaks for somebody else: take_introduction(), write output(), and begin a
                  ///< new session for that one, whose greeting is the reply. What is left of the input is for
                  ///< it; this session is over
      authenticate,  ///< auth() is to be looked at; write output() later, and call auth_challenge(),
                     ///< auth_succeed() or auth_fail() now
      rest,     ///< write output(), wait for `span`, and call next() again: the client says much and sends no
                ///< mail
      pause,    ///< wait for `span`; only then write output(), and call next() again
      abandon,  ///< the client gave up the message after data_begin (RSET, EHLO, QUIT between chunks): keep
                ///< nothing
      close     ///< write output(), then close
    };
    Kind kind;
    std::string_view octets;         ///< valid until the next call
    const Reply* refusal = nullptr;  ///< likewise
    Duration span{};
  };

  /// Works on the front of `input` (and removes what it used) until the driver has something to do.
  Event next(std::string_view& input);

  void accept_body();
  void refuse_body(Reply reply);
  /// The reply to the message. 421 also closes.
  void end_body(const Reply& reply);
  /// The session ends now with this reply (421 on shut-down): next() gives close, after abandon when a body
  /// was open. Only where need_input, flush or rest was the last event.
  void close_with(const Reply& reply);

  /// The connection is encrypted from now on: after start_tls, or before the first octet where TLS is
  /// implicit. Everything the client has said is forgotten (RFC 3207 section 4.2).
  void tls_started();
  [[nodiscard]] XClient take_introduction() { return std::move(*xclient_); }
  [[nodiscard]] bool is_secured() const { return is_secured_; }

  /// What a client says when it logs on. Between `authenticate` and the answer.
  struct AuthTurn {
    std::string mechanism;                ///< in capitals: one of those that the policy named
    bool is_first = false;                ///< of this AUTH
    std::optional<std::string> response;  ///< decoded; nothing: AUTH came without an initial response
  };
  [[nodiscard]] AuthTurn& auth() { return auth_; }
  /// 334, and the client's answer is the next turn.
  void auth_challenge(std::string_view octets);
  void auth_succeed();
  /// 535 (after the tarpit, and counted), 454, 501. 421 also closes.
  void auth_fail(const Reply& reply);
  /// An AUTH has begun and not ended.
  [[nodiscard]] bool is_authenticating() const {
    return state_ == State::auth || awaiting_ == Awaiting::auth;
  }
  [[nodiscard]] bool is_authenticated() const { return is_authenticated_; }
  /// The client has logged on elsewhere, says one who may say so (XCLIENT).
  void note_authenticated() { is_authenticated_ = true; }

  /// Replies not yet written. The driver writes and clears it.
  std::string& output() { return output_; }

  [[nodiscard]] const Envelope& envelope() const { return envelope_; }
  /// From data_begin on, by the driver's choice instead of a copy.
  Envelope take_envelope() { return std::move(envelope_); }
  [[nodiscard]] const std::string& hello_name() const { return hello_name_; }
  [[nodiscard]] bool is_extended() const { return is_extended_; }
  /// An octet above 127 was in the present body (BODY=8BITMIME was said or not).
  [[nodiscard]] bool body_has_8bit() const { return decoder_.has_8bit(); }
  /// Of the present message so far.
  [[nodiscard]] std::uint64_t body_octets() const { return decoder_.octets(); }
  /// Between data_begin and its end_body or abandon.
  [[nodiscard]] bool is_body_open() const { return body_open_; }
  /// Octets of a message or chunk are expected, not a command.
  [[nodiscard]] bool expects_body() const {
    return state_ == State::data || state_ == State::chunk || state_ == State::skip_chunk;
  }
  /// No transaction: a good moment to close.
  [[nodiscard]] bool is_idle() const { return state_ == State::commands && !in_transaction_; }
  [[nodiscard]] std::uint32_t errors() const { return errors_; }

 private:
  enum class State : std::uint8_t {
    commands,
    data,        ///< up to CRLF.CRLF
    chunk,       ///< chunk_left_ octets of a BDAT
    skip_chunk,  ///< chunk_left_ octets that mean nothing, then chunk_reply_
    auth,        ///< the client's answer to a challenge
    closed
  };
  enum class Awaiting : std::uint8_t { nothing, begin, end, tls, auth, introduction };

  void take_command(std::string_view& input);
  void on_line(std::string_view line);
  void on_long_line(bool ends_with_crlf);
  void tell(std::string_view line, bool is_command, std::string_view context = {});
  void on(const Hello& hello);
  void on(MailFrom& mail);
  void on(RcptTo& rcpt);
  void on(const Data&);
  void on(const Bdat& bdat);
  void on(const Rset&);
  void on(const Noop&);
  void on(const Vrfy&);
  void on(const Help&);
  void on(const Quit&);
  void on(const StartTls&);
  void on(XClient& said);
  void on(Auth& auth);
  void on_auth_line(std::string_view line);
  [[nodiscard]] std::size_t line_octets_max() const;
  [[nodiscard]] bool offers_auth() const;
  bool begins_tls(std::string_view& input);
  std::optional<Reply> out_of_order_for_body() const;
  std::optional<Event> take_data(std::string_view& input);
  std::optional<Event> take_chunk(std::string_view& input);
  void skip_chunk(std::uint64_t octets, Reply reply, bool is_error);
  void take_skipped(std::string_view& input);
  Event body_ended();
  void reset_transaction();
  void say(const Reply& reply);
  void refuse(const Reply& reply);
  void protocol_error(const Reply& reply);

  const std::string& host_name_;
  const ReceiveSessionLimits& limits_;
  ReceivePolicy& policy_;
  SessionObserver* observer_ = nullptr;
  CommandTally* tally_ = nullptr;
  Verb verb_ = Verb::other;  // that is being answered
  std::string output_;
  std::string line_;  // the beginning of a command whose end has not come yet
  std::string hello_name_;
  Envelope envelope_;
  BodyDecoder decoder_;
  std::optional<Reply> refusal_;  // of the body that ended
  Reply chunk_reply_;
  std::unique_ptr<XClient> xclient_;
  AuthTurn auth_;
  std::uint32_t auth_failures_ = 0;
  bool is_authenticated_ = false;
  std::uint64_t chunk_octets_ = 0;
  std::uint64_t chunk_left_ = 0;
  std::uint32_t errors_ = 0;
  std::uint32_t commands_in_turn_ = 0;
  std::uint32_t commands_without_mail_ = 0;
  Duration pause_{};  // before output_ may be written
  State state_ = State::commands;
  Awaiting awaiting_ = Awaiting::nothing;
  bool is_secured_ = false;
  bool is_extended_ = false;
  bool in_transaction_ = false;  // MAIL was accepted
  bool rcpt_tried_ = false;
  bool smtputf8_ = false;
  bool body_open_ = false;
  bool is_chunked_ = false;      // the body that begins or is open comes by BDAT
  bool chunks_refused_ = false;  // a chunk was lost: no other may complete the message
  bool chunk_is_last_ = false;
  bool chunk_is_error_ = false;
  bool abandon_pending_ = false;
  bool line_too_long_ = false;
  bool may_be_confused_ =
      false;             // AUTH, DATA or BDAT was said: what is no command may be a secret, or content
  char last_octet_ = 0;  // of a line too long to keep
};

}  // namespace umbra::smtp
