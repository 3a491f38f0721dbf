// Replies from a hostile next hop, through the parser and a whole sending session: no crash, bounded memory,
// and the same outcome for every split; nobody counts as delivered without a reply to the end of data. The
// first octet chooses the split and whether the next hop has CHUNKING.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "smtp/send_session.h"

namespace {

using namespace umbra::smtp;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string describe(const TransactionResult& result) {
  std::string text = std::to_string(result.key) + (result.possible_duplicate ? "?" : "!");
  for (const auto& r : result.recipients) {
    require(r.state != RecipientResult::State::pending);
    require(r.state != RecipientResult::State::delivered ||
            (r.stage == SendStage::content && r.reply.is_positive()));
    text += std::to_string(static_cast<int>(r.state)) + to_line(r.reply) + ";";
  }
  return text;
}

// What a session that greets normally makes of `octets`, given in pieces of `step`. Replies come only after
// what they answer was sent: content is given as soon as it is wanted.
std::string run(std::string_view octets, std::size_t step, bool has_chunking,
                const umbra::Envelope& envelope) {
  SendSession session("fuzz.example");
  session.feed("220 x\r\n");
  session.feed(has_chunking ? "250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n" : "250-x\r\n250 PIPELINING\r\n");
  std::string seen;
  std::uint64_t key = 0;
  auto act = [&] {
    while (session.has_result()) seen += describe(session.next_result());
    if (session.wants_content()) {
      session.content("a\r\n.b\r\n");
      session.end_content();
    }
    while (session.can_begin() && key < 4) {
      Transaction transaction;
      transaction.key = ++key;
      transaction.envelope = &envelope;
      transaction.recipients = {0, 1};
      if (session.can_send_at_once())
        session.begin(transaction, "a\r\n");
      else
        session.begin(transaction);
    }
    require(session.under_way() <= 2);
  };
  act();
  while (!octets.empty()) {
    // One line at most: the far end answers what it has seen.
    auto line = octets.substr(0, std::min(octets.find('\n'), octets.size() - 1) + 1);
    octets.remove_prefix(line.size());
    for (; !line.empty(); line.remove_prefix(std::min(step, line.size()))) session.feed(line.substr(0, step));
    act();
  }
  session.lost("end of input");
  act();
  require(session.under_way() == 0 && session.phase() == SendSession::Phase::over);
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = data[0] % 16 + 1U;
  const bool has_chunking = (data[0] & 16U) != 0;
  const std::string_view octets{reinterpret_cast<const char*>(data + 1), size - 1};

  ReplyParser parser;
  std::string_view rest = octets;
  while (!rest.empty()) {
    auto result = parser.feed(rest);
    if (result.status != ReplyParser::Status::complete) break;
    require(result.consumed > 0);
    Reply reply = parser.take();
    require(reply.code >= 200 && reply.code < 600 && reply.text.size() <= ReplyParser::reply_octets_max);
    require(reply.enhanced.empty() || is_enhanced_code(reply.enhanced));
    rest.remove_prefix(result.consumed);
  }

  umbra::Envelope envelope;
  envelope.sender = "a@b";
  envelope.recipients = {{"c@d", "", 0}, {"e@f", "", 0}};
  require(run(octets, step, has_chunking, envelope) ==
          run(octets, octets.size() + 1, has_chunking, envelope));
  return 0;
}
