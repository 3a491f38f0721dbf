// One hub's redundancy (Peering) on virtual time, with a real spool on a simulated disk and no delivery: the
// other hubs are played by the test. They come to this hub as strangers do (Caller), and answer it when it
// calls (FakeMember). Everything on one thread.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "hub/logs/memory_log.h"
#include "hub/net/tls_store.h"
#include "hub/peering/peering.h"
#include "storage/memory_disk.h"
#include "tests/support/memory_stream.h"

namespace umbra::hub::peering_test {

using namespace std::chrono_literals;
using storage::Holder;

inline constexpr const char* secret = "a secret of the tests";

/// Time that can also jump, as it does for a process that was stopped (SIGSTOP): every timer in between is
/// late.
class StoppableTime final : public TimeSource {
 public:
  StoppableTime() { set_time_source(this); }
  StoppableTime(const StoppableTime&) = delete;
  StoppableTime& operator=(const StoppableTime&) = delete;
  ~StoppableTime() override { set_time_source(nullptr); }
  MonotonicTime monotonic() noexcept override { return now_; }
  WallTime wall() noexcept override {
    return WallTime{std::chrono::seconds{1704164645}} +
           std::chrono::duration_cast<WallClock::duration>(now_.time_since_epoch());
  }
  void note_deadline(MonotonicTime when) noexcept override { deadlines_.insert(when); }
  void jump(Duration span) { now_ += span; }
  /// To the next moment somebody waits for, at most `end`; false when that is reached.
  bool step(MonotonicTime end) {
    while (!deadlines_.empty() && *deadlines_.begin() <= now_) deadlines_.erase(deadlines_.begin());
    bool is_before = !deadlines_.empty() && *deadlines_.begin() < end;
    now_ = is_before ? *deadlines_.begin() : end;
    return is_before;
  }

 private:
  MonotonicTime now_{1h};
  std::set<MonotonicTime> deadlines_;
};

/// A lane of the spool. Held, its jobs wait.
class Lane final : public storage::Executor {
 public:
  explicit Lane(asio::io_context& io) : io_(io) {}
  void post(std::move_only_function<void()> job) override {
    if (is_held)
      waiting_.push_back(std::move(job));
    else
      asio::post(io_, std::move(job));
  }
  void let_go() {
    is_held = false;
    for (auto& job : waiting_) asio::post(io_, std::move(job));
    waiting_.clear();
  }
  bool is_held = false;

 private:
  asio::io_context& io_;
  std::vector<std::move_only_function<void()>> waiting_;
};

class Counting final : public Random {
 public:
  std::uint64_t next() override { return state_ += 0x9e3779b97f4a7c15ULL; }

 private:
  std::uint64_t state_ = 1;
};

/// Another hub, as this one meets it when it calls: speaks the server's side of XSHADOW.
struct FakeMember {
  std::string name;
  SpoolId spool;
  Epoch epoch{1};
  Sequence sequence{1};
  bool is_up = true;
  bool is_silent = false;            ///< takes commands, answers none
  bool is_slow = false;              ///< its answers wait for FakeNetwork::let_go()
  std::string instead_of_challenge;  ///< a line instead of the reply to XHUB
  int version_lowest = 1;
  int version_highest = 1;
  bool chooses_version = true;  ///< false: as the first release, which takes its own version or none
  std::string keywords = "\nXSHADOW 1\nXHAND";
  std::function<smtp::AskAnswer(MessageId)> knows;
  std::function<void(const smtp::ShadowCommand&)> on_command;
  std::function<std::optional<smtp::Reply>(const smtp::ShadowCommand&)>
      answers;  ///< instead of the usual reply; code 0: none
  std::vector<smtp::ShadowCommand> commands;
  std::vector<smtp::ShadowVersion> versions;  ///< of each session that was opened

  [[nodiscard]] std::vector<smtp::ShadowCommand> of(smtp::ShadowVerb verb) const {
    std::vector<smtp::ShadowCommand> found;
    for (const auto& c : commands)
      if (c.verb == verb) found.push_back(c);
    return found;
  }
};

class FakeNetwork final : public Network {
 public:
  explicit FakeNetwork(asio::io_context& io) : io_(io), inbound(io) {}
  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, MonotonicTime, std::string) override {
    auto found = members.find(to.host);
    if (found == members.end() || !found->second.is_up)
      co_return failure(std::errc::connection_refused, "connect to " + to_string(to));
    auto session = std::make_shared<Session>(found->second, std::make_shared<testing::MemoryPeer>(io_, to));
    sessions_.push_back(session);
    session->peer->send("220 fake ESMTP\r\n");
    co_return std::make_unique<testing::MemoryStream>(session->peer);
  }
  Result<std::unique_ptr<Acceptor>> listen(const Endpoint& at) override { return inbound.listen(at); }

  /// Answers what has come; true when there was something.
  bool answer();
  void cut(const FakeMember& member);
  /// What a slow member has to say goes out.
  void let_go(const FakeMember& member);

 private:
  struct Session {
    Session(FakeMember& m, std::shared_ptr<testing::MemoryPeer> p) : member(m), peer(std::move(p)) {}
    FakeMember& member;
    std::shared_ptr<testing::MemoryPeer> peer;
    smtp::ShadowParser parser;
    smtp::ShadowVersion version;
    std::string kept_back;
    bool is_ended = false;
  };
  void reply(Session& session, const smtp::ShadowCommand& command);
  asio::io_context& io_;
  std::vector<std::shared_ptr<Session>> sessions_;

 public:
  testing::MemoryNetwork inbound;
  std::map<std::string, FakeMember> members;  ///< by address
};

/// Names as the test says; a name that is not there resolves to itself.
class TestResolver final : public Resolver {
 public:
  Task<Result<std::vector<std::string>>> addresses(std::string host) override {
    if (is_failing && !host.starts_with("10.")) co_return failure(std::errc::timed_out, "resolve " + host);
    auto found = hosts.find(host);
    if (found != hosts.end()) co_return found->second;
    co_return std::vector<std::string>{host};
  }
  Task<Result<std::vector<ServiceTarget>>> services(std::string name) override {
    ++questions;
    if (is_failing) co_return failure(std::errc::timed_out, "SRV " + name);
    co_return targets;
  }
  Task<Result<std::vector<MailExchanger>>> mail_exchangers(std::string) override {
    co_return std::vector<MailExchanger>{};
  }
  std::map<std::string, std::vector<std::string>> hosts;
  std::vector<ServiceTarget> targets;
  bool is_failing = false;
  int questions = 0;
};

class NoOutbound final : public Outbound {
 public:
  void start() override {}
  void set_loading(bool is_on) override { is_loading = is_on; }
  Task<void> stop() override { co_return; }
  std::vector<storage::QueueEntry> entries_for(const Envelope&, const std::vector<storage::RecipientOutcome>&,
                                               WallTime due, const std::string& next_hop) override {
    return {{next_hop.empty() ? "example.com" : next_hop, due, 0}};
  }
  WallTime expiry_of(const Envelope&, WallTime accepted_at) override {
    return accepted_at + std::chrono::hours(48);
  }
  WallTime first_alarm(const Envelope& envelope) override { return envelope.expires_at; }
  void deliver(ReadyMessage ready) override { delivered.push_back(std::move(ready)); }
  void look_again() override {}
  void forget(RowId row) override { forgotten.insert(row); }
  bool claim(RowId row) override { return !claimed.contains(row) && claimed.insert(row).second; }
  void give_up_claim(RowId row) override { claimed.erase(row); }
  bool awaits_final_reply(RowId) override { return false; }
  void suspect(MessageId id, std::uint32_t crashes) override { suspects[id] = crashes; }
  void pardon(MessageId) override {}
  Task<Result<void>> bounce(RowId, std::string) override { co_return Result<void>{}; }
  Task<Result<void>> remove(RowId) override { co_return Result<void>{}; }

  bool is_loading = false;
  std::vector<ReadyMessage> delivered;
  std::set<RowId> forgotten;
  std::map<MessageId, std::uint32_t> suspects;
  std::set<RowId> claimed;
};

/// A session of another hub to this one.
class Caller {
 public:
  Caller(std::shared_ptr<testing::MemoryPeer> peer, smtp::HubHello hello)
      : peer_(std::move(peer)), hello_(std::move(hello)) {}
  void send(std::string_view octets) { peer_->send(octets); }
  std::string received() { return peer_->received(); }
  [[nodiscard]] bool is_closed() const { return peer_->is_closed; }
  [[nodiscard]] const smtp::HubHello& hello() const { return hello_; }

 private:
  std::shared_ptr<testing::MemoryPeer> peer_;
  smtp::HubHello hello_;
};

class PeeringTest : public ::testing::Test {
 protected:
  static inline const SpoolId spool2{0x2222222222222222ULL};
  static inline const SpoolId spool3{0x3333333333333333ULL};
  PeeringTest();
  ~PeeringTest() override;

  /// Opens the spool (again); with Peering made, but not begun.
  void make();
  void start();
  void stop();
  /// Runs what can run now, the other hubs' answers included.
  void settle();
  void pass(Duration span);
  FakeMember& member(const char* address) { return network.members.at(address); }

  /// hub2 or hub3 connects and says hello; the reply to its proof.
  std::string call(std::unique_ptr<Caller>& caller, const std::string& name, SpoolId spool, Epoch epoch,
                   Sequence sequence, int offered = 1);
  /// The same for who is connected and was greeted.
  std::string prove(Caller& caller, int offered = 1);
  std::string say(Caller& caller, const std::string& command);

  void must(storage::Spool::WriteJob job);
  template <class Query>
  auto ask(Query query) {
    decltype(query(std::declval<storage::Reader&>())) result =
        failure(std::errc::timed_out, "no answer came");
    spool->read([&](storage::Reader& reader) { result = query(reader); }, [] {});
    settle();
    EXPECT_TRUE(result) << result.error().what;
    return result ? std::move(*result) : typename decltype(result)::value_type{};
  }
  std::optional<storage::StoredMessage> message(RowId row) {
    return ask([row](storage::Reader& r) { return r.message(row); });
  }
  std::optional<storage::Shadow> shadow(MessageId id) {
    return ask([id](storage::Reader& r) { return r.shadow(id); });
  }
  /// A message of ours in the spool.
  storage::NewMessage own_message(std::vector<Holder> holders, std::size_t recipients = 1);
  void put(const storage::NewMessage& message);
  /// A shadow held for hub2.
  MessageId hold_shadow(std::uint64_t number, Epoch epoch, std::vector<Holder> offered = {});
  DeliveryGuard::Verdict verdict(const storage::StoredMessage& message);
  /// With its reader held this hub has stood still in the middle of something. For a minute: that hub has
  /// ended its epoch, and its next beat hears so. Then it goes on.
  void wake_up_with_its_epoch_ended_by(FakeMember& other);

  StoppableTime time;
  asio::io_context io;
  FakeNetwork network{io};
  TestResolver resolver;
  Counting random;
  storage::MemoryDisk disk{"peering-test-disk"};
  Lane writer{io};
  Lane reader{io};
  Lane home{io};
  MemoryLog log{"hub1"};
  Metrics metrics;
  Config config;
  std::unique_ptr<TlsStore> tls;  ///< null: hub sessions are plain
  cluster::Arbiter* arbiter = nullptr;
  std::unique_ptr<storage::Spool> spool;
  NoOutbound outbound;
  std::unique_ptr<Peering> peering;
  TaskScope scope{io};
  bool is_running = false;
};

}  // namespace umbra::hub::peering_test
