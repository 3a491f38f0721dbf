#include "hub/admin/drain_view.h"

#include <fmt/format.h>
#include <unistd.h>

#include <poll.h>

#include <cstdio>
#include <expected>
#include <optional>

#include "hub/admin/client.h"
#include "hub/config/units.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::ordered_json;
using namespace std::chrono_literals;

// 3 and 4 say what is left (cluster::exit_code): no answer is a problem like any other here.
enum Exit : int { done = 0, problem = 1, usage = 2, refused = 5 };
constexpr int look_every_ms = 200;
constexpr auto say_every = 1s;
constexpr auto no_answer_max =
    5s;  // a hub whose epoch another one ended is back in less, in the same process, and the drain goes on

std::expected<Json, int> ask(const DrainCommand& command, const std::string& method,
                             const std::string& target) {
  auto answer = ask_hub_json(command.socket, method, target);
  if (answer) return std::move(*answer);
  std::fprintf(stderr, "umbra: %s\n", answer.error().why.c_str());
  return std::unexpected(answer.error().status == 409 ? refused : problem);
}

bool is_over(const std::string& state) {
  return state == "active" || state == "paused" || state == "drained" || state == "incomplete" ||
         state == "left";
}

void say(const DrainCommand& command, const Json& report, bool is_last, bool is_tty) {
  if (command.output == "json") {
    std::printf("%s\n", report.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  } else if (is_tty) {
    std::printf("\r\033[K%s%s", drain_line(report).c_str(), is_last ? "\n" : "");
  } else {
    std::printf("%s\n", drain_line(report).c_str());
  }
  std::fflush(stdout);
}

/// How far it is.
std::expected<Json, int> look(const DrainCommand& command) {
  auto begun = MonotonicClock::now();
  for (;;) {
    auto report = ask_hub_json(command.socket, "GET", "/v1/drain");
    if (report) return std::move(*report);
    bool is_away = report.error().status == 0 || report.error().status == 503;
    if (!is_away || MonotonicClock::now() >= begun + no_answer_max)
      return ask(command, "GET", "/v1/drain");  // says why
    (void)::poll(nullptr, 0, look_every_ms);
  }
}

int follow(const DrainCommand& command, Json report) {
  bool is_tty = command.output == "text" && isatty(STDOUT_FILENO) == 1;
  std::string said_state;
  auto said_at = MonotonicTime::min();
  for (;;) {
    auto state = report["state"].get<std::string>();
    bool is_last = is_over(state);
    auto now = MonotonicClock::now();
    if (is_last || is_tty || state != said_state || said_at == MonotonicTime::min() ||
        now >= said_at + say_every) {
      say(command, report, is_last, is_tty);
      said_state = state;
      said_at = now;
    }
    if (is_last) {
      if (command.output == "text" && !report["reason"].get<std::string>().empty())
        std::printf("%s\n", report["reason"].get<std::string>().c_str());
      return report["exit_code"].get<int>();
    }
    (void)::poll(nullptr, 0, look_every_ms);
    auto next = look(command);
    if (!next) return next.error();
    report = std::move(*next);
  }
}

std::optional<std::uint64_t> whole_seconds(const std::string& text, const char* what) {
  auto span = parse_duration(text);
  if (!span) {
    std::fprintf(stderr, "umbra: %s: expected a time like 90s or 5min\n", what);
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(
      std::chrono::ceil<std::chrono::seconds>(*span).count());  // not less than was asked for
}

}  // namespace

std::string drain_line(const Json& report) {
  const auto& now = report["current"];
  auto state = report["state"].get<std::string>();
  std::string line = fmt::format("{}  {:<12} {:6.1f}s", report["hub"].get<std::string>(), state,
                                 report["in_state_seconds"].get<double>());
  if (state == "active") return line;
  if (state == "unready") return line + "  readiness 503, still accepting";
  if (state == "closing" || state == "paused")
    return line + fmt::format("  connections {}", now["connections"].get<std::uint64_t>());
  auto kind = [&](const char* name) {
    return fmt::format("{} {}→{}", name, report["initial"][name].get<std::uint64_t>(),
                       now[name].get<std::uint64_t>());
  };
  line += "  " + kind("queue");
  if (report["verb"] == "drain" && !now["due"].is_null()) line += "  " + kind("due");
  if (report["verb"] == "leave") line += "  " + kind("shadows");
  line += "  " + kind("outbox");
  if (auto bare = now["unprotected"].get<std::uint64_t>(); bare != 0)
    line += fmt::format("  unprotected {}", bare);
  line += fmt::format("  in flight {}", report["in_flight"].get<std::uint64_t>());
  if (state == "handing_over") {
    line += fmt::format("  {:.0f}/s", report["rate"].get<double>());
    if (!report["eta_seconds"].is_null())
      line += fmt::format("  eta {:.0f}s", report["eta_seconds"].get<double>());
  }
  for (const auto& [hub, count] : report["handed_to"].items())
    line += fmt::format("  to {}: {}", hub, count.get<std::uint64_t>());
  if (state == "drained") line += "  safe to stop";
  if (state == "left") line += "  nothing is left: the disk may go";
  return line;
}

int run_drain(const DrainCommand& command) {
  if (command.dry_run) {
    auto preview =
        ask(command, "GET",
            "/v1/drain/preview?verb=" + command.verb + (command.to.empty() ? "" : "&to=" + command.to));
    if (!preview) return preview.error();
    if (command.output == "json") {
      std::printf("%s\n", preview->dump(2, ' ', false, Json::error_handler_t::replace).c_str());
      return done;
    }
    std::string targets;
    for (const auto& hub : (*preview)["targets"])
      targets += (targets.empty() ? "" : ", ") + hub.get<std::string>();
    std::printf(
        "%s: %llu queued (%llu due), %llu shadows held for others, %llu discards owed, %llu unprotected. %s: "
        "%s. %llu messages would lose their last copy.\n",
        (*preview)["hub"].get<std::string>().c_str(), (*preview)["queue"].get<unsigned long long>(),
        (*preview)["due"].get<unsigned long long>(), (*preview)["shadows"].get<unsigned long long>(),
        (*preview)["outbox"].get<unsigned long long>(), (*preview)["unprotected"].get<unsigned long long>(),
        command.to.empty() ? "Active hubs" : "Active hubs of those that are named",
        targets.empty() ? "none" : targets.c_str(), (*preview)["lose_last_copy"].get<unsigned long long>());
    for (const auto& id : (*preview)["lose_last_copy_ids"])
      std::printf("  %s\n", id.get<std::string>().c_str());
    if (auto kept = (*preview)["safety_net"]["messages"].get<unsigned long long>();
        kept > 0 && command.verb == "leave")
      std::printf(
          "The safety net of this hub (%llu delivered messages) goes with its disk; the other hubs keep "
          "their copies.\n",
          kept);
    return done;
  }
  auto back = whole_seconds(command.return_within, "--return-within");
  auto deadline = whole_seconds(command.deadline, "--deadline");
  auto wait = whole_seconds(command.unready_wait, "--unready-wait");
  if (!back || !deadline || !wait) return usage;
  auto target = fmt::format("/v1/drain?verb={}&return_within={}&deadline={}&unready_wait={}&rate={}",
                            command.verb, *back, *deadline, *wait, command.rate);
  if (!command.to.empty()) target += "&to=" + command.to;
  auto begun = ask(command, "POST", target);
  if (!begun) return begun.error();
  if (command.detach) {
    say(command, *begun, true, false);
    return done;
  }
  return follow(command, std::move(*begun));
}

int run_undrain(const DrainCommand& command) {
  auto report = ask(command, "POST", "/v1/undrain");
  if (!report) return report.error();
  say(command, *report, true, false);
  return done;
}

int run_drain_status(const DrainCommand& command) {
  auto report = ask(command, "GET", "/v1/drain");
  if (!report) return report.error();
  say(command, *report, true, false);
  if (command.output == "text" && !(*report)["reason"].get<std::string>().empty())
    std::printf("%s\n", (*report)["reason"].get<std::string>().c_str());
  return done;
}

}  // namespace umbra::hub
