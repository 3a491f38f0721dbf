#include "load/hostile.h"

#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "load/hostile_session.h"
#include "load/progress.h"

namespace umbra::load {

using namespace std::chrono_literals;

namespace {

constexpr Duration tick = 5ms;
constexpr Duration write_interval = 250ms;
constexpr std::size_t connects_per_tick = 50;
constexpr std::size_t commands_per_batch = 200;

HostileKind kind_of(const std::string& name) {
  const auto& names = hostile_kinds();
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<HostileKind>(i);
  UMBRA_ASSERT(false);
}

std::string batch_of(const HostileCommand& command, HostileKind kind) {
  std::string batch;
  if (kind == HostileKind::recipients) {
    batch = "MAIL FROM:<bad@source.example>\r\n";
    for (std::uint32_t i = 0; i < command.recipients; ++i)
      batch += "RCPT TO:<load-" + std::to_string(i) + "@sink.example>\r\n";
    return batch + "RSET\r\n";
  }
  auto line = (kind == HostileKind::slow_reader ? "EHLO" : command.verb) +
              (command.verb == "EHLO" || kind == HostileKind::slow_reader ? " hostile.example" : "");
  for (std::size_t i = 0; i < commands_per_batch; ++i) batch += line + "\r\n";
  return batch;
}

class Hostile {
 public:
  explicit Hostile(HostileField field) : field_(std::move(field)) {}

  int run() {
    for (std::uint32_t i = 0; i < field_.command.connections; ++i)
      sessions_.push_back(std::make_unique<HostileSession>(loop_, field_, i));
    loop_.on_signal([this] { loop_.stop(); });
    begun_ = ticked_ = MonotonicClock::now();
    on_tick();
    loop_.run();
    write();
    return 0;
  }

 private:
  void on_tick() {
    const auto now = MonotonicClock::now();
    const auto& command = field_.command;
    if (command.seconds > 0 && now - begun_ >= std::chrono::duration<double>(command.seconds))
      return loop_.stop();
    field_.connects_allowed = std::min(
        field_.connects_allowed + command.rate * std::chrono::duration<double>(now - ticked_).count(),
        command.rate);
    ticked_ = now;
    std::size_t connects = 0;
    for (auto& session : sessions_) {
      if (connects >= connects_per_tick && !session->is_open()) continue;
      if (session->tick(now)) ++connects;
    }
    if (now - written_ >= write_interval) write();
    loop_.call_at(now + tick, [this] { on_tick(); });
  }

  void write() {
    written_ = MonotonicClock::now();
    if (field_.command.json.empty()) return;
    const nlohmann::ordered_json out = {
        {"kind", field_.command.kind},
        {"open", field_.open},
        {"in_place", field_.in_place},
        {"connections", field_.connections},
        {"failures", field_.failures},
        {"closed_by_hub", field_.closed_by_hub},
        {"octets_sent", field_.octets_sent},
        {"octets_received", field_.octets_received},
        {"seconds", std::chrono::duration<double>(written_ - begun_).count()}};
    write_file(field_.command.json, out.dump() + "\n");
  }

  HostileField field_;
  EventLoop loop_;
  std::vector<std::unique_ptr<HostileSession>> sessions_;
  MonotonicTime begun_{};
  MonotonicTime ticked_{};
  MonotonicTime written_{};
};

}  // namespace

const std::vector<std::string>& hostile_kinds() {
  static const std::vector<std::string> names{"idle",        "slow-commands", "slow-data",  "slow-tls",
                                              "slow-reader", "flood",         "recipients", "churn"};
  return names;
}

int run_hostile(const HostileCommand& command) {
  auto target = resolve(command.target);
  if (!target) {
    std::fprintf(stderr, "umbra-load hostile: %s\n", target.error().what.c_str());
    return 2;
  }
  const auto kind = kind_of(command.kind);
  Hostile hostile({.command = command, .kind = kind, .target = *target, .batch = batch_of(command, kind)});
  return hostile.run();
}

}  // namespace umbra::load
