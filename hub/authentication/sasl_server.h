// The server's side of one log-on, by GNU SASL: PLAIN (RFC 4616), LOGIN and SCRAM-SHA-256 (RFC 7677) against
// a password file. Quick: the one thing that takes time, checking a password that the client has said, is
// left to the caller.
#pragma once

#include <gsasl.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hub/authentication/password_file.h"

namespace umbra::hub {

struct GsaslDeleter {
  void operator()(Gsasl* library) const { gsasl_done(library); }
  void operator()(Gsasl_session* session) const { gsasl_finish(session); }
};

class SaslServer {
 public:
  /// `mechanism`: PLAIN, LOGIN or SCRAM-SHA-256, the last only if the file has keys.
  SaslServer(std::string mechanism, std::shared_ptr<const PasswordFile> users);
  ~SaslServer();
  SaslServer(const SaslServer&) = delete;
  SaslServer& operator=(const SaslServer&) = delete;

  enum class Step : std::uint8_t {
    challenge,       ///< challenge() to the client
    check_password,  ///< it is user() if password() is right
    success,         ///< it is user()
    refused
  };
  /// Nothing: the client gave no initial response.
  Step step(const std::optional<std::string>& response);
  [[nodiscard]] const std::string& challenge() const { return challenge_; }
  /// Who the client says it is, once it has said so.
  [[nodiscard]] const std::string& user() const { return user_; }
  [[nodiscard]] std::string take_password() { return std::move(password_); }
  [[nodiscard]] const PasswordFile& users() const { return *users_; }

 private:
  static int call_back(Gsasl* library, Gsasl_session* session, Gsasl_property property);
  int give(Gsasl_property property);
  Step step_once(std::string_view response);

  const std::string mechanism_;
  const std::shared_ptr<const PasswordFile> users_;
  std::unique_ptr<Gsasl, GsaslDeleter> library_;
  std::unique_ptr<Gsasl_session, GsaslDeleter> session_;
  std::string challenge_;
  std::string user_;
  std::string authorization_;  // whom the client wants to act for
  std::string password_;
  bool is_proved_ = false;  // SCRAM: what is left is an empty answer to our own proof
  int challenges_ = 0;
};

}  // namespace umbra::hub
