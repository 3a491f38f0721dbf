#include "smtp/extensions.h"

#include "smtp/xclient.h"

namespace umbra::smtp {

std::string extension_lines(const Offer& offer) {
  const auto& on = offer.extensions;
  std::string lines;
  if (on.pipelining) lines += "PIPELINING\n";
  if (on.size) lines += "SIZE " + std::to_string(offer.message_octets_max) + "\n";
  if (on.eight_bit_mime) lines += "8BITMIME\n";
  if (on.smtputf8) lines += "SMTPUTF8\n";
  if (on.chunking) lines += "CHUNKING\n";
  lines += "ENHANCEDSTATUSCODES\n";
  if (on.dsn) lines += "DSN\n";
  if (offer.starttls) lines += "STARTTLS\n";
  if (!offer.auth_mechanisms.empty()) lines += "AUTH " + offer.auth_mechanisms + "\n";
  if (offer.xclient) lines += "XCLIENT " + std::string(xclient_attributes) + "\n";
  return lines + "HELP";
}

}  // namespace umbra::smtp
