#include "hub/peering/opening.h"

#include <array>

#include "smtp/reply_parser.h"

namespace umbra::hub {

Task<std::optional<smtp::Reply>> read_hub_reply(Stream& stream, std::string& input) {
  smtp::ReplyParser parser;
  std::array<char, 4096> buffer;
  for (;;) {
    auto step = parser.feed(input);
    input.erase(0, step.consumed);
    if (step.status == smtp::ReplyParser::Status::complete) co_return parser.take();
    if (step.status == smtp::ReplyParser::Status::malformed) co_return std::nullopt;
    auto got = co_await stream.read_some(asio::buffer(buffer));
    if (got.error) co_return std::nullopt;
    input.append(buffer.data(), got.octets);
  }
}

Task<bool> read_hub_greeting(Stream& stream, std::string& input) {
  auto greeting = co_await read_hub_reply(stream, input);
  co_return greeting && greeting->code == 220;
}

Task<Opening> open_hub_session(Stream& stream, std::string& input, smtp::HubHello own, std::string secret,
                               int offered, SpokenVersions spoken) {
  Opening opening;
  opening.version = {offered, offered};
  auto command = smtp::format_hub(own, offered);
  if (co_await stream.write(command)) co_return opening;
  auto challenge = co_await read_hub_reply(stream, input);
  if (!challenge) co_return opening;
  // 554 and 555 count only from who has proved that it is that hub, which is after the 334.
  if (challenge->code != 334) {
    opening.why = smtp::to_line(*challenge);
    if (challenge->code == 504) opening.kind = Opening::Kind::other_version;
    co_return opening;
  }
  auto parsed = smtp::parse_challenge(challenge->text);
  if (!parsed || parsed->server.nonce == own.nonce) co_return opening;
  if (parsed->version) opening.version.used = *parsed->version;
  if (opening.version.used > offered || !spoken.contains(opening.version.used)) {
    opening.why = "version " + std::to_string(opening.version.used) + " was chosen";
    opening.kind = Opening::Kind::other_version;
    co_return opening;
  }
  if (!smtp::proofs_equal(parsed->proof,
                          smtp::hub_proof(secret, "server", own, parsed->server, opening.version))) {
    opening.why = "the server's proof is wrong";
    co_return opening;
  }
  opening.server = std::move(parsed->server);
  opening.kind = Opening::Kind::proved;
  co_return opening;
}

}  // namespace umbra::hub
