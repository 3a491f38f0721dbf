#include "hub/safety_net/resender.h"

#include <algorithm>

#include <fmt/format.h>

#include "hub/logs/tracking_log.h"
#include "hub/spool_tasks.h"
#include "smtp/shadow_verbs.h"
#include "smtp/trace_header.h"

namespace umbra::hub {
namespace {

using storage::KeptMessage;
using storage::Resend;

constexpr std::size_t page_rows = 50;
constexpr std::size_t rows_per_listing = 2000;
constexpr std::size_t requests_known = 101;
constexpr auto moment = std::chrono::seconds(1);
constexpr std::size_t chunk_octets = smtp::shadow_chunk_octets_max;

std::string trace_field(const Config& config, MessageId id, MessageId origin, const std::string& request) {
  return fmt::format(
      "Received: by {}\r\n\tid {}\r\n\t(sent again from the safety net: {}, request {});\r\n\t{}\r\n",
      config.host_name, to_string(id), to_string(origin), request, smtp::date_time(WallClock::now()));
}

Task<Result<std::vector<KeptMessage>>> read_page(Runtime runtime, storage::Spool& spool, WallTime from,
                                                 RowId after, WallTime until, std::size_t limit) {
  co_return co_await query<std::vector<KeptMessage>>(
      runtime.io, spool, [=](storage::Reader& r) { return r.kept(from, after, until, limit); });
}

}  // namespace

/// One message on its way back.
struct Resender::Copy {
  RowId row;
  MessageId id;
  Envelope envelope;
  std::string trace;
  std::shared_ptr<std::string> body;  ///< all of a small one; null: it is in the spool
  std::uint64_t size = 0;
};

Resender::Resender(Runtime runtime, const Config& config, storage::Spool& spool, Peering& peering,
                   Outbound& outbound, std::function<std::string()> why_not, EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      peering_(peering),
      outbound_(outbound),
      why_not_(std::move(why_not)),
      log_(log),
      metrics_(metrics),
      router_(config.routes),
      tasks_(runtime.io),
      wake_(runtime.io),
      rate_(config.safety_net.resend_messages_per_second) {}

void Resender::start() {
  tasks_.spawn("resend", run());
}

Task<void> Resender::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
}

// ---- what the operator asks

bool Resender::is_ours_to_send(const KeptMessage& message, bool include_silent) {
  if (!message.is_shadow) return true;
  auto* member = peering_.members().find(message.owner_hub);
  if (member == nullptr)
    return include_silent || (!message.owner_hub.empty() && peering_.members().is_removed(message.owner_hub));
  bool is_replaced =
      member->identity && member->identity->spool != message.owner_spool && message.owner_spool.value != 0;
  if (is_replaced || member->state == smtp::HubState::left) return true;
  return include_silent && peering_.members().is_silent(*member);
}

Task<Result<KeptPage>> Resender::list(KeptFilter filter, WallTime from, RowId after, std::size_t limit) {
  KeptPage page;
  if (from < filter.from) {
    from = filter.from;
    after = RowId{0};
  }
  for (std::size_t looked_at = 0; looked_at < rows_per_listing; looked_at += page_rows) {
    auto found = co_await read_page(runtime_, spool_, from, after, filter.until, page_rows);
    if (!found) co_return std::unexpected(found.error());
    for (auto& message : *found) {
      from = message.ended_at;
      after = message.row;
      auto recipients = matching_recipients(message, filter, router_);
      if (recipients.empty()) continue;
      page.messages.push_back({std::move(message), std::move(recipients)});
      if (page.messages.size() == limit) break;
    }
    bool is_full = page.messages.size() == limit;
    if (!is_full && found->size() < page_rows) co_return page;
    if (is_full) break;
  }
  page.next.emplace(from, after);
  co_return page;
}

Task<Result<ResendPreview>> Resender::preview(KeptFilter filter) {
  ResendPreview preview;
  auto from = filter.from;
  RowId after{0};
  for (;;) {
    auto found = co_await read_page(runtime_, spool_, from, after, filter.until, page_rows);
    if (!found) co_return std::unexpected(found.error());
    for (const auto& message : *found) {
      from = message.ended_at;
      after = message.row;
      auto recipients = matching_recipients(message, filter, router_);
      if (recipients.empty()) continue;
      if (!is_ours_to_send(message, filter.include_shadows)) {
        ++preview.shadows_left_out;
        continue;
      }
      ++preview.messages;
      preview.recipients += recipients.size();
      preview.octets += message.size;
    }
    if (found->size() < page_rows || is_stopping_) co_return preview;
  }
}

Task<Result<std::optional<Resend>>> Resender::find(std::string request) {
  if (now_ && now_->request == request) co_return std::optional(*now_);
  co_return co_await query<std::optional<Resend>>(
      runtime_.io, spool_, [request](storage::Reader& r) { return r.resend(request); });
}

Task<Result<std::vector<Resend>>> Resender::recent() {
  auto found = co_await query<std::vector<Resend>>(
      runtime_.io, spool_, [](storage::Reader& r) { return r.resends(requests_known); });
  if (found && now_)
    for (auto& resend : *found)
      if (resend.request == now_->request) resend = *now_;
  co_return found;
}

Task<Result<ResendAnswer>> Resender::begin(std::string request, KeptFilter filter) {
  if (!is_begun_ || is_beginning_)
    co_return ResendAnswer{"the hub is starting, or another request is being begun: try again", {}};
  is_beginning_ = true;
  auto known = co_await find(request);
  if (!known || *known) {
    is_beginning_ = false;
    if (!known) co_return std::unexpected(known.error());
    // `until` was set to its beginning when it was open: that is the same request.
    auto before = parse_kept_filter((*known)->filter);
    auto asked = filter;
    if (before && asked.until > (*known)->begun_at) asked.until = before->until;
    if (!before || to_query(asked) != (*known)->filter)
      co_return ResendAnswer{"there was another request of that name", **known};
    co_return ResendAnswer{{}, **known};
  }
  if (now_ || is_stopping_) {
    is_beginning_ = false;
    co_return ResendAnswer{
        now_ ? "request " + now_->request + " is under way" : std::string("the hub is stopping"), {}};
  }
  Resend resend;
  resend.request = std::move(request);
  resend.begun_at = resend.changed_at = WallClock::now();
  // What is sent again must not be found by the same request when it is done.
  filter.until = std::min(filter.until, resend.begun_at);
  resend.filter = to_query(filter);
  resend.reached_at = filter.from;
  auto saved =
      co_await commit(runtime_.io, spool_, [resend](storage::Writer& w) { return w.put_resend(resend); });
  is_beginning_ = false;
  if (!saved) co_return std::unexpected(saved.error());
  log_.line(LogLevel::info, "resend begun", {{"request", resend.request}, {"filter", resend.filter}});
  is_cancelled_ = false;
  now_ = resend;
  wake_.cancel();
  co_return ResendAnswer{{}, resend};
}

Task<Result<bool>> Resender::cancel(std::string request) {
  if (!now_ || now_->request != request) co_return false;
  is_cancelled_ = true;
  wake_.cancel();
  for (int turn = 0; turn < 300 && now_ && now_->request == request && !is_stopping_; ++turn) {
    Timer pause(runtime_.io);
    co_await pause.wait_for(std::chrono::milliseconds(50));
  }
  co_return true;
}

// ---- the work

Task<void> Resender::run() {
  while (!is_begun_ && !is_stopping_) {
    auto found = co_await query<std::vector<Resend>>(
        runtime_.io, spool_, [](storage::Reader& r) { return r.resends(requests_known); });
    if (found) {
      for (auto& resend : *found)
        if (resend.state == Resend::State::running) now_ = std::move(resend);
      is_begun_ = true;
    } else {
      co_await wake_.wait_for(moment);
    }
  }
  while (!is_stopping_) {
    if (now_) co_await work();
    if (!now_ && !is_stopping_) co_await wake_.wait_for(std::chrono::hours(1));
  }
}

Task<void> Resender::wait_a_moment(std::string why) {
  if (now_->why != why) {
    if (!why.empty())
      log_.line(LogLevel::info, "resend waits", {{"request", now_->request}, {"reason", why}});
    now_->why = std::move(why);
  }
  co_await wake_.wait_for(moment);
}

Task<bool> Resender::save() {
  now_->changed_at = WallClock::now();
  auto saved = co_await commit(runtime_.io, spool_,
                               [resend = *now_](storage::Writer& w) { return w.put_resend(resend); });
  co_return saved.has_value();
}

Task<void> Resender::work() {
  auto filter = parse_kept_filter(now_->filter);
  UMBRA_ASSERT(filter.has_value());  // as this program wrote it
  while (!is_stopping_ && !is_cancelled_) {
    auto page =
        co_await read_page(runtime_, spool_, now_->reached_at, now_->reached_row, filter->until, page_rows);
    if (!page) {
      co_await wait_a_moment(page.error().what);
      continue;
    }
    for (const auto& message : *page) {
      co_await look_at(message, *filter);
      if (is_stopping_ || is_cancelled_) break;
    }
    if (is_stopping_ || is_cancelled_) break;
    if (page->size() < page_rows) {
      now_->state = Resend::State::done;
      break;
    }
    while (!is_stopping_ && !co_await save()) co_await wait_a_moment("the spool does not write");
  }
  if (is_stopping_) co_return;
  if (is_cancelled_) now_->state = Resend::State::cancelled;
  now_->why.clear();
  while (!is_stopping_ && !co_await save()) co_await wake_.wait_for(moment);
  if (is_stopping_) co_return;
  log_.line(LogLevel::info, now_->state == Resend::State::done ? "resend done" : "resend cancelled",
            {{"request", now_->request},
             {"resent", static_cast<std::int64_t>(now_->resent)},
             {"shadows_left_out", static_cast<std::int64_t>(now_->shadows_left_out)},
             {"failed", static_cast<std::int64_t>(now_->failed)}});
  now_.reset();
}

Task<void> Resender::look_at(const KeptMessage& message, const KeptFilter& filter) {
  auto recipients = matching_recipients(message, filter, router_);
  const bool is_meant = !recipients.empty();
  const bool is_ours = is_meant && is_ours_to_send(message, filter.include_shadows);
  auto before = *now_;
  auto pass = [&] {
    ++now_->looked_at;
    now_->reached_at = message.ended_at;
    now_->reached_row = message.row;
  };
  if (!is_ours) {
    pass();
    if (is_meant) ++now_->shadows_left_out;
    co_return;
  }
  while (!is_stopping_ && !is_cancelled_) {
    if (!co_await wait_until_possible(message.size)) continue;
    before = *now_;
    pass();
    ++now_->resent;
    now_->resent_octets += message.size;
    auto step = co_await send_again(message, recipients, filter.accept_unprotected);
    if (step == Step::sent) co_return;
    auto why = now_->why;
    *now_ = before;
    if (step == Step::gone) {
      pass();
      ++now_->failed;
      co_return;
    }
    co_await wait_a_moment(why);
  }
}

/// False: not now, and a moment was waited.
Task<bool> Resender::wait_until_possible(std::uint64_t octets) {
  std::string why;
  if (auto reason = why_not_(); !reason.empty())
    why = std::move(reason);
  else if (peering_.members().ended() || spool_.unhealthy())
    why = "the hub has to start again";
  else if (peering_.is_returning())
    why = "the hub is still asking who owns its mail";
  else if (spool_.free_octets() < config_.spool.reserve_octets + octets)
    why = "the disk is short";
  if (!why.empty()) {
    co_await wait_a_moment(std::move(why));
    co_return false;
  }
  while (!is_stopping_ && !is_cancelled_) {
    rate_.set(config_.safety_net.resend_messages_per_second);
    auto wait = rate_.wait(MonotonicClock::now());
    if (wait == Duration{0}) break;
    co_await wake_.wait_for(wait);
  }
  rate_.take(1);
  co_return !is_stopping_ && !is_cancelled_;
}

bool Resender::must_be_protected(const Envelope& envelope) const {
  return config_.cluster.enabled() && envelope.protection.copies > 0 &&
         std::ranges::any_of(config_.listeners,
                             [](const auto& listener) { return listener.shadow == ShadowPolicy::require; });
}

/// False: it is not in the safety net any more.
Task<Result<bool>> Resender::copy_body(const KeptMessage& message, Copy& copy) {
  auto& io = runtime_.io;
  copy.size = copy.trace.size() + message.size;
  if (copy.size <= chunk_octets) {
    auto octets = co_await query<std::string>(
        io, spool_, [row = message.row, size = message.size](storage::Reader& r) -> Result<std::string> {
          std::string all;
          for (std::uint32_t number = 0; all.size() < size; ++number) {
            auto chunk = r.chunk(row, number);
            if (!chunk || chunk->empty()) return chunk ? Result<std::string>(std::string{}) : chunk;
            all += *chunk;
          }
          return all;
        });
    if (!octets) co_return std::unexpected(octets.error());
    if (octets->size() != message.size) co_return false;
    copy.body = std::make_shared<std::string>(copy.trace + *octets);
    co_return true;
  }
  auto put = [&io, this, row = copy.row](std::uint32_t number, std::string octets) {
    auto size = octets.size();
    return commit(
        io, spool_,
        [row, number, octets = std::move(octets)](storage::Writer& w) {
          return w.put_chunk(row, number, octets);
        },
        size);
  };
  if (auto stored = co_await put(0, copy.trace); !stored) co_return std::unexpected(stored.error());
  std::uint64_t copied = 0;
  for (std::uint32_t number = 0; copied < message.size && !is_stopping_; ++number) {
    auto chunk = co_await query<std::string>(
        io, spool_, [row = message.row, number](storage::Reader& r) { return r.chunk(row, number); });
    if (!chunk) co_return std::unexpected(chunk.error());
    if (chunk->empty()) co_return false;
    copied += chunk->size();
    if (auto stored = co_await put(number + 1, std::move(*chunk)); !stored)
      co_return std::unexpected(stored.error());
  }
  co_return copied == message.size;
}

// As an acceptance: registered as pending, committed, copied; then it is delivered.
Task<Resender::Step> Resender::send_again(const KeptMessage& kept, std::vector<std::uint32_t> recipients,
                                          bool accept_unprotected) {
  auto& io = runtime_.io;
  auto& copier = peering_.copier();
  Copy copy;
  copy.envelope = kept.envelope;
  copy.envelope.recipients.clear();
  for (auto index : recipients) {
    auto recipient = kept.envelope.recipients[index];
    recipient.notify = notify_never;
    copy.envelope.recipients.push_back(std::move(recipient));
  }
  copy.envelope.dsn_return = DsnReturn::unset;
  copy.envelope.resent = true;
  copy.envelope.accepted_at = outbound_.mail_time();
  copy.envelope.expires_at = outbound_.expiry_of(copy.envelope, copy.envelope.accepted_at);
  const auto protection = copy.envelope.protection;
  const bool is_required = must_be_protected(copy.envelope) && !accept_unprotected;
  const bool has_copies = config_.cluster.enabled() && protection.copies > 0;
  std::vector<storage::Holder> holders;
  if (has_copies) holders = copier.choose_all(protection, kept.size);
  if (is_required && holders.size() < protection.copies) {
    now_->why = "no other hub can take a copy";
    co_return Step::not_now;
  }
  copy.row = spool_.next_row();
  copy.id = {spool_.id(), static_cast<std::uint64_t>(copy.row.value)};
  copy.trace = trace_field(config_, copy.id, kept.id, now_->request);
  const auto epoch = spool_.epoch();
  auto is_over = [&] { return spool_.epoch() != epoch || peering_.members().ended(); };

  auto copied = co_await copy_body(kept, copy);
  if (!copied || !*copied || is_over()) {
    if (copy.body == nullptr)
      (void)co_await commit(io, spool_, [row = copy.row](storage::Writer& w) { return w.drop_body(row); });
    if (!copied) now_->why = copied.error().what;
    co_return copied && !*copied && !is_stopping_ ? Step::gone : Step::not_now;
  }

  storage::NewMessage message;
  message.row = copy.row;
  message.id = copy.id;
  message.generation = Generation{1};
  message.envelope = copy.envelope;
  message.size = copy.size;
  message.holders = holders;
  // Not sent yet: should the hub end here, nobody is believed to hold it.
  for (auto& holder : message.holders) holder.state = storage::Holder::State::offered;
  message.is_protected = !has_copies;
  message.alarm_at = outbound_.first_alarm(copy.envelope);
  message.entered = storage::Entered::resent;
  message.queue = outbound_.entries_for(copy.envelope, {}, copy.envelope.accepted_at);
  ReadyMessage ready;
  ready.message.queue = message.queue;
  ready.message.alarm_at = message.alarm_at;

  peering_.pending().insert(copy.id);
  const auto before_this = now_->request;
  now_->changed_at = WallClock::now();
  now_->why.clear();
  auto stored = co_await commit(
      io, spool_,
      [message, body = copy.body, resend = *now_](storage::Writer& w) -> Result<void> {
        if (body != nullptr)
          if (auto put = w.put_chunk(message.row, 0, *body); !put) return put;
        if (auto inserted = w.insert_message(message); !inserted) return inserted;
        return w.put_resend(resend);
      },
      copy.size + 512);
  if (!stored) {
    peering_.pending().erase(copy.id);
    if (copy.body == nullptr)
      (void)co_await commit(io, spool_, [row = copy.row](storage::Writer& w) { return w.drop_body(row); });
    now_->why = stored.error().what;
    co_return Step::not_now;
  }

  bool is_held = false;
  if (!holders.empty()) {
    CopySource source;
    source.id = copy.id;
    source.generation = Generation{1};
    source.row = copy.row;
    source.size = copy.size;
    source.envelope = encode(copy.envelope);
    source.body = copy.body;
    auto deadline = MonotonicClock::now() + config_.cluster.copy_timeout +
                    Duration{copy.size > chunk_octets ? static_cast<std::int64_t>(copy.size) * 100 : 0};
    is_held = co_await copier.copy(std::move(source), holders, protection, deadline);
  }
  // An acceptance does not outlive its epoch: the message is settled with the older mail of this spool, and
  // it counts.
  if (is_over()) {
    peering_.pending().erase(copy.id);
    co_return Step::sent;
  }
  if (has_copies)
    (void)co_await commit(io, spool_, [row = copy.row, holders, is_held](storage::Writer& w) {
      return w.set_holders(row, holders, is_held);
    });
  peering_.pending().erase(copy.id);
  ++metrics_.messages_resent_total;
  log_.message(
      MessageEvent::resent, copy.id,
      {{"origin", to_string(kept.id)},
       {"request", before_this},
       {"from", copy.envelope.sender},
       {"recipients", static_cast<std::int64_t>(recipients.size())},
       {"size", static_cast<std::int64_t>(copy.size)},
       {"kept_as", kept.is_shadow ? "shadow" : "primary"},
       {"to", log_.keeps_tracking() ? addresses_for_tracking(copy.envelope.recipients) : std::string(),
        true}});
  if (has_copies && !is_held)
    log_.message(MessageEvent::unprotected, copy.id,
                 {{"reason", "too few hubs took a copy of what is sent again"}});
  ready.message.row = copy.row;
  ready.message.id = copy.id;
  ready.message.generation = Generation{1};
  ready.message.envelope = std::move(copy.envelope);
  ready.message.size = copy.size;
  ready.message.holders = std::move(holders);
  ready.message.is_protected = !has_copies || is_held;
  ready.body = copy.body;
  outbound_.deliver(std::move(ready));
  if (has_copies && !is_held) copier.protect_later();
  co_return Step::sent;
}

}  // namespace umbra::hub
