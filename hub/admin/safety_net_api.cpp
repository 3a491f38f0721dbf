// The admin API's part for the safety net; FILTER is that of hub/safety_net/filter.h.
//   GET  /v1/safety-net?FILTER&limit=1..1000&after=TIME-ROW   what is kept, oldest first, page by page
//   GET  /v1/safety-net/preview?FILTER                        what a resend would do
//   POST /v1/safety-net/resend?request=NAME&FILTER
//   GET  /v1/safety-net/requests, /v1/safety-net/requests/NAME
//   POST /v1/safety-net/requests/NAME/cancel
// 409: a resend is refused; the same request again answers how far it is.
#include <charconv>

#include <fmt/format.h>

#include "hub/admin/answers.h"
#include "hub/config/units.h"
#include "hub/logs/log_line.h"

namespace umbra::hub {
namespace {

constexpr std::size_t limit_max = 1000;
constexpr std::size_t limit_default = 100;
constexpr std::size_t recipients_shown_max = 100;

std::string value_of(std::string_view query, std::string_view key) {
  while (!query.empty()) {
    auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    auto equals = part.find('=');
    if (part.substr(0, equals) == key && equals != std::string_view::npos)
      return std::string(part.substr(equals + 1));
  }
  return {};
}

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t number = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::string_view to_string(storage::Resend::State state) {
  switch (state) {
    case storage::Resend::State::running:
      return "running";
    case storage::Resend::State::done:
      return "done";
    case storage::Resend::State::cancelled:
      return "cancelled";
  }
  return "unknown";
}

Json kept_report(const KeptMatch& match) {
  const auto& message = match.message;
  Json recipients = Json::array();
  for (auto index : match.recipients) {
    if (recipients.size() == recipients_shown_max) break;
    Json one = {
        {"address", message.envelope.recipients[index].address}, {"next_hop", nullptr}, {"reply", nullptr}};
    for (const auto& delivered : message.delivered) {
      if (delivered.index != index || delivered.next_hop.empty()) continue;
      one["next_hop"] = delivered.next_hop;
      one["reply"] = delivered.reply;
    }
    recipients.push_back(std::move(one));
  }
  return {{"id", umbra::to_string(message.id)},
          {"role", message.is_shadow ? "shadow" : "primary"},
          {"owner", message.is_shadow ? Json(message.owner_hub) : Json(nullptr)},
          {"ended_at", to_text(message.ended_at)},
          {"sender", message.envelope.sender},
          {"size", message.size},
          {"recipients_matching", match.recipients.size()},
          {"recipients", std::move(recipients)}};
}

Json resend_report(const storage::Resend& resend) {
  return {{"request", resend.request},
          {"state", to_string(resend.state)},
          {"filter", resend.filter},
          {"begun_at", to_text(resend.begun_at)},
          {"changed_at", to_text(resend.changed_at)},
          {"reached", to_text(resend.reached_at)},
          {"looked_at", resend.looked_at},
          {"resent", resend.resent},
          {"octets", resend.resent_octets},
          {"shadows_left_out", resend.shadows_left_out},
          {"failed", resend.failed},
          {"waits_for", resend.why}};
}

}  // namespace

Task<ApiResponse> AdminApi::list_kept(std::string query) {
  auto filter = parse_kept_filter(query, {"limit", "after"});
  if (!filter) co_return error_answer(400, filter.error());
  auto limit_text = value_of(query, "limit");
  auto limit = limit_text.empty() ? std::optional<std::int64_t>(limit_default) : number_of(limit_text);
  auto after = value_of(query, "after");
  auto dash = after.find('-');
  auto from =
      after.empty() ? std::optional<std::int64_t>(0) : number_of(std::string_view(after).substr(0, dash));
  auto row = after.empty()               ? std::optional<std::int64_t>(0)
             : dash == std::string::npos ? std::nullopt
                                         : number_of(std::string_view(after).substr(dash + 1));
  if (!limit || *limit < 1 || *limit > static_cast<std::int64_t>(limit_max) || !from || !row)
    co_return error_answer(400, "expected limit=1..1000, after=TIME-ROW of the page before");
  auto page = co_await backend_.safety_net().list(*filter, WallTime(WallClock::duration(*from)), RowId{*row},
                                                  static_cast<std::size_t>(*limit));
  if (!page) co_return unavailable(page.error());
  Json list = Json::array();
  for (const auto& match : page->messages) list.push_back(kept_report(match));
  Json next = nullptr;
  if (page->next)
    next = fmt::format("{}-{}", page->next->first.time_since_epoch().count(), page->next->second.value);
  co_return json_answer({{"messages", std::move(list)}, {"next", std::move(next)}});
}

Task<ApiResponse> AdminApi::begin_resend(std::string query) {
  auto filter = parse_kept_filter(query, {"request"});
  if (!filter) co_return error_answer(400, filter.error());
  auto request = value_of(query, "request");
  if (!is_plain_name(request))
    co_return error_answer(400, "expected request=NAME: letters, digits, \".\", \"-\", \"_\", at most 64");
  auto answer = co_await backend_.safety_net().begin(request, *filter);
  if (!answer) co_return unavailable(answer.error());
  if (!answer->refusal.empty()) co_return error_answer(409, answer->refusal);
  co_return json_answer(resend_report(answer->resend));
}

Task<ApiResponse> AdminApi::preview_resend(std::string query) {
  auto filter = parse_kept_filter(query);
  if (!filter) co_return error_answer(400, filter.error());
  auto preview = co_await backend_.safety_net().preview(*filter);
  if (!preview) co_return unavailable(preview.error());
  co_return json_answer({{"messages", preview->messages},
                         {"recipients", preview->recipients},
                         {"octets", preview->octets},
                         {"shadows_left_out", preview->shadows_left_out}});
}

Task<ApiResponse> AdminApi::list_resends() {
  auto found = co_await backend_.safety_net().recent();
  if (!found) co_return unavailable(found.error());
  Json list = Json::array();
  for (const auto& resend : *found) list.push_back(resend_report(resend));
  co_return json_answer({{"requests", std::move(list)}});
}

Task<ApiResponse> AdminApi::one_resend(std::string name) {
  auto found = co_await backend_.safety_net().find(name);
  if (!found) co_return unavailable(found.error());
  if (!*found) co_return error_answer(404, "this hub knows no request of that name");
  co_return json_answer(resend_report(**found));
}

Task<ApiResponse> AdminApi::cancel_resend(std::string name) {
  auto cancelled = co_await backend_.safety_net().cancel(name);
  if (!cancelled) co_return unavailable(cancelled.error());
  if (!*cancelled) co_return error_answer(409, "no request of that name is under way");
  co_return co_await one_resend(std::move(name));
}

}  // namespace umbra::hub
