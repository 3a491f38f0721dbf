#include "hub/admin/api.h"

#include <algorithm>
#include <map>

#include "hub/admin/answers.h"
#include "hub/admin/query.h"

namespace umbra::hub {
namespace {

constexpr std::size_t page_rows_max = 1000;
constexpr std::size_t page_rows_default = 100;

ApiResponse wrong_method(const char* expected) {
  return error_answer(405, std::string("expected ") + expected);
}

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

Task<ApiResponse> AdminApi::observations(ApiRequest request) {
  auto path = split_target(request.target).first;
  bool is_known = path == "/healthz/startup" || path == "/healthz/live" || path == "/healthz/ready" || path == "/metrics";
  if (!is_known) co_return error_answer(404, "here are /healthz/startup, /healthz/ready, /healthz/live and /metrics");
  if (request.method != "GET" && request.method != "HEAD") co_return wrong_method("GET");
  if (path == "/metrics") co_return co_await metrics();
  co_return health(path == "/healthz/ready");
}

Task<ApiResponse> AdminApi::commands(ApiRequest request) {
  auto [path, query] = split_target(request.target);
  if (!path.starts_with("/v1/")) co_return co_await observations(std::move(request));

  bool is_get = request.method == "GET";
  std::string_view rest = std::string_view(path).substr(4);
  if (rest == "status") {
    if (!is_get) co_return wrong_method("GET");
    co_return co_await status();
  }
  if (rest == "peers") co_return is_get ? peers() : wrong_method("GET");
  if (rest == "reload") co_return request.method == "POST" ? reload() : wrong_method("POST");
  if (rest == "queue" || rest == "shadows") {
    if (!is_get) co_return wrong_method("GET");
    if (rest == "queue") co_return co_await queue(std::move(query));
    co_return co_await shadows(std::move(query));
  }
  if (rest == "trace") {
    if (!is_get) co_return wrong_method("GET");
    co_return co_await trace(std::move(query), false);
  }
  if (rest == "watch") co_return watch(request.method, query);
  if (rest == "drain" || rest == "drain/preview" || rest == "undrain") co_return co_await drain(request.method, std::string(rest), std::move(query));
  if (rest == "suspensions" || rest == "suspend" || rest == "resume") co_return co_await suspensions(request.method, std::string(rest), std::move(query));
  if (rest == "safety-net" || rest.starts_with("safety-net/")) co_return co_await safety_net(request.method, std::string(rest), std::move(query));
  if (rest.starts_with("queue/")) {
    rest.remove_prefix(6);
    auto slash = rest.find('/');
    std::string id(rest.substr(0, slash));
    if (slash == std::string_view::npos) {
      if (!is_get) co_return wrong_method("GET");
      co_return co_await one_message(std::move(id));
    }
    if (request.method != "POST") co_return wrong_method("POST");
    std::string action(rest.substr(slash + 1));
    co_return co_await act(std::move(id), std::move(action));
  }
  co_return error_answer(404, "no such path");
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
