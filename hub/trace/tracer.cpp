#include "hub/trace/tracer.h"

#include <algorithm>

namespace umbra::hub {
namespace {

constexpr Duration hubs_timeout = 15s;

void add_new(std::vector<std::string>& list, const std::vector<std::string>& more) {
  for (const auto& one : more)
    if (std::ranges::find(list, one) == list.end()) list.push_back(one);
}

/// The question about these messages, which says nothing else of them: what a hub knows of a message need not
/// fit the other conditions.
TraceQuestion about(std::vector<MessageId> ids) {
  TraceQuestion question;
  question.ids = std::move(ids);
  question.limit = traced_messages_max;
  question.is_cluster = false;
  return question;
}

/// The latest word first.
std::vector<MessageId> newest(const std::map<MessageId, WallTime>& found, std::size_t limit) {
  std::vector<std::pair<WallTime, MessageId>> order;
  for (const auto& [id, time] : found) order.emplace_back(time, id);
  std::ranges::sort(order, std::greater{});
  std::vector<MessageId> ids;
  for (const auto& [time, id] : order)
    if (ids.size() < limit) ids.push_back(id);
  return ids;
}

}  // namespace

Task<Result<Json>> Tracer::trace(TraceQuestion question) {
  if (running_ >= traces_max)
    co_return failure(std::errc::resource_unavailable_try_again, "too many traces at once");
  ++running_;
  auto answer = co_await this->answer(std::move(question));
  --running_;
  co_return answer;
}

Task<Result<Json>> Tracer::answer(TraceQuestion question) {
  const bool is_cluster = question.is_cluster && questions_ != nullptr;
  std::vector<HubStory> hubs(1);
  hubs[0].hub = config_.hub_name;
  auto ids = question.ids;
  if (ids.empty()) {
    auto found = co_await find(question, hubs[0]);
    if (!found) co_return std::unexpected(found.error());
    auto asked = question;
    asked.is_cluster = false;
    if (is_cluster) co_await ask_others(std::move(asked), hubs);
    for (const auto& story : hubs)
      for (const auto& [id, facts] : story.spool)
        (*found)[id] = std::max((*found)[id], latest_word(story, id));
    ids = newest(*found, question.limit);
  }
  if (auto told = co_await tell(ids, question, hubs[0]); !told) co_return std::unexpected(told.error());
  if (is_cluster && !ids.empty()) co_await ask_others(about(ids), hubs);
  co_return tell_stories(ids, hubs);
}

/// What each of them says now is in place of what it said before, but for what it could not look at.
Task<void> Tracer::ask_others(TraceQuestion question, std::vector<HubStory>& hubs) {
  auto answers = co_await questions_->ask_all(trace_target(question), hubs_timeout);
  for (const auto& answer : answers) {
    HubStory story{.hub = answer.hub};
    if (answer.status == 200)
      story = parse_story(answer.hub, answer.body, traced_messages_max);
    else
      story.why_not = answer.status == 0 ? answer.why : "it answered " + std::to_string(answer.status);
    auto known = std::ranges::find(hubs, answer.hub, &HubStory::hub);
    if (known == hubs.end()) known = hubs.insert(hubs.end(), HubStory{.hub = answer.hub});
    add_new(story.remarks, known->remarks);
    *known = std::move(story);
  }
}

Task<Result<std::map<MessageId, WallTime>>> Tracer::find(TraceQuestion question, HubStory& own) {
  auto logged = co_await search(question);
  add_new(own.remarks, logged.remarks);
  auto stored = co_await find_in_spool(place(), question, own.remarks);
  if (!stored) co_return std::unexpected(stored.error());
  std::map<MessageId, WallTime> found;
  for (const auto& record : logged.records) found[record.id] = std::max(found[record.id], record.time);
  for (const auto& [time, id] : *stored) found[id] = std::max(found[id], time);
  co_return found;
}

Task<Result<void>> Tracer::tell(std::vector<MessageId> ids, TraceQuestion question, HubStory& own) {
  if (ids.empty()) co_return Result<void>{};
  auto asked = about(ids);
  // Of messages that were found by their time the log around it is enough.
  if (!question.ids.empty()) {
    asked.since = question.since;
    asked.until = question.until;
  }
  auto logged = co_await search(asked);
  add_new(own.remarks, logged.remarks);
  for (const auto& record : logged.records)
    own.records[record.id].push_back(record_report(config_.hub_name, record));
  auto facts = co_await facts_in_spool(place(), ids, own.remarks);
  if (!facts) co_return std::unexpected(facts.error());
  own.spool = std::move(*facts);
  co_return Result<void>{};
}

/// On the lane.
Task<TrackingSearch> Tracer::search(TraceQuestion question) {
  struct Job {
    explicit Job(asio::io_context& io) : ended(io) {}
    TrackingSearch found;
    Event ended;
  };
  if (config_.logs.folder.empty() || !config_.logs.tracking.enabled) {
    TrackingSearch none;
    none.remarks.emplace_back("this hub keeps no tracking log");
    co_return none;
  }
  auto job = std::make_shared<Job>(runtime_.io);
  lane_.post([&io = runtime_.io, job, folder = config_.logs.folder, question = std::move(question)] {
    job->found = search_tracking(folder, question);
    asio::post(io, [job] { job->ended.set(); });
  });
  co_await job->ended.wait();
  co_return std::move(job->found);
}

}  // namespace umbra::hub
