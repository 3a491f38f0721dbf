#include "hub/peering/open_queries.h"

#include <algorithm>

namespace umbra::hub {

smtp::Reply OpenQueries::ask(TaskScope& scope, const QueryAnswerer& answerer, PassedQuery query) {
  const auto now = MonotonicClock::now();
  std::erase_if(open_, [now](const auto& one) { return one.second->asked_at + kept_for < now; });
  if (!answerer) return {502, "5.5.1", "No questions are answered here"};
  if (open_.size() >= smtp::open_queries_max) return {452, "4.5.3", "Too many questions at once"};
  const auto number = next_++;
  auto open = std::make_shared<Open>();
  open->asked_at = now;
  open_.emplace(number, open);
  scope.spawn("answer a question", answer(answerer, std::move(query), open));
  return {250, "2.0.0", smtp::format_asked(number)};
}

Task<void> OpenQueries::answer(const QueryAnswerer& answerer, PassedQuery query,
                               std::weak_ptr<Open> waiting) {
  auto answer = co_await answerer(std::move(query));
  auto open = waiting.lock();
  if (!open) co_return;  // nobody waits any more
  if (answer.body.size() > smtp::answer_octets_max)
    answer = {413, R"({"error":"the answer is too long: ask for less"})"};
  // It travels in lines.
  std::ranges::replace_if(answer.body, [](char c) { return c < ' ' || c == 0x7f; }, ' ');
  open->answer = std::move(answer);
  open->is_ready = true;
}

smtp::Reply OpenQueries::fetch(std::uint64_t number, std::uint64_t offset) {
  auto found = open_.find(number);
  if (found == open_.end()) return {550, "5.5.0", "No such question"};
  const auto& [asked_at, is_ready, answer] = *found->second;
  if (!is_ready) return {450, "4.0.0", "Not yet"};
  smtp::Reply reply{250, "2.0.0", smtp::format_piece(answer.status, answer.body, offset)};
  if (offset + smtp::answer_piece_octets_max >= answer.body.size()) open_.erase(found);
  return reply;
}

}  // namespace umbra::hub
