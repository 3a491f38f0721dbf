// The client's side of Dovecot's authentication protocol, version 1
// (https://doc.dovecot.org/developer_manual/design/auth_protocol/), as octets in and answers out. What the
// server says is hostile until parsed: lines, mechanisms and answers are bounded, anything else ends it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/authentication/authenticator.h"

namespace umbra::hub {

class DovecotProtocol {
 public:
  static constexpr std::size_t line_octets_max = 32U << 10;

  struct Answer {
    enum class Kind : std::uint8_t { ok, fail, challenge };
    std::uint32_t id = 0;
    Kind kind = Kind::fail;
    std::string user;           ///< ok: who it is
    std::string octets;         ///< challenge, decoded
    bool is_temporary = false;  ///< fail: the server could not tell
    std::string reason;         ///< fail: in words, for the log
  };

  /// False: nonsense, see problem(); the connection must be closed.
  bool feed(std::string_view octets);
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// The server has said all about itself.
  [[nodiscard]] bool is_ready() const { return is_ready_; }
  /// Those that are offered on, separated by blanks.
  [[nodiscard]] const std::string& mechanisms() const { return mechanisms_; }
  std::vector<Answer> take_answers() { return std::exchange(answers_, {}); }

  /// What the client says, each with its line end.
  static std::string greeting(std::uint32_t process);
  static std::string request(std::uint32_t id, std::string_view mechanism, const AuthClient& client,
                             const std::optional<std::string>& initial);
  static std::string response(std::uint32_t id, std::string_view octets);
  static std::string cancel(std::uint32_t id);

 private:
  bool take_line(std::string_view line);
  bool take_mechanism(const std::vector<std::string_view>& words);
  bool take_answer(const std::vector<std::string_view>& words);
  bool refuse(std::string why);

  std::string rest_;
  std::string mechanisms_;
  std::string problem_;
  std::vector<Answer> answers_;
  std::size_t opening_lines_ = 0;
  bool has_version_ = false;
  bool is_ready_ = false;
};

}  // namespace umbra::hub
