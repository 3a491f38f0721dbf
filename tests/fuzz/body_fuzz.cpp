// A whole session from hostile octets, with small limits: no crash, and the same replies and messages however
// the input is split. The first octet chooses the split and what is mended; a body that is kept holds no bare
// CR or LF, and no line that is too long. Mended or not, bodies end at the same octets.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "smtp/receive_session.h"

namespace {

using namespace umbra::smtp;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Seen {
  std::string said;
  std::vector<std::string> kept;
  int abandoned = 0;
  bool operator==(const Seen&) const = default;
};

class TakeAll final : public ReceivePolicy {
 public:
  std::optional<Reply> refuse_sender(const MailFrom&) override { return std::nullopt; }
  std::optional<Reply> refuse_recipient(const umbra::Envelope&, const umbra::Recipient& r) override {
    if (r.address.starts_with('n')) return Reply{550, "5.7.1", "no"};
    return std::nullopt;
  }
};

void check_body(std::string_view body) {
  require(body.empty() || body.ends_with("\r\n"));
  require(!body.contains('\0') && body.size() <= 402);
  for (auto left = body; !left.empty(); left.remove_prefix(left.find('\n') + 1))
    require(left.find('\n') < 60);
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '\r') require(i + 1 < body.size() && body[i + 1] == '\n');
    if (body[i] == '\n') require(i > 0 && body[i - 1] == '\r');
  }
}

BodyLimits body_limits(Mending mending) {
  return {.message_octets_max = 400,
          .line_octets_max = 60,
          .header_octets_max = 200,
          .hops_max = 3,
          .own_hops_max = 1,
          .mending = mending};
}

Seen converse(std::string_view input, std::size_t piece_octets, Mending mending) {
  using Kind = ReceiveSession::Event::Kind;
  static const std::string host = "h.example";
  ReceiveSessionLimits limits;
  limits.body = body_limits(mending);
  limits.recipients_max = 3;
  limits.command_octets_max = 100;
  limits.errors_max = 20;
  TakeAll policy;
  ReceiveSession session(host, limits, policy);
  Seen seen;
  std::string body;
  while (true) {
    auto piece = input.substr(0, piece_octets);
    input.remove_prefix(piece.size());
    const bool is_last = input.empty();
    while (true) {
      const auto event = session.next(piece);
      if (event.kind == Kind::need_input) break;
      switch (event.kind) {
        case Kind::data_begin:
          require(!session.take_envelope().recipients.empty());
          body.clear();
          session.accept_body();
          break;
        case Kind::body:
          body += event.octets;
          break;
        case Kind::body_end:
          if (event.refusal == nullptr) {
            check_body(body);
            seen.kept.push_back(body);
          }
          session.end_body(event.refusal != nullptr ? *event.refusal : Reply{250, "2.0.0", "queued"});
          break;
        case Kind::abandon:
          ++seen.abandoned;
          break;
        case Kind::flush:
          seen.said += std::exchange(session.output(), {});
          break;
        case Kind::close:
          seen.said += session.output();
          return seen;
        case Kind::rest:       // a few commands only
        case Kind::pause:      // no tarpit here
        case Kind::introduce:  // trusted here is nobody
        case Kind::start_tls:  // not offered here
        case Kind::authenticate:
          require(false);
          break;
        case Kind::need_input:
          break;
      }
    }
    require(piece.empty());
    if (is_last) break;
  }
  seen.said += session.output();
  return seen;
}

/// Octets left behind the end of data of a body that begins with `text`.
std::size_t end_of_body(std::string_view text, Mending mending) {
  static const std::string host = "h.example";
  const auto limits = body_limits(mending);
  BodyDecoder decoder(limits, host);
  decoder.begin(BodyDecoder::Framing::dot);
  while (!text.empty() && !decoder.ended()) decoder.feed(text);
  return decoder.ended() ? text.size() + 1 : 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  const std::size_t piece_octets = data[0] % 32 + 1U;
  const Mending mending{.line_ends = (data[0] & 32U) != 0, .long_lines = (data[0] & 64U) != 0};
  require(converse(text, text.size() + 1, mending) == converse(text, piece_octets, mending));
  require(end_of_body(text, mending) == end_of_body(text, {}));
  return 0;
}
