// The admin API's part for the whole cluster, which any hub answers for: it asks the others over the sessions
// that they have with one another (docs/xshadow.md section 19) and puts what each said beside what it knows
// itself. Who does not answer is named. Of another hub's words only JSON that nests a little is passed on.
//   GET  /v1/cluster/status, /v1/cluster/configuration
//   GET  /v1/cluster/queue?hub=NAME&after=ROW&limit=1..1000&state=queued|held
//   GET  /v1/messages/ID                               where its copies are
//   GET  /v1/hubs/HUB/drain
//   POST /v1/hubs/HUB/pause|drain|leave|undrain
#include <algorithm>

#include "hub/admin/answers.h"
#include "hub/admin/heard.h"
#include "hub/admin/query.h"
#include "smtp/shadow_queries.h"

namespace umbra::hub {
namespace {

/// {"hub", "answered", "why", name: what it said}.
Json part_of(const std::string& hub, const char* name, std::optional<Json> said, const std::string& why) {
  const bool is_answered = said.has_value();
  return {{"hub", hub},
          {"answered", is_answered},
          {"why", is_answered ? Json(nullptr) : Json(why)},
          {name, is_answered ? std::move(*said) : Json(nullptr)}};
}

Json part_of(const HubAnswer& answer, const char* name) {
  if (answer.status == 0) return part_of(answer.hub, name, std::nullopt, answer.why);
  auto said = parse_heard(answer.body);
  if (!said) return part_of(answer.hub, name, std::nullopt, "its answer is no JSON");
  if (answer.status == 200) return part_of(answer.hub, name, std::move(said), {});
  const auto error = said->find("error");
  const auto words =
      error != said->end() && error->is_string() ? error->get<std::string>() : std::string("it answered");
  return part_of(answer.hub, name, std::nullopt, words + " (" + std::to_string(answer.status) + ")");
}

/// Of this hub, from what it would answer itself.
Json own_part(const std::string& hub, const char* name, const ApiResponse& own) {
  return part_of(HubAnswer{hub, own.status, own.body, {}}, name);
}

void sort_by_hub(Json& parts) {
  auto by_hub = [](const Json& one, const Json& other) {
    return one["hub"].get<std::string>() < other["hub"].get<std::string>();
  };
  std::sort(parts.begin(), parts.end(), by_hub);
}

ApiResponse of_cluster(Json parts) {
  sort_by_hub(parts);
  const auto silent =
      std::ranges::count_if(parts, [](const Json& part) { return !part["answered"].get<bool>(); });
  return json_answer({{"hubs", std::move(parts)}, {"unanswered", silent}});
}

ApiResponse passed_back(const HubAnswer& answer, bool is_order) {
  if (answer.status == 0)
    return error_answer(504, answer.hub + " did not answer: " + answer.why +
                                 (is_order ? "; whether it has taken the order is not known" : ""));
  auto said = parse_heard(answer.body);
  if (!said) {
    if (answer.status == 404) return error_answer(404, answer.why);
    return error_answer(502, "the answer of " + answer.hub + " is no JSON");
  }
  return json_answer(*said, answer.status >= 200 && answer.status < 600 ? answer.status : 502);
}

}  // namespace

Task<ApiResponse> AdminApi::of_all_hubs(std::string target, const char* name, ApiResponse own) {
  auto others = co_await backend_.ask_hubs(std::move(target));
  Json parts = Json::array();
  parts.push_back(own_part(backend_.identity().hub, name, own));
  for (const auto& answer : others) parts.push_back(part_of(answer, name));
  co_return of_cluster(std::move(parts));
}

Task<ApiResponse> AdminApi::cluster_status() {
  auto own = co_await status();
  co_return co_await of_all_hubs("/v1/status", "status", std::move(own));
}

Task<ApiResponse> AdminApi::cluster_configuration() {
  return of_all_hubs("/v1/configuration", "configuration", configuration(false));
}

Task<ApiResponse> AdminApi::cluster_queue(std::string query) {
  std::string hub;
  std::string rest;
  for (const auto& part : split_query(query)) {
    if (part.key == "hub") {
      hub = part.value;
      continue;
    }
    rest.append(rest.empty() ? "" : "&").append(part.key).append("=").append(part.value);
  }
  const auto own_name = backend_.identity().hub;
  // A page that is not one here is none elsewhere: said once, not by every hub.
  auto own = co_await queue(rest);
  if (own.status == 400) co_return own;
  const auto target = "/v1/queue" + (rest.empty() ? rest : "?" + rest);
  if (!smtp::is_query_target(target))
    co_return error_answer(400, "the query is too long, or has other than visible ASCII");
  Json parts = Json::array();
  if (hub.empty() || hub == own_name) parts.push_back(own_part(own_name, "page", own));
  if (hub.empty()) {
    for (const auto& answer : co_await backend_.ask_hubs(target)) parts.push_back(part_of(answer, "page"));
  } else if (hub != own_name) {
    auto answer = co_await backend_.ask_hub(hub, target);
    if (answer.status == 404 && answer.body.empty()) co_return error_answer(404, answer.why);
    parts.push_back(part_of(answer, "page"));
  }
  co_return of_cluster(std::move(parts));
}

/// {"copy": what this hub has of the message, or null}.
Task<ApiResponse> AdminApi::own_copy(MessageId id) {
  auto message = co_await backend_.message(id);
  if (!message) co_return unavailable(message.error());
  if (*message) {
    auto copy = message_report(**message, backend_.identity().hub);
    copy["role"] = "primary";
    co_return json_answer({{"copy", std::move(copy)}});
  }
  auto shadow = co_await backend_.shadow(id);
  if (!shadow) co_return unavailable(shadow.error());
  if (!*shadow) co_return json_answer({{"copy", nullptr}});
  auto copy = shadow_report(**shadow);
  copy["role"] = "shadow";
  co_return json_answer({{"copy", std::move(copy)}});
}

Task<ApiResponse> AdminApi::copies(ApiCall call) {
  auto id = parse_message_id(call.words[0]);
  if (!id) co_return error_answer(400, "a message id is <16 hexadecimal digits>-<hexadecimal number>");
  auto own = co_await own_copy(*id);
  if (call.is_passed_on) co_return own;
  auto others = co_await backend_.ask_hubs("/v1/messages/" + to_string(*id));
  Json parts = Json::array();
  parts.push_back(own_part(backend_.identity().hub, "copy", own));
  for (const auto& answer : others) parts.push_back(part_of(answer, "copy"));
  std::int64_t copies = 0;
  std::int64_t silent = 0;
  for (auto& part : parts) {
    if (!part["answered"].get<bool>()) {
      ++silent;
      continue;
    }
    Json copy = part["copy"].value("copy", Json(nullptr));
    if (copy.is_object()) ++copies;
    part["copy"] = copy.is_object() ? std::move(copy) : Json(nullptr);
  }
  sort_by_hub(parts);
  // Nobody has it, and everybody was heard: it is done, or never was (GET /v1/trace tells).
  const unsigned status = copies == 0 && silent == 0 ? 404 : 200;
  Json answer = {
      {"id", to_string(*id)}, {"copies", copies}, {"hubs", std::move(parts)}, {"unanswered", silent}};
  if (status == 404) answer["error"] = "no hub has a copy of message " + to_string(*id);
  co_return json_answer(answer, status);
}

Task<ApiResponse> AdminApi::drain_of(ApiCall call) {
  const auto& hub = call.words[0];
  if (hub == backend_.identity().hub) co_return co_await drain_state();
  co_return passed_back(co_await backend_.ask_hub(hub, "/v1/drain"), false);
}

Task<ApiResponse> AdminApi::order_drain(ApiCall call, std::string verb) {
  for (const auto& part : split_query(call.query))
    if (part.key == "verb") co_return error_answer(400, "the verb stands in the path here");
  auto query = call.query + (call.query.empty() ? "verb=" : "&verb=") + verb;
  if (call.words[0] == backend_.identity().hub) co_return co_await begin_drain(std::move(query));
  co_return co_await order(std::move(call), "/v1/drain?" + query);
}

Task<ApiResponse> AdminApi::order_undrain(ApiCall call) {
  if (call.words[0] == backend_.identity().hub) co_return co_await undrain();
  co_return co_await order(std::move(call), "/v1/undrain");
}

Task<ApiResponse> AdminApi::order(ApiCall call, std::string target) {
  if (!smtp::is_query_target(target))
    co_return error_answer(400, "the query is too long, or has other than visible ASCII");
  co_return passed_back(co_await backend_.order_hub(call.words[0], call.by, std::move(target)), true);
}

}  // namespace umbra::hub
