#include "hub/suspension/suspensions.h"

#include <algorithm>
#include <utility>

#include "hub/logs/log_line.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr const char* note = "suspensions";
constexpr std::size_t past_max = 1000;
constexpr Duration past_kept = std::chrono::hours(24 * 31);  // longer than the longest expiry
constexpr Duration look_again = std::chrono::seconds(1);
constexpr Duration turn_look = std::chrono::milliseconds(2);

}  // namespace

Suspensions::Suspensions(asio::io_context& io, storage::Spool& spool, EventLog& log)
    : io_(io), spool_(spool), log_(log), tasks_(io), wake_(io) {}

void Suspensions::start() {
  tasks_.spawn("suspensions", run());
}

Task<void> Suspensions::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
}

Task<void> Suspensions::run() {
  while (!is_read_ && !is_stopping_) {
    auto text = co_await query<std::string>(io_, spool_, [](storage::Reader& r) { return r.note(note); });
    if (!text) {
      co_await wake_.wait_for(look_again);
      continue;
    }
    auto read = text->empty() ? Result<SuspensionList>(SuspensionList{}) : parse_suspensions(*text);
    // It was written by this program: a later release, perhaps, before it was put back. To deliver what an
    // operator has suspended cannot be mended.
    if (!read) {
      log_.line(LogLevel::error,
                "what is suspended cannot be read: delivery is suspended; `umbra resume delivery` forgets it",
                {{"reason", read.error().what}});
      read = SuspensionList{{{Suspension::What::delivery, "*", WallClock::now(), WallTime::max(),
                              "what was suspended cannot be read"}},
                            {}};
    }
    list_ = std::move(*read);
    is_read_ = true;
    say_what_changed({});
    changed_();
  }
  while (!is_stopping_) {
    (void)co_await change([](SuspensionList& list) { return end_those_over(list, WallClock::now()); });
    WallTime first = WallTime::max();
    for (const auto& one : list_.now) first = std::min(first, one.until);
    // Not longer than a minute: the wall clock may be set.
    auto wait = first == WallTime::max()
                    ? Duration(std::chrono::minutes(1))
                    : std::clamp<Duration>(first - WallClock::now(), look_again, std::chrono::minutes(1));
    if (!is_stopping_) co_await wake_.wait_for(wait);
  }
}

bool Suspensions::end_those_over(SuspensionList& list, WallTime now) {
  bool any = false;
  for (auto& one : list.now) {
    if (one.until > now) continue;
    any = true;
    if (one.what != Suspension::What::listener) list.past.push_back(one);
  }
  std::erase_if(list.now, [&](const Suspension& one) { return one.until <= now; });
  return any;
}

Task<Result<void>> Suspensions::suspend(Suspension suspension) {
  auto changed = co_await change([&suspension](SuspensionList& list) {
    auto found = std::ranges::find_if(list.now, [&](const Suspension& one) {
      return one.what == suspension.what && one.name == suspension.name;
    });
    suspension.since = found == list.now.end() ? WallClock::now() : found->since;
    if (found == list.now.end())
      list.now.push_back(suspension);
    else
      *found = suspension;
    return true;
  });
  if (!changed) co_return std::unexpected(changed.error());
  co_return Result<void>{};
}

Task<Result<bool>> Suspensions::resume(Suspension::What what, std::string name) {
  co_return co_await change([&](SuspensionList& list) {
    auto found = std::ranges::find_if(
        list.now, [&](const Suspension& one) { return one.what == what && one.name == name; });
    if (found == list.now.end()) return false;
    found->until = std::min(found->until, WallClock::now());
    return end_those_over(list, WallClock::now());
  });
}

Task<Result<bool>> Suspensions::change(std::function<bool(SuspensionList&)> alter) {
  Timer pause(io_);
  while (is_changing_ || !is_read_) {
    if (is_stopping_) co_return failure(std::errc::operation_canceled, "suspend: the hub is stopping");
    co_await pause.wait_for(turn_look);
  }
  auto next = list_;
  if (!alter(next)) co_return false;
  std::erase_if(next.past, [oldest = WallClock::now() - past_kept](const Suspension& one) {
    return one.until < oldest;
  });
  if (next.past.size() > past_max)
    next.past.erase(next.past.begin(), next.past.end() - static_cast<std::ptrdiff_t>(past_max));
  is_changing_ = true;
  auto saved = co_await commit(io_, spool_,
                               [text = to_text(next)](storage::Writer& w) { return w.set_note(note, text); });
  is_changing_ = false;
  if (!saved) co_return std::unexpected(saved.error());
  auto before = std::exchange(list_, std::move(next));
  say_what_changed(before);
  wake_.cancel();
  changed_();
  co_return true;
}

void Suspensions::say_what_changed(const SuspensionList& before) const {
  for (const auto& one : list_.now)
    if (std::ranges::find(before.now, one) == before.now.end())
      log_.line(LogLevel::warning, "suspended",
                {{"what", to_string(one.what)},
                 {"name", one.name},
                 {"since", to_text(one.since)},
                 {"reason", one.reason}});
  for (const auto& one : before.now)
    if (std::ranges::none_of(list_.now, [&](const Suspension& other) {
          return other.what == one.what && other.name == one.name;
        }))
      log_.line(LogLevel::info, "resumed", {{"what", to_string(one.what)}, {"name", one.name}});
}

bool Suspensions::is_suspended(Suspension::What what, const std::string& name) const {
  if (!is_read_) return what == Suspension::What::delivery;
  return std::ranges::any_of(list_.now, [&](const Suspension& one) {
    return one.what == what && (one.name == "*" || one.name == name);
  });
}

bool Suspensions::holds_back(const MailPath& path) const {
  return !is_read_ ||
         std::ranges::any_of(list_.now, [&](const Suspension& one) { return hub::holds_back(one, path); });
}

Duration Suspensions::held_back_for(const MailPath& path, WallTime from, WallTime to) const {
  std::vector<std::pair<WallTime, WallTime>> times;
  for (const auto* list : {&list_.now, &list_.past})
    for (const auto& one : *list)
      if (hub::holds_back(one, path)) times.emplace_back(std::max(one.since, from), std::min(one.until, to));
  std::ranges::sort(times);
  Duration sum{0};
  WallTime reached = from;
  for (const auto& [begin, end] : times) {
    const auto start = std::max(begin, reached);
    if (end <= start) continue;
    sum += end - start;
    reached = end;
  }
  return sum;
}

}  // namespace umbra::hub
