// The client side of an SMTP connection, sans-I/O: replies in, commands out (RFC 5321; PIPELINING RFC 2920,
// SIZE 1870, 8BITMIME 6152, SMTPUTF8 6531, CHUNKING 3030, DSN 3461, ENHANCEDSTATUSCODES 2034, STARTTLS 3207,
// AUTH 4954). Driven by hub/outbound/connection.
//
// Logging on is a dialog of the caller's (a SASL library): the session says that it is time (log_on), carries
// challenges and responses, and becomes ready only when the caller agrees that the other side has shown who
// it is too.
//
// What was sent and what was answered have cursors of their own. Transactions come one after another on one
// connection; two may be under way: with PIPELINING the MAIL..DATA group of the next one may follow the final
// dot of the present one in the same write (RFC 2920 section 3.1), so a kept connection needs one write and
// one read per message. With CHUNKING and PIPELINING a message whose octets are at hand goes out whole in one
// write (MAIL, RCPT, BDAT LAST).
//
// The step that cannot be undone is end_content(), or begin() with a body: whoever calls them has asked
// before whether the message may be delivered. A recipient counts as delivered only by a 2xx reply to the end
// of data.
//
// Any reply that cannot belong to what was sent ends the session. A 421 anywhere ends it too. So does
// anything that is not encrypted behind the reply to STARTTLS: it may be anybody's. What was said before TLS
// is forgotten; EHLO is said again.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/envelope.h"
#include "smtp/body_encoder.h"
#include "smtp/reply.h"
#include "smtp/reply_parser.h"
#include "smtp/session_observer.h"

namespace umbra::smtp {

/// What the next hop said it can do.
struct NextHopExtensions {
  bool esmtp = false;
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool smtputf8 = false;
  bool chunking = false;
  bool dsn = false;
  bool enhanced_codes = false;
  bool starttls = false;
  std::string auth_mechanisms;  ///< separated by blanks; empty: no AUTH
  bool size = false;
  std::uint64_t size_max = 0;  ///< 0: no fixed limit
};
/// From the text of a positive EHLO reply. Keywords that are unknown or malformed are passed over.
NextHopExtensions parse_extensions(std::string_view ehlo_text);

/// Why this next hop cannot take the message at all, or nothing: SMTPUTF8 (5.6.7) and SIZE (5.3.4).
/// 8-bit content is the caller's question: it may convert.
std::optional<Reply> refuses(const NextHopExtensions& next_hop, const Envelope& envelope, std::uint64_t size);

/// One message to the recipients that go this way.
struct Transaction {
  std::uint64_t key = 0;                  ///< the caller's; comes back with the result
  const Envelope* envelope = nullptr;     ///< must live until the result
  std::vector<std::uint32_t> recipients;  ///< indexes into envelope->recipients, at least one
  std::uint64_t size = 0;                 ///< octets of the content, for SIZE=
  bool is_8bit = false;  ///< the content as sent has 8-bit octets: BODY=8BITMIME where offered
};

/// How far the dialog had come when an outcome was decided.
enum class SendStage : std::uint8_t { connection, mail, rcpt, data, content };

struct RecipientResult {
  enum class State : std::uint8_t { pending, delivered, deferred, failed };
  std::uint32_t index = 0;
  State state = State::pending;
  SendStage stage = SendStage::connection;
  Reply reply;  ///< the reply that decided; code 0: none came, `text` says what happened
};

struct TransactionResult {
  std::uint64_t key = 0;
  bool was_attempted =
      true;  ///< false: the connection ended before anything about it was answered; try elsewhere
  bool possible_duplicate = false;          ///< the end of data was sent, and no reply came (RFC 1047)
  bool passed_dsn = false;                  ///< the next hop took over the DSN parameters
  std::vector<RecipientResult> recipients;  ///< none is pending
};

/// When a session says STARTTLS.
enum class StartTlsUse : std::uint8_t {
  never,
  if_offered,  ///< and goes on without when the next hop says no to it
  always       ///< or ends
};

class SendSession {
 public:
  enum class Phase : std::uint8_t {
    greeting,   ///< waits for the greeting
    hello,      ///< EHLO or HELO is out
    tls,        ///< STARTTLS is out
    handshake,  ///< the next hop said 220 to it: make the handshake, then call tls_started()
    log_on,     ///< EHLO is answered: call auth()
    auth,       ///< AUTH or a response is out
    challenge,  ///< auth_challenge() is to be answered: call auth_respond()
    logged_on,  ///< 235 came: call auth_accept(), or lost() when that is not enough
    ready,
    quitting,  ///< QUIT is out
    over       ///< refused, broken, 421, or QUIT answered: close the connection
  };

  /// `helo_name`: what EHLO says.
  /// `logs_on`: no mail before the next hop knows who this is.
  explicit SendSession(std::string helo_name, StartTlsUse starttls = StartTlsUse::never,
                       bool logs_on = false);

  /// Is told every command and reply from now on. Null: nobody.
  void observe(SessionObserver* observer) { observer_ = observer; }

  /// Octets from the next hop. Afterwards look at phase(), wants_content(), results() and output().
  void feed(std::string_view octets);
  /// The connection has ended or must end (`why`, for display): everything unfinished gets its result. Phase:
  /// over.
  void lost(std::string_view why);

  /// The handshake is done: everything the next hop said is forgotten, EHLO is in output().
  void tls_started();
  [[nodiscard]] bool is_secured() const { return is_secured_; }
  /// STARTTLS was answered with 220, and nothing was understood since.
  [[nodiscard]] bool awaits_hello_after_tls() const { return awaits_hello_after_tls_; }

  /// In phase log_on. `initial`: octets of the initial response (RFC 4954 section 4), not yet in base64;
  /// nothing: none.
  void auth(std::string_view mechanism, const std::optional<std::string>& initial);
  /// Decoded.
  [[nodiscard]] const std::string& auth_challenge() const { return challenge_; }
  void auth_respond(std::string_view octets);
  void auth_accept();
  /// The session is over because the next hop did not let this hub log on.
  [[nodiscard]] bool is_log_on_refused() const { return is_log_on_refused_; }

  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] const NextHopExtensions& next_hop() const { return extensions_; }
  /// Why the session is over: the refusing reply (greeting, EHLO, 421), or code 0 and a text.
  [[nodiscard]] const Reply& over_reason() const { return over_reason_; }

  /// What must be written next; the caller writes it and clears it.
  std::string& output() { return output_; }

  /// True when begin() may be called.
  [[nodiscard]] bool can_begin() const;
  /// True when begin() may be given the whole body (BDAT in the same write).
  [[nodiscard]] bool can_send_at_once() const;
  void begin(Transaction transaction);
  /// With the whole content, which is `front` and `body`: everything, the end of data included, is in
  /// output() afterwards. Only if can_send_at_once().
  void begin(Transaction transaction, std::string_view body, std::string_view front = {});

  /// True after 354 for the present transaction: content(), then end_content().
  [[nodiscard]] bool wants_content() const;
  [[nodiscard]] std::uint64_t content_key() const;
  /// Appends dot-stuffed content to output(); any number of times.
  void content(std::string_view octets);
  /// The final dot.
  void end_content();
  /// The end of data of the transaction being answered is in output() or sent, and not answered.
  [[nodiscard]] bool awaits_final_reply() const;
  /// Number of transactions begun and without result.
  [[nodiscard]] std::size_t under_way() const { return active_.size(); }
  /// A reply to something is awaited.
  [[nodiscard]] bool awaits_reply() const {
    return phase_ != Phase::over && (phase_ == Phase::greeting || !expected_.empty());
  }

  [[nodiscard]] bool has_result() const { return !results_.empty(); }
  TransactionResult next_result();

  /// Polite end: only when nothing is under way.
  void quit();

 private:
  enum class Command : std::uint8_t { hello, starttls, auth, mail, rcpt, data, content, reset, quit };
  struct Expected {
    Command command;
    std::uint32_t recipient = 0;  // position in Active::result.recipients
    bool is_next = false;         // of the second transaction (becomes the first when that one ends)
  };
  struct Active {
    Transaction transaction;
    TransactionResult result;
    std::size_t sent = 0;  // commands sent: 0 MAIL not yet; 1 MAIL; 1 + n: n RCPT; 2 + all: DATA
    std::size_t accepted = 0;
    std::size_t answered = 0;  // replies that came
    bool mail_refused = false;
    bool is_at_once = false;
    bool is_content_open = false;  // 354 came
    bool is_end_sent = false;
    std::uint64_t content_octets = 0;  // of the message, put into output()
  };

  void take_reply(Reply reply);
  void take_greeting(const Reply& reply);
  void take_hello(Reply reply);
  void take_starttls(const Reply& reply);
  bool begins_tls();
  void take_auth(Reply reply);
  void take_mail(Active& active, const Reply& reply);
  void take_rcpt(Active& active, std::uint32_t position, const Reply& reply);
  void take_data(Active& active, const Reply& reply);
  void take_content(Active& active, const Reply& reply);
  void send(Command command, std::string_view line, bool is_next, std::uint32_t recipient = 0);
  void tell(std::size_t from, std::string_view context = {});
  void tell_reply(const Reply& reply);
  void start(Transaction transaction, bool is_at_once);
  void send_group(Active& active, bool is_next);
  void append_mail(const Active& active);
  void append_rcpt(const Active& active, std::uint32_t position);
  static void settle(Active& active, SendStage stage, const Reply& reply, RecipientResult::State state);
  void finish_first();
  void end(Reply reason);
  void broken(std::string_view why);

  std::string helo_name_;
  SessionObserver* observer_ = nullptr;
  ReplyParser parser_;
  NextHopExtensions extensions_;
  Phase phase_ = Phase::greeting;
  StartTlsUse starttls_;
  bool logs_on_;
  bool is_log_on_refused_ = false;
  std::string challenge_;
  bool is_secured_ = false;
  bool awaits_hello_after_tls_ = false;
  bool is_helo_ = false;
  bool needs_reset_ = false;
  Reply over_reason_;
  std::string output_;
  std::deque<Expected> expected_;
  std::deque<Active> active_;  // at most two
  BodyEncoder encoder_{true};
  std::deque<TransactionResult> results_;
};

}  // namespace umbra::smtp
