#include "hub/trace/stories.h"

#include <algorithm>
#include <array>

#include "base/iso_time.h"
#include "hub/admin/heard.h"
#include "hub/trace/by_time.h"
#include "hub/trace/verdict.h"

namespace umbra::hub {
namespace {

constexpr std::size_t facts_max = 8;        // of one message and hub
constexpr std::size_t records_max = 2'000;  // of one message and hub
constexpr std::size_t remarks_max = 20;
constexpr std::size_t text_octets_max = 2'000;

constexpr std::array<std::string_view, 6> unsaid = {"server-hostname", "schema-version", "log-id",
                                                    "message-id",      "trace-id",       "span-id"};

std::string text_of(const Json& value) {
  if (!value.is_string()) return {};
  return value.get_ref<const std::string&>().substr(0, text_octets_max);
}

/// Objects of that list, a few of them, as said by `hub`.
std::vector<Json> objects(const Json& list, const std::string& hub, std::size_t count_max) {
  std::vector<Json> result;
  if (!list.is_array()) return result;
  for (const auto& one : list) {
    if (!one.is_object() || result.size() == count_max) continue;
    result.push_back(one);
    result.back()["hub"] = hub;
  }
  return result;
}

void set_first(Json& into, const char* name, const Json& value) {
  if (into[name].is_null() && value.is_string() && !value.get_ref<const std::string&>().empty())
    into[name] = value;
}

/// Sender, recipients, Message-ID and size: whoever says them first.
void describe(Json& story, const Json& facts, const Json& records) {
  Json recipients = Json::array();
  auto add = [&](const Json& address) {
    if (address.is_string() && recipients.size() < 50 &&
        std::ranges::find(recipients, address) == recipients.end())
      recipients.push_back(address);
  };
  for (const auto& fact : facts) {
    set_first(story, "sender", member(fact, "sender"));
    if (member(fact, "recipients").is_array())
      for (const auto& one : member(fact, "recipients")) add(member(one, "address"));
  }
  for (const auto& record : records) {
    set_first(story, "sender", member(record, "sender-address"));
    set_first(story, "message_id", member(record, "message-id"));
    set_first(story, "subject", member(record, "message-subject"));
    auto list = text_of(member(record, "recipient-address"));
    for (std::string_view rest = list; !rest.empty();) {
      auto one = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(one.size() + 1, rest.size()));
      if (one != "...") add(Json(std::string(one)));
    }
  }
  story["recipients"] = std::move(recipients);
}

}  // namespace

Json record_report(const std::string& hub, const TrackingRecord& record) {
  Json report = {
      {"time", iso_time(record.time)}, {"hub", hub}, {"event", std::string(record.field("event-id"))}};
  for (const auto& [name, value] : record.fields)
    if (name != "event-id" && (name == "message-id" || std::ranges::find(unsaid, name) == unsaid.end()))
      report[name] = value;
  return report;
}

HubStory parse_story(const std::string& hub, const std::string& body, std::size_t messages_max) {
  HubStory story{.hub = hub};
  const auto json = parse_heard(body).value_or(Json(nullptr));
  const auto& messages = member(json, "messages");
  if (!messages.is_array()) {
    story.why_not = "its answer is not understood";
    return story;
  }
  for (const auto& one : messages) {
    auto id = parse_message_id(text_of(member(one, "id")));
    if (!id || story.spool.size() == messages_max) continue;
    story.spool[*id] = objects(member(one, "spool"), hub, facts_max);
    auto records = objects(member(one, "records"), hub, records_max);
    std::erase_if(records,
                  [](const Json& record) { return !parse_iso_time(text_of(member(record, "time"))); });
    story.records[*id] = std::move(records);
  }
  if (const auto& remarks = member(json, "remarks"); remarks.is_array())
    for (const auto& one : remarks)
      if (auto text = text_of(member(one, "remark")); !text.empty() && story.remarks.size() < remarks_max)
        story.remarks.push_back(std::move(text));
  return story;
}

WallTime latest_word(const HubStory& story, MessageId id) {
  WallTime latest{};
  auto look = [&latest](const Json& time) {
    latest = std::max(latest, parse_iso_time(text_of(time)).value_or(WallTime{}));
  };
  if (auto found = story.records.find(id); found != story.records.end())
    for (const auto& record : found->second) look(member(record, "time"));
  if (auto found = story.spool.find(id); found != story.spool.end())
    for (const auto& fact : found->second) look(member(fact, "accepted_at"));
  return latest;
}

Json tell_stories(const std::vector<MessageId>& ids, const std::vector<HubStory>& hubs) {
  Json named = Json::array();
  Json remarks = Json::array();
  std::vector<std::string> silent;
  for (const auto& one : hubs) {
    named.push_back({{"hub", one.hub},
                     {"answered", one.why_not.empty()},
                     {"why", one.why_not.empty() ? Json(nullptr) : Json(one.why_not)}});
    if (!one.why_not.empty()) silent.push_back(one.hub);
    for (const auto& remark : one.remarks) remarks.push_back({{"hub", one.hub}, {"remark", remark}});
  }
  Json messages = Json::array();
  for (const auto& id : ids) {
    Json facts = Json::array();
    std::vector<Json> records;
    for (const auto& one : hubs) {
      if (auto found = one.spool.find(id); found != one.spool.end())
        for (const auto& fact : found->second) facts.push_back(fact);
      if (auto found = one.records.find(id); found != one.records.end())
        std::ranges::copy(found->second, std::back_inserter(records));
    }
    // By time, as the clocks of the hubs have it; each hub's in its own order.
    sort_by_time(records, [](const Json& record) {
      return parse_iso_time(text_of(member(record, "time"))).value_or(WallTime{});
    });
    Json story = {{"id", to_string(id)}, {"message_id", nullptr}, {"sender", nullptr}, {"subject", nullptr}};
    Json told = records;
    describe(story, facts, told);
    story["verdict"] = verdict_of(facts, told, silent);
    story["spool"] = std::move(facts);
    story["records"] = std::move(told);
    messages.push_back(std::move(story));
  }
  return {{"hubs", std::move(named)}, {"messages", std::move(messages)}, {"remarks", std::move(remarks)}};
}

}  // namespace umbra::hub
