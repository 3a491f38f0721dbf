#include "hub/peering/questions.h"

#include <algorithm>

#include "smtp/shadow_queries.h"

namespace umbra::hub {
namespace {

constexpr Duration reply_timeout = 5s;  // of one reply, which needs no search
constexpr Duration pause_first = 10ms;
constexpr Duration pause_max = 100ms;

}  // namespace

struct Questions::Round {
  Round(asio::io_context& io, std::string giver, std::string what, MonotonicTime until)
      : by(std::move(giver)), target(std::move(what)), deadline(until), ended(io) {}
  std::string by;  // empty: it is a question
  std::string target;
  MonotonicTime deadline;
  std::vector<HubAnswer> answers;
  std::size_t waiting = 0;
  Event ended;
};

Task<std::vector<HubAnswer>> Questions::address_all(std::string by, std::string target, Duration timeout) {
  auto round =
      std::make_shared<Round>(runtime_.io, std::move(by), std::move(target), MonotonicClock::now() + timeout);
  auto members = members_.all();
  std::ranges::sort(members, {}, [](const auto& member) { return member->name(); });
  for (const auto& member : members)
    round->answers.push_back({member->name(), 0, {}, "it was not asked: this hub is stopping"});
  for (std::size_t at = 0; at < members.size() && !is_stopping_; ++at) {
    ++round->waiting;
    tasks_.spawn("ask a hub", ask_one(round, at, members[at]));
  }
  while (round->waiting != 0) co_await round->ended.wait();
  co_return std::move(round->answers);
}

Task<HubAnswer> Questions::address(std::string hub, std::string by, std::string target, Duration timeout) {
  auto round =
      std::make_shared<Round>(runtime_.io, std::move(by), std::move(target), MonotonicClock::now() + timeout);
  round->answers.push_back({hub, 0, {}, "it was not asked: this hub is stopping"});
  auto members = members_.all();
  auto found = std::ranges::find_if(members, [&](const auto& member) { return member->name() == hub; });
  if (found == members.end())
    co_return HubAnswer{hub, 404, {}, "there is no hub of that name in this cluster"};
  if (!is_stopping_) {
    ++round->waiting;
    tasks_.spawn("ask a hub", ask_one(round, 0, *found));
  }
  while (round->waiting != 0) co_await round->ended.wait();
  co_return std::move(round->answers.front());
}

Task<void> Questions::ask_one(std::shared_ptr<Round> round, std::size_t at, std::shared_ptr<Member> member) {
  auto& answer = round->answers[at];
  auto& link = *member->control;
  if (!link.is_open())
    answer.why =
        "there is no session with it" + (member->trouble.empty() ? std::string() : ": " + member->trouble);
  else if (!link.offers(round->by.empty() ? smtp::query_capability : smtp::order_capability))
    answer.why = round->by.empty() ? "it does not answer questions: a release before this one"
                                   : "it takes no orders from other hubs: a release before this one";
  else
    answer.why = co_await ask(
        link, answer,
        round->by.empty() ? smtp::format_query(round->target) : smtp::format_order(round->by, round->target),
        round->deadline);
  if (!answer.why.empty()) {
    answer.status = 0;
    answer.body.clear();
  }
  --round->waiting;
  round->ended.set();
}

/// Why there is no answer; empty: it is there.
Task<std::string> Questions::ask(Link& link, HubAnswer& answer, std::string command, MonotonicTime deadline) {
  using Kind = Link::Outcome::Kind;
  const auto session = link.session();
  auto asked = co_await link.call(std::move(command), reply_timeout);
  if (asked.kind != Kind::replied) co_return "it did not answer in time";
  auto number = asked.reply.code == 250 ? smtp::parse_asked(asked.reply.text) : std::nullopt;
  if (!number) co_return "it said " + smtp::to_line(asked.reply);
  Timer timer(runtime_.io);
  auto pause = pause_first;
  while (!is_stopping_ && MonotonicClock::now() < deadline) {
    if (link.session() != session) co_return "its session ended before it answered";
    auto got = co_await link.call(smtp::format_fetch(*number, answer.body.size()), reply_timeout);
    if (got.kind != Kind::replied) co_return "it did not answer in time";
    if (got.reply.code == 450) {
      co_await timer.wait_for(pause);
      pause = std::min<Duration>(pause * 2, pause_max);
      continue;
    }
    auto piece = got.reply.code == 250 ? smtp::parse_piece(got.reply.text) : std::nullopt;
    if (!piece || (piece->text.empty() && piece->octets > answer.body.size()))
      co_return "its answer is malformed: " + smtp::to_line(got.reply).substr(0, 200);
    answer.status = piece->status;
    answer.body += piece->text;
    if (answer.body.size() > piece->octets) co_return "its answer is malformed";
    if (answer.body.size() == piece->octets) co_return std::string();
  }
  co_return "it did not answer in time";
}

Task<void> Questions::stop() {
  is_stopping_ = true;
  co_await tasks_.join();
}

}  // namespace umbra::hub
