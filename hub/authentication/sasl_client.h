// This hub logs on somewhere: the client's side of SCRAM-SHA-256, PLAIN or LOGIN, by GNU SASL. A step of
// SCRAM takes as long as the other side asks for (within a limit), so steps are for the password lane.
#pragma once

#include <gsasl.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hub/authentication/sasl_server.h"

namespace umbra::hub {

class SaslClient {
 public:
  static constexpr std::uint32_t iterations_min =
      4096;  ///< fewer would give the password away to whoever plays the server (RFC 7677)
  static constexpr std::uint32_t iterations_max = 1'000'000;

  /// The best of those offered, separated by blanks. Empty: there is none.
  static std::string best_of(std::string_view offered);

  SaslClient(std::string mechanism, const std::string& user, const std::string& password);

  [[nodiscard]] const std::string& mechanism() const { return mechanism_; }
  /// What is said together with AUTH; nothing where the mechanism lets the server speak first.
  Result<std::optional<std::string>> begin();
  /// The answer to a challenge. An error: the other side does not keep to the mechanism, or has not proved
  /// that it knows this user.
  Result<std::string> answer(const std::string& challenge);
  /// Nothing is missing: with SCRAM the other side has proved who it is too.
  [[nodiscard]] bool is_complete() const { return is_complete_; }

 private:
  Result<std::string> step(const std::string& challenge);

  const std::string mechanism_;
  std::unique_ptr<Gsasl, GsaslDeleter> library_;
  std::unique_ptr<Gsasl_session, GsaslDeleter> session_;
  bool is_complete_ = false;
};

}  // namespace umbra::hub
