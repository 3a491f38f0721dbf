// The listeners of a hub over memory streams and virtual time, with an intake that keeps what it is told to
// keep.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hub/authentication/authenticators.h"
#include "hub/inbound/listeners.h"
#include "hub/logs/memory_log.h"
#include "tests/support/memory_stream.h"
#include "tests/unit/hub/memory_record_log.h"

namespace umbra::hub {

class FakeIntake final : public MessageIntake {
 public:
  explicit FakeIntake(asio::io_context& io) : finish_allowed(io) {}

  struct Kept {
    Envelope envelope;
    std::string body;
    bool is_noted_8bit = false;
    std::string user = {};
  };

  std::optional<smtp::Reply> refuse(std::uint64_t octets) override {
    announced = octets;
    return refusal;
  }
  std::unique_ptr<Acceptance> begin(Envelope envelope, const ListenerConfig& listener) override {
    policy = listener.shadow;
    return std::make_unique<One>(*this, std::move(envelope));
  }

  std::optional<smtp::Reply> refusal;
  smtp::Reply answer{250, "2.0.0", "queued"};
  bool waits = false;  ///< finish() waits for finish_allowed
  Event finish_allowed;
  std::vector<Kept> kept;
  int abandoned = 0;
  std::uint64_t announced = 0;
  ShadowPolicy policy = ShadowPolicy::none;

 private:
  class One final : public Acceptance {
   public:
    One(FakeIntake& owner, Envelope envelope) : owner_(owner), message_{std::move(envelope), {}} {}
    ~One() override { UMBRA_ASSERT(is_ended_); }
    MessageId id() const override { return {SpoolId{0x9f86d081884c7d65}, 0x10000000002}; }
    Task<void> append(std::string_view octets) override {
      message_.body += octets;
      co_return;
    }
    void change_envelope(Envelope envelope) override { message_.envelope = std::move(envelope); }
    void hold(std::string) override {}
    void replaces(RowId) override {}
    void note_8bit() override { message_.is_noted_8bit = true; }
    void note_user(std::string_view user) override { message_.user = user; }
    Task<smtp::Reply> finish() override {
      if (owner_.waits) co_await owner_.finish_allowed.wait();
      is_ended_ = true;
      if (owner_.answer.is_positive()) owner_.kept.push_back(std::move(message_));
      co_return owner_.answer;
    }
    Task<void> abandon() override {
      is_ended_ = true;
      ++owner_.abandoned;
      co_return;
    }

   private:
    FakeIntake& owner_;
    Kept message_;
    bool is_ended_ = false;
  };
};

/// Jobs run one after the other, when the test lets the loop run.
class LoopExecutor final : public storage::Executor {
 public:
  explicit LoopExecutor(asio::io_context& io) : io_(io) {}
  void post(std::move_only_function<void()> job) override {
    if (!is_held) return asio::post(io_, std::move(job));
    held.push_back(std::move(job));
  }
  void release() {
    is_held = false;
    for (auto& job : std::exchange(held, {})) post(std::move(job));
  }
  bool is_held = false;
  std::vector<std::move_only_function<void()>> held;

 private:
  asio::io_context& io_;
};

class NoResolver final : public Resolver {
 public:
  Task<Result<std::vector<std::string>>> addresses(std::string) override {
    co_return std::vector<std::string>{};
  }
  Task<Result<std::vector<MailExchanger>>> mail_exchangers(std::string) override {
    co_return std::vector<MailExchanger>{};
  }
};

class Inbound : public ::testing::Test {
 protected:
  Inbound() {
    config.name = "default";
    config.address = {"192.0.2.1", 25};
    config.tarpit = 0s;  // unless a test is about it
    config.networks = {*AddressRange::parse("192.0.2.0/24"), *AddressRange::parse("2001:db8::/32")};
  }
  ~Inbound() override { stop(); }

  void start() {
    take_configuration();
    listener = std::make_unique<Listeners>(
        Runtime{io, random, network, resolver, tls.get(), &authenticators, records.get()}, whole, intake,
        pressure, throttle, log, metrics);
    ASSERT_TRUE(listener->start());
    time.settle(io);
  }

  /// What `config`, `others` and `host_name` say now.
  void reload() {
    take_configuration();
    auto opened = listener->open(whole);
    ASSERT_TRUE(opened);
    listener->configuration_changed(std::move(*opened));
    time.settle(io);
  }

  void stop() {
    if (listener == nullptr) return;
    TaskScope scope(io);
    scope.spawn("stop", listener->stop());
    time.pass(io, 1h);
    EXPECT_EQ(scope.running(), 0U) << "the listener did not stop";
    EXPECT_EQ(metrics.connections, 0);
    listener.reset();
  }

  std::shared_ptr<testing::MemoryPeer> connect(std::string from = "192.0.2.7") {
    auto peer = network.connect_from(std::move(from));
    time.settle(io);
    return peer;
  }

  /// Sends, lets the hub work, returns what it said.
  std::string say(const std::shared_ptr<testing::MemoryPeer>& peer, std::string_view octets) {
    peer->send(octets);
    time.settle(io);
    return peer->received();
  }

  /// Connected, greeted, and in the middle of a message's data.
  std::shared_ptr<testing::MemoryPeer> in_data() {
    auto peer = connect();
    say(peer, "EHLO c.example\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<b@d.example>\r\nDATA\r\n");
    return peer;
  }

  testing::VirtualTime time;
  asio::io_context io;
  SystemRandom random;
  testing::MemoryNetwork network{io};
  NoResolver resolver;
  FakeIntake intake{io};
  MemoryLog log{"hub1"};
  Metrics metrics;
  PressureConfig pressure_config;
  BackPressure pressure{pressure_config, log};
  std::vector<ThrottlingPolicyConfig> policies;
  std::size_t hubs = 1;
  Throttle throttle{policies, [this] { return hubs; }};
  ListenerConfig config;
  std::vector<ListenerConfig> others;  ///< behind it
  std::string host_name = "hub.example";
  Config whole;
  std::unique_ptr<TlsStore> tls;
  LoopExecutor lane{io};
  Authenticators authenticators{io, network, lane, log};
  MemoryRecordLog receive_log;
  std::unique_ptr<SessionRecords> records;  ///< unless a test is about it: none
  std::unique_ptr<Listeners> listener;

 private:
  void take_configuration() {
    whole.host_name = host_name;
    whole.listeners = {config};
    whole.listeners.insert(whole.listeners.end(), others.begin(), others.end());
  }
};

}  // namespace umbra::hub
