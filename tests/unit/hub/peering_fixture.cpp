#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {

// ---- the other hubs

bool FakeNetwork::answer() {
  bool was_something = false;
  for (std::size_t i = 0; i < sessions_.size(); ++i) {
    auto session = sessions_[i];
    auto octets = session->peer->received();
    if (octets.empty() || session->is_ended) continue;
    was_something = true;
    session->parser.feed(octets);
    for (;;) {
      auto command = session->parser.next();
      if (!command || !*command) break;
      reply(*session, **command);
    }
  }
  return was_something;
}

void FakeNetwork::cut(const FakeMember& member) {
  for (auto& session : sessions_)
    if (&session->member == &member && !session->is_ended) {
      session->is_ended = true;
      session->peer->leave();
    }
}

void FakeNetwork::let_go(const FakeMember& member) {
  for (auto& session : sessions_)
    if (&session->member == &member && !session->is_ended)
      session->peer->send(std::exchange(session->kept_back, {}));
}

void FakeNetwork::reply(Session& session, const smtp::ShadowCommand& command) {
  using smtp::ShadowVerb;
  auto& m = session.member;
  auto say = [&](const smtp::Reply& r) {
    if (m.is_slow || !session.kept_back.empty())
      session.kept_back += smtp::to_wire(r);
    else
      session.peer->send(smtp::to_wire(r));
  };
  switch (command.verb) {
    case ShadowVerb::hub: {
      if (!m.instead_of_challenge.empty()) return session.peer->send(m.instead_of_challenge);
      smtp::HubHello own{m.name, m.spool, m.epoch, m.sequence, std::string(64, 'a')};
      session.version = {command.version, std::min(command.version, m.version_highest)};
      bool is_spoken = session.version.used >= m.version_lowest &&
                       (m.chooses_version || command.version <= m.version_highest);
      if (!is_spoken) {
        say({504, "5.5.4", "Another version"});
        session.is_ended = true;
        return session.peer->leave();
      }
      m.versions.push_back(session.version);
      return say(
          {334, "",
           smtp::format_challenge(own, smtp::hub_proof(secret, "server", command.hello, own, session.version),
                                  session.version)});
    }
    case ShadowVerb::proof:
      return say({235, "2.7.0", "Welcome"});
    case ShadowVerb::ehlo:
      return say({250, "", "fake" + m.keywords});
    default:
      break;
  }
  m.commands.push_back(command);
  if (m.is_silent) return;
  if (m.on_command) m.on_command(command);
  if (m.answers)
    if (auto own = m.answers(command)) return own->code == 0 ? void() : say(*own);
  if (command.verb == ShadowVerb::beat) return say({250, "2.0.0", "lease 10000"});
  if (command.verb != ShadowVerb::ask) return say({250, "2.0.0", "Ok"});
  std::string text;
  for (auto id : command.ids) {
    auto answer = m.knows ? m.knows(id) : smtp::AskAnswer{};
    answer.id = id;
    text += smtp::format_answer(answer) + '\n';
  }
  say({250, "2.0.0", text + std::to_string(command.ids.size())});
}

// ---- this hub

PeeringTest::PeeringTest() {
  config.hub_name = "hub1";
  config.host_name = "hub1.example";
  config.spool.directory = "/spool";
  config.spool.reserve_octets = 0;
  config.cluster.address = {"10.0.0.1", 7025};
  config.cluster.secret = secret;
  config.cluster.ownership = OwnershipMode::pairwise;
  config.cluster.members = {
      {"hub1", {"10.0.0.1", 7025}}, {"hub2", {"10.0.0.2", 7025}}, {"hub3", {"10.0.0.3", 7025}}};
  network.members["10.0.0.2"].name = "hub2";
  network.members["10.0.0.2"].spool = spool2;
  network.members["10.0.0.3"].name = "hub3";
  network.members["10.0.0.3"].spool = spool3;
}

PeeringTest::~PeeringTest() {
  stop();
}

void PeeringTest::make() {
  storage::SpoolOptions options;
  options.directory = config.spool.directory;
  options.vfs = disk.name();
  auto opened = storage::Spool::open(options, random, writer, reader, home);
  ASSERT_TRUE(opened) << opened.error().what;
  spool = std::move(*opened);
  peering = std::make_unique<Peering>(Runtime{io, random, network, resolver, tls.get()}, config, *spool, log,
                                      metrics, arbiter);
  peering->set_outbound(outbound);
}

void PeeringTest::start() {
  if (!peering) make();
  ASSERT_TRUE(peering->start());
  is_running = true;
  settle();
}

void PeeringTest::stop() {
  for (auto* lane : {&writer, &reader, &home}) lane->let_go();
  if (std::exchange(is_running, false)) {
    scope.spawn("stop", peering->stop());
    pass(60s);
    EXPECT_EQ(scope.running(), 0U) << "stop() does not return";
  }
  if (spool) spool->stop();
  settle();
  peering.reset();
  spool.reset();
  settle();
}

void PeeringTest::settle() {
  do {
    io.restart();
    while (io.poll() > 0) io.restart();
  } while (network.answer());
}

void PeeringTest::pass(Duration span) {
  settle();
  auto end = MonotonicClock::now() + span;
  while (time.step(end)) settle();
  settle();
}

std::string PeeringTest::call(std::unique_ptr<Caller>& caller, const std::string& name, SpoolId id,
                              Epoch epoch, Sequence sequence, int offered) {
  smtp::HubHello hello{name, id, epoch, sequence, std::string(64, 'b')};
  caller = std::make_unique<Caller>(network.inbound.connect_from("10.0.0.9"), hello);
  settle();
  (void)caller->received();
  return prove(*caller, offered);
}

std::string PeeringTest::prove(Caller& caller, int offered) {
  const auto& hello = caller.hello();
  auto challenge = say(caller, smtp::format_hub(hello, offered));
  if (!challenge.starts_with("334 ")) return challenge;
  auto parsed = smtp::parse_challenge(challenge.substr(4, challenge.size() - 6));
  if (!parsed) return challenge;
  smtp::ShadowVersion version{offered, parsed->version.value_or(offered)};
  return say(caller, smtp::format_proof(smtp::hub_proof(secret, "client", hello, parsed->server, version)));
}

std::string PeeringTest::say(Caller& caller, const std::string& command) {
  caller.send(command);
  settle();
  return caller.received();
}

void PeeringTest::must(storage::Spool::WriteJob job) {
  Result<void> result = failure(std::errc::timed_out, "no completion came");
  spool->write(std::move(job), 0, [&result](Result<void> outcome) { result = std::move(outcome); });
  settle();
  ASSERT_TRUE(result) << result.error().what;
}

storage::NewMessage PeeringTest::own_message(std::vector<Holder> holders, std::size_t recipients) {
  storage::NewMessage message;
  message.row = spool->next_row();
  message.id = {spool->id(), static_cast<std::uint64_t>(message.row.value)};
  message.generation = Generation{1};
  message.envelope.sender = "sender@example.org";
  for (std::size_t i = 0; i < recipients; ++i)
    message.envelope.recipients.push_back({"r" + std::to_string(i) + "@example.com", "", notify_unset});
  message.envelope.accepted_at = WallClock::now();
  message.envelope.expires_at = WallClock::now() + 48h;
  message.size = 5;
  message.is_protected =
      std::ranges::any_of(holders, [](const auto& h) { return h.state == Holder::State::holds; });
  message.holders = std::move(holders);
  message.alarm_at = message.envelope.expires_at;
  message.queue = {{"example.com", WallClock::now(), 0}};
  return message;
}

void PeeringTest::put(const storage::NewMessage& message) {
  must([&](storage::Writer& w) -> Result<void> {
    if (auto body = w.put_chunk(message.row, 0, "body\n"); !body) return body;
    return w.insert_message(message);
  });
}

MessageId PeeringTest::hold_shadow(std::uint64_t number, Epoch epoch, std::vector<Holder> offered) {
  storage::Shadow held;
  held.row = spool->next_row();
  held.id = {spool2, number};
  held.generation = Generation{1};
  held.owner_hub = "hub2";
  held.owner_spool = spool2;
  held.owner_epoch = epoch;
  held.envelope.sender = "sender@example.org";
  held.envelope.recipients = {{"r@example.com", "", notify_unset}};
  held.envelope.accepted_at = WallClock::now();
  held.envelope.expires_at = WallClock::now() + 48h;
  held.size = 5;
  held.offered = std::move(offered);
  if (held.offered.empty()) held.offered = {{"hub1", spool->id(), Holder::State::offered}};
  must([&](storage::Writer& w) -> Result<void> {
    auto inserted = w.insert_shadow(held);
    if (!inserted) return std::unexpected(inserted.error());
    return w.put_chunk(held.row, 0, "body\n");
  });
  return held.id;
}

void PeeringTest::wake_up_with_its_epoch_ended_by(FakeMember& other) {
  ASSERT_TRUE(reader.is_held);
  other.answers = [](const smtp::ShadowCommand& c) -> std::optional<smtp::Reply> {
    if (c.verb == smtp::ShadowVerb::beat) return smtp::Reply{554, "5.7.0", "Epoch 1 is over"};
    return std::nullopt;
  };
  time.jump(1min);
  reader.let_go();
  settle();
  pass(3s);
}

DeliveryGuard::Verdict PeeringTest::verdict(const storage::StoredMessage& message) {
  std::optional<DeliveryGuard::Verdict> result;
  struct Asking {
    static Task<void> run(Peering& peering, const storage::StoredMessage& m,
                          std::optional<DeliveryGuard::Verdict>& to) {
      to = co_await peering.may_deliver(m);
    }
  };
  scope.spawn("verdict", Asking::run(*peering, message, result));
  pass(5s);
  EXPECT_TRUE(result.has_value());
  return result.value_or(DeliveryGuard::Verdict::stop);
}

}  // namespace umbra::hub::peering_test
