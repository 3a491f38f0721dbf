#include "hub/admin/queue_search.h"

#include <fmt/format.h>

#include <algorithm>

#include "hub/address_match.h"
#include "hub/admin/query.h"
#include "hub/admin/report.h"
#include "hub/outbound/router.h"
#include "hub/percent.h"
#include "smtp/address.h"

namespace umbra::hub {
namespace {

constexpr std::size_t text_octets_max = 320;
constexpr std::size_t next_hops_shown_max = 5;
constexpr std::size_t error_octets_max = 300;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool contains(std::string_view text, std::string_view wanted) {
  return !std::ranges::search(text, wanted, [](char a, char b) { return lower(a) == lower(b); }).empty();
}

bool is_next_hop(std::string_view destination, std::string_view wanted) {
  if (smtp::equals_ignoring_case(destination, wanted)) return true;
  constexpr std::string_view kinds[] = {"route:", "host:", "mx:"};
  return std::ranges::any_of(kinds, [&](std::string_view kind) {
    return destination.starts_with(kind) && destination.substr(kind.size()) == wanted;
  });
}

/// Between two octets of UTF-8 it is not cut; what is no UTF-8 is replaced when it becomes text.
std::string shortened(const std::string& text) {
  if (text.size() <= error_octets_max) return text;
  auto end = error_octets_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

bool QueueFilter::is_empty() const {
  return sender.empty() && recipient.empty() && next_hop.empty() && error.empty() && !state &&
         since == WallTime{} && until == WallTime::max();
}

std::expected<QueueFilter, std::string> parse_queue_filter(std::string_view query, std::string& others) {
  QueueFilter filter;
  const std::pair<std::string_view, std::string*> texts[] = {{"sender", &filter.sender},
                                                             {"recipient", &filter.recipient},
                                                             {"next-hop", &filter.next_hop},
                                                             {"error", &filter.error}};
  for (const auto& part : split_query(query)) {
    if (const auto* text =
            std::ranges::find(texts, part.key, &std::pair<std::string_view, std::string*>::first);
        text != std::end(texts)) {
      auto value = percent_decoded(part.value);
      if (!value || value->empty() || value->size() > text_octets_max)
        return std::unexpected("expected " + std::string(part.key) +
                               "=TEXT, percent-encoded, of 1 to 320 octets");
      *text->second = std::move(*value);
    } else if (part.key == "state") {
      filter.state = parse_message_state(part.value);
      if (!filter.state) return std::unexpected("expected state=queued|held");
    } else if (part.key == "since" || part.key == "until") {
      if (!part.number || *part.number > static_cast<std::uint64_t>(INT64_MAX))
        return std::unexpected("expected " + std::string(part.key) + "=MICROSECONDS since 1970");
      (part.key == "since" ? filter.since : filter.until) =
          WallTime(WallClock::duration(static_cast<std::int64_t>(*part.number)));
    } else {
      if (!others.empty()) others += '&';
      others += part.key;
      others += '=';
      others += part.value;
    }
  }
  if (filter.since > filter.until) return std::unexpected("expected since before until");
  return filter;
}

std::string to_query(const QueueFilter& filter) {
  std::string query;
  auto add = [&query](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    if (!query.empty()) query += '&';
    query += key;
    query += '=';
    query += percent_encoded(value);
  };
  add("sender", filter.sender);
  add("recipient", filter.recipient);
  add("next-hop", filter.next_hop);
  add("error", filter.error);
  if (filter.state) add("state", to_string(*filter.state));
  if (filter.since != WallTime{}) add("since", std::to_string(filter.since.time_since_epoch().count()));
  if (filter.until != WallTime::max()) add("until", std::to_string(filter.until.time_since_epoch().count()));
  return query;
}

bool matches(const storage::StoredMessage& message, const QueueFilter& filter) {
  const auto& envelope = message.envelope;
  if (filter.state && message.state != *filter.state) return false;
  if (envelope.accepted_at < filter.since || envelope.accepted_at > filter.until) return false;
  if (!matches_address(envelope.sender, filter.sender)) return false;
  if (!filter.next_hop.empty() && std::ranges::none_of(message.queue, [&](const auto& entry) {
        return is_next_hop(entry.destination, filter.next_hop);
      }))
    return false;
  if (!filter.error.empty() && !contains(message.last_error, filter.error) &&
      std::ranges::none_of(message.progress,
                           [&](const auto& outcome) { return contains(outcome.detail, filter.error); }))
    return false;
  if (filter.recipient.empty()) return true;
  auto pending = pending_recipients(envelope.recipients.size(), message.progress);
  for (std::size_t i = 0; i < pending.size(); ++i)
    if (pending[i] && matches_address(envelope.recipients[i].address, filter.recipient)) return true;
  return false;
}

QueuePage::Row queue_row(const storage::StoredMessage& message) {
  auto summary = message_summary(message);
  summary["last_error"] = shortened(message.last_error);
  auto pending = pending_recipients(message.envelope.recipients.size(), message.progress);
  auto first = std::ranges::find(pending, true);
  summary["recipient"] =
      first == pending.end()
          ? Json(nullptr)
          : Json(message.envelope.recipients[static_cast<std::size_t>(first - pending.begin())].address);
  Json hops = Json::array();
  for (const auto& entry : message.queue)
    if (hops.size() < next_hops_shown_max) hops.push_back(entry.destination);
  summary["next_hops"] = std::move(hops);
  return {message.row, message.id, std::move(summary)};
}

Result<QueuePage> look_at_queue(storage::Reader& reader, const QueueFilter& filter, RowId after,
                                std::size_t limit) {
  QueuePage page;
  page.reached = after;
  auto rows = reader.messages(after, RowId{INT64_MAX}, rows_per_look);
  if (!rows) return std::unexpected(rows.error());
  for (auto row : *rows) {
    if (page.found.size() >= limit) return page;
    auto message = reader.message(row);
    if (!message) return std::unexpected(message.error());
    page.reached = row;
    ++page.looked_at;
    if (*message && matches(**message, filter)) page.found.push_back(queue_row(**message));
  }
  page.is_end = rows->size() < rows_per_look;
  return page;
}

}  // namespace umbra::hub
