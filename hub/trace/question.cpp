#include "hub/trace/question.h"

#include <fmt/format.h>

#include "hub/admin/query.h"
#include "hub/percent.h"
#include "smtp/shadow_queries.h"

namespace umbra::hub {
namespace {

constexpr std::size_t text_octets_max = 320;
constexpr const char* expected_words =
    "expected id=ID,... (at most 100), or one or more of sender=, recipient=, message-id=TEXT "
    "(percent-encoded, at most 320 octets), since=, "
    "until=MICROSECONDS since 1970; with them limit=1..100, scope=hub|cluster";

std::optional<std::vector<MessageId>> parse_ids(std::string_view text) {
  std::vector<MessageId> ids;
  while (!text.empty()) {
    auto part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    auto id = parse_message_id(part);
    if (!id || ids.size() == traced_messages_max) return std::nullopt;
    if (std::ranges::find(ids, *id) == ids.end()) ids.push_back(*id);
  }
  if (ids.empty()) return std::nullopt;
  return ids;
}

}  // namespace

std::expected<TraceQuestion, std::string> parse_trace_question(std::string_view query) {
  TraceQuestion question;
  bool has_condition = false;
  for (const auto& part : split_query(query)) {
    bool is_good = false;
    auto text = [&](std::string& into) {
      auto value = percent_decoded(part.value);
      is_good = value && !value->empty() && value->size() <= text_octets_max;
      if (is_good) into = std::move(*value);
    };
    if (part.key == "id") {
      auto ids = parse_ids(part.value);
      is_good = ids.has_value();
      if (is_good) question.ids = std::move(*ids);
    } else if (part.key == "sender") {
      text(question.sender);
    } else if (part.key == "recipient") {
      text(question.recipient);
    } else if (part.key == "message-id") {
      text(question.message_id);
    } else if (part.key == "since" || part.key == "until") {
      is_good = part.number && *part.number <= static_cast<std::uint64_t>(INT64_MAX);
      if (is_good)
        (part.key == "since" ? question.since : question.until) =
            WallTime(WallClock::duration(static_cast<std::int64_t>(*part.number)));
    } else if (part.key == "limit") {
      is_good = part.number && *part.number >= 1 && *part.number <= traced_messages_max;
      if (is_good) question.limit = static_cast<std::size_t>(*part.number);
      if (is_good) continue;
    } else if (part.key == "scope") {
      is_good = part.value == "hub" || part.value == "cluster";
      question.is_cluster = part.value == "cluster";
      if (is_good) continue;
    }
    if (!is_good) return std::unexpected(expected_words);
    has_condition = true;
  }
  if (!has_condition || question.since > question.until) return std::unexpected(expected_words);
  if (trace_target(question).size() > smtp::query_octets_max)
    return std::unexpected("the question is too long to be asked of other hubs: ask for fewer ids");
  return question;
}

std::string trace_target(const TraceQuestion& question) {
  auto target =
      fmt::format("/v1/trace?scope={}&limit={}", question.is_cluster ? "cluster" : "hub", question.limit);
  std::string ids;
  for (const auto& id : question.ids) ids += (ids.empty() ? "&id=" : ",") + to_string(id);
  target += ids;
  auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) target += fmt::format("&{}={}", key, percent_encoded(value));
  };
  text("sender", question.sender);
  text("recipient", question.recipient);
  text("message-id", question.message_id);
  if (question.since != WallTime{})
    target += fmt::format("&since={}", question.since.time_since_epoch().count());
  if (question.until != WallTime::max())
    target += fmt::format("&until={}", question.until.time_since_epoch().count());
  return target;
}

}  // namespace umbra::hub
