// AUTH in a receiving session (RFC 4954): the order of commands, base 64, and how often it may fail. Who
// knows the passwords is the driver's matter. At most one log-on succeeds in a session; none begins in a
// transaction. Between AUTH and its end lines are not commands.
#include <algorithm>
#include <utility>

#include "base/result.h"
#include "smtp/base64.h"
#include "smtp/receive_session.h"

namespace umbra::smtp {
namespace {

/// "mechanism" among those of a list separated by blanks.
bool is_named(std::string_view list, std::string_view mechanism) {
  while (!list.empty()) {
    const auto word = list.substr(0, list.find(' '));
    if (word == mechanism) return true;
    list.remove_prefix(std::min(word.size() + 1, list.size()));
  }
  return false;
}

}  // namespace

bool ReceiveSession::offers_auth() const {
  return limits_.auth.use != AuthLimits::Use::none && (is_secured_ || limits_.auth.allow_without_tls);
}

void ReceiveSession::on(Auth& auth) {
  may_be_confused_ = true;
  if (limits_.auth.use == AuthLimits::Use::none)
    return protocol_error({502, "5.5.1", "command not offered here"});
  if (!is_extended_ || hello_name_.empty()) return protocol_error({503, "5.5.1", "EHLO first"});
  if (is_authenticated_) return protocol_error({503, "5.5.1", "logged on already"});
  if (in_transaction_) return protocol_error({503, "5.5.1", "a transaction is open"});
  if (!offers_auth()) return protocol_error({538, "5.7.11", "encryption is needed for it: STARTTLS first"});
  if (auth_failures_ >= limits_.auth.failures_max)
    return say({421, "4.7.0", "too many failed log-ons, closing"});
  if (!is_named(policy_.auth_mechanisms(), auth.mechanism))
    return protocol_error({504, "5.5.4", "mechanism not offered"});
  auth_ = {std::move(auth.mechanism), true, std::move(auth.initial)};
  awaiting_ = Awaiting::auth;
}

/// `line` is without its CRLF.
void ReceiveSession::on_auth_line(std::string_view line) {
  if (observer_ != nullptr) tell(line, false, line == "*" ? "log-on cancelled" : "");
  state_ = State::commands;
  if (line == "*") {
    auth_ = {};
    return protocol_error({501, "5.7.0", "log-on cancelled"});
  }
  auto response = decode_base64(line);
  if (!response) {
    auth_ = {};
    return protocol_error({501, "5.5.2", "not base 64, log-on cancelled"});
  }
  auth_.is_first = false;
  auth_.response = std::move(response);
  awaiting_ = Awaiting::auth;
}

void ReceiveSession::auth_challenge(std::string_view octets) {
  UMBRA_ASSERT(awaiting_ == Awaiting::auth);
  awaiting_ = Awaiting::nothing;
  auth_.response.reset();
  state_ = State::auth;
  say({334, "", encode_base64(octets)});
}

void ReceiveSession::auth_succeed() {
  UMBRA_ASSERT(awaiting_ == Awaiting::auth);
  awaiting_ = Awaiting::nothing;
  auth_ = {};
  is_authenticated_ = true;
  say({235, "2.7.0", "logged on"});
}

void ReceiveSession::auth_fail(const Reply& reply) {
  UMBRA_ASSERT(awaiting_ == Awaiting::auth && !reply.is_positive());
  awaiting_ = Awaiting::nothing;
  auth_ = {};
  if (reply.code == 535) {
    ++auth_failures_;
    pause_ = std::max(pause_, limits_.auth.tarpit);
    return say(reply);
  }
  if (reply.is_permanent()) return protocol_error(reply);
  say(reply);
}

}  // namespace umbra::smtp
