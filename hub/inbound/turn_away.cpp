#include "hub/inbound/turn_away.h"

#include <array>
#include <chrono>
#include <string>

#include "smtp/address.h"

namespace umbra::hub {
namespace {

constexpr Duration turn_away_timeout = std::chrono::seconds(5);
constexpr int commands_max = 10;

/// What a line gets after a 554.
smtp::Reply answer(std::string_view line) {
  if (smtp::equals_ignoring_case(line.substr(0, 4), "QUIT")) return {221, "2.0.0", "closing"};
  return {503, "5.5.1", "no service for you here, QUIT is what is left"};
}

class TurnedAway final : public RecordedSession {
 public:
  TurnedAway(SessionRecords* records, SessionFacts facts) : tap(records, *this), facts_(std::move(facts)) {}
  SessionFacts session_facts() const override { return facts_; }
  bool is_logged() const override { return facts_.is_logged; }
  void record_to(SessionRecord*) override {}
  SessionTap tap;

 private:
  const SessionFacts facts_;
};

Task<void> wait_for_quit(Stream& stream, SessionTap& tap) {
  std::array<char, 512> octets{};
  std::string beginning;  // of a line; no more of it is kept than the verb
  for (int commands = 0; commands < commands_max;) {
    auto got = co_await stream.read_some(asio::buffer(octets));
    if (got.error) co_return;
    for (std::size_t i = 0; i < got.octets && commands < commands_max; ++i) {
      if (octets[i] != '\n') {
        if (beginning.size() < 4) beginning += octets[i];
        continue;
      }
      ++commands;
      auto reply = answer(beginning);
      const std::string text = smtp::to_wire(reply);
      if (auto* record = tap.record()) {
        record->heard(reply.code == 221 ? "QUIT" : "*", reply.code == 221 ? "" : "a command");
        record->replies(text);
      }
      beginning.clear();
      if (co_await stream.write(text) || reply.code == 221) co_return;
    }
  }
}

}  // namespace

Task<void> turn_away(asio::io_context& io, std::unique_ptr<Stream> stream, smtp::Reply reply,
                     std::shared_ptr<std::size_t> turning_away, SessionRecords* records, SessionFacts facts) {
  ++*turning_away;
  TurnedAway session(records, facts);
  session.tap.open();
  if (auto* record = session.tap.record()) record->connected(facts);
  {
    Watchdog watchdog(io, *stream);
    watchdog.expires_after(turn_away_timeout);
    const std::string octets = smtp::to_wire(reply);
    if (auto* record = session.tap.record()) record->replies(octets);
    auto error = co_await stream->write(octets);
    if (!error && reply.code == 554) co_await wait_for_quit(*stream, session.tap);
    co_await stream->finish();
  }
  session.tap.close("turned away");
  stream->close();
  --*turning_away;
}

}  // namespace umbra::hub
