// The bearer tokens of the admin API, as their file has them: a line "name:role:hash" each, where the role is
// "read" or "write" and the hash the SHA-256 of the token in hexadecimal. Empty lines and those that begin
// with "#" are passed over. A hash that is quick to make is enough: tokens are random and long, not chosen by
// people (docs/admin-api.md). Used by hub/config (`umbra check`) and the API.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace umbra::hub {

enum class AdminRole : std::uint8_t {
  none,  ///< health and metrics
  read,
  write
};
std::string_view to_string(AdminRole role);

struct AdminToken {
  std::string name;
  AdminRole role = AdminRole::none;
  std::array<unsigned char, 32> hash{};
};

struct AdminTokenProblem {
  int line = 0;      ///< from 1; 0: the file as a whole
  std::string what;  ///< never a word of a token
};

std::expected<std::vector<AdminToken>, AdminTokenProblem> parse_admin_tokens(std::string_view text);

/// Whose token it is; null: nobody's. Takes as long for a wrong one as for a right one.
const AdminToken* find_token(const std::vector<AdminToken>& tokens, std::string_view token);

}  // namespace umbra::hub
