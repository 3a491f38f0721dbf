#include "hub/admin/tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/result.h"

namespace umbra::hub {
namespace {

constexpr std::size_t tokens_max = 256;
constexpr std::size_t name_octets_max = 64;

bool is_name(std::string_view text) {
  auto is_good = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_' || c == '@';
  };
  return !text.empty() && text.size() <= name_octets_max && std::ranges::all_of(text, is_good);
}

std::optional<std::array<unsigned char, 32>> parse_hash(std::string_view text) {
  std::array<unsigned char, 32> hash{};
  if (text.size() != 2 * hash.size()) return std::nullopt;
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const char* at = text.data() + 2 * i;
    auto [end, failed] = std::from_chars(at, at + 2, hash[i], 16);
    if (failed != std::errc{} || end != at + 2) return std::nullopt;
  }
  return hash;
}

}  // namespace

std::string_view to_string(AdminRole role) {
  switch (role) {
    case AdminRole::none:
      return "none";
    case AdminRole::read:
      return "read";
    case AdminRole::write:
      return "write";
  }
  return "none";
}

std::expected<std::vector<AdminToken>, AdminTokenProblem> parse_admin_tokens(std::string_view text) {
  std::vector<AdminToken> tokens;
  for (int number = 1; !text.empty(); ++number) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    auto wrong = [number](std::string what) {
      return std::unexpected(AdminTokenProblem{number, std::move(what)});
    };
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) return wrong("expected name:role:hash");
    AdminToken token;
    token.name = line.substr(0, first);
    if (!is_name(token.name)) return wrong("expected a name of letters, digits and .-_@, at most 64");
    const auto role = line.substr(first + 1, second - first - 1);
    if (role != "read" && role != "write") return wrong("the role is read or write");
    token.role = role == "read" ? AdminRole::read : AdminRole::write;
    auto hash = parse_hash(line.substr(second + 1));
    if (!hash) return wrong("expected the SHA-256 of the token: 64 hexadecimal digits");
    token.hash = *hash;
    for (const auto& other : tokens) {
      if (other.name == token.name) return wrong("the name stands in a line before already");
      if (other.hash == token.hash) return wrong("the token of " + other.name + " again");
    }
    if (tokens.size() == tokens_max) return wrong("more than " + std::to_string(tokens_max) + " tokens");
    tokens.push_back(std::move(token));
  }
  if (tokens.empty()) return std::unexpected(AdminTokenProblem{0, "there is no token in it"});
  return tokens;
}

const AdminToken* find_token(const std::vector<AdminToken>& tokens, std::string_view token) {
  std::array<unsigned char, 32> hash{};
  unsigned octets = 0;
  UMBRA_ASSERT(EVP_Digest(token.data(), token.size(), hash.data(), &octets, EVP_sha256(), nullptr) == 1 &&
               octets == hash.size());
  const AdminToken* found = nullptr;
  // All of them, each to its end.
  for (const auto& one : tokens)
    if (CRYPTO_memcmp(one.hash.data(), hash.data(), hash.size()) == 0) found = &one;
  return found;
}

}  // namespace umbra::hub
