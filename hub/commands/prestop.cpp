#include "hub/commands/prestop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <expected>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "hub/admin/client.h"
#include "hub/admin/drain_view.h"
#include "hub/config/units.h"
#include "hub/net/dns.h"
#include "hub/net/http_client.h"
#include "hub/net/tcp.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr auto api_timeout = 5s;
constexpr auto no_answer_max = 5s;  // of the hub: one whose epoch another one has ended is back in less
constexpr auto no_reply_max = 30s;  // to one question, when the deadline leaves so much
constexpr auto margin = 2s;         // of the deadline, for the hub to say "incomplete" in
constexpr int look_every_ms = 200;
constexpr std::string_view service_account = "/var/run/secrets/kubernetes.io/serviceaccount/";

std::string environment(const char* name, const std::string& otherwise = {}) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

std::string first_line_of(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// The number behind the last '-': a pod's ordinal.
std::optional<std::uint64_t> ordinal_of(const std::string& name) {
  auto dash = name.rfind('-');
  return dash == std::string::npos ? std::nullopt : parse_number(std::string_view(name).substr(dash + 1));
}

Task<void> get(HttpClient& client, HttpRequest request, MonotonicTime until, std::string& body,
               std::string& trouble) {
  auto response = co_await client.send(std::move(request), until);
  client.close();
  if (!response) {
    trouble = response.error().what + ": " + response.error().code.message();
  } else if (response->status != 200) {
    trouble = "HTTP " + std::to_string(response->status);
  } else {
    body = std::move(response->body);
  }
}

/// The pod's StatefulSet, as the API server has it; empty, with a word on standard output, when it cannot be
/// had.
std::string ask_for_set(MonotonicTime until) {
  auto set = environment("UMBRA_STATEFULSET");
  auto name_space =
      environment("UMBRA_NAMESPACE", first_line_of(fmt::format("{}namespace", service_account)));
  auto host = environment("KUBERNETES_SERVICE_HOST");
  auto port = parse_number(environment("KUBERNETES_SERVICE_PORT", "443"));
  if (set.empty() || name_space.empty() || host.empty() || !port || *port > 65535) return {};
  asio::io_context io(1);
  SystemRandom random;
  auto network = make_tcp_network(io);
  auto resolver = make_cares_resolver(io, {});
  auto folder = environment("UMBRA_SERVICE_ACCOUNT", std::string(service_account));
  HttpClient client({io, random, *network, *resolver},
                    {.address = {host, static_cast<std::uint16_t>(*port)},
                     .ca_file = (std::filesystem::path(folder) / "ca.crt").string(),
                     .certificate_file = {},
                     .key_file = {}});
  std::string body;
  std::string trouble;
  {
    TaskScope scope(io);
    scope.spawn("statefulset",
                get(client,
                    {"GET",
                     fmt::format("/apis/apps/v1/namespaces/{}/statefulsets/{}", name_space, set),
                     {{"Authorization",
                       "Bearer " + first_line_of((std::filesystem::path(folder) / "token").string())}},
                     {}},
                    until, body, trouble));
    io.run();
  }
  if (!trouble.empty())
    std::printf("the API server does not tell how many hubs there are to be (%s): draining\n",
                trouble.c_str());
  return body;
}

std::string drain_target(bool leaves, Duration left) {
  auto seconds = std::max<std::int64_t>(1, std::chrono::floor<std::chrono::seconds>(left - margin).count());
  auto wait = parse_duration(environment("UMBRA_PRESTOP_UNREADY_WAIT", "5s")).value_or(5s);
  return fmt::format("/v1/drain?verb={}&deadline={}&unready_wait={}", leaves ? "leave" : "drain", seconds,
                     std::chrono::ceil<std::chrono::seconds>(wait).count());
}

bool is_over(const Json& report) {
  auto state = report.value("state", std::string());
  return state == "active" || state == "drained" || state == "incomplete" || state == "left";
}

/// Asks the hub, and waits no longer than the hook may: a hub that is there and does not answer must not hold
/// a pod until the kubelet kills it.
std::expected<Json, AdminRefusal> ask(const std::string& socket, const std::string& method,
                                      const std::string& target, MonotonicTime deadline) {
  auto left = std::clamp<Duration>(deadline - MonotonicClock::now(), 100ms, no_reply_max);
  auto answer = ask_hub(socket, method, target, left);
  if (!answer) {
    bool late = answer.error().code == std::errc::timed_out;
    return std::unexpected(AdminRefusal{0, answer.error().what + (late ? ": no answer" : "")});
  }
  auto json = Json::parse(answer->body, nullptr, false);
  if (answer->status == 200 && json.is_object()) return json;
  bool has_words = json.is_object() && json.contains("error") && json["error"].is_string();
  return std::unexpected(
      AdminRefusal{answer->status, has_words ? json["error"].get<std::string>()
                                             : fmt::format("the hub answered {}", answer->status)});
}

/// What the order came to. One that is under way already is joined, a pause is ended for it.
std::string order_and_follow(const std::string& socket, bool leaves, MonotonicTime deadline) {
  auto report = ask(socket, "POST", drain_target(leaves, deadline - MonotonicClock::now()), deadline);
  if (!report && report.error().status == 409) {
    std::printf("%s: following what is under way\n", report.error().why.c_str());
    report = ask(socket, "GET", "/v1/drain", deadline);
    if (report && report->value("state", std::string()) == "paused") {
      (void)ask(socket, "POST", "/v1/undrain", deadline);
      report = ask(socket, "POST", drain_target(leaves, deadline - MonotonicClock::now()), deadline);
    }
  }
  auto heard = MonotonicClock::now();
  std::string last;
  for (;;) {
    auto now = MonotonicClock::now();
    if (report) {
      heard = now;
      last = drain_line(*report);
      if (is_over(*report)) {
        auto reason = report->value("reason", std::string());
        return last + (reason.empty() ? "" : ": " + reason);
      }
    } else if (now > heard + no_answer_max) {
      return report.error().why + (last.empty() ? "" : "; last heard: " + last);
    }
    if (now > deadline)
      return "the deadline of the hook has passed: " + (last.empty() && !report ? report.error().why : last);
    (void)::poll(nullptr, 0, look_every_ms);
    report = ask(socket, "GET", "/v1/drain", deadline);
  }
}

void leave_word(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  // Never made: where there is none, nobody reads it.
  auto path = environment("UMBRA_TERMINATION_LOG", "/dev/termination-log");
  int file = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (file < 0) return;
  auto text = "preStop: " + line + "\n";
  (void)!::write(file, text.data(), text.size());
  ::close(file);
}

}  // namespace

bool is_scaled_away(const std::string& name, const std::string& set) {
  auto ordinal = ordinal_of(name);
  auto json = Json::parse(set, nullptr, false);
  if (!ordinal || !json.is_object()) return false;
  auto spec = json.value("spec", Json::object());
  auto metadata = json.value("metadata", Json::object());
  if (!spec.is_object() || !metadata.is_object() || metadata.contains("deletionTimestamp")) return false;
  auto replicas = spec.find("replicas");
  if (replicas == spec.end() || !replicas->is_number_unsigned() || *replicas == 0U) return false;
  std::uint64_t first = 0;
  if (auto ordinals = spec.find("ordinals"); ordinals != spec.end() && ordinals->is_object())
    if (auto start = ordinals->find("start"); start != ordinals->end() && start->is_number_unsigned())
      first = start->get<std::uint64_t>();
  return *ordinal >= first && *ordinal - first >= replicas->get<std::uint64_t>();
}

int run_prestop(const std::string& socket) {
  auto span = parse_duration(environment("UMBRA_PRESTOP_DEADLINE", "180s")).value_or(180s);
  auto deadline = MonotonicClock::now() + span;
  try {
    bool leaves =
        is_scaled_away(environment("UMBRA_HUB_NAME"),
                       ask_for_set(MonotonicClock::now() + std::min<Duration>(api_timeout, span / 4)));
    leave_word(order_and_follow(socket, leaves, deadline));
  } catch (const std::exception& error) {  // an answer of another shape
    leave_word(std::string("the hub was not understood: ") + error.what());
  }
  return 0;
}

}  // namespace umbra::hub
