#include "smtp/extensions.h"

namespace umbra::smtp {

std::string extension_lines(std::uint64_t message_octets_max) {
  return "PIPELINING\nSIZE " + std::to_string(message_octets_max) +
         "\n8BITMIME\nSMTPUTF8\nCHUNKING\nENHANCEDSTATUSCODES\nDSN\nHELP";
}

}  // namespace umbra::smtp
