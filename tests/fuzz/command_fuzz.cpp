// Command lines from hostile octets: no crash, and what is taken as a command keeps the rules that later code
// relies on. The first octet chooses the context.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/envelope.h"
#include "smtp/address.h"
#include "smtp/command_parser.h"

namespace {

using namespace umbra;

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const smtp::MailFrom& mail, const smtp::CommandContext& context) {
  require(mail.announced_octets <= context.message_octets_max);
  require(mail.sender.empty() ||
          smtp::is_mailbox(mail.sender, mail.smtputf8 ? smtp::Utf8::allowed : smtp::Utf8::forbidden));
  require(smtp::is_ascii(mail.envelope_id));
}

void check(const smtp::RcptTo& rcpt, const smtp::CommandContext& context) {
  const auto& r = rcpt.recipient;
  require(smtp::is_bare_postmaster(r.address) ||
          smtp::is_mailbox(r.address, context.smtputf8 ? smtp::Utf8::allowed : smtp::Utf8::forbidden));
  require(context.smtputf8 || smtp::is_ascii(r.original_recipient));
  // The spool must be able to read back what was accepted.
  Envelope envelope;
  envelope.recipients = {r};
  auto decoded = decode_envelope(encode(envelope));
  require(decoded && *decoded == envelope);
}

void check(const smtp::Hello& hello, const smtp::CommandContext&) {
  require(smtp::is_hello_name(hello.name) && smtp::is_ascii(hello.name));
}

template <class Other>
void check(const Other&, const smtp::CommandContext&) {}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const smtp::CommandContext context{.message_octets_max = 1'000'000, .smtputf8 = (data[0] & 1U) != 0};
  const std::string_view line{reinterpret_cast<const char*>(data) + 1, size - 1};
  auto command = smtp::parse_command(line, context);
  if (command) {
    std::visit([&](const auto& c) { check(c, context); }, *command);
    return 0;
  }
  const auto& reply = command.error().reply;
  require(reply.code >= 400 && reply.code < 600 && reply.enhanced.size() >= 5);
  const auto wire = to_wire(reply);
  require(wire.find("\r\n") == wire.size() - 2);
  return 0;
}
