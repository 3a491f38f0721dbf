// The admin API's part for pause, drain and leave:
//   POST /v1/drain?verb=pause|drain|leave&return_within=S&deadline=S&unready_wait=S&rate=N&to=a,b
//   GET  /v1/drain
//   GET  /v1/drain/preview?verb=...&to=a,b
//   POST /v1/undrain
// 409: refused, or would be.
#include <chrono>

#include "hub/admin/answers.h"
#include "hub/admin/query.h"

namespace umbra::hub {
namespace {

using cluster::DrainOrder;
using cluster::DrainVerb;

constexpr std::uint64_t seconds_max = 24ULL * 3600;
constexpr std::uint64_t rate_max = 1'000'000;

std::expected<DrainOrder, std::string> parse_order(std::string_view query) {
  DrainOrder order;
  for (const auto& part : split_query(query)) {
    auto key = part.key;
    auto value = part.value;
    auto number = part.number;
    auto seconds = [&](Duration& into) {
      if (!number || *number > seconds_max) return false;
      into = std::chrono::seconds(*number);
      return true;
    };
    bool is_good = false;
    if (key == "verb") {
      auto verb = cluster::parse_drain_verb(value);
      is_good = verb.has_value();
      if (verb) order.verb = *verb;
    } else if (key == "return_within") {
      is_good = seconds(order.return_within);
    } else if (key == "deadline") {
      is_good = seconds(order.deadline);
    } else if (key == "unready_wait") {
      is_good = seconds(order.unready_wait);
    } else if (key == "rate") {
      is_good = number && *number >= 1 && *number <= rate_max;
      if (is_good) order.rate = *number;
    } else if (key == "to") {
      while (!value.empty()) {
        auto hub = value.substr(0, value.find(','));
        value.remove_prefix(std::min(hub.size() + 1, value.size()));
        if (!hub.empty()) order.to.emplace_back(hub);
      }
      is_good = !order.to.empty();  // nobody is not everybody
    }
    if (!is_good)
      return std::unexpected(
          "expected verb=pause|drain|leave, return_within=, deadline=, unready_wait=SECONDS, "
          "rate=1..1000000, to=HUB,HUB");
  }
  return order;
}

double seconds_of(Duration d) {
  return std::chrono::duration<double>(d).count();
}

Json view_json(const cluster::DrainView& view, DrainVerb verb) {
  return {{"connections", view.sessions},
          {"queue", view.queue},
          {"due", verb == DrainVerb::drain ? Json(view.due) : Json(nullptr)},
          {"unprotected", view.unprotected},
          {"shadows", view.shadows},
          {"outbox", view.outbox}};
}

}  // namespace

Json drain_report(const std::string& hub, const DrainReport& report) {
  Json handed = Json::object();
  for (const auto& [to, count] : report.handed_to) handed[to] = count;
  return {{"hub", hub},
          {"state", to_string(report.state)},
          {"verb",
           report.state == cluster::DrainState::active ? Json(nullptr) : Json(to_string(report.order.verb))},
          {"reason", report.why},
          {"since_seconds", seconds_of(report.since)},
          {"in_state_seconds", seconds_of(report.in_state)},
          {"return_within_seconds", seconds_of(report.order.return_within)},
          {"initial", view_json(report.initial, report.order.verb)},
          {"current", view_json(report.current, report.order.verb)},
          {"remaining", report.remaining},
          {"in_flight", report.in_flight},
          {"handed_over", report.handed_over},
          {"handed_to", std::move(handed)},
          {"rehomed", report.rehomed},
          {"refused", report.refused},
          {"rate", report.rate},
          {"eta_seconds", report.eta ? Json(seconds_of(*report.eta)) : Json(nullptr)},
          {"targets", report.current.targets},
          {"exit_code", report.exit_code}};
}

Task<ApiResponse> AdminApi::drain_state() {
  auto report = co_await backend_.drain().report();
  if (!report) co_return unavailable(report.error());
  co_return json_answer(drain_report(backend_.identity().hub, *report));
}

Task<ApiResponse> AdminApi::begin_drain(std::string query) {
  auto order = parse_order(query);
  if (!order) co_return error_answer(400, order.error());
  auto refused = co_await backend_.drain().begin(std::move(*order));
  if (!refused) co_return unavailable(refused.error());
  if (!refused->empty()) co_return error_answer(409, *refused);
  co_return co_await drain_state();
}

Task<ApiResponse> AdminApi::undrain() {
  if (auto done = co_await backend_.drain().undrain(); !done) co_return unavailable(done.error());
  co_return co_await drain_state();
}

Task<ApiResponse> AdminApi::preview_drain(std::string query) {
  auto order = parse_order(query);
  if (!order) co_return error_answer(400, order.error());
  auto preview = co_await backend_.drain().preview(*order);
  if (!preview) co_return unavailable(preview.error());
  if (!preview->refused.empty()) co_return error_answer(409, preview->refused);
  co_return json_answer(
      {{"hub", backend_.identity().hub},
       {"verb", to_string(order->verb)},
       {"queue", preview->queue},
       {"due", preview->due},
       {"shadows", preview->shadows},
       {"outbox", preview->outbox},
       {"unprotected", preview->unprotected},
       {"targets", preview->targets},
       {"lose_last_copy", preview->lose_last_copy},
       {"lose_last_copy_ids", preview->lose_last_copy_ids},
       {"safety_net", {{"messages", preview->safety_net}, {"octets", preview->safety_net_octets}}}});
}

}  // namespace umbra::hub
