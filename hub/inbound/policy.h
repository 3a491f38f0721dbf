// Who may send what through a listener: relay rights by client network, certificate or log-on (closed by
// default), domains for which anybody may send, and whether the hub can take mail now. One per session, asked
// by smtp::ReceiveSession at MAIL and RCPT. Every refusal is counted and logged here.
#pragma once

#include <string>

#include "hub/config/config.h"
#include "hub/inbound/accept.h"
#include "hub/inbound/throttle.h"
#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/net/certificate_files.h"
#include "hub/pressure/back_pressure.h"
#include "smtp/receive_session.h"

namespace umbra::hub {

class Authenticator;

class InboundPolicy final : public smtp::ReceivePolicy {
 public:
  /// The references must outlive it. `client` is an address literal; `speaker` is that of the client that
  /// said XCLIENT for it, and may say it again; else empty.
  InboundPolicy(const ListenerConfig& config, const Authenticator* authenticator, std::string client,
                const std::string& speaker, MessageIntake& intake, const BackPressure& pressure,
                Throttle::Client throttle, EventLog& log, Metrics& metrics);

  /// Whatever the intake says (452 4.3.1, 451, 421 4.3.2); 452 4.3.1 under pressure; 450 4.7.1 when the
  /// client has sent enough.
  std::optional<smtp::Reply> refuse_sender(const smtp::MailFrom& mail) override;
  /// Under pressure.
  Duration delay_sender(const smtp::MailFrom& mail) override;
  /// 550 5.7.1 when the client may not relay; 421 4.7.0 when it keeps trying; 450 4.7.1 when it has sent
  /// enough.
  std::optional<smtp::Reply> refuse_recipient(const Envelope& envelope, const Recipient& recipient) override;

  /// Listed in the `xclient` of the listener that it came to.
  bool trusts_xclient() override { return trusts_xclient_; }
  std::string auth_mechanisms() override;

  /// The client has logged on.
  void note_user(std::string user);
  void forget_user() { user_.clear(); }
  /// Empty: it has not.
  [[nodiscard]] const std::string& user() const { return user_; }

  /// The client has shown a certificate that holds, with these names.
  void note_certificate(const CertificateNames& names);

  [[nodiscard]] const std::string& client() const { return client_; }

 private:
  [[nodiscard]] bool is_accepted(std::string_view recipient) const;
  /// Counted, where it is one.
  std::optional<smtp::Reply> throttled(std::optional<smtp::Reply> reply, RejectionStage stage,
                                       std::string_view sender, std::string_view recipient);
  void count(const smtp::Reply& reply, RejectionStage stage, RejectionReason reason, std::string_view sender,
             std::string_view recipient, std::string_view pressure = {});
  [[nodiscard]] bool may_relay() const { return may_relay_ || !user_.empty(); }
  [[nodiscard]] bool is_trusted(const smtp::MailFrom& mail) const {
    return pressure_.trusts(client_, mail.sender, may_relay());
  }

  const ListenerConfig& config_;
  const Authenticator* authenticator_;  // null: nobody logs on
  std::string client_;
  std::string user_;
  MessageIntake& intake_;
  const BackPressure& pressure_;
  Throttle::Client throttle_;
  EventLog& log_;
  Metrics& metrics_;
  std::uint32_t refused_ = 0;
  bool trusts_xclient_;
  bool may_relay_;
};

/// messages_rejected_total for a 5xx, messages_deferred_total for a 4xx; and why.
void count_refusal(Metrics& metrics, const smtp::Reply& reply, RejectionStage stage, RejectionReason reason);

}  // namespace umbra::hub
