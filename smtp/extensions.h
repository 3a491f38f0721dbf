// What this server offers in EHLO (RFC 5321 section 4.1.1.1), one keyword per line.
#pragma once

#include <cstdint>
#include <string>

namespace umbra::smtp {

/// Lines separated by '\n', ready for Reply::text. `message_octets_max` stands behind SIZE (RFC 1870).
std::string extension_lines(std::uint64_t message_octets_max, bool with_starttls);

}  // namespace umbra::smtp
