#include "hub/authentication/password_file.h"

#include <crypt.h>
#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "base/ids.h"
#include "base/result.h"
#include "smtp/address.h"
#include "smtp/base64.h"

namespace umbra::hub {
namespace {

constexpr std::size_t user_octets_max = 255;
constexpr std::size_t secret_octets_max = 512;
constexpr std::uint32_t iterations_min = 4096;  // RFC 7677 section 4
constexpr std::uint32_t iterations_max = 1'000'000;
constexpr std::uint64_t rounds_max = 1'000'000;
constexpr std::uint64_t blowfish_cost_max = 15;
constexpr std::size_t key_octets = 32;
constexpr std::size_t salt_octets_max = 64;
constexpr std::size_t password_octets_max = 1024;
constexpr std::string_view scram_prefix = "SCRAM-SHA-256$";

using Text = std::expected<void, std::string>;

std::unexpected<std::string> wrong(std::string why) {
  return std::unexpected(std::move(why));
}

bool is_user_name(std::string_view name) {
  return !name.empty() && name.size() <= user_octets_max && !name.starts_with(' ') && !name.ends_with(' ') &&
         std::ranges::none_of(name, [](unsigned char c) { return c < 32 || c == 127; });
}

/// iterations:salt$StoredKey:ServerKey
std::expected<ScramKeys, std::string> parse_scram(std::string_view text) {
  const auto colon = text.find(':');
  const auto dollar = text.find('$');
  const auto last = text.rfind(':');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || colon > dollar || last < dollar)
    return wrong("expected SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey");
  auto iterations = parse_number(text.substr(0, colon));
  if (!iterations || *iterations < iterations_min || *iterations > iterations_max)
    return wrong("expected " + std::to_string(iterations_min) + " to " + std::to_string(iterations_max) +
                 " iterations");
  auto salt = smtp::decode_base64(text.substr(colon + 1, dollar - colon - 1));
  if (!salt || salt->empty() || salt->size() > salt_octets_max)
    return wrong("the salt is not base 64 of 1 to 64 octets");
  auto stored = smtp::decode_base64(text.substr(dollar + 1, last - dollar - 1));
  auto server = smtp::decode_base64(text.substr(last + 1));
  if (!stored || !server || stored->size() != key_octets || server->size() != key_octets)
    return wrong("the keys are not base 64 of 32 octets each");
  return ScramKeys{static_cast<std::uint32_t>(*iterations), std::move(*salt), std::move(*stored),
                   std::move(*server)};
}

/// "$6$rounds=5000$..": how long one check may take is bounded.
Text check_cost(std::string_view hash) {
  for (std::string_view prefix : {"$5$rounds=", "$6$rounds="}) {
    if (!hash.starts_with(prefix)) continue;
    auto rounds = parse_number(hash.substr(prefix.size(), hash.find('$', prefix.size()) - prefix.size()));
    if (!rounds || *rounds > rounds_max)
      return wrong("more than " + std::to_string(rounds_max) + " rounds would take too long");
  }
  if (hash.starts_with("$2") && hash.size() > 6) {
    auto cost = parse_number(hash.substr(4, 2));
    if (!cost || *cost > blowfish_cost_max)
      return wrong("a cost over " + std::to_string(blowfish_cost_max) + " would take too long");
  }
  return {};
}

Text check_hash(const std::string& hash) {
  if (hash.empty()) return wrong("the password is missing");
  if (!hash.starts_with('$'))
    return wrong(
        "not a hash of crypt(3) that begins with $, nor SCRAM-SHA-256$; a password in the clear is never "
        "taken");
  // A setting alone ("$6$salt") is no hash of anything.
  if (hash.size() < 30 || hash.ends_with('$')) return wrong("the hash is not complete");
  switch (crypt_checksalt(hash.c_str())) {
    case CRYPT_SALT_OK:
      break;
    case CRYPT_SALT_METHOD_LEGACY:
    case CRYPT_SALT_TOO_CHEAP:
      return wrong(
          "the method of this hash is too weak today; make one with yescrypt ($y$) or SHA-512 ($6$)");
    default:
      return wrong("not a hash that crypt(3) of this system knows");
  }
  return check_cost(hash);
}

std::string hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> octets{};
  unsigned size = 0;
  UMBRA_ASSERT(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                    reinterpret_cast<const unsigned char*>(text.data()), text.size(), octets.data(),
                    &size) != nullptr);
  return {reinterpret_cast<const char*>(octets.data()), size};
}

bool is_same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool has_password(const ScramKeys& keys, const std::string& password) {
  // RFC 5802 section 3. By OpenSSL: the library's own arithmetic takes several times as long.
  char* prepared = nullptr;
  if (gsasl_saslprep(password.c_str(), GSASL_ALLOW_UNASSIGNED, &prepared, nullptr) != GSASL_OK) return false;
  std::string salted(key_octets, '\0');
  const auto length = std::strlen(prepared);
  int made = PKCS5_PBKDF2_HMAC(
      prepared, static_cast<int>(length), reinterpret_cast<const unsigned char*>(keys.salt.data()),
      static_cast<int>(keys.salt.size()), static_cast<int>(keys.iterations), EVP_sha256(),
      static_cast<int>(key_octets), reinterpret_cast<unsigned char*>(salted.data()));
  OPENSSL_cleanse(prepared, length);
  gsasl_free(prepared);
  auto client_key = hmac(salted, "Client Key");
  std::array<unsigned char, EVP_MAX_MD_SIZE> stored{};
  UMBRA_ASSERT(
      EVP_Digest(client_key.data(), client_key.size(), stored.data(), nullptr, EVP_sha256(), nullptr) == 1);
  OPENSSL_cleanse(salted.data(), salted.size());
  OPENSSL_cleanse(client_key.data(), client_key.size());
  return made == 1 && is_same({reinterpret_cast<const char*>(stored.data()), key_octets}, keys.stored_key);
}

}  // namespace

std::expected<PasswordFile, PasswordFile::Problem> PasswordFile::parse(std::string_view text) {
  PasswordFile file;
  int number = 0;
  auto problem = [&number](std::string what) { return std::unexpected(Problem{number, std::move(what)}); };
  while (!text.empty()) {
    ++number;
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty() || line.starts_with('#')) continue;
    if (line.ends_with('\r')) return problem("the line ends with CR LF; expected LF");
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return problem("expected user:hash");
    const auto user = line.substr(0, colon);
    if (!is_user_name(user))
      return problem(
          "the name of the user is empty, over 255 octets, or has a blank at its ends or a control "
          "character");
    const std::string secret(line.substr(colon + 1));
    if (secret.size() > secret_octets_max ||
        std::ranges::any_of(secret, [](unsigned char c) { return c <= 32 || c >= 127; }))
      return problem("the secret has blanks or octets that no hash has, or is over 512 octets");
    auto [place, is_new] = file.places_.try_emplace(std::string(user), file.entries_.size());
    if (is_new) file.entries_.push_back({std::string(user), {}, {}});
    auto& entry = file.entries_[place->second];
    if (std::string_view(secret).starts_with(scram_prefix)) {
      auto keys = parse_scram(std::string_view(secret).substr(scram_prefix.size()));
      if (!keys) return problem(std::move(keys.error()));
      if (entry.scram) return problem("this user has keys for SCRAM already");
      if (file.pepper_.empty()) file.pepper_ = hmac(keys->server_key, "umbra unknown users");
      entry.scram = std::move(*keys);
      continue;
    }
    if (auto good = check_hash(secret); !good) return problem(std::move(good.error()));
    if (!entry.hash.empty()) return problem("this user has a hash already");
    entry.hash = secret;
  }
  if (file.entries_.empty()) return std::unexpected(Problem{0, "names no user"});
  if (file.pepper_.empty()) {
    file.pepper_.resize(key_octets);
    UMBRA_ASSERT(
        RAND_bytes(reinterpret_cast<unsigned char*>(file.pepper_.data()), static_cast<int>(key_octets)) == 1);
  }
  file.has_scram_ =
      std::ranges::all_of(file.entries_, [](const PasswordEntry& entry) { return entry.scram.has_value(); });
  return file;
}

const PasswordEntry* PasswordFile::find(std::string_view user) const {
  auto found = places_.find(user);
  return found == places_.end() ? nullptr : &entries_[found->second];
}

std::string PasswordFile::derived(std::string_view what, std::string_view user) const {
  return hmac(pepper_, std::string(what) + '\0' + std::string(user));
}

const PasswordEntry& PasswordFile::decoy(std::string_view user) const {
  std::uint64_t number = 0;
  for (char octet : derived("decoy", user).substr(0, 8))
    number = number << 8U | static_cast<unsigned char>(octet);
  return entries_[number % entries_.size()];
}

ScramKeys PasswordFile::scram_of(std::string_view user) const {
  if (const auto* entry = find(user)) return *entry->scram;
  const auto& like = *decoy(user).scram;
  auto salt = derived("salt", user) + derived("more salt", user);
  return {like.iterations, salt.substr(0, like.salt.size()), derived("stored key", user),
          derived("server key", user)};
}

bool is_password_of(const PasswordEntry& entry, const std::string& password) {
  if (password.empty() || password.size() > password_octets_max || password.contains('\0')) return false;
  if (entry.hash.empty()) return has_password(*entry.scram, password);
  auto data = std::make_unique<crypt_data>();
  const char* made = crypt_r(password.c_str(), entry.hash.c_str(), data.get());
  bool is_right = made != nullptr && is_same(made, entry.hash);
  OPENSSL_cleanse(data.get(), sizeof(crypt_data));
  return is_right;
}

}  // namespace umbra::hub
