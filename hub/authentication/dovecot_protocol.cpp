#include "hub/authentication/dovecot_protocol.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/ids.h"
#include "smtp/base64.h"

namespace umbra::hub {
namespace {

constexpr std::size_t opening_lines_max = 200;
constexpr std::size_t mechanisms_octets_max = 200;
constexpr std::size_t user_octets_max = 255;
constexpr std::size_t reason_octets_max = 200;

/// Not for mail clients over SMTP: whoever comes is let in, the connection would have to prove something, or
/// a security layer is agreed on.
constexpr std::array<std::string_view, 7> not_offered = {"ANONYMOUS",  "EXTERNAL", "DIGEST-MD5", "GSSAPI",
                                                         "GSS-SPNEGO", "NTLM",     "SKEY"};

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const auto tab = line.find('\t');
    words.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return words;
    line.remove_prefix(tab + 1);
  }
}

/// Dovecot writes octets that would end a word as \001 and a letter.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\001' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    out += c == '0' ? '\0' : c == '1' ? '\001' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'n' ? '\n' : c;
  }
  return out;
}

std::optional<std::string_view> value_of(const std::vector<std::string_view>& words, std::string_view key) {
  for (auto word : words)
    if (word.starts_with(key)) return word.substr(key.size());
  return std::nullopt;
}

std::optional<std::uint32_t> id_of(std::string_view word) {
  auto number = parse_number(word);
  if (!number || *number > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

bool is_mechanism(std::string_view name) {
  return !name.empty() && name.size() <= 20 && std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

}  // namespace

std::string DovecotProtocol::greeting(std::uint32_t process) {
  return "VERSION\t1\t1\nCPID\t" + std::to_string(process) + "\n";
}

std::string DovecotProtocol::request(std::uint32_t id, std::string_view mechanism, const AuthClient& client,
                                     const std::optional<std::string>& initial) {
  std::string line =
      "AUTH\t" + std::to_string(id) + "\t" + std::string(mechanism) + "\tservice=smtp\tnologin";
  if (client.is_secured) line += "\tsecured";
  line += "\trip=" + client.address;
  if (initial) line += "\tresp=" + smtp::encode_base64(*initial);  // behind everything else
  return line + "\n";
}

std::string DovecotProtocol::response(std::uint32_t id, std::string_view octets) {
  return "CONT\t" + std::to_string(id) + "\t" + smtp::encode_base64(octets) + "\n";
}

std::string DovecotProtocol::cancel(std::uint32_t id) {
  return "CANCEL\t" + std::to_string(id) + "\n";
}

bool DovecotProtocol::refuse(std::string why) {
  problem_ = std::move(why);
  rest_.clear();
  return false;
}

bool DovecotProtocol::feed(std::string_view octets) {
  while (!octets.empty()) {
    const auto end = octets.find('\n');
    const auto piece = octets.substr(0, end);
    if (rest_.size() + piece.size() > line_octets_max)
      return refuse("a line over " + std::to_string(line_octets_max) + " octets");
    rest_ += piece;
    if (end == std::string_view::npos) return true;
    octets.remove_prefix(end + 1);
    if (!take_line(std::exchange(rest_, {}))) return false;
  }
  return true;
}

bool DovecotProtocol::take_line(std::string_view line) {
  const auto words = split(line);
  const auto verb = words.front();
  if (is_ready_) {
    if (verb == "OK" || verb == "FAIL" || verb == "CONT") return take_answer(words);
    return true;  // of a newer minor version
  }
  if (++opening_lines_ > opening_lines_max) return refuse("an opening of too many lines");
  if (verb == "VERSION") {
    if (words.size() < 3 || words[1] != "1") return refuse("not version 1 of the protocol");
    has_version_ = true;
    return true;
  }
  if (!has_version_) return refuse("no version at the beginning");
  if (verb == "MECH") return take_mechanism(words);
  if (verb == "DONE") {
    if (mechanisms_.empty()) return refuse("no mechanism that could be offered");
    is_ready_ = true;
  }
  return true;  // SPID, CUID, COOKIE are for those who ask for more than an answer
}

bool DovecotProtocol::take_mechanism(const std::vector<std::string_view>& words) {
  if (words.size() < 2 || !is_mechanism(words[1])) return refuse("a mechanism without a good name");
  const auto name = words[1];
  const bool is_private =
      std::ranges::any_of(words, [](auto word) { return word == "private" || word == "anonymous"; });
  if (is_private || name.ends_with("-PLUS") || std::ranges::find(not_offered, name) != not_offered.end())
    return true;
  if (mechanisms_.size() + 1 + name.size() > mechanisms_octets_max) return refuse("too many mechanisms");
  mechanisms_.append(mechanisms_.empty() ? "" : " ").append(name);
  return true;
}

bool DovecotProtocol::take_answer(const std::vector<std::string_view>& words) {
  auto id = words.size() > 1 ? id_of(words[1]) : std::nullopt;
  if (!id) return refuse("an answer to nothing");
  Answer answer;
  answer.id = *id;
  if (words[0] == "CONT") {
    auto octets = smtp::decode_base64(words.size() > 2 ? words[2] : std::string_view());
    if (!octets) return refuse("a challenge that is not base 64");
    answer.kind = Answer::Kind::challenge;
    answer.octets = std::move(*octets);
  } else if (words[0] == "OK") {
    answer.kind = Answer::Kind::ok;
    answer.user = unescape(value_of(words, "user=").value_or(""));
    if (answer.user.empty() || answer.user.size() > user_octets_max ||
        std::ranges::any_of(answer.user, [](unsigned char c) { return c < 32 || c == 127; }))
      return refuse("a log-on without a good name");
  } else {
    answer.is_temporary =
        std::ranges::find(words, "temp") != words.end() || value_of(words, "code=") == "temp_fail";
    answer.reason = unescape(value_of(words, "reason=").value_or("")).substr(0, reason_octets_max);
  }
  answers_.push_back(std::move(answer));
  return true;
}

}  // namespace umbra::hub
