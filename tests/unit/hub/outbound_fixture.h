// Delivery on virtual time: a real spool on a simulated disk, scripted next hops behind a fake network, a
// fake resolver, and a guard that says what the test wants. Everything on one thread; time jumps to the next
// timer when nothing is left to do.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "hub/logs/memory_log.h"
#include "hub/logs/session_record.h"
#include "hub/net/tls_store.h"
#include "hub/outbound/outbound.h"
#include "storage/memory_disk.h"

namespace umbra::hub {

using namespace std::chrono_literals;

class VirtualTime final : public TimeSource {
 public:
  VirtualTime() { set_time_source(this); }
  ~VirtualTime() override { set_time_source(nullptr); }
  MonotonicTime monotonic() noexcept override { return MonotonicTime{now_}; }
  WallTime wall() noexcept override {
    return WallTime{1'700'000'000s + std::chrono::duration_cast<WallClock::duration>(now_ + wall_step)};
  }
  void note_deadline(MonotonicTime when) noexcept override { deadlines_.insert(when.time_since_epoch()); }
  /// To the earliest deadline, at most `limit`; false when there is none before it.
  bool jump(Duration limit) {
    while (!deadlines_.empty() && *deadlines_.begin() <= now_) deadlines_.erase(deadlines_.begin());
    if (deadlines_.empty() || *deadlines_.begin() > limit) {
      now_ = std::max(now_, limit);
      return false;
    }
    now_ = *deadlines_.begin();
    return true;
  }
  [[nodiscard]] Duration now() const { return now_; }

  Duration wall_step{0};  ///< by which somebody has set the wall clock

 private:
  Duration now_{1h};
  std::set<Duration> deadlines_;
};

/// A lane of the spool as a task of the event loop. Can be held: then nothing is committed until it is let
/// go.
class LoopExecutor final : public storage::Executor {
 public:
  explicit LoopExecutor(asio::io_context& io) : io_(io) {}
  void post(std::move_only_function<void()> job) override {
    if (is_held)
      waiting.push_back(std::move(job));
    else
      asio::post(io_, std::move(job));
  }
  void let_go() {
    is_held = false;
    for (auto& job : waiting) asio::post(io_, std::move(job));
    waiting.clear();
  }
  bool is_held = false;
  std::vector<std::move_only_function<void()>> waiting;

 private:
  asio::io_context& io_;
};

struct ReceivedMail {
  std::string sender;  ///< parameters included
  std::vector<std::string> recipients;
  std::string body;
  int connection = 0;
  Duration at{};
};

/// A next hop with a script.
struct FakeHost {
  std::vector<std::string> extensions = {"PIPELINING", "8BITMIME", "SMTPUTF8", "DSN"};
  std::string greeting = "220 fake ESMTP\r\n";
  bool refuses_connections = false;
  bool knows_ehlo = true;
  /// A reply for a command line, "" for the usual one, "CLOSE" to close, "SILENCE" to say nothing.
  std::function<std::string(const std::string& line)> on_command;
  /// The reply to the end of data: the same forms.
  std::function<std::string(const ReceivedMail& mail)> on_message;
  bool holds_final_replies = false;

  std::vector<ReceivedMail> mails;  ///< answered with 2xx, or about to be
  std::vector<Duration> connect_times;
  std::vector<std::string> connected_from;  ///< the source that was asked for
  std::vector<std::string> commands;
  std::vector<std::string> writes;  ///< as they came
  int connections = 0;
  int open = 0;
  int open_max = 0;
  std::vector<std::function<void()>> held;
  void let_go() {
    holds_final_replies = false;
    for (auto& answer : std::exchange(held, {})) answer();
  }
};

/// One connection, both ends.
struct FakeLink : std::enable_shared_from_this<FakeLink> {
  FakeLink(asio::io_context& io, FakeHost& h, VirtualTime& t, int n)
      : host(h), time(t), number(n), readable(io) {}
  FakeHost& host;
  VirtualTime& time;
  int number;
  Event readable;
  std::string to_client;
  std::string input;
  bool is_ended = false;   // by the host
  bool is_closed = false;  // by the client
  bool in_data = false;
  std::size_t bdat = 0;
  bool is_mail_open = false;
  bool is_holding = false;  // the final reply and what comes after it
  std::string held_back;
  ReceivedMail mail;

  void say(const std::string& reply);
  void take(std::string_view octets);
  void take_line(const std::string& line);
  void end_of_data();
  void end();
};

class FakeStream final : public Stream {
 public:
  FakeStream(std::shared_ptr<FakeLink> link, Endpoint remote)
      : link_(std::move(link)), remote_(std::move(remote)) {}
  ~FakeStream() override { close(); }
  Task<IoResult> read_some(asio::mutable_buffer buffer) override;
  Task<ErrorCode> write(std::string_view octets) override;
  void close() noexcept override;
  const Endpoint& remote() const override { return remote_; }

 private:
  std::shared_ptr<FakeLink> link_;
  Endpoint remote_;
};

class FakeNetwork final : public Network {
 public:
  FakeNetwork(asio::io_context& io, VirtualTime& time) : io_(io), time_(time) {}
  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, MonotonicTime deadline,
                                                std::string from) override;
  Result<std::unique_ptr<Acceptor>> listen(const Endpoint&) override {
    return failure(std::errc::not_supported, "listen");
  }
  std::map<std::string, FakeHost> hosts;  ///< by "address:port"

 private:
  asio::io_context& io_;
  VirtualTime& time_;
};

class FakeResolver final : public Resolver {
 public:
  Task<Result<std::vector<std::string>>> addresses(std::string host) override;
  Task<Result<std::vector<MailExchanger>>> mail_exchangers(std::string domain) override;
  std::map<std::string, std::vector<std::string>> a;
  std::map<std::string, std::vector<MailExchanger>> mx;
  std::set<std::string> failing;
};

class FakeGuard final : public DeliveryGuard {
 public:
  bool may_deliver_now(const storage::StoredMessage&) override {
    ++asked_now;
    return is_sure;
  }
  Task<Verdict> may_deliver(const storage::StoredMessage&) override {
    ++asked;
    co_return verdict;
  }
  bool is_in_acceptance(MessageId id) override { return in_acceptance.contains(id); }
  void outbox_grew() override { ++outbox; }
  void protect_later(RowId row) override { to_protect.push_back(row); }
  bool is_in_reach(const std::string& hub) override { return in_reach.contains(hub); }
  void hand_on(std::shared_ptr<const storage::StoredMessage> message, std::string hub,
               std::move_only_function<void(HandedOn)> done) override {
    handed.emplace_back(hub, message->id);
    if (hand) return hand(*message, hub, std::move(done));
    asio::post(*io, [done = std::move(done)]() mutable { done({HandedOn::Kind::taken, {}}); });
  }
  asio::io_context* io = nullptr;
  std::set<std::string> in_reach;
  std::vector<std::pair<std::string, MessageId>> handed;
  /// In place of taking it.
  std::function<void(const storage::StoredMessage&, const std::string&,
                     std::move_only_function<void(HandedOn)>)>
      hand;
  bool is_sure = true;
  Verdict verdict = Verdict::go;
  std::set<MessageId> in_acceptance;
  int asked_now = 0;
  int asked = 0;
  int outbox = 0;
  std::vector<RowId> to_protect;
};

class CountingRandom final : public Random {
 public:
  std::uint64_t next() override { return state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL; }

 private:
  std::uint64_t state_ = 42;
};

class OutboundTest : public testing::Test {
 protected:
  OutboundTest();
  ~OutboundTest() override;

  /// Builds delivery (again: as after a restart, on the same spool). Loading is on unless said otherwise.
  void start(bool is_loading = true);
  void stop();
  /// Lets everything happen for a span of virtual time.
  void run_for(Duration span);
  /// Until `condition`, at most `span`.
  template <class Condition>
  bool run_until(Condition condition, Duration span = 10min) {
    const Duration limit = time.now() + span;
    while (!condition()) {
      drain();
      if (condition()) return true;
      if (!time.jump(limit)) return condition();
    }
    return true;
  }
  void drain();

  /// Routes everything to one smart host.
  FakeHost& smart_host();
  RouteConfig& route() { return config.routes.front(); }

  struct MailOptions {
    std::string sender = "sender@example.org";
    std::vector<std::string> recipients = {"rcpt@example.com"};
    std::string body = "Subject: test\r\n\r\nhello\r\n";
    std::function<void(Envelope&)> adjust;
    std::vector<storage::Holder> holders;
    bool hand_over = true;  ///< deliver() after the commit
    bool with_body = true;  ///< ... with its body
    std::size_t chunk_octets = 64U << 10;
  };
  /// Accepts a message: commits it, then hands it over.
  RowId accept(MailOptions options);
  RowId accept() { return accept(MailOptions{}); }
  storage::QueueCounts counts();
  std::optional<storage::StoredMessage> stored(RowId row);
  std::vector<std::string> events(const std::string& name);

  VirtualTime time;
  asio::io_context io;
  std::unique_ptr<storage::MemoryDisk> disk;
  LoopExecutor writer{io};
  LoopExecutor reader{io};
  LoopExecutor home{io};
  CountingRandom random;
  FakeNetwork network{io, time};
  FakeResolver resolver;
  FakeGuard guard;
  MemoryLog log{"hub1"};
  Metrics metrics;
  Config config;
  std::unique_ptr<TlsStore> tls;
  std::unique_ptr<SessionRecords> records;  ///< unless a test is about it: none
  std::unique_ptr<storage::Spool> spool;
  std::unique_ptr<Outbound> outbound;
};

}  // namespace umbra::hub
