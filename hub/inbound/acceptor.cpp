#include "hub/inbound/acceptor.h"

#include <algorithm>

#include "hub/logs/tracking_log.h"
#include "hub/outbound/acknowledgement.h"
#include "hub/peering/patience.h"
#include "hub/spool_tasks.h"
#include "smtp/header_search.h"
#include "storage/spool_error.h"

namespace umbra::hub {
namespace {

constexpr Duration never_expires = std::chrono::hours(24) * 3650;
/// Up to here a body stays in memory and is one chunk; beyond, it goes to the spool piece by piece while it
/// comes in.
constexpr std::size_t chunk_octets = smtp::shadow_chunk_octets_max;

}  // namespace

smtp::Reply failure_reply(const Error& error) {
  if (error.code == std::errc::no_space_on_device) return {452, "4.3.1", "Insufficient system storage"};
  return {451, "4.3.0", "The message could not be stored; try again later"};
}

/// One message on its way in.
class MessageAcceptor::Incoming final : public Acceptance {
 public:
  Incoming(MessageAcceptor& owner, Envelope envelope, const ListenerConfig& listener)
      : owner_(owner),
        listener_(listener),
        policy_(owner.config_.cluster.enabled() ? listener.shadow : ShadowPolicy::none),
        row_(owner.spool_.next_row()),
        id_{owner.spool_.id(), static_cast<std::uint64_t>(row_.value)},
        envelope_(std::move(envelope)),
        body_(std::make_shared<std::string>()) {
    envelope_.protection = listener.protection;
    if (policy_ == ShadowPolicy::none) envelope_.protection.copies = 0;
  }
  ~Incoming() override { UMBRA_ASSERT(is_ended_); }

  MessageId id() const override { return id_; }
  void change_envelope(Envelope envelope) override {
    UMBRA_ASSERT(size_ == 0);
    const auto protection = envelope_.protection;
    envelope_ = std::move(envelope);
    envelope_.protection = protection;
  }
  void hold(std::string why) override { hold_why_ = std::move(why); }
  void replaces(RowId waiting) override { replaces_ = waiting; }
  void note_8bit() override { envelope_.body_8bit = true; }
  void note_user(std::string_view user) override { user_ = user; }

  Task<void> append(std::string_view octets) override {
    while (!octets.empty()) {
      if (body_->size() == chunk_octets) co_await flush();
      auto part = octets.substr(0, chunk_octets - body_->size());
      body_->append(part);
      size_ += part.size();
      octets.remove_prefix(part.size());
    }
  }

  Task<smtp::Reply> finish() override {
    is_ended_ = true;
    ended_at_ = MonotonicClock::now();
    if (failed_) {
      give_up_early();
      co_await drop_chunks();
      co_return failure_reply(*failed_);
    }
    auto now = owner_.outbound_.mail_time();
    if (replaces_ && envelope_.accepted_at != WallTime{})
      acknowledgement_.filtered =
          std::max(std::chrono::duration_cast<std::chrono::milliseconds>(now - envelope_.accepted_at), 0ms);
    envelope_.accepted_at = now;
    // What waits for its filters does not age: when it is released it is a message of that moment.
    envelope_.expires_at = envelope_.waits_for.empty()
                               ? owner_.outbound_.expiry_of(envelope_, now)
                               : now + std::chrono::duration_cast<WallClock::duration>(never_expires);
    co_return co_await make_safe();
  }

  std::string remark() const override { return remark_; }

  Task<void> abandon() override {
    is_ended_ = true;
    give_up_early();
    co_await drop_chunks();
  }

 private:
  Task<void> flush() {
    if (chunks_ == 0) note_header();
    if (!failed_) {
      if (chunks_ == 0 && policy_ != ShadowPolicy::none && hold_why_.empty() &&
          !owner_.peering_.members().ended())
        early_ = owner_.peering_.copier().begin_early(id_, envelope_.protection,
                                                      listener_.limits.message_octets_max,
                                                      owner_.outbound_.next_hubs(envelope_));
      auto number = chunks_++;
      for (const auto& early : early_) co_await owner_.peering_.copier().send_early(early, body_);
      auto stored = co_await commit(
          owner_.runtime_.io, owner_.spool_,
          [row = row_, number, body = body_](storage::Writer& w) { return w.put_chunk(row, number, *body); },
          body_->size());
      if (!stored) failed_ = stored.error();
      body_ = std::make_shared<std::string>();
    } else {
      body_->clear();
    }
  }

  /// What the tracking log says of the header, which is at the front of the first chunk.
  void note_header() {
    if (owner_.log_.keeps_subjects())
      smtp::find_fields(*body_, {{"Message-ID", &message_id_}, {"Subject", &subject_}});
    else if (owner_.log_.keeps_tracking())
      smtp::find_fields(*body_, {{"Message-ID", &message_id_}});
  }

  void give_up_early() {
    for (const auto& early : early_) owner_.peering_.copier().give_up_early(early);
    early_.clear();
  }

  Task<void> drop_chunks() {
    if (chunks_ == 0) co_return;
    (void)co_await commit(owner_.runtime_.io, owner_.spool_,
                          [row = row_](storage::Writer& w) { return w.drop_body(row); });
  }

  /// Commit and copy side by side; then what the policy says.
  Task<smtp::Reply> make_safe() {
    auto& spool = owner_.spool_;
    auto& copier = owner_.peering_.copier();
    const auto protection = envelope_.protection;
    auto holders = choose_holders(protection);
    // A hub whose promise is late may have it again in a moment: that is waited for, in the time that copying
    // may take.
    auto began = MonotonicClock::now();
    auto patience = owner_.config_.cluster.copy_timeout * 4 / 5;
    Timer pause(owner_.runtime_.io);
    while (policy_ == ShadowPolicy::require && holders.size() < protection.copies &&
           waited_for_hub_ < patience && !owner_.is_closing_ &&
           is_a_copy_worth_waiting_for(owner_.peering_.members(), owner_.config_, protection, holders)) {
      co_await pause.wait_for(patience_pause);
      waited_for_hub_ = MonotonicClock::now() - began;
      holders = choose_holders(protection);
    }
    if (policy_ == ShadowPolicy::require && holders.size() < protection.copies) {
      give_up_early();
      co_await drop_chunks();
      co_return not_redundant();
    }
    storage::NewMessage message;
    message.row = row_;
    message.id = id_;
    message.generation = Generation{1};
    message.envelope = envelope_;
    message.size = size_;
    message.holders = holders;
    message.is_protected = holders.size() >= protection.copies;
    if (replaces_) {
      // The copies of the other one are needed until somebody holds this one.
      for (auto& holder : message.holders) holder.state = storage::Holder::State::offered;
      message.is_protected = protection.copies == 0;
    }
    inserted_holders_ = message.holders;
    message.last_error = hold_why_;
    if (replaces_) message.entered = storage::Entered::filtered;
    message.alarm_at = owner_.outbound_.first_alarm(envelope_);
    message.queue = owner_.outbound_.entries_for(envelope_, {}, envelope_.accepted_at);
    auto queue = message.queue;
    auto alarm_at = message.alarm_at;

    // Registered before it is offered: who asks is told "pending", never "unknown"; and delivery leaves it
    // alone.
    owner_.peering_.pending().insert(id_);
    Event committed(owner_.runtime_.io);
    Result<void> stored;
    spool.write(
        [message = std::move(message), body = body_, number = chunks_, is_held = !hold_why_.empty(),
         replaced = replaces_](storage::Writer& w) -> Result<void> {
          if (!body->empty() || number == 0)
            if (auto put = w.put_chunk(message.row, number, *body); !put) return put;
          if (auto inserted = w.insert_message(message); !inserted) return inserted;
          if (is_held)
            if (auto held = w.set_state(message.row, storage::MessageState::held, {}); !held) return held;
          return replaced ? w.finish_message(*replaced, message.row, SpoolId{}, storage::Left::filtered)
                          : Result<void>{};
        },
        body_->size() + 512,
        [&committed, &stored](Result<void> result) {
          stored = std::move(result);
          committed.set();
        });
    bool is_held = false;
    bool waited = false;
    if (!holders.empty()) {
      if (chunks_ != 0) {
        // What went out early needs its end only. Otherwise a long body is copied from the spool: it has to
        // be there first.
        std::erase_if(holders, [this](const auto& holder) { return !is_early(holder); });
        if (!early_.empty()) co_await copier.end_early(early_, copy_source(), body_, holders, deadline());
        co_await committed.wait();
        waited = true;
        if (stored) is_held = co_await copier.copy_rest(copy_source(), holders, protection, deadline());
      } else {
        is_held = co_await copier.copy(copy_source(), holders, protection, deadline());
      }
      if (storage::copies_held(holders) != 0) acknowledgement_.copied = since_end();
    }
    if (!waited) co_await committed.wait();

    auto reply = co_await conclude(stored, is_held, holders);
    owner_.peering_.pending().erase(id_);
    if (reply.code == 250) {
      bool has_no_copy =
          policy_ == ShadowPolicy::prefer && storage::copies_held(holders) == 0 && hold_why_.empty();
      auto why_no_delay = has_no_copy ? why_not_delay() : std::string_view{};
      note_way(holders, has_no_copy && why_no_delay.empty());
      hand_over(std::move(queue), alarm_at, std::move(holders), is_held);
      if (has_no_copy) co_await delay_acknowledgement(why_no_delay);
    }
    co_return reply;
  }

  [[nodiscard]] std::chrono::milliseconds since_end() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(MonotonicClock::now() - ended_at_);
  }

  /// For the header field of what is sent on: the 250 follows at once, or (`is_delayed`) waits for the
  /// delivery.
  void note_way(const std::vector<storage::Holder>& holders, bool is_delayed) {
    for (const auto& holder : holders)
      if (holder.state == storage::Holder::State::holds) acknowledgement_.copies.push_back(holder.hub);
    acknowledgement_.way = !acknowledgement_.copies.empty() ? smtp::RedundancyWay::copy
                           : is_delayed                     ? smtp::RedundancyWay::delayed
                                                            : smtp::RedundancyWay::none;
    // A message that waited for its filters was acknowledged before it waited, by a run that may have been
    // another one.
    if (!is_delayed && !replaces_) acknowledgement_.acknowledged = since_end();
  }

  /// Why the 250 does not wait though no other hub could take a copy; empty: it does.
  std::string_view why_not_delay() {
    auto& metrics = owner_.metrics_;
    if (listener_.on_failure == OnShadowFailure::accept ||
        listener_.acknowledgement_delay_max == Duration{0}) {
      ++metrics.acknowledgements_not_delayed_off_total;
      return "switched off";
    }
    if (owner_.is_closing_) {
      ++metrics.acknowledgements_not_delayed_closing_total;
      return "the hub is stopping";
    }
    if (owner_.waiting_[listener_.name] >= listener_.delayed_acknowledgements_max) {
      ++metrics.acknowledgements_not_delayed_full_total;
      return "too many are waiting";
    }
    return {};
  }

  /// No other hub could take a copy: the 250 waits until the message is delivered, or a hub has taken one
  /// after all. Whatever comes of that, the message is ours and durable here: the reply is 250 in the end,
  /// also to a client that has gone meanwhile.
  Task<void> delay_acknowledgement(std::string_view why_not) {
    auto& metrics = owner_.metrics_;
    auto& waiting = owner_.waiting_[listener_.name];
    if (!why_not.empty()) {
      owner_.log_.message(MessageEvent::acknowledgement_not_delayed, id_,
                          {{"reason", why_not}, {"listener", listener_.name}});
      co_return;
    }
    ++waiting;
    ++metrics.acknowledgements_waiting;
    ++metrics.acknowledgements_delayed_total;
    auto began = MonotonicClock::now();
    auto end = co_await owner_.peering_.waits().wait(row_, listener_.acknowledgement_delay_max);
    --waiting;
    --metrics.acknowledgements_waiting;
    using End = SafetyWaits::End;
    if (end == End::timed_out || end == End::closing) ++metrics.acknowledgements_delayed_in_vain_total;
    auto waited =
        std::chrono::duration_cast<std::chrono::milliseconds>(MonotonicClock::now() - began).count();
    std::string_view outcome = end == End::delivered    ? "delivered"
                               : end == End::protected_ ? "protected"
                               : end == End::timed_out  ? "timed out"
                                                        : "the hub is stopping";
    remark_ = "acknowledgement delayed " + std::to_string(waited / 1000) + "." +
              std::to_string(waited % 1000 / 100) +
              " s by shadow redundancy, as no hub took a copy: " + std::string(outcome);
    owner_.log_.message(MessageEvent::acknowledgement_delayed, id_,
                        {{"outcome", outcome},
                         {"waited_ms", static_cast<std::int64_t>(waited)},
                         {"listener", listener_.name}});
  }

  /// First those that have most of it already.
  std::vector<storage::Holder> choose_holders(const Protection& protection) {
    auto holders =
        owner_.peering_.copier().choose_all(protection, size_, owner_.outbound_.next_hubs(envelope_));
    // One that failed is gone on the other side too; its hub may be offered the whole body in the end.
    std::erase_if(early_, [](const auto& early) { return early->has_failed; });
    if (early_.empty()) return holders;
    std::erase_if(holders, [this](const auto& holder) { return is_early(holder); });
    std::vector<storage::Holder> all;
    for (const auto& early : early_) all.push_back(early->holder);
    for (auto& holder : holders)
      if (all.size() < protection.copies) all.push_back(std::move(holder));
    return all;
  }
  [[nodiscard]] bool is_early(const storage::Holder& holder) const {
    return std::ranges::any_of(early_,
                               [&](const auto& early) { return early->holder.spool == holder.spool; });
  }

  CopySource copy_source() {
    CopySource source;
    source.id = id_;
    source.generation = Generation{1};
    source.row = row_;
    source.next_hubs = owner_.outbound_.next_hubs(envelope_);
    source.size = size_;
    source.envelope = encode(envelope_);
    if (chunks_ == 0) source.body = body_;
    // A holder that takes it over before it hears more holds it too.
    if (!hold_why_.empty()) {
      source.note.number = 1;
      source.note.is_held = true;
      source.note.alarm_at = owner_.outbound_.first_alarm(envelope_);
    }
    return source;
  }

  /// copy_timeout, and for long bodies the time to carry them at 10 MB/s.
  MonotonicTime deadline() const {
    return MonotonicClock::now() + owner_.config_.cluster.copy_timeout -
           std::min<Duration>(waited_for_hub_, owner_.config_.cluster.copy_timeout) +
           Duration{size_ > chunk_octets ? static_cast<std::int64_t>(size_) * 100 : 0};
  }

  Task<smtp::Reply> conclude(const Result<void>& stored, bool is_held,
                             const std::vector<storage::Holder>& holders) {
    auto& spool = owner_.spool_;
    auto& io = owner_.runtime_.io;
    // An acceptance does not outlive its epoch: its mail is settled with the older mail of this spool.
    if (owner_.peering_.members().ended()) co_return smtp::Reply{};
    if (!stored) {
      co_await drop_chunks();
      bool forgotten = co_await owner_.peering_.copier().forget(id_, Generation{1}, holders);
      if (storage::may_have_been_kept(stored.error())) co_return smtp::Reply{};
      co_return forgotten && !owner_.peering_.was_discarded(id_) ? failure_reply(stored.error())
                                                                 : smtp::Reply{};
    }
    if (policy_ == ShadowPolicy::none || is_held) {
      if (holders != inserted_holders_) {  // another hub than the one chosen first: every hub that may hold a
                                           // copy is named
        auto saved = co_await commit(io, spool, [row = row_, holders](storage::Writer& w) {
          return w.set_holders(row, holders, true);
        });
        if (!saved) co_return smtp::Reply{};
      }
      co_return accepted(holders);
    }
    if (policy_ == ShadowPolicy::prefer) {
      auto saved = co_await commit(io, spool, [row = row_, holders](storage::Writer& w) {
        return w.set_holders(row, holders, false);
      });
      if (!saved) co_return smtp::Reply{};
      co_return accepted(holders);
    }
    // require: 451 only when nothing of it is left anywhere.
    auto gone =
        co_await commit(io, spool, [row = row_](storage::Writer& w) { return w.forget_message(row); });
    bool forgotten = co_await owner_.peering_.copier().forget(id_, Generation{1}, holders);
    // A holder that took it over meanwhile says no, or has told the "done" already: then a 451 would not be
    // true.
    if (!gone || !forgotten || owner_.peering_.was_discarded(id_)) co_return smtp::Reply{};
    co_return not_redundant();
  }

  smtp::Reply not_redundant() {
    owner_.log_.message(
        MessageEvent::rejected, id_,
        {{"reason", "could not be made redundant"},
         {"listener", listener_.name, true},
         {"client", envelope_.client_address, true},
         {"sender", envelope_.sender, true},
         {"to", owner_.log_.keeps_tracking() ? addresses_for_tracking(envelope_.recipients) : std::string(),
          true}});
    return {451, "4.4.0", "Message could not be made redundant; try again later"};
  }

  static std::string names_of_holders(const std::vector<storage::Holder>& holders) {
    std::string names;
    for (const auto& holder : holders)
      if (holder.state == storage::Holder::State::holds) names += (names.empty() ? "" : " ") + holder.hub;
    return names;
  }

  smtp::Reply accepted(const std::vector<storage::Holder>& holders) {
    std::string text = (hold_why_.empty() ? "queued as " : "held as ") + to_string(id_);
    if (auto names = names_of_holders(holders); !names.empty()) text += ", copy on " + names;
    return {250, "2.6.0", std::move(text)};
  }

  void hand_over(std::vector<storage::QueueEntry> queue, WallTime alarm_at,
                 std::vector<storage::Holder> holders, bool is_held) {
    if (!replaces_) {
      ++owner_.metrics_.messages_accepted_total;
      owner_.metrics_.octets_accepted_total += size_;
    }
    if (chunks_ == 0) note_header();
    const auto to =
        owner_.log_.keeps_tracking() ? addresses_for_tracking(envelope_.recipients) : std::string();
    owner_.log_.message(MessageEvent::accepted, id_,
                        {{"from", envelope_.sender},
                         {"recipients", static_cast<std::int64_t>(envelope_.recipients.size())},
                         {"size", static_cast<std::int64_t>(size_)},
                         {"client", envelope_.client_address},
                         {"user", user_},
                         {"listener", listener_.name, true},
                         {"helo", envelope_.client_helo, true},
                         {"to", to, true},
                         {"message_id", message_id_, true},
                         {"subject", subject_, true}});
    bool is_unprotected = policy_ != ShadowPolicy::none && !is_held;
    if (is_held)
      owner_.log_.message(MessageEvent::protected_, id_, {{"holder", names_of_holders(holders)}});
    else if (is_unprotected)
      owner_.log_.message(MessageEvent::unprotected, id_,
                          {{"reason", "too few hubs took a copy"}, {"holder", names_of_holders(holders)}});
    if (replaces_) owner_.peering_.outbox_grew();
    if (!hold_why_.empty()) {
      owner_.log_.message(MessageEvent::held, id_, {{"reason", hold_why_}});
      owner_.peering_.note_changed();
      if (is_unprotected) owner_.peering_.copier().protect_later();
      return;
    }
    ReadyMessage ready;
    ready.message.row = row_;
    ready.message.id = id_;
    ready.message.generation = Generation{1};
    ready.message.envelope = std::move(envelope_);
    ready.message.size = size_;
    ready.message.holders = std::move(holders);
    ready.message.is_protected = !is_unprotected;
    ready.message.alarm_at = alarm_at;
    ready.message.queue = std::move(queue);
    if (chunks_ == 0) ready.body = body_;
    if (owner_.config_.delivery.trace_field)
      ready.acknowledgement = std::make_shared<const Acknowledgement>(std::move(acknowledgement_));
    owner_.outbound_.deliver(std::move(ready));
    if (is_unprotected) owner_.peering_.copier().protect_later();
  }

  MessageAcceptor& owner_;
  const ListenerConfig& listener_;
  ShadowPolicy policy_;
  RowId row_;
  MessageId id_;
  Envelope envelope_;
  std::string user_;
  std::string message_id_;             // of its header, for the tracking log
  std::string subject_;                // the same
  std::shared_ptr<std::string> body_;  // what is not in the spool yet
  std::uint32_t chunks_ = 0;           // that are in the spool already
  std::uint64_t size_ = 0;
  Duration waited_for_hub_{};
  MonotonicTime ended_at_{};  // end of data
  Acknowledgement acknowledgement_;
  std::vector<EarlyCopyPtr> early_;                // that are under way
  std::vector<storage::Holder> inserted_holders_;  // as the row was written
  std::optional<Error> failed_;
  std::string remark_;
  std::string hold_why_;           // empty: it is not held
  std::optional<RowId> replaces_;  // a message that waited for its filters
  bool is_ended_ = false;
};

MessageAcceptor::MessageAcceptor(Runtime runtime, const Config& config, storage::Spool& spool,
                                 Peering& peering, Outbound& outbound, const SafetyNetKeeper& net,
                                 EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      peering_(peering),
      outbound_(outbound),
      net_(net),
      log_(log),
      metrics_(metrics) {}

std::optional<smtp::Reply> MessageAcceptor::refuse(std::uint64_t announced_octets) {
  if (is_closing_ || peering_.members().ended()) return smtp::Reply{421, "4.3.2", "Closing; try another hub"};
  if (spool_.unhealthy()) return smtp::Reply{451, "4.3.0", "The spool has failed; try another hub"};
  auto now = MonotonicClock::now();
  if (free_octets_at_ == MonotonicTime::min() || now - free_octets_at_ > 500ms) {
    free_octets_ = spool_.free_octets();
    free_octets_at_ = now;
  }
  // The safety net gives way first: while there is something in it, new mail may use a part of the reserve.
  const auto reserve = net_.may_borrow() ? config_.spool.reserve_octets / 2 : config_.spool.reserve_octets;
  if (free_octets_ < reserve || free_octets_ - reserve < announced_octets)
    return smtp::Reply{452, "4.3.1", "Insufficient system resources"};
  return std::nullopt;
}

std::unique_ptr<Acceptance> MessageAcceptor::begin(Envelope envelope, const ListenerConfig& listener) {
  return std::make_unique<Incoming>(*this, std::move(envelope), listener);
}

std::string MessageAcceptor::why_not_ready() {
  if (auto reply = refuse(0)) return reply->text;
  // Just started, it has not heard the others yet, and under `require` would refuse what it is offered. Not
  // for ever: when no other hub can take a copy for long, a client that is told so is better served than one
  // that reaches nobody.
  bool is_required =
      config_.cluster.enabled() && std::ranges::any_of(config_.listeners, [](const auto& listener) {
        return listener.shadow == ShadowPolicy::require;
      });
  if (is_required && MonotonicClock::now() < started_at_ + config_.cluster.lease &&
      std::ranges::none_of(peering_.members().candidates(), [](const auto& c) { return c.is_reachable; }))
    return "no other hub has been heard yet";
  return {};
}

}  // namespace umbra::hub
