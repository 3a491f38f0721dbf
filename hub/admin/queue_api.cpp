// The admin API's part for the queue and the shadows:
//   GET  /v1/queue?state=queued|held&after=ROW&limit=N   messages of this hub, by row
//   GET  /v1/queue/ID                                    one of them, or the copy that is held of it
//   POST /v1/queue/ID/ACTION
//   GET  /v1/queue/search?FILTER&scope=hub|cluster&after=KEY&limit=N
//   POST /v1/queue/search/ACTION?FILTER&scope=hub|cluster&after=KEY&limit=N
//   GET  /v1/shadows?after=ROW&limit=N
// ACTION: retry, hold, release, bounce, delete, reroute?to=NEXTHOP. On a search it is of this hub alone where
// no scope is given.
// FILTER: hub/admin/queue_search.h.
//
// One answer to a search looks at a bounded number of rows: it may have found nothing and still say where to
// go on. Its KEY says for each hub that has more up to which row it looked ("hub-1:17,hub-2:40"); the others
// are not asked again.
#include <algorithm>
#include <map>

#include "hub/admin/answers.h"
#include "hub/admin/heard.h"
#include "hub/admin/query.h"
#include "hub/outbound/next_hop.h"
#include "hub/percent.h"
#include "smtp/shadow_queries.h"

namespace umbra::hub {
namespace {

constexpr std::size_t page_rows_max = 1000;
constexpr std::size_t page_rows_default = 100;
constexpr std::size_t search_rows_max = 20'000;  ///< looked at for one answer
constexpr std::size_t search_octets_max =
    512 * 1024;  ///< of an answer: other hubs' must fit in one (smtp::answer_octets_max)
constexpr std::size_t acted_max = 500;       ///< in one answer
constexpr Duration acting_max = 10s;         ///< and for so long
constexpr Duration acting_for_hub_max = 3s;  ///< by way of another hub, which waits for 10 s
constexpr std::size_t refused_shown_max = 100;

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

std::string_view name_of(QueueAction action) {
  switch (action) {
    case QueueAction::retry:
      return "retry";
    case QueueAction::hold:
      return "hold";
    case QueueAction::release:
      return "release";
    case QueueAction::bounce:
      return "bounce";
    case QueueAction::remove:
      return "delete";
    case QueueAction::reroute:
      return "reroute";
  }
  return {};
}

constexpr const char* expected_to =
    "expected to=NEXTHOP, percent-encoded: HOST, HOST:PORT, [IPv6]:PORT, mx:DOMAIN, route:NAME or config";

/// Takes "to=NEXTHOP" out of the query of a reroute; of other actions there is none.
std::expected<std::string, std::string> take_next_hop(std::string& query, QueueAction action) {
  if (action != QueueAction::reroute) return std::string();
  std::optional<std::string> to;
  std::string others;
  for (const auto& part : split_query(query)) {
    if (part.key != "to") {
      others.append(others.empty() ? "" : "&").append(part.key).append("=").append(part.value);
      continue;
    }
    if (to) return std::unexpected(expected_to);
    to = percent_decoded(part.value);
    if (!to) return std::unexpected(expected_to);
  }
  query = std::move(others);
  if (!to) return std::unexpected(expected_to);
  return parse_next_hop(*to);
}

std::optional<RowId> parse_row(std::string_view text) {
  auto number = parse_number(text);
  if (!number || *number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return std::nullopt;
  return RowId{static_cast<std::int64_t>(*number)};
}

struct Search {
  QueueFilter filter;
  std::size_t limit = page_rows_default;
  std::optional<bool> is_cluster;                   ///< whether of all hubs; nothing: not said
  std::map<std::string, RowId, std::less<>> after;  ///< empty: from the beginning, of every hub
};

constexpr const char* expected_search =
    "expected sender=, recipient=, next-hop=, error=TEXT, state=queued|held, since=, until=MICROSECONDS, "
    "scope=hub|cluster, after=KEY, limit=1..1000";

std::expected<Search, std::string> parse_search(std::string_view query) {
  Search search;
  std::string others;
  auto filter = parse_queue_filter(query, others);
  if (!filter) return std::unexpected(filter.error());
  search.filter = std::move(*filter);
  for (auto [key, value, number] : split_query(others)) {
    if (key == "limit" && number && *number >= 1 && *number <= page_rows_max) {
      search.limit = static_cast<std::size_t>(*number);
    } else if (key == "scope" && (value == "hub" || value == "cluster")) {
      search.is_cluster = value == "cluster";
    } else if (key == "after") {
      auto text = percent_decoded(value);
      for (std::string_view rest = text ? *text : std::string_view("?"); !rest.empty();) {
        auto part = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(part.size() + 1, rest.size()));
        auto colon = part.rfind(':');
        auto row = colon == std::string_view::npos ? std::nullopt : parse_row(part.substr(colon + 1));
        if (!row || colon == 0) return std::unexpected(expected_search);
        search.after.emplace(part.substr(0, colon), *row);
      }
    } else {
      return std::unexpected(expected_search);
    }
  }
  return search;
}

std::string key_of(const std::map<std::string, RowId, std::less<>>& after) {
  std::string key;
  for (const auto& [hub, row] : after)
    key += (key.empty() ? "" : ",") + hub + ":" + std::to_string(row.value);
  return key;
}

/// The same for hubs, each of which is to give its part of the rows.
std::string target_of(const Search& search, std::size_t limit, const std::string& action = {}) {
  auto target = "/v1/queue/search" + action + "?scope=hub&limit=" + std::to_string(limit);
  if (auto filter = to_query(search.filter); !filter.empty()) target += "&" + filter;
  if (!search.after.empty()) target += "&after=" + percent_encoded(key_of(search.after));
  return target;
}

struct Looked {
  std::vector<QueuePage::Row> found;
  RowId reached;
  std::size_t looked_at = 0;
  bool is_end = false;
};

/// Look after look, until there are enough.
Task<Result<Looked>> look(AdminBackend& backend, QueueFilter filter, RowId after, std::size_t limit) {
  Looked all;
  all.reached = after;
  std::size_t octets = 0;
  while (!all.is_end && all.found.size() < limit && all.looked_at < search_rows_max &&
         octets < search_octets_max) {
    auto page = co_await backend.search_queue(filter, all.reached, limit - all.found.size());
    if (!page) co_return std::unexpected(page.error());
    for (auto& row : page->found) {
      octets += 600 + row.summary["last_error"].get_ref<const std::string&>().size() +
                row.summary["sender"].get_ref<const std::string&>().size();
      all.found.push_back(std::move(row));
    }
    all.reached = page->reached;
    all.looked_at += page->looked_at;
    all.is_end = page->is_end;
  }
  co_return all;
}

/// Another hub's part of an answer: hostile until parsed.
void take(const HubAnswer& answer, Json& messages, Json& hubs,
          std::map<std::string, RowId, std::less<>>& next, std::uint64_t& looked_at) {
  Json hub = {{"hub", answer.hub},
              {"answered", false},
              {"why", answer.status == 0 ? answer.why : "it answered " + std::to_string(answer.status)}};
  if (answer.status == 404) hub["why"] = "it is of an earlier release, which does not search its queue";
  auto told = answer.status == 200 ? parse_heard(answer.body).value_or(Json(nullptr)) : Json(nullptr);
  if (answer.status == 200) hub["why"] = "its answer cannot be read";
  if (told.is_object() && told.contains("messages") && told["messages"].is_array() &&
      told["messages"].size() <= page_rows_max) {
    hub = {{"hub", answer.hub}, {"answered", true}, {"why", nullptr}};
    for (auto& row : told["messages"]) {
      if (!row.is_object() || !row.contains("id") || !row["id"].is_string()) continue;
      row["hub"] = answer.hub;
      messages.push_back(std::move(row));
    }
    if (auto count = told.find("looked_at"); count != told.end() && count->is_number_unsigned())
      looked_at += count->get<std::uint64_t>();
    if (auto key = told.find("next"); key != told.end() && key->is_string()) {
      auto text = key->get<std::string>();
      if (auto row = parse_row(std::string_view(text).substr(text.rfind(':') + 1));
          row && text.starts_with(answer.hub + ":"))
        next.emplace(answer.hub, *row);
    }
  }
  hubs.push_back(std::move(hub));
}

/// What another hub has done of an order: hostile until parsed. {"hub", "answered", "why", "done",
/// "refused"}.
Json take_acted(const HubAnswer& answer, Json& reasons, std::map<std::string, RowId, std::less<>>& next) {
  Json hub = {{"hub", answer.hub}, {"answered", false}, {"why", answer.why}, {"done", 0U}, {"refused", 0U}};
  if (answer.status == 404) hub["why"] = "it is of an earlier release, which takes no such order";
  if (answer.status == 0) hub["why"] = answer.why + "; whether it has done any of it is not known";
  auto told = answer.status == 0 || answer.status == 404 ? Json(nullptr)
                                                         : parse_heard(answer.body).value_or(Json(nullptr));
  if (answer.status != 0 && answer.status != 404 && answer.status != 200) {
    const bool has_words = told.is_object() && told.contains("error") && told["error"].is_string();
    hub["why"] = (has_words ? told["error"].get<std::string>() : "it answered") + " (" +
                 std::to_string(answer.status) + ")";
  }
  if (answer.status != 200) return hub;
  hub["why"] = "its answer cannot be read; whether it has done any of it is not known";
  if (!told.is_object()) return hub;
  for (const char* count : {"done", "refused"}) {
    const auto found = told.find(count);
    if (found == told.end() || !found->is_number_unsigned()) return hub;
    hub[count] = *found;
  }
  hub["answered"] = true;
  hub["why"] = nullptr;
  if (auto list = told.find("reasons"); list != told.end() && list->is_array())
    for (const auto& reason : *list)
      if (reasons.size() < refused_shown_max && reason.is_object() && reason.contains("id") &&
          reason["id"].is_string() && reason.contains("why") && reason["why"].is_string())
        reasons.push_back({{"hub", answer.hub}, {"id", reason["id"]}, {"why", reason["why"]}});
  if (auto key = told.find("next"); key != told.end() && key->is_string()) {
    auto text = key->get<std::string>();
    if (auto row = parse_row(std::string_view(text).substr(text.rfind(':') + 1));
        row && text.starts_with(answer.hub + ":"))
      next.emplace(answer.hub, *row);
  }
  return hub;
}

}  // namespace

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

Task<ApiResponse> AdminApi::act(std::string id, QueueAction action, std::string query) {
  auto parsed = parse_message_id(id);
  if (!parsed) co_return error_answer(400, "a message id is <16 hexadecimal digits>-<hexadecimal number>");
  auto next_hop = take_next_hop(query, action);
  if (!next_hop) co_return error_answer(400, next_hop.error());
  auto outcome = co_await backend_.act(*parsed, action, *next_hop);
  if (!outcome) co_return unavailable(outcome.error());
  switch (outcome->kind) {
    case ActionOutcome::Kind::done:
      co_return json_answer(
          {{"id", to_string(*parsed)}, {"done", name_of(action)}, {"remark", outcome->remark}});
    case ActionOutcome::Kind::not_found:
      co_return error_answer(404, "this hub has no message " + to_string(*parsed) + " in delivery");
    case ActionOutcome::Kind::refused:
      break;
  }
  co_return error_answer(409, outcome->why);
}

Task<ApiResponse> AdminApi::search_queue(std::string query, bool is_passed_on) {
  auto search = parse_search(query);
  if (!search) co_return error_answer(400, search.error());
  // A question that has been passed on is not passed on again.
  const bool is_cluster = search->is_cluster.value_or(true) && !is_passed_on;
  const auto own = backend_.identity().hub;
  std::vector<HubAnswer> others;
  auto limit = search->limit;
  Json messages = Json::array();
  Json hubs = Json::array();
  std::map<std::string, RowId, std::less<>> next;
  std::uint64_t looked_at = 0;
  if (is_cluster) {
    // Each gives its part, so that the rows of all are not more than were asked for, but one of each.
    const auto asked = search->after.empty() ? backend_.peers().size() + 1 : search->after.size();
    limit = std::max<std::size_t>(limit / std::max<std::size_t>(asked, 1), 1);
    auto target = target_of(*search, limit);
    if (target.size() > smtp::query_octets_max)
      co_return error_answer(400, "the search is too long to be asked of other hubs");
    const bool is_own_alone = search->after.size() == 1 && search->after.contains(own);
    if (!is_own_alone) others = co_await backend_.ask_hubs(std::move(target));
  }
  if (search->after.empty() || search->after.contains(own)) {
    auto looked =
        co_await look(backend_, search->filter, search->after.empty() ? RowId{} : search->after[own], limit);
    if (!looked) co_return unavailable(looked.error());
    for (auto& row : looked->found) {
      Json one = {{"hub", own}};
      one.update(row.summary);
      messages.push_back(std::move(one));
    }
    looked_at += looked->looked_at;
    if (!looked->is_end) next.emplace(own, looked->reached);
    hubs.push_back({{"hub", own}, {"answered", true}, {"why", nullptr}});
  }
  for (const auto& answer : others)
    if (search->after.empty() || search->after.contains(answer.hub))
      take(answer, messages, hubs, next, looked_at);
  co_return json_answer({{"messages", std::move(messages)},
                         {"next", next.empty() ? Json(nullptr) : Json(key_of(next))},
                         {"looked_at", looked_at},
                         {"hubs", std::move(hubs)}});
}

// This hub's part first, then those of the others, all at the same time. Each hub does a portion and says
// where to go on.
Task<ApiResponse> AdminApi::act_on_found(ApiCall call, QueueAction action) {
  auto query = std::move(call.query);
  std::string to;
  for (const auto& part : split_query(query))
    if (part.key == "to") to = part.value;
  auto next_hop = take_next_hop(query, action);
  if (!next_hop) co_return error_answer(400, next_hop.error());
  auto search = parse_search(query);
  if (!search) co_return error_answer(400, search.error());
  if (search->filter.is_empty())
    co_return error_answer(
        400, "say which messages: sender=, recipient=, next-hop=, error=, state=, since= or until=");
  const bool is_cluster = search->is_cluster.value_or(false) && !call.is_passed_on;
  const auto own = backend_.identity().hub;
  auto target =
      target_of(*search, search->limit, "/" + std::string(name_of(action))) + (to.empty() ? "" : "&to=" + to);
  if (is_cluster && target.size() > smtp::query_octets_max)
    co_return error_answer(400, "the search is too long to be passed on to other hubs");
  std::uint64_t done = 0;
  std::uint64_t refused = 0;
  Json shown = Json::array();
  Json hubs = Json::array();
  std::map<std::string, RowId, std::less<>> next;
  // A key that does not name this hub: it has nothing more.
  if (search->after.empty() || search->after.contains(own)) {
    auto looked =
        co_await look(backend_, search->filter, search->after.empty() ? RowId{} : search->after[own],
                      std::min(search->limit, acted_max));
    if (!looked) co_return unavailable(looked.error());
    const auto began = MonotonicClock::now();
    const auto longest = call.is_passed_on ? acting_for_hub_max : acting_max;
    RowId acted;
    for (const auto& row : looked->found) {
      if (acted != RowId{} && MonotonicClock::now() - began > longest) {
        looked->is_end = false;
        looked->reached = acted;
        break;
      }
      auto outcome = co_await backend_.act(row.id, action, *next_hop);
      acted = row.row;
      std::string why;
      if (!outcome) {
        if (outcome.error().code != std::errc::device_or_resource_busy)
          co_return unavailable(outcome.error());
        why = outcome.error().what;
      } else if (outcome->kind == ActionOutcome::Kind::done) {
        ++done;
        continue;
      } else if (outcome->kind == ActionOutcome::Kind::not_found) {
        continue;  // it has ended by itself
      } else {
        why = outcome->why;
      }
      ++refused;
      if (shown.size() < refused_shown_max)
        shown.push_back({{"hub", own}, {"id", to_string(row.id)}, {"why", why}});
    }
    if (!looked->is_end) next.emplace(own, looked->reached);
    hubs.push_back(
        {{"hub", own}, {"answered", true}, {"why", nullptr}, {"done", done}, {"refused", refused}});
  }
  const bool is_own_alone = search->after.size() == 1 && search->after.contains(own);
  if (is_cluster && !is_own_alone)
    for (const auto& answer : co_await backend_.order_hubs(call.by, std::move(target))) {
      if (!search->after.empty() && !search->after.contains(answer.hub)) continue;
      hubs.push_back(take_acted(answer, shown, next));
      done += hubs.back()["done"].get<std::uint64_t>();
      refused += hubs.back()["refused"].get<std::uint64_t>();
    }
  co_return json_answer({{"hub", own},
                         {"done", done},
                         {"refused", refused},
                         {"reasons", std::move(shown)},
                         {"hubs", std::move(hubs)},
                         {"next", next.empty() ? Json(nullptr) : Json(key_of(next))}});
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
