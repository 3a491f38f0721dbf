#include "hub/filter/waiting_mail.h"

#include <algorithm>
#include <utility>

#include "hub/filter/filtering_intake.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using Messages = std::vector<storage::StoredMessage>;

constexpr Duration look_every = 1s;
constexpr Duration again_after = 1min;  // when the filter said "later" of one message
constexpr std::size_t page = 200;

/// Where the first field of a message ends, with its folds and its line end.
std::size_t end_of_field(std::string_view text) {
  auto end = text.find("\r\n");
  while (end != std::string_view::npos && end + 2 < text.size() &&
         (text[end + 2] == ' ' || text[end + 2] == '\t'))
    end = text.find("\r\n", end + 2);
  return end == std::string_view::npos ? text.size() : end + 2;
}

}  // namespace

WaitingMail::WaitingMail(Runtime runtime, const Config& config, storage::Spool& spool, Peering& peering,
                         Outbound& outbound, ContentFilters& filters, EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      peering_(peering),
      outbound_(outbound),
      filters_(filters),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io),
      pause_(runtime.io) {}

void WaitingMail::start(FilteringIntake& intake) {
  intake_ = &intake;
  tasks_.spawn("mail that waits for filters", run());
}

Task<void> WaitingMail::stop() {
  is_stopping_ = true;
  pause_.cancel();
  co_await tasks_.join();
}

void WaitingMail::added(const std::string& filter, RowId row, std::uint64_t octets) {
  auto& line = lines_[filter];
  if (!line.messages.try_emplace(row, Waiting{octets, WallClock::now()}).second) return;
  line.octets += octets;
}

void WaitingMail::remove(Line& line, RowId row) {
  auto found = line.messages.find(row);
  if (found == line.messages.end()) return;
  line.octets -= found->second.octets;
  line.messages.erase(found);
}

const WaitingMail::Line* WaitingMail::find(const std::string& name) const {
  auto found = lines_.find(name);
  return found == lines_.end() || found->second.messages.empty() ? nullptr : &found->second;
}

std::size_t WaitingMail::count() const {
  std::size_t count = 0;
  for (const auto& [name, line] : lines_) count += line.messages.size();
  return count;
}

bool WaitingMail::is_full(const ContentFilterConfig& filter) const {
  const auto* line = find(filter.name);
  if (line == nullptr) return false;
  return line->octets >= filter.waiting_octets_max ||
         WallClock::now() - line->messages.begin()->second.since >= filter.waiting_age_max;
}

std::string WaitingMail::why_not_ready() const {
  for (const auto& filter : config_.content_filters)
    if (filter.unready && find(filter.name) != nullptr) return "mail waits for content filter " + filter.name;
  return {};
}

void WaitingMail::report(std::vector<Gauges::ContentFilter>& filters) const {
  for (auto& filter : filters) {
    const auto* line = find(filter.name);
    if (line == nullptr) continue;
    filter.waiting = line->messages.size();
    filter.waiting_octets = line->octets;
    filter.waiting_since = line->messages.begin()->second.since;
  }
}

bool WaitingMail::waits(const Envelope& envelope) const {
  return std::ranges::any_of(envelope.waits_for,
                             [this](const auto& name) { return filters_.find(name) != nullptr; });
}

Task<void> WaitingMail::run() {
  while (!is_stopping_) {
    // Without filters nothing waits, and what waited when they were taken away is the operator's.
    if (!config_.content_filters.empty()) co_await look();
    for (auto& [name, line] : lines_)
      if (!line.messages.empty() && !line.is_moving && !is_stopping_) {
        line.is_moving = true;
        tasks_.spawn("release mail that waited", release_all(name));
      }
    if (!is_stopping_) co_await pause_.wait_for(look_every);
  }
}

/// What came by a take-over or a hand-over, or left in another way, is seen by the number of held messages.
Task<void> WaitingMail::look() {
  if (std::ranges::any_of(lines_, [](const auto& entry) { return entry.second.is_moving; })) co_return;
  auto counts = co_await query<storage::QueueCounts>(runtime_.io, spool_,
                                                     [](storage::Reader& r) { return r.counts(); });
  if (!counts || is_stopping_) co_return;
  if (other_held_ && counts->held == *other_held_ + count()) co_return;
  co_await scan(counts->held);
}

Task<void> WaitingMail::scan(std::uint64_t held) {
  std::map<std::string, Line> found;
  std::vector<std::pair<Line*, RowId>> known;
  for (auto& [name, line] : lines_)
    for (const auto& [row, waiting] : line.messages) known.emplace_back(&line, row);
  RowId after{0};
  while (!is_stopping_) {
    auto last = std::make_shared<RowId>(after);
    auto messages =
        co_await query<Messages>(runtime_.io, spool_, [after, last](storage::Reader& r) -> Result<Messages> {
          auto rows = r.held(after, page);
          if (!rows) return std::unexpected(rows.error());
          Messages all;
          for (auto row : *rows) {
            *last = row;
            auto message = r.message(row);
            if (!message) return std::unexpected(message.error());
            if (*message && !(*message)->envelope.waits_for.empty()) all.push_back(std::move(**message));
          }
          return all;
        });
    if (!messages) co_return;
    if (*last == after) break;
    after = *last;
    for (const auto& message : *messages) {
      auto& line = found[message.envelope.waits_for.front()];
      line.messages.try_emplace(message.row, Waiting{message.size, message.envelope.accepted_at});
      line.octets += message.size;
    }
  }
  if (is_stopping_) co_return;
  // What was accepted while this was read stays; what was known before and is not there any more is gone.
  for (const auto& [line, row] : known)
    if (std::ranges::none_of(found, [&](const auto& entry) { return entry.second.messages.contains(row); }))
      remove(*line, row);
  for (auto& [name, line] : found)
    for (auto& [row, waiting] : line.messages)
      if (auto& present = lines_[name]; present.messages.try_emplace(row, waiting).second)
        present.octets += waiting.octets;
  const auto waiting = count();
  other_held_ = held >= waiting ? held - waiting : 0;
}

Task<void> WaitingMail::release_all(std::string name) {
  auto& line = lines_[name];
  // In order, and what came meanwhile behind it.
  RowId after{0};
  while (!is_stopping_) {
    auto next = line.messages.upper_bound(after);
    if (next == line.messages.end()) break;
    after = next->first;
    if (next->second.not_before > MonotonicClock::now()) continue;
    const auto filter = filters_.find(name);
    if (filter == nullptr) {
      if (!std::exchange(line.is_unknown_logged, true))
        log_.line(LogLevel::warning, "mail waits for a content filter that is not configured any more",
                  {{"filter", name}, {"messages", static_cast<std::int64_t>(line.messages.size())}});
      break;
    }
    line.is_unknown_logged = false;
    if (!filter->may_be_asked()) break;
    const auto step = co_await release(after);
    if (step == Step::stay) break;
    if (step == Step::gone) remove(line, after);
    if (step == Step::later)
      if (auto found = line.messages.find(after); found != line.messages.end())
        found->second.not_before = MonotonicClock::now() + again_after;
  }
  line.is_moving = false;
}

Task<WaitingMail::Step> WaitingMail::release(RowId row) {
  if (peering_.is_returning() && row < spool_.first_row_of_epoch()) co_return Step::stay;
  if (!outbound_.claim(row)) co_return Step::later;
  auto step = co_await release_claimed(row);
  outbound_.give_up_claim(row);
  co_return step;
}

Task<WaitingMail::Step> WaitingMail::release_claimed(RowId row) {
  auto message = co_await query<std::optional<storage::StoredMessage>>(
      runtime_.io, spool_, [row](storage::Reader& r) { return r.message(row); });
  if (!message) co_return Step::stay;
  if (!*message || (*message)->envelope.waits_for.empty()) co_return Step::gone;
  auto& stored = **message;
  if (storage::is_handing_over(stored.state) || peering_.pending().contains(stored.id)) co_return Step::later;
  if (stored.state != storage::MessageState::held) co_return Step::gone;
  std::vector<std::shared_ptr<ContentFilter>> filters;
  for (const auto& name : stored.envelope.waits_for) {
    filters.push_back(filters_.find(name));
    if (filters.back() == nullptr || !filters.back()->may_be_asked()) co_return Step::stay;
  }
  using Verdict = DeliveryGuard::Verdict;
  if (!peering_.may_deliver_now(stored)) {
    const auto verdict = co_await peering_.may_deliver(stored);
    if (verdict == Verdict::stop) co_return Step::gone;
    if (verdict == Verdict::later) co_return Step::stay;
    if (verdict == Verdict::go_possible_duplicate) {
      ++metrics_.possible_duplicates_total;
      log_.message(MessageEvent::possible_duplicate, stored.id,
                   {{"reason", "released for its content filters while a holder was silent"}});
    }
  }
  co_return co_await put_before_filters(std::move(stored), std::move(filters));
}

Task<WaitingMail::Step> WaitingMail::put_before_filters(storage::StoredMessage message,
                                                        std::vector<std::shared_ptr<ContentFilter>> filters) {
  // What the listener asked for is in the envelope. The message is acknowledged: it goes on with fewer copies
  // rather than not at all.
  ListenerConfig listener;
  listener.name = "waiting";
  listener.shadow = config_.cluster.enabled() && message.envelope.protection.copies != 0
                        ? ShadowPolicy::prefer
                        : ShadowPolicy::none;
  listener.on_failure = OnShadowFailure::accept;
  listener.protection = message.envelope.protection;
  for (const auto& one : config_.listeners) {
    listener.limits.message_octets_max =
        std::max(listener.limits.message_octets_max, one.limits.message_octets_max);
    listener.limits.header_octets_max =
        std::max(listener.limits.header_octets_max, one.limits.header_octets_max);
  }
  auto envelope = message.envelope;
  envelope.waits_for.clear();
  FilteringIntake::Verdict verdict;
  verdict.waiting = message.id;
  // A filter may take minutes, and another hub may own the message by then.
  verdict.is_ours = [this, &message, was_sure = peering_.may_deliver_now(message)] {
    return !was_sure || peering_.may_deliver_now(message);
  };
  auto content = co_await read(message.row, message.size,
                               listener.limits.header_octets_max + milter::Conversation::edit_octets_max);
  if (!content) {
    log_.line(LogLevel::warning, "a message that waits could not be read",
              {{"id", to_string(message.id)}, {"reason", content.error().what}});
    co_return Step::stay;
  }
  auto acceptance =
      intake_->begin_waiting(std::move(envelope), listener, std::move(filters), std::move(*content), verdict);
  const auto new_id = acceptance->id();
  acceptance->replaces(message.row);
  const auto reply = co_await acceptance->finish();
  acceptance.reset();
  if (verdict.is_down) co_return Step::stay;
  if (verdict.is_discarded) {
    if (!verdict.is_ours()) co_return Step::stay;
    auto ended = co_await commit(runtime_.io, spool_, [row = message.row](storage::Writer& w) {
      return w.finish_message(row, std::nullopt, SpoolId{}, storage::Left::discarded);
    });
    if (!ended) co_return Step::stay;
    peering_.outbox_grew();
    co_return Step::gone;
  }
  if (reply.code == 250) {
    log_.message(MessageEvent::released, message.id, {{"as", to_string(new_id)}});
    co_return Step::gone;
  }
  if (!verdict.is_refused) co_return Step::stay;  // the spool, or the hub is stopping
  if (reply.is_transient()) co_return Step::later;
  outbound_.give_up_claim(message.row);
  auto bounced =
      co_await outbound_.bounce(message.row, "refused by a content filter: " + smtp::to_line(reply));
  co_return bounced ? Step::gone : Step::later;
}

/// The field that the hub put on top, the header, and where the body is: that stays in the spool.
Task<Result<WaitingContent>> WaitingMail::read(RowId row, std::uint64_t octets,
                                               std::size_t header_octets_max) {
  std::string front;
  std::size_t trace_end = 0;
  std::size_t scanned = 0;
  std::optional<std::size_t> header_end;
  for (std::uint32_t number = 0; !header_end && front.size() <= header_octets_max; ++number) {
    auto chunk = co_await query<std::string>(
        runtime_.io, spool_, [row, number](storage::Reader& r) { return r.chunk(row, number); });
    if (!chunk) co_return std::unexpected(chunk.error());
    const bool is_all = chunk->empty();
    front += is_all ? "\r\n\r\n" : *chunk;
    if (trace_end == 0) trace_end = end_of_field(front);
    header_end = milter::HeaderSection::end_of(std::string_view(front).substr(trace_end), scanned);
    if (is_all) front.resize(front.size() - 4);
    if (is_all) break;
  }
  const auto rest = std::string_view(front).substr(trace_end);
  const auto header = rest.substr(0, std::min(header_end.value_or(rest.size()), rest.size()));
  WaitingContent content;
  content.trace = front.substr(0, trace_end);
  content.header = milter::HeaderSection(header);
  if (rest.substr(header.size()).starts_with("\r\n")) content.separator = "\r\n";
  const auto skipped = trace_end + header.size() + content.separator.size();
  content.body = std::make_unique<MessageBuffer>(runtime_.io, spool_, row, skipped, octets - skipped);
  co_return content;
}

}  // namespace umbra::hub
