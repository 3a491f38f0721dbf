#include "load/sink.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unordered_map>

#include <nlohmann/json.hpp>

#include "load/connection.h"
#include "load/ledger_file.h"
#include "load/progress.h"

namespace umbra::load {

namespace {

/// The same seed gives the same faults for the same sequence of messages.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() override {  // splitmix64
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

class Sink;

/// One client. Owned by the sink; buried with the loop when its connection ends.
class SinkSession final : public Connection {
 public:
  SinkSession(Sink& sink, int fd);
  ~SinkSession() override;

 private:
  void on_received(std::string_view octets) override;
  void on_closed(int error) override;
  void take(std::string_view octets);
  void act(SinkDialog::Next next);
  void end();
  void end_later(std::uint32_t ms);

  Sink& sink_;
  SinkDialog dialog_;
  std::string kept_;  ///< received while a reply was delayed
  std::string out_;
  EventLoop::TimerKey timer_;
  bool has_timer_ = false;
};

class Sink final : public EventHandler, public SinkObserver {
 public:
  explicit Sink(const SinkCommand& command)
      : command_(command), random_(command.seed), progress_(command.quiet) {}
  ~Sink() override {
    if (listener_ >= 0) ::close(listener_);
  }

  int run();
  void ready(std::uint32_t events) override;

  void delivered(std::string_view token, std::string_view recipient, std::uint64_t octets) override {
    ledger_.line("delivered", {token, recipient, std::to_string(octets)});
    last_delivery_ = WallClock::now();
    if (first_delivery_ == WallTime{}) first_delivery_ = last_delivery_;
  }
  void withheld(std::string_view token, std::string_view recipient, std::uint64_t octets) override {
    ledger_.line("withheld", {token, recipient, std::to_string(octets)});
  }
  void refused(std::string_view token, std::string_view recipient, int code) override {
    ledger_.line(code >= 500 ? "rejected" : "deferred", {token, recipient, std::to_string(code)});
  }

  const SinkCommand& command_;
  SeededRandom random_;
  EventLoop loop_;
  SinkStatistics statistics_;
  std::unordered_map<SinkSession*, std::unique_ptr<SinkSession>> sessions_;

 private:
  bool listen();
  void tick();
  void show();
  [[nodiscard]] std::string json() const;

  int listener_ = -1;
  LedgerFile ledger_;
  Progress progress_;
  MonotonicTime last_shown_{};
  MonotonicTime last_json_{};
  std::uint64_t shown_messages_ = 0;
  WallTime first_delivery_{};
  WallTime last_delivery_{};
};

SinkSession::SinkSession(Sink& sink, int fd)
    : Connection(sink.loop_),
      sink_(sink),
      dialog_(sink.command_.dialog, sink.random_, sink, sink.statistics_) {
  adopt(fd);
  dialog_.greet(out_);
  send(out_);
  out_.clear();
}

SinkSession::~SinkSession() {
  if (has_timer_) loop_.cancel(timer_);
}

void SinkSession::end() {
  close();
  auto found = sink_.sessions_.find(this);
  if (found == sink_.sessions_.end()) return;
  auto self = std::move(found->second);
  sink_.sessions_.erase(found);
  loop_.bury(std::move(self));
}

void SinkSession::end_later(std::uint32_t ms) {
  pause(true);
  has_timer_ = true;
  timer_ = loop_.call_at(MonotonicClock::now() + std::chrono::milliseconds(ms), [this] {
    has_timer_ = false;
    end();
  });
}

void SinkSession::on_closed(int) {
  end();
}

void SinkSession::on_received(std::string_view octets) {
  if (kept_.empty()) {
    take(octets);
  } else {
    kept_.append(octets);
    auto all = std::move(kept_);
    kept_.clear();
    take(all);
  }
}

void SinkSession::take(std::string_view octets) {
  auto fed = dialog_.feed(octets, out_);
  if (!out_.empty()) {
    send(out_);
    out_.clear();
  }
  if (fed.consumed < octets.size()) kept_ = octets.substr(fed.consumed);
  act(fed.next);
}

void SinkSession::act(SinkDialog::Next next) {
  switch (next) {
    case SinkDialog::Next::go_on:
      break;
    case SinkDialog::Next::disconnect:
      end();
      break;
    case SinkDialog::Next::quit:
      // What the kernel has taken by now is sent before the close.
      if (unsent() == 0) {
        end();
      } else {
        end_later(1000);
      }
      break;
    case SinkDialog::Next::withhold:
      end_later(sink_.command_.withhold_ms);
      break;
    case SinkDialog::Next::pause:
      pause(true);
      has_timer_ = true;
      timer_ =
          loop_.call_at(MonotonicClock::now() + std::chrono::milliseconds(sink_.command_.delay_ms), [this] {
            has_timer_ = false;
            send(dialog_.take_final_reply());
            pause(false);
            auto all = std::move(kept_);
            kept_.clear();
            if (!all.empty()) take(all);
          });
      break;
  }
}

bool Sink::listen() {
  auto address = resolve(command_.listen);
  if (!address) {
    std::fprintf(stderr, "umbra-load sink: %s\n", address.error().what.c_str());
    return false;
  }
  listener_ = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener_ < 0 ||
      bind(listener_, reinterpret_cast<const sockaddr*>(&address->storage), address->size) != 0 ||
      ::listen(listener_, 4096) != 0) {
    std::fprintf(stderr, "umbra-load sink: cannot listen on %s: %s\n", command_.listen.c_str(),
                 std::strerror(errno));
    return false;
  }
  loop_.add(listener_, EPOLLIN, *this);
  return true;
}

void Sink::ready(std::uint32_t) {
  for (int i = 0; i < 64; ++i) {
    int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;  // none left; or out of descriptors: the backlog holds them
    ++statistics_.connections;
    auto session = std::make_unique<SinkSession>(*this, fd);
    auto* key = session.get();
    sessions_.emplace(key, std::move(session));
  }
}

std::string Sink::json() const {
  double seconds = std::chrono::duration<double>(last_delivery_ - first_delivery_).count();
  nlohmann::ordered_json out = {
      {"messages", statistics_.messages},
      {"recipients", statistics_.recipients},
      {"octets", statistics_.octets},
      {"connections", statistics_.connections},
      {"connections_open", sessions_.size()},
      {"deferred", statistics_.deferred},
      {"rejected", statistics_.rejected},
      {"disconnects", statistics_.disconnects},
      {"withheld", statistics_.withheld},
      {"bare_line_ends", statistics_.bare_line_ends},
      {"damaged", statistics_.damaged},
      {"syntax_errors", statistics_.syntax_errors},
      {"first_delivery_us", first_delivery_.time_since_epoch().count()},
      {"last_delivery_us", last_delivery_.time_since_epoch().count()},
      {"seconds", seconds},
      {"messages_per_second", seconds > 0 ? static_cast<double>(statistics_.messages) / seconds : 0.0},
  };
  return out.dump(2) + "\n";
}

void Sink::show() {
  auto now = MonotonicClock::now();
  double seconds = std::chrono::duration<double>(now - last_shown_).count();
  auto rate =
      static_cast<std::uint64_t>(static_cast<double>(statistics_.messages - shown_messages_) / seconds);
  progress_.show("sink: " + with_commas(statistics_.messages) + " delivered  " + with_commas(rate) + "/s  " +
                 std::to_string(sessions_.size()) + " connections  4xx " + with_commas(statistics_.deferred) +
                 "  5xx " + with_commas(statistics_.rejected) + "  withheld " +
                 with_commas(statistics_.withheld));
  last_shown_ = now;
  shown_messages_ = statistics_.messages;
}

void Sink::tick() {
  ledger_.flush();
  auto now = MonotonicClock::now();
  if (!command_.json.empty() && command_.json != "-" && now - last_json_ >= std::chrono::milliseconds(250)) {
    write_file(command_.json, json());
    last_json_ = now;
  }
  if (now - last_shown_ >= std::chrono::milliseconds(progress_.interval_ms())) show();
  if (command_.exit_after != 0 && statistics_.messages >= command_.exit_after) loop_.stop();
  loop_.call_at(now + std::chrono::milliseconds(50), [this] { tick(); });
}

int Sink::run() {
  if (!listen()) return 2;
  auto opened = LedgerFile::open(command_.ledger);
  if (!opened) {
    std::fprintf(stderr, "umbra-load sink: %s: %s\n", opened.error().what.c_str(),
                 opened.error().code.message().c_str());
    return 2;
  }
  ledger_ = std::move(*opened);
  loop_.on_signal([this] { loop_.stop(); });
  last_shown_ = MonotonicClock::now();
  tick();
  loop_.run();
  ledger_.flush();
  show();
  progress_.end();
  if (!command_.json.empty()) write_file(command_.json, json());
  sessions_.clear();
  return 0;
}

}  // namespace

int run_sink(const SinkCommand& command) {
  Sink sink(command);
  return sink.run();
}

}  // namespace umbra::load
