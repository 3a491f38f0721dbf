#include "hub/admin/api.h"

#include <algorithm>
#include <map>

#include "hub/admin/answers.h"
#include "hub/admin/query.h"
#include "hub/peering/open_queries.h"

namespace umbra::hub {
namespace {

constexpr std::size_t page_rows_max = 1000;
constexpr std::size_t page_rows_default = 100;

struct Page {
  RowId after;
  std::size_t limit = page_rows_default;
  std::optional<storage::MessageState> state;
};

/// "after=5&limit=10&state=held".
std::expected<Page, std::string> parse_page(std::string_view query, bool with_state) {
  Page page;
  for (auto [key, value, number] : split_query(query)) {
    if (key == "after" && number &&
        *number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      page.after.value = static_cast<std::int64_t>(*number);
    } else if (key == "limit" && number && *number >= 1 && *number <= page_rows_max) {
      page.limit = static_cast<std::size_t>(*number);
    } else if (key == "state" && with_state && parse_message_state(value)) {
      page.state = parse_message_state(value);
    } else {
      return std::unexpected(std::string("expected after=ROW, limit=1..1000") +
                             (with_state ? ", state=queued|held" : ""));
    }
  }
  return page;
}

/// The key to continue from, or null after the last page.
template <class Row>
Json next_page(const std::vector<Row>& rows, const Page& page) {
  if (rows.size() < page.limit) return nullptr;
  return std::to_string(rows.back().row.value);
}

std::optional<QueueAction> parse_action(std::string_view text) {
  if (text == "retry") return QueueAction::retry;
  if (text == "hold") return QueueAction::hold;
  if (text == "release") return QueueAction::release;
  if (text == "bounce") return QueueAction::bounce;
  return std::nullopt;
}

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
  const std::string_view method = request.method == "HEAD" ? std::string_view("GET") : std::string_view(request.method);
  std::string allowed;
  const auto all = routes();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& route = all[i];
    if (request.role == AdminRole::none && route.role != AdminRole::none) continue;  // who has no role is told of no path
    auto words = match_path(route.pattern, path);
    if (!words) continue;
    if (route.method != method) {
      if (allowed.find(route.method) == std::string::npos) allowed.append(allowed.empty() ? "" : ", ").append(route.method);
      continue;
    }
    found = i;
    if (route.role > request.role) co_return error_answer(403, "the role write is needed, and " + request.by + " has " + std::string(to_string(request.role)));
    co_return co_await route.handler(*this, {std::move(*words), std::move(query), std::move(request.by), false});
  }
  if (!allowed.empty()) {
    auto response = error_answer(405, "expected " + allowed);
    response.headers.emplace_back("Allow", allowed);
    co_return response;
  }
  co_return error_answer(404, request.role == AdminRole::none ? "here are /healthz/live, /healthz/ready and /metrics" : "no such path");
}

Task<ApiResponse> AdminApi::passed_on(PassedQuery query) {
  auto [path, rest] = split_target(query.target);
  const std::string_view method = query.by.empty() ? "GET" : "POST";
  for (const auto& route : routes()) {
    if (route.for_hubs == ForHubs::no || route.method != method) continue;
    auto words = match_path(route.pattern, path);
    if (words) co_return co_await route.handler(*this, {std::move(*words), std::move(rest), std::move(query.by), true});
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
  ApiResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = render_metrics(backend_.metrics(), *gauges);
  co_return response;
}

Task<ApiResponse> AdminApi::status() {
  auto gauges = co_await backend_.gauges();
  if (!gauges) co_return unavailable(gauges.error());
  co_return json_answer(
      status_report(backend_.identity(), backend_.health(), *gauges, backend_.metrics(), backend_.peers(), backend_.configuration()));
}

ApiResponse AdminApi::peers() const {
  Json list = Json::array();
  for (const auto& peer : backend_.peers()) list.push_back(peer_report(peer));
  return json_answer({{"peers", std::move(list)}});
}

ApiResponse AdminApi::reload() {
  // Two things, each with its own answer: certificates are renewed though somebody has left a slip in the configuration.
  auto configuration = backend_.reload_configuration();
  Json list = Json::array();
  for (const auto& report : backend_.reload_certificates()) list.push_back(certificate_report(report));
  Json answer = {{"configuration", reload_report(configuration)}, {"certificates", std::move(list)}};
  if (!configuration.state.is_refused) return json_answer(answer);
  answer["error"] = "the configuration is refused, the former one stays in force: " + to_string(configuration.state.problems.front());
  return json_answer(answer, 409);
}

Task<ApiResponse> AdminApi::queue(std::string query) {
  auto page = parse_page(query, true);
  if (!page) co_return error_answer(400, page.error());
  auto rows = co_await backend_.messages(page->after, page->limit);
  if (!rows) co_return unavailable(rows.error());
  Json list = Json::array();
  for (const auto& message : *rows) {
    if (!page->state || message.state == *page->state) list.push_back(message_summary(message));
  }
  co_return json_answer({{"messages", std::move(list)}, {"next", next_page(*rows, *page)}});
}

Task<ApiResponse> AdminApi::one_message(std::string id) {
  auto parsed = parse_message_id(id);
  if (!parsed) co_return error_answer(400, "a message id is <16 hexadecimal digits>-<hexadecimal number>");
  auto message = co_await backend_.message(*parsed);
  if (!message) co_return unavailable(message.error());
  if (*message) co_return json_answer(message_report(**message, backend_.identity().hub));
  auto shadow = co_await backend_.shadow(*parsed);
  if (!shadow) co_return unavailable(shadow.error());
  if (*shadow) co_return json_answer(shadow_report(**shadow));
  co_return error_answer(404, "this hub has no message " + to_string(*parsed));
}

Task<ApiResponse> AdminApi::act(std::string id, std::string action) {
  auto parsed = parse_message_id(id);
  if (!parsed) co_return error_answer(400, "a message id is <16 hexadecimal digits>-<hexadecimal number>");
  auto known = parse_action(action);
  if (!known) co_return error_answer(404, "expected retry, hold, release or bounce");
  auto outcome = co_await backend_.act(*parsed, *known);
  if (!outcome) co_return unavailable(outcome.error());
  switch (outcome->kind) {
    case ActionOutcome::Kind::done:
      co_return json_answer({{"id", to_string(*parsed)}, {"done", action}, {"remark", outcome->remark}});
    case ActionOutcome::Kind::not_found:
      co_return error_answer(404, "this hub has no message " + to_string(*parsed) + " in delivery");
    case ActionOutcome::Kind::refused:
      break;
  }
  co_return error_answer(409, outcome->why);
}

Task<ApiResponse> AdminApi::shadows(std::string query) {
  auto page = parse_page(query, false);
  if (!page) co_return error_answer(400, page.error());
  auto rows = co_await backend_.shadows(page->after, page->limit);
  if (!rows) co_return unavailable(rows.error());
  Json list = Json::array();
  for (const auto& shadow : *rows) list.push_back(shadow_summary(shadow));
  co_return json_answer({{"shadows", std::move(list)}, {"next", next_page(*rows, *page)}});
}

}  // namespace umbra::hub
