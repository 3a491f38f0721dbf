// Whatever a client says before TLS, the session after it is that of a client that has said nothing; and
// whatever a next hop says before TLS, its first words after it are taken as from a stranger.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/result.h"
#include "smtp/receive_session.h"
#include "smtp/send_session.h"

namespace {

using namespace umbra;
using namespace umbra::smtp;

struct AnyPolicy final : ReceivePolicy {
  std::optional<Reply> refuse_sender(const MailFrom&) override { return std::nullopt; }
  std::string auth_mechanisms() override { return "PLAIN"; }
  std::optional<Reply> refuse_recipient(const Envelope&, const Recipient&) override { return std::nullopt; }
};

const std::string host_name = "hub.example";
const ReceiveSessionLimits limits = [] {
  ReceiveSessionLimits l;
  l.starttls = StartTlsOffer::offered;
  l.auth.use = AuthLimits::Use::required;
  l.auth.allow_without_tls = true;
  return l;
}();

enum class Ended : std::uint8_t { no, tls, closed };

/// Feeds, keeping nothing; what was said, and the messages, are added to `transcript`.
Ended feed(ReceiveSession& session, std::string_view octets, std::string& transcript) {
  using Kind = ReceiveSession::Event::Kind;
  while (true) {
    auto event = session.next(octets);
    transcript += std::exchange(session.output(), {});
    switch (event.kind) {
      case Kind::need_input:
        return Ended::no;
      case Kind::close:
        return Ended::closed;
      case Kind::flush:
      case Kind::rest:
      case Kind::pause:
      case Kind::introduce:
      case Kind::abandon:
        break;
      case Kind::data_begin:
        transcript += encode(session.envelope());
        session.accept_body();
        break;
      case Kind::body:
        transcript += event.octets;
        break;
      case Kind::body_end:
        session.end_body(event.refusal != nullptr ? *event.refusal : Reply{250, "2.0.0", "ok"});
        break;
      case Kind::authenticate:
        session.auth_succeed();
        break;
      case Kind::start_tls:
        UMBRA_ASSERT(octets.empty());
        session.tls_started();
        transcript.clear();
        return Ended::tls;
    }
  }
}

constexpr std::string_view after =
    "RSET\r\nMAIL FROM:<x@c.example>\r\nEHLO c.example\r\nMAIL FROM:<evil@c.example>\r\nAUTH PLAIN =\r\n"
    "MAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n";

std::string fresh() {
  AnyPolicy policy;
  ReceiveSession session(host_name, limits, policy);
  session.output().clear();
  session.tls_started();
  std::string transcript;
  feed(session, after, transcript);
  return transcript;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string expected = fresh();
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t piece = size == 0 ? 1 : 1 + data[0] % 32;
  AnyPolicy policy;
  ReceiveSession session(host_name, limits, policy);
  std::string transcript;
  auto ended = Ended::no;
  for (auto rest = input; !rest.empty() && ended == Ended::no;
       rest.remove_prefix(std::min(piece, rest.size())))
    ended = feed(session, rest.substr(0, piece), transcript);
  if (ended == Ended::tls) {
    feed(session, after, transcript);
    if (transcript != expected) std::abort();
  }

  SendSession sender("hub.example", StartTlsUse::always);
  for (auto rest = input; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) {
    sender.feed(rest.substr(0, piece));
    sender.output().clear();
    // Without TLS it never gets as far as mail.
    if (sender.phase() == SendSession::Phase::ready) std::abort();
    if (sender.phase() != SendSession::Phase::handshake) continue;
    sender.tls_started();
    if (sender.next_hop().esmtp || sender.output() != "EHLO hub.example\r\n") std::abort();
    break;
  }
  return 0;
}
