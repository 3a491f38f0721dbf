#include "smtp/mime_convert.h"

#include <algorithm>
#include <vector>

#include "smtp/address.h"

namespace umbra::smtp {
namespace {

constexpr char hexadecimal[] = "0123456789ABCDEF";
constexpr std::size_t encoded_line_max = 76;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

struct Field {
  std::string_view name;
  std::string_view value;
  std::string_view whole;  // with its folds and CRLF
};

std::vector<Field> fields_of(std::string_view header) {
  std::vector<Field> fields;
  while (!header.empty()) {
    std::size_t end = 0;
    do {
      auto line_end = header.find("\r\n", end);
      end = line_end == std::string_view::npos ? header.size() : line_end + 2;
    } while (end < header.size() && (header[end] == ' ' || header[end] == '\t'));
    std::string_view whole = header.substr(0, end);
    auto colon = whole.find(':');
    Field field{"", "", whole};
    if (colon != std::string_view::npos) {
      field.name = trimmed(whole.substr(0, colon));
      field.value = trimmed(whole.substr(colon + 1));
    }
    fields.push_back(field);
    header.remove_prefix(end);
  }
  return fields;
}

bool starts_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

bool is_plain(unsigned char c) {
  return c >= 0x21 && c <= 0x7e && c != '=';
}

// Appends one encoded octet or a blank; breaks the line softly when it would grow too long.
void add_token(std::string& out, std::size_t& column, std::string_view token) {
  if (column + token.size() > encoded_line_max - 1) {
    out += "=\r\n";
    column = 0;
  }
  out += token;
  column += token.size();
}

}  // namespace

std::string to_quoted_printable(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') {
      out += "\r\n";
      column = 0;
      ++i;
      continue;
    }
    bool is_blank = c == ' ' || c == '\t';
    bool is_at_line_end =
        i + 1 == text.size() || (text[i + 1] == '\r' && i + 2 < text.size() && text[i + 2] == '\n');
    if (is_plain(c) || (is_blank && !is_at_line_end)) {
      add_token(out, column, text.substr(i, 1));
    } else {
      const char token[3] = {'=', hexadecimal[c >> 4], hexadecimal[c & 15]};
      add_token(out, column, {token, 3});
    }
  }
  return out;
}

std::string to_base64(std::string_view octets) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve(octets.size() / 3 * 4 + octets.size() / 28 + 8);
  std::size_t column = 0;
  for (std::size_t i = 0; i < octets.size(); i += 3) {
    std::uint32_t bits = 0;
    std::size_t count = std::min<std::size_t>(3, octets.size() - i);
    for (std::size_t j = 0; j < 3; ++j)
      bits = bits << 8 | (j < count ? static_cast<unsigned char>(octets[i + j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j)
      out.push_back(j <= count ? alphabet[bits >> (18 - 6 * j) & 63U] : '=');
    column += 4;
    if (column == encoded_line_max || i + 3 >= octets.size()) {
      out += "\r\n";
      column = 0;
    }
  }
  return out;
}

std::expected<std::string, std::string_view> to_seven_bit(std::string_view message) {
  if (is_ascii(message)) return std::string(message);
  auto separator = message.starts_with("\r\n") ? 0 : message.find("\r\n\r\n");
  if (separator == std::string_view::npos) return std::unexpected("no empty line after the header");
  std::string_view header = separator == 0 ? std::string_view{} : message.substr(0, separator + 2);
  std::string_view body = message.substr(separator == 0 ? 2 : separator + 4);
  if (!is_ascii(header)) return std::unexpected("8-bit octets in the header");

  std::string kept;
  bool has_version = false;
  bool has_type = false;
  for (const auto& field : fields_of(header)) {
    if (equals_ignoring_case(field.name, "MIME-Version")) has_version = true;
    if (equals_ignoring_case(field.name, "Content-Type")) {
      if (starts_ignoring_case(field.value, "multipart/")) return std::unexpected("a multipart message");
      if (starts_ignoring_case(field.value, "message/"))
        return std::unexpected("a message within the message");
      has_type = true;
    }
    if (equals_ignoring_case(field.name, "Content-Transfer-Encoding")) {
      if (!equals_ignoring_case(field.value, "8bit") && !equals_ignoring_case(field.value, "7bit"))
        return std::unexpected("an encoding other than 8bit");
      continue;
    }
    kept += field.whole;
  }
  if (!has_version) kept += "MIME-Version: 1.0\r\n";
  if (!has_type) kept += "Content-Type: text/plain; charset=unknown-8bit\r\n";
  std::string quoted = to_quoted_printable(body);
  std::string base64 = to_base64(body);
  bool is_quoted = quoted.size() <= base64.size();
  kept += is_quoted ? "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                    : "Content-Transfer-Encoding: base64\r\n\r\n";
  kept += is_quoted ? quoted : base64;
  return kept;
}

}  // namespace umbra::smtp
