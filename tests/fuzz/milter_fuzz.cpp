// Answers of a hostile content filter, through a whole conversation: no crash, bounded memory, the same
// outcome for every split, and nothing in the changes that would break a header or an envelope. The first
// octet chooses the split.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "smtp/address.h"
#include "smtp/milter/conversation.h"

namespace {

using namespace umbra::milter;
using Verdict = Conversation::Verdict;
using Want = Conversation::Want;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string run(std::string_view octets, std::size_t step, const umbra::Envelope& envelope) {
  const HeaderSection header("Subject: x\r\n folded\r\nTo: y\r\n");
  Channel channel;
  Conversation talk(channel,
                    {.host_name = "h",
                     .listener = "l",
                     .client_address = "192.0.2.1",
                     .client_name = "c",
                     .id = "i",
                     .octets = 1,
                     .envelope = envelope,
                     .header = header},
                    0xdf);
  std::string seen;
  int pieces = 0;
  while (true) {
    const auto want = talk.next();
    if (want == Want::over) break;
    if (want == Want::body) {
      talk.body(pieces++ < 2 ? "body\r\n" : "");
    } else if (want == Want::replacement) {
      seen += talk.take_replacement();
    } else {
      if (octets.empty()) break;
      talk.feed(octets.substr(0, step));
      octets.remove_prefix(std::min(step, octets.size()));
    }
    talk.output().clear();
  }
  const auto& outcome = talk.outcome();
  seen += std::to_string(static_cast<int>(outcome.verdict)) + umbra::smtp::to_line(outcome.reply) +
          outcome.problem;
  require(outcome.verdict == Verdict::pass || outcome.verdict == Verdict::none || outcome.edits.empty());
  require(outcome.verdict != Verdict::refuse ||
          (outcome.reply.code >= 400 && outcome.reply.code < 600 && !outcome.reply.text.contains('\r')));
  require(outcome.edits.size() <= Conversation::edits_max);
  for (const auto& edit : outcome.edits) {
    seen += edit.name + edit.value + edit.recipient.address + edit.sender;
    if (!edit.recipient.address.empty())
      require(umbra::smtp::is_bare_postmaster(edit.recipient.address) ||
              umbra::smtp::is_mailbox(edit.recipient.address, umbra::smtp::Utf8::allowed));
    require(edit.sender.find_first_of("\r\n<>") == std::string::npos ||
            umbra::smtp::is_mailbox(edit.sender, umbra::smtp::Utf8::allowed));
    if (edit.name.empty()) continue;
    // One field in is one field out, whatever stands in it.
    HeaderSection one;
    one.add(edit.name, edit.value, false);
    require(HeaderSection(one.text()).fields().size() == 1);
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = data[0] % 16 + 1U;
  const std::string_view octets{reinterpret_cast<const char*>(data + 1), size - 1};
  umbra::Envelope envelope;
  envelope.sender = "a@b";
  envelope.client_helo = "c";
  envelope.recipients = {{"c@d", "", 0}, {"e@f", "", 0}};
  require(run(octets, step, envelope) == run(octets, octets.size() + 1, envelope));
  return 0;
}
