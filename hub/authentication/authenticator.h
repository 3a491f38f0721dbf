// The port between a session and whoever knows the users of a listener (RFC 4954, RFC 4422). An Authenticator
// says which mechanisms it has and carries log-ons, each an exchange of challenges and responses that ends
// with one answer. Implemented over a password file and over Dovecot's authentication server. Home thread;
// nothing of it blocks, and every step ends within a bounded time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hub/net/task.h"

namespace umbra::hub {

/// Who wants to log on.
struct AuthClient {
  std::string address;  ///< an address literal
  bool is_secured = false;
};

struct AuthStep {
  enum class Kind : std::uint8_t {
    challenge,   ///< `octets` to the client, whose answer is the next step
    success,     ///< it is `user`
    refused,     ///< by what it said: wrong password, no such user, nonsense
    unavailable  ///< cannot be told now
  };
  Kind kind = Kind::refused;
  std::string octets;
  std::string user;    ///< when refused: who it claims to be, if there is such a user
  std::string reason;  ///< for the log, not for the client
};

class AuthExchange {
 public:
  virtual ~AuthExchange() = default;
  /// The client's next words, decoded; nothing only in the first step, when it gave no initial response. Not
  /// after an end.
  virtual Task<AuthStep> step(std::optional<std::string> response) = 0;
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  /// Separated by blanks.
  [[nodiscard]] virtual std::string mechanisms() const = 0;
  /// `mechanism` is one of them. Destroying an exchange ends it.
  virtual std::unique_ptr<AuthExchange> begin(std::string_view mechanism, AuthClient client) = 0;
};

}  // namespace umbra::hub
