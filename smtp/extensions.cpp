#include "smtp/extensions.h"

namespace umbra::smtp {

std::string extension_lines(std::uint64_t message_octets_max, bool with_starttls) {
  return "PIPELINING\nSIZE " + std::to_string(message_octets_max) +
         "\n8BITMIME\nSMTPUTF8\nCHUNKING\nENHANCEDSTATUSCODES\nDSN\n" + (with_starttls ? "STARTTLS\n" : "") + "HELP";
}

}  // namespace umbra::smtp
