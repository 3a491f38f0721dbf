// Log-ons against a password file. The dialog is quick (sasl_server); a password that the client has said is
// checked on the password lane, whoever it is said for: a name that is not there costs as much time as one
// that is.
#pragma once

#include "hub/authentication/authenticator.h"
#include "hub/authentication/password_file.h"
#include "hub/authentication/password_lane.h"

namespace umbra::hub {

class PasswordAuthenticator final : public Authenticator {
 public:
  /// The lane must outlive it and its exchanges.
  PasswordAuthenticator(PasswordLane& lane, std::shared_ptr<const PasswordFile> users)
      : lane_(lane), users_(std::move(users)) {}

  [[nodiscard]] std::string mechanisms() const override {
    return users_->has_scram() ? "SCRAM-SHA-256 PLAIN LOGIN" : "PLAIN LOGIN";
  }
  std::unique_ptr<AuthExchange> begin(std::string_view mechanism, AuthClient client) override;

 private:
  PasswordLane& lane_;
  std::shared_ptr<const PasswordFile> users_;
};

}  // namespace umbra::hub
