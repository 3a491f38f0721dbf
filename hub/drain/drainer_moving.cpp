// What goes to other hubs in a drain or leave: mail that is owned here, and the care for the shadows that are
// held here. Part of Drainer.
#include <algorithm>

#include "hub/drain/drainer.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using cluster::DrainState;
using cluster::DrainVerb;

constexpr Duration page_pause = 250ms;  // between two walks through the whole queue
constexpr Duration rehome_pause = 250ms;
constexpr std::size_t rehome_waits_max = 4096;  // copies that owners are asked for at once
constexpr Duration tell_timeout = 2s;
constexpr std::size_t page = 400;
constexpr std::size_t in_flight_per_target = 64;

}  // namespace

// --- Mail that is owned here

std::vector<std::shared_ptr<Member>> Drainer::targets(const cluster::DrainOrder& order) const {
  const auto& named = order.to;
  std::vector<std::shared_ptr<Member>> found;
  for (const auto& member : peering_.members().all()) {
    bool is_named = named.empty() || std::ranges::find(named, member->name()) != named.end();
    if (is_named && member->identity && member->data->offers("XHAND") &&
        member->state == smtp::HubState::active)
      found.push_back(member);
  }
  return found;
}

void Drainer::feed() {
  auto now = MonotonicClock::now();
  tokens_ += std::chrono::duration<double>(now - fed_at_).count() * static_cast<double>(drain_.order().rate);
  tokens_ = std::min(tokens_, static_cast<double>(drain_.order().rate) / 4 + 1);
  fed_at_ = now;
  auto hubs = targets(drain_.order());
  std::erase_if(hubs, [now](const auto& m) { return now < m->refuses_copies_until; });
  if (hubs.empty()) return;
  // Those that are least short of something.
  auto level = std::ranges::min(hubs, {}, &Member::pressure)->pressure;
  std::erase_if(hubs, [level](const auto& m) { return m->pressure > level; });
  while (tokens_ >= 1 && !rows_.empty() && given_.size() < in_flight_per_target * hubs.size()) {
    auto row = rows_.front();
    rows_.pop_front();
    if (!given_.insert(row).second) continue;
    tokens_ -= 1;
    tasks_.spawn("hand over", give(row, hubs[turn_++ % hubs.size()]->name()));
  }
  if (rows_.size() < page / 2 && !is_loading_ && now >= next_page_) {
    is_loading_ = true;
    tasks_.spawn("what to hand over", load());
  }
}

// The next page of what is to go: everything in a leave, what is due in a drain. Nothing: the end, and from
// the beginning again.
Task<std::optional<std::vector<RowId>>> Drainer::next_page() {
  if (drain_.order().verb == DrainVerb::leave) {
    auto rows = co_await query<std::vector<RowId>>(
        runtime_.io, spool_,
        [after = cursor_](storage::Reader& r) { return r.messages(after, RowId{INT64_MAX}, page); });
    if (!rows) co_return std::nullopt;
    cursor_ = rows->size() < page ? RowId{0} : rows->back();
    if (cursor_ == RowId{0}) next_page_ = MonotonicClock::now() + page_pause;
    co_return std::move(*rows);
  }
  auto now = WallClock::now();
  auto destinations = co_await due_destinations(now);
  if (!destinations) co_return std::nullopt;
  // Destinations by name, and by time in each: what could not be given is behind the cursor until the next
  // walk.
  auto found = co_await query<std::vector<storage::DueMessage>>(
      runtime_.io, spool_,
      [&destinations, now,
       cursor = due_cursor_](storage::Reader& r) -> Result<std::vector<storage::DueMessage>> {
        std::vector<storage::DueMessage> entries;
        for (const auto& destination : *destinations) {
          if (entries.size() >= page) break;
          if (cursor && destination < cursor->entry.destination) continue;
          storage::DueMessage from{RowId{0}, {destination, WallTime{}, 0}};
          if (cursor && destination == cursor->entry.destination) from = *cursor;
          auto due = r.due_behind(from, now, page - entries.size());
          if (!due) return due;
          entries.insert(entries.end(), due->begin(), due->end());
        }
        return entries;
      });
  if (!found) co_return std::nullopt;
  if (found->size() < page) {
    due_cursor_.reset();
    next_page_ = MonotonicClock::now() + page_pause;
  } else {
    due_cursor_ = found->back();
  }
  std::vector<RowId> rows;
  for (const auto& entry : *found) rows.push_back(entry.row);
  co_return rows;
}

// Those that have something due and can be reached.
Task<Result<std::vector<std::string>>> Drainer::due_destinations(WallTime now) {
  using DueTimes = std::vector<std::pair<std::string, WallTime>>;
  auto all = co_await query<DueTimes>(runtime_.io, spool_,
                                      [](storage::Reader& r) { return r.due_by_destination(); });
  if (!all) co_return std::unexpected(all.error());
  std::vector<std::string> found;
  for (auto& [destination, first] : *all)
    if (first <= now && clients_.can_reach(destination)) found.push_back(std::move(destination));
  co_return found;
}

// What is to be tried now at these destinations (a message that is to be tried at two counts for each), and
// what is being handed over.
Result<std::uint64_t> Drainer::count_due(storage::Reader& reader,
                                         const std::vector<std::string>& destinations, WallTime now) {
  std::uint64_t count = 0;
  for (const auto& destination : destinations) {
    auto due = reader.due_count(destination, now);
    if (!due) return due;
    count += *due;
  }
  auto under_way = reader.handing_over_count();
  if (!under_way) return under_way;
  return count + *under_way;
}

Task<void> Drainer::load() {
  auto rows = co_await next_page();
  is_loading_ = false;
  if (!rows || is_stopping_) co_return;
  for (auto row : *rows)
    if (!given_.contains(row) && std::ranges::find(rows_, row) == rows_.end()) rows_.push_back(row);
  if (drain_.state() == DrainState::handing_over) feed();
}

Task<void> Drainer::give(RowId row, std::string hub) {
  auto outcome = co_await peering_.hander().hand(row, hub, false);
  given_.erase(row);
  if (outcome == Hander::Outcome::refused) {
    ++course_.refused;
    ++metrics_.handovers_refused_total;
  }
  if (outcome != Hander::Outcome::moved && outcome != Hander::Outcome::kept)
    co_return;  // in the next walk again
  ++course_.handed_over;
  ++course_.handed_to[hub];
  // The next one at once: with one look every tick there would be no more of them than fit under way at once.
  if (!is_stopping_ && drain_.state() == DrainState::handing_over) feed();
}

// --- Shadows that are held here

Task<void> Drainer::rehome() {
  using Owners = std::vector<std::pair<std::string, SpoolId>>;
  auto owners =
      co_await query<Owners>(runtime_.io, spool_, [](storage::Reader& r) { return r.shadow_owners(); });
  stuck_now_ = 0;
  if (owners) {
    for (const auto& [hub, spool] : *owners) {
      if (is_stopping_) break;
      for (const auto& member : peering_.members().all()) {
        bool can_be_asked =
            member->name() == hub && member->has_spool(spool) && member->control->offers("XDRAIN");
        if (can_be_asked) co_await rehome_of(member, spool);
      }
    }
  }
  stuck_shadows_ = stuck_now_;
  next_rehome_ = MonotonicClock::now() + rehome_pause;
  is_rehoming_ = false;
}

// Asks the owner to do without the copies that are held here: it makes others first.
Task<void> Drainer::rehome_of(std::shared_ptr<Member> owner, SpoolId spool) {
  RowId after{0};
  bool is_lost = false;
  std::size_t waits = 0;
  while (waits < rehome_waits_max && !is_stopping_ && drain_.state() == DrainState::handing_over) {
    using Copies = std::vector<storage::Shadow>;
    auto shadows = co_await query<Copies>(
        runtime_.io, spool_, [spool, after](storage::Reader& r) { return r.shadows_of(spool, after, page); });
    if (!shadows || shadows->empty()) break;
    after = shadows->back().row;
    std::vector<MessageId> ids;
    for (const auto& shadow : *shadows) ids.push_back(shadow.id);
    auto outcome = co_await owner->control->call(smtp::format_rehome(ids), tell_timeout);
    if (outcome.kind != Link::Outcome::Kind::replied || outcome.reply.code != 250) break;
    std::map<MessageId, smtp::RehomeState> answers;
    std::string_view rest = outcome.reply.text;
    while (!rest.empty()) {
      auto line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (auto answer = smtp::parse_rehomed(line)) answers.insert_or_assign(answer->first, answer->second);
    }
    std::vector<std::pair<MessageId, Generation>> released;
    for (const auto& shadow : *shadows) {
      auto at = answers.find(shadow.id);
      if (at == answers.end()) continue;
      if (at->second == smtp::RehomeState::released) released.emplace_back(shadow.id, shadow.generation);
      if (at->second == smtp::RehomeState::nobody) ++stuck_now_;
      if (at->second == smtp::RehomeState::wait)
        ++waits;  // the owner makes another copy: the rest in the next walk
      if (at->second == smtp::RehomeState::unknown) is_lost = true;
    }
    if (released.empty()) continue;
    auto dropped = co_await commit(
        runtime_.io, spool_,
        [released](storage::Writer& w) -> Result<void> {
          for (const auto& [id, generation] : released)
            if (auto result = w.release_shadow(id, generation); !result)
              return std::unexpected(result.error());
          return {};
        },
        released.size() * 64);
    if (!dropped) break;
    peering_.outbox_grew();
    course_.rehomed += released.size();
    for (const auto& [id, generation] : released)
      log_.message(MessageEvent::shadow_dropped, id, {{"reason", "its owner has another copy"}});
  }
  // Done, or gone elsewhere: the audit finds out, now and not in half a minute.
  if (is_lost) peering_.audit_soon(spool);
}

}  // namespace umbra::hub
