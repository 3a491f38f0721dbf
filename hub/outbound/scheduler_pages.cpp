// What the spool has due: due times by destination, and pages of messages with their small bodies. Part of
// Scheduler; the pump (scheduler.cpp) decides when a page is wanted.
#include <algorithm>
#include <utility>

#include "hub/outbound/scheduler.h"

namespace umbra::hub {
namespace {

constexpr std::size_t page_messages = 64;
constexpr std::uint64_t page_octets = 2U << 20;
constexpr std::uint64_t preloaded_octets_max = 64U << 10;

}  // namespace

void Scheduler::note_due(const std::string& name, WallTime due) {
  if (!parts_.is_stopped) note_due(destination(name), due);
}

void Scheduler::note_due(Destination& d, WallTime due) {
  d.next_due = std::min(d.next_due, due);
  schedule(d);
}

void Scheduler::load_due_times() {
  if (parts_.is_stopped) return;
  using Times = std::vector<std::pair<std::string, WallTime>>;
  auto times = std::make_shared<Result<Times>>();
  ++parts_.spool_calls;
  parts_.spool.read([times](storage::Reader& reader) { *times = reader.due_by_destination(); },
                    [this, times] {
                      --parts_.spool_calls;
                      if (parts_.is_stopped) return;
                      if (!*times) {
                        parts_.log.line(LogLevel::error, "cannot read the queue",
                                        {{"error", times->error().what}});
                        return;
                      }
                      for (const auto& [name, due] : **times) {
                        Destination& d = destination(name);
                        note_due(d, due);
                        pump(d);
                      }
                    });
}

struct Scheduler::Loaded {
  struct Item {
    storage::StoredMessage message;
    std::shared_ptr<const std::string> body;
    std::uint32_t attempts = 0;
  };
  std::vector<Item> items;
  std::optional<WallTime> next_due;
  std::optional<Error> error;
};

// A page of what is due for one destination, small bodies with it.
void Scheduler::load(Destination& d) {
  const std::size_t limit = d.failures != 0 ? 1 : page_messages;
  std::vector<RowId> skip;
  for (auto row : d.rows) skip.push_back(RowId{row});
  for (const auto& [row, destination] : trial_.waiting()) skip.push_back(RowId{row});
  std::ranges::sort(skip);
  d.is_loading = true;
  d.seen_while_loading.clear();
  d.next_due = WallTime::max();
  ++loads_;
  ++parts_.spool_calls;
  auto loaded = std::make_shared<Loaded>();
  parts_.spool.read(
      [loaded, name = d.name, now = parts_.due_clock.now(), limit,
       skip = std::move(skip)](storage::Reader& reader) mutable {
        auto due = reader.due(name, now, limit + 1, skip);
        if (!due) {
          loaded->error = due.error();
          return;
        }
        std::uint64_t octets = 0;
        for (std::size_t i = 0; i < due->size(); ++i) {
          const auto& [row, entry] = (*due)[i];
          if (i == limit || octets > page_octets) {
            loaded->next_due = entry.due;
            return;
          }
          auto message = reader.message(row);
          if (!message) {
            loaded->error = message.error();
            return;
          }
          skip.push_back(row);
          if (!*message) continue;
          Loaded::Item item{std::move(**message), nullptr, entry.attempts};
          if (item.message.size <= preloaded_octets_max) {
            std::string body;
            for (std::uint32_t number = 0; body.size() < item.message.size; ++number) {
              auto chunk = reader.chunk(row, number);
              if (!chunk || chunk->empty()) break;
              body += *chunk;
            }
            // A body that is not whole is found out, and told, when it is sent.
            if (body.size() == item.message.size)
              item.body = std::make_shared<const std::string>(std::move(body));
          }
          octets += item.message.size;
          loaded->items.push_back(std::move(item));
        }
        std::ranges::sort(skip);
        auto next = reader.due(name, WallTime::max(), 1, skip);
        if (next && !next->empty()) loaded->next_due = next->front().entry.due;
      },
      [this, loaded, number = d.number] {
        --parts_.spool_calls;
        --loads_;
        take_loaded(*by_number_.at(number), *loaded);
        if (loads_ == 0) forgotten_while_loading_.clear();
      });
}

void Scheduler::take_loaded(Destination& d, Loaded& loaded) {
  d.is_loading = false;
  auto seen = std::exchange(d.seen_while_loading, {});
  if (parts_.is_stopped) return;
  if (loaded.error) {
    parts_.log.line(LogLevel::error, "cannot read the queue",
                    {{"destination", d.name}, {"error", loaded.error->what}});
    note_due(d, parts_.due_clock.now() + look_again_wait);
    return;
  }
  if (loaded.next_due) d.next_due = std::min(d.next_due, *loaded.next_due);
  for (auto& item : loaded.items) {
    auto row = item.message.row;
    if (seen.contains(row.value) || has_job(row, d)) continue;
    if (forgotten_while_loading_.contains(row.value) || claimed_.contains(row.value) || d.is_suspended ||
        d.is_blocked(MonotonicClock::now()) || parts_.guard.is_in_acceptance(item.message.id)) {
      d.next_due = std::min(d.next_due, parts_.due_clock.now() + look_again_wait);
      continue;
    }
    // Every pending recipient needs an entry, and every entry a recipient: routes may have changed since.
    auto needed = parts_.router.entries_for(item.message.envelope, item.message.progress,
                                            parts_.due_clock.now(), item.message.next_hop);
    bool is_as_queued = std::ranges::equal(needed, item.message.queue, {}, &storage::QueueEntry::destination,
                                           &storage::QueueEntry::destination);
    if (!is_as_queued) {
      reroute(item.message, std::move(needed));
      continue;
    }
    auto verdict = trial_.judge(item.message.id, row, d.name);
    if (verdict == Trial::Verdict::hold) hold_suspect(item.message);
    if (verdict != Trial::Verdict::attempt) continue;
    JobPtr job = add_job(d, std::make_shared<const storage::StoredMessage>(std::move(item.message)),
                         std::move(item.body), item.attempts);
    d.loaded.push_back(std::move(job));
  }
  pump(d);
  next_suspect();
}

// Gives a message the entries that today's routes ask for; those it has keep their time.
void Scheduler::reroute(const storage::StoredMessage& message, std::vector<storage::QueueEntry> queue) {
  for (auto& entry : queue)
    for (const auto& old : message.queue)
      if (old.destination == entry.destination) entry = old;
  ++parts_.spool_calls;
  parts_.spool.write(
      [row = message.row, queue](storage::Writer& writer) { return writer.set_queue(row, queue); }, 256,
      [this, queue](Result<void> result) {
        --parts_.spool_calls;
        if (!result || parts_.is_stopped) return;
        for (const auto& entry : queue) {
          Destination& d = destination(entry.destination);
          note_due(d, entry.due);
          pump(d);
        }
      });
}

}  // namespace umbra::hub
