// The users of a password file, in memory. Each line is "user:secret":
//   alice:$y$j9T$...                                    a hash of crypt(3) (mkpasswd, openssl passwd -6)
//   alice:SCRAM-SHA-256$4096:salt$StoredKey:ServerKey   keys for SCRAM, which serve PLAIN too
// Keys are written as PostgreSQL writes them (RFC 5803).
// Empty lines and those that begin with "#" are passed over. A user may have one of each.
//
// Someone who is not in the file costs a client as much time as someone who is, and is offered a salt like
// one who is: each unknown name stands for a user of the file, always the same one as long as the first user
// with keys keeps them.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace umbra::hub {

struct ScramKeys {
  std::uint32_t iterations = 0;
  std::string salt;  ///< octets, as the two keys
  std::string stored_key;
  std::string server_key;
};

struct PasswordEntry {
  std::string user;
  std::string hash;  ///< of crypt(3); empty: none
  std::optional<ScramKeys> scram;
};

class PasswordFile {
 public:
  struct Problem {
    int line = 0;      ///< from 1; 0: the file as a whole
    std::string what;  ///< never a word of a secret
  };
  static std::expected<PasswordFile, Problem> parse(std::string_view text);

  /// Null: there is no such user. Names are compared octet by octet.
  [[nodiscard]] const PasswordEntry* find(std::string_view user) const;
  /// Against whose secret the password of a user who is not there is checked, in vain.
  [[nodiscard]] const PasswordEntry& decoy(std::string_view user) const;
  /// SCRAM is offered: every user has keys for it.
  [[nodiscard]] bool has_scram() const { return has_scram_; }
  /// Only with has_scram(). Of a user who is not there: keys that fit no password.
  [[nodiscard]] ScramKeys scram_of(std::string_view user) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  [[nodiscard]] std::string derived(std::string_view what, std::string_view user) const;

  std::vector<PasswordEntry> entries_;
  std::map<std::string, std::size_t, std::less<>> places_;
  std::string pepper_;
  bool has_scram_ = false;
};

/// Slow by design (tens of milliseconds and more): never on the home thread.
bool is_password_of(const PasswordEntry& entry, const std::string& password);

}  // namespace umbra::hub
