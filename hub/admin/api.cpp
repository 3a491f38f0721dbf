#include "hub/admin/api.h"

#include <algorithm>

#include "hub/admin/answers.h"
#include "hub/admin/query.h"
#include "hub/peering/open_queries.h"

namespace umbra::hub {
namespace {

std::pair<std::string, std::string> split_target(const std::string& target) {
  auto mark = target.find('?');
  if (mark == std::string::npos) return {target, {}};
  return {target.substr(0, mark), target.substr(mark + 1)};
}

}  // namespace

Task<ApiResponse> AdminApi::answer(ApiRequest request) {
  std::optional<std::size_t> route;
  auto response = co_await find_and_answer(std::move(request), route);
  counts_.add(route, response.status);
  co_return response;
}

Task<ApiResponse> AdminApi::find_and_answer(ApiRequest request, std::optional<std::size_t>& found) {
  auto [path, query] = split_target(request.target);
  // HEAD is GET whose body the server leaves out.
  const std::string_view method =
      request.method == "HEAD" ? std::string_view("GET") : std::string_view(request.method);
  std::string allowed;
  const auto all = routes();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& route = all[i];
    if (request.role == AdminRole::none && route.role != AdminRole::none)
      continue;  // who has no role is told of no path
    auto words = match_path(route.pattern, path);
    if (!words) continue;
    if (route.method != method) {
      if (allowed.find(route.method) == std::string::npos)
        allowed.append(allowed.empty() ? "" : ", ").append(route.method);
      continue;
    }
    found = i;
    if (route.role > request.role)
      co_return error_answer(403, "the role write is needed, and " + request.by + " has " +
                                      std::string(to_string(request.role)));
    co_return co_await route.handler(*this,
                                     {std::move(*words), std::move(query), std::move(request.by), false});
  }
  if (!allowed.empty()) {
    auto response = error_answer(405, "expected " + allowed);
    response.headers.emplace_back("Allow", allowed);
    co_return response;
  }
  co_return error_answer(404, request.role == AdminRole::none
                                  ? "here are /healthz/live, /healthz/ready and /metrics"
                                  : "no such path");
}

Task<ApiResponse> AdminApi::passed_on(PassedQuery query) {
  auto [path, rest] = split_target(query.target);
  const std::string_view method = query.by.empty() ? "GET" : "POST";
  for (const auto& route : routes()) {
    if (route.for_hubs == ForHubs::no || route.method != method) continue;
    auto words = match_path(route.pattern, path);
    if (words)
      co_return co_await route.handler(*this,
                                       {std::move(*words), std::move(rest), std::move(query.by), true});
  }
  co_return error_answer(404, "not answered to other hubs");
}

ApiResponse AdminApi::health(bool ready) const {
  auto health = backend_.health();
  bool good = ready ? health.live && health.ready : health.live;
  return {good ? 200U : 503U, "text/plain; charset=utf-8", good ? "ok\n" : health.reason + "\n"};
}

Task<ApiResponse> AdminApi::metrics() {
  auto gauges = co_await backend_.gauges();
  if (!gauges) co_return unavailable(gauges.error());
  gauges->admin_requests = counts_.all();
  ApiResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = render_metrics(backend_.metrics(), *gauges);
  co_return response;
}

ApiResponse AdminApi::configuration(bool is_diff) const {
  if (!is_diff)
    return json_answer({{"hub", backend_.identity().hub},
                        {"configuration", configuration_report(backend_.configuration())}});
  auto plan = backend_.preview_configuration();
  if (plan) return json_answer(plan_report(backend_.identity().hub, backend_.configuration(), *plan));
  auto state = backend_.configuration();
  state.problems = std::move(plan.error());
  return json_answer({{"hub", backend_.identity().hub},
                      {"result", "refused"},
                      {"configuration", configuration_report(state)}});
}

ApiResponse AdminApi::certificates() {
  Json list = Json::array();
  for (const auto& report : backend_.certificates()) list.push_back(certificate_report(report));
  return json_answer({{"hub", backend_.identity().hub}, {"certificates", std::move(list)}});
}

Task<ApiResponse> AdminApi::status() {
  auto gauges = co_await backend_.gauges();
  if (!gauges) co_return unavailable(gauges.error());
  co_return json_answer(status_report(backend_.identity(), backend_.health(), *gauges, backend_.metrics(),
                                      backend_.peers(), backend_.configuration()));
}

ApiResponse AdminApi::peers() const {
  Json list = Json::array();
  for (const auto& peer : backend_.peers()) list.push_back(peer_report(peer));
  return json_answer({{"peers", std::move(list)}});
}

ApiResponse AdminApi::reload() {
  // Two things, each with its own answer: certificates are renewed though somebody has left a slip in the
  // configuration.
  auto configuration = backend_.reload_configuration();
  Json list = Json::array();
  for (const auto& report : backend_.reload_certificates()) list.push_back(certificate_report(report));
  Json answer = {{"configuration", reload_report(configuration)}, {"certificates", std::move(list)}};
  if (!configuration.state.is_refused) return json_answer(answer);
  answer["error"] = "the configuration is refused, the former one stays in force: " +
                    to_string(configuration.state.problems.front());
  return json_answer(answer, 409);
}

}  // namespace umbra::hub
