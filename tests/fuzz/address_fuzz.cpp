// Paths and DSN parameters from hostile octets: no crash; a path that is taken is its own mailbox, again and
// written back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "smtp/address.h"
#include "smtp/dsn_parameters.h"

namespace {

using namespace umbra::smtp;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_path(std::string_view text, Utf8 utf8) {
  auto path = parse_path(text, utf8);
  if (!path) return;
  require(path->octets <= text.size() && path->octets <= 256);
  require(path->is_ascii || (utf8 == Utf8::allowed && is_utf8(text.substr(0, path->octets))));
  if (path->mailbox.empty()) return;
  require(is_mailbox(path->mailbox, utf8) || is_bare_postmaster(path->mailbox));
  const std::string written = "<" + std::string(path->mailbox) + ">";
  auto again = parse_path(written, utf8);
  require(again && again->mailbox == path->mailbox);
  require(domain_of(path->mailbox).size() <= 255);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  check_path(text, Utf8::forbidden);
  check_path(text, Utf8::allowed);
  if (is_domain(text, Utf8::forbidden)) require(is_domain(text, Utf8::allowed) && is_hello_name(text));
  if (auto decoded = parse_xtext(text)) require(decoded->size() <= size);
  if (is_original_recipient(text, false)) require(is_original_recipient(text, true));
  (void)parse_notify(text);
  (void)is_envelope_id(text);
  return 0;
}
