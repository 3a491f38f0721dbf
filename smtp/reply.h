// An SMTP reply (RFC 5321 section 4.2) with its enhanced status code (RFC 2034, RFC 3463).
#pragma once

#include <string>
#include <string_view>

namespace umbra::smtp {

struct Reply {
  int code = 0;          ///< 200..599
  std::string enhanced;  ///< "2.1.0", or empty where RFC 2034 allows none (greeting, EHLO, 3xx)
  std::string text;      ///< lines separated by '\n', without codes

  [[nodiscard]] bool is_positive() const { return code >= 200 && code < 300; }
  [[nodiscard]] bool is_intermediate() const { return code >= 300 && code < 400; }
  [[nodiscard]] bool is_transient() const { return code >= 400 && code < 500; }
  [[nodiscard]] bool is_permanent() const { return code >= 500 && code < 600; }
  bool operator==(const Reply&) const = default;
};

/// On the wire: each line "code[-| ][enhanced ]text" CRLF.
std::string to_wire(const Reply& reply);
/// On one line, for logs and DSNs: "550 5.1.1 no such user".
std::string to_line(const Reply& reply);

}  // namespace umbra::smtp
