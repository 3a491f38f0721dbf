// A driver of ReceiveSession for tests: feeds it, keeps the messages it accepts, answers as it was told to.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "smtp/receive_session.h"

namespace umbra::smtp::testing {

struct KeptMessage {
  Envelope envelope;
  std::string body;
  bool operator==(const KeptMessage&) const = default;
};

class ReceiveDriver final : public ReceivePolicy {
 public:
  explicit ReceiveDriver(ReceiveSessionLimits limits_given = {})
      : limits(limits_given), session(host_name, limits, *this) {}

  /// Gives octets to the session; returns what it said.
  std::string feed(std::string_view octets) {
    using Kind = ReceiveSession::Event::Kind;
    while (true) {
      const auto event = session.next(octets);
      switch (event.kind) {
        case Kind::need_input:
        case Kind::close:
          is_closed = event.kind == Kind::close;
          return take_output();
        case Kind::flush:
          ++flushes;
          said_ += std::exchange(session.output(), {});
          break;
        case Kind::data_begin:
          ++begun;
          if (refuse_data) {
            session.refuse_body(*refuse_data);
            break;
          }
          open_ = {session.take_envelope(), {}};
          session.accept_body();
          break;
        case Kind::body:
          open_.body += event.octets;
          ++pieces;
          break;
        case Kind::body_end:
          if (event.refusal == nullptr && answer.is_positive()) kept.push_back(std::move(open_));
          if (event.refusal != nullptr) ++refused;
          session.end_body(event.refusal != nullptr ? *event.refusal : answer);
          open_ = {};
          break;
        case Kind::start_tls:
          EXPECT_TRUE(octets.empty());
          ++handshakes;
          said_ += std::exchange(session.output(), {});
          session.tls_started();
          break;
        case Kind::introduce:
          introduced.push_back(session.take_introduction());
          left = octets;
          return take_output();
        case Kind::authenticate:
          log_on();
          break;
        case Kind::rest:
          rests.push_back(event.span);
          said_ += std::exchange(session.output(), {});
          break;
        case Kind::pause:
          pauses.push_back(event.span);
          break;
        case Kind::abandon:
          ++abandoned;
          open_ = {};
          break;
      }
    }
  }

  /// The same, in pieces of so many octets.
  std::string feed_split(std::string_view octets, std::size_t size) {
    std::string said;
    for (; !octets.empty(); octets.remove_prefix(std::min(size, octets.size())))
      said += feed(octets.substr(0, size));
    return said + feed({});
  }

  std::string take_output() {
    said_ += std::exchange(session.output(), {});
    return std::exchange(said_, {});
  }

  std::optional<Reply> refuse_sender(const MailFrom&) override { return refuse_mail; }
  bool trusts_xclient() override { return trusts; }
  Duration delay_sender(const MailFrom&) override { return delay_mail; }
  std::optional<Reply> refuse_recipient(const Envelope&, const Recipient& recipient) override {
    if (may_relay && !recipient.address.starts_with("nobody@")) return std::nullopt;
    return Reply{550, "5.7.1", "relaying denied"};
  }

  std::string auth_mechanisms() override { return mechanisms; }

  /// LOGIN, or PLAIN: the password "right" is right, with "away" nobody can tell.
  void log_on() {
    auto& turn = session.auth();
    const bool is_login = turn.mechanism == "LOGIN";
    if (turn.is_first) words.clear();
    if (turn.response) words.push_back(*turn.response);
    if (is_login && words.size() < 2)
      return session.auth_challenge(words.empty() ? "Username:" : "Password:");
    if (words.empty()) return session.auth_challenge("");
    const auto& last = words.back();
    const auto password = last.substr(last.rfind('\0') + 1);
    if (password == "right") return session.auth_succeed();
    if (password == "away") return session.auth_fail({454, "4.7.0", "away"});
    session.auth_fail({535, "5.7.8", "authentication failed"});
  }

  const std::string host_name = "hub.example";
  const ReceiveSessionLimits limits;
  ReceiveSession session;
  Reply answer{250, "2.0.0", "queued"};
  std::optional<Reply> refuse_mail;
  Duration delay_mail{};
  std::optional<Reply> refuse_data;
  bool may_relay = true;
  std::vector<KeptMessage> kept;
  int begun = 0;
  int handshakes = 0;
  std::string mechanisms = "PLAIN LOGIN";
  std::vector<std::string> words;  ///< said by the client in the present log-on
  int abandoned = 0;
  int refused = 0;
  int flushes = 0;
  int pieces = 0;
  std::vector<Duration> pauses;
  std::vector<Duration> rests;
  bool trusts = false;
  std::vector<XClient> introduced;
  std::string left;  ///< of the input, for the next session
  bool is_closed = false;

 private:
  KeptMessage open_;
  std::string said_;
};

}  // namespace umbra::smtp::testing
