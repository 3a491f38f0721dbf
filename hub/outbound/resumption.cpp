#include "hub/outbound/resumption.h"

#include <algorithm>
#include <ranges>

#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr std::size_t page_entries = 200;
/// A moment more than mail can have been put off by: the wall clock may have been set a little.
constexpr WallClock::duration remembered = suspended_look + std::chrono::minutes(1);

bool waited_for(const Suspension& ended, const storage::StoredMessage& message,
                const std::string& destination) {
  return std::ranges::any_of(message.envelope.recipients, [&](const Recipient& recipient) {
    return holds_back(ended, {destination, message.envelope.sender, recipient.address});
  });
}

struct Page {
  std::vector<storage::DueMessage> waited;
  std::optional<storage::DueMessage> reached;  ///< nothing: the queue of the destination ends here
};

Result<Page> read_page(storage::Reader& reader, const storage::DueMessage& behind, WallTime until,
                       const std::vector<Suspension>& ended) {
  auto due = reader.due_behind(behind, until, page_entries);
  if (!due) return std::unexpected(due.error());
  Page page;
  if (due->size() == page_entries) page.reached = due->back();
  for (auto& one : *due) {
    auto message = reader.message(one.row);
    if (!message) return std::unexpected(message.error());
    if (!*message) continue;
    if (std::ranges::any_of(ended, [&](const Suspension& suspension) {
          return waited_for(suspension, **message, one.entry.destination);
        }))
      page.waited.push_back(std::move(one));
  }
  return page;
}

}  // namespace

void Resumption::look() {
  if (parts_.is_stopped || parts_.suspensions == nullptr) return;
  is_wanted_ = true;
  if (!std::exchange(is_running_, true)) scheduler_.scope().spawn("resumption", run());
}

Task<void> Resumption::run() {
  while (std::exchange(is_wanted_, false) && !parts_.is_stopped) {
    auto ended = newly_ended();
    if (ended.empty()) continue;
    auto count = co_await bring_forward(std::move(ended));
    if (parts_.is_stopped) break;
    if (!count)
      parts_.log.line(LogLevel::error,
                      "mail that was suspended waits up to five minutes more: the spool does not answer",
                      {{"error", count.error().what}});
    else if (*count != 0)
      parts_.log.line(LogLevel::info, "mail that was suspended is due",
                      {{"messages", static_cast<std::int64_t>(*count)}});
  }
  is_running_ = false;
}

std::vector<Suspension> Resumption::newly_ended() {
  const WallTime oldest = WallClock::now() - remembered;
  std::erase_if(gone_through_, [oldest](const Suspension& one) { return one.until < oldest; });
  std::vector<Suspension> found;
  for (const auto& one : parts_.suspensions->past()) {
    // Mail for a destination that is suspended is not put off: it is not looked at.
    const bool puts_off = one.what == Suspension::What::domain || one.what == Suspension::What::sender;
    if (puts_off && one.until >= oldest && std::ranges::find(gone_through_, one) == gone_through_.end())
      found.push_back(one);
  }
  gone_through_.insert(gone_through_.end(), found.begin(), found.end());
  return found;
}

Task<Result<std::uint64_t>> Resumption::bring_forward(std::vector<Suspension> ended) {
  // What was put off before the end is in the spool when this is: writes are in order.
  auto& io = parts_.runtime.io;
  if (auto written = co_await commit(io, parts_.spool, [](storage::Writer&) { return Result<void>{}; });
      !written)
    co_return std::unexpected(written.error());
  const WallTime now = parts_.due_clock.now();
  const WallTime until = now + suspended_look;
  using Times = std::vector<std::pair<std::string, WallTime>>;
  auto destinations = co_await query<Times>(
      io, parts_.spool, [](storage::Reader& reader) { return reader.due_by_destination(); });
  if (!destinations) co_return std::unexpected(destinations.error());
  std::uint64_t sum = 0;
  for (const auto& [name, first] : *destinations) {
    if (parts_.is_stopped) break;
    if (first > until) continue;
    auto count = co_await bring_forward_at(name, ended, now, until);
    if (!count) co_return std::unexpected(count.error());
    sum += *count;
  }
  co_return sum;
}

Task<Result<std::uint64_t>> Resumption::bring_forward_at(std::string destination,
                                                         const std::vector<Suspension>& ended, WallTime from,
                                                         WallTime until) {
  std::uint64_t sum = 0;
  std::optional<storage::DueMessage> behind = storage::DueMessage{RowId{}, {destination, from, 0}};
  while (behind && !parts_.is_stopped) {
    auto page = co_await query<Page>(parts_.runtime.io, parts_.spool,
                                     [&ended, place = *behind, until](storage::Reader& reader) {
                                       return read_page(reader, place, until, ended);
                                     });
    if (!page) co_return std::unexpected(page.error());
    if (!page->waited.empty()) {
      const auto count = page->waited.size();
      auto written = co_await commit(
          parts_.runtime.io, parts_.spool,
          [waited = std::move(page->waited), from](storage::Writer& writer) -> Result<void> {
            for (const auto& one : waited)
              if (auto done = writer.bring_forward(one.row, one.entry, from); !done) return done;
            return {};
          },
          count * 128);
      if (!written) co_return std::unexpected(written.error());
      sum += count;
      scheduler_.note_due(destination, from);
    }
    behind = page->reached;
  }
  co_return sum;
}

}  // namespace umbra::hub
