// Where all parts of a hub are made, joined, and ended. This file is long because there are many, and the
// order in which they are made and ended is to be read in one place.
#include "hub/hub.h"

#include <algorithm>

#include "hub/admin/admin_server.h"
#include "hub/admin/api.h"
#include "hub/admin/backend.h"
#include "hub/authentication/authenticators.h"
#include "hub/drain/drainer.h"
#include "hub/filter/filtering_intake.h"
#include "hub/inbound/acceptor.h"
#include "hub/inbound/client_hosts.h"
#include "hub/inbound/listeners.h"
#include "hub/logs/record_logs.h"
#include "hub/net/tls_store.h"
#include "hub/outbound/outbound.h"
#include "hub/peering/configuration_watch.h"
#include "hub/peering/peering.h"
#include "hub/pressure/back_pressure.h"
#include "hub/pressure/pressure_watch.h"
#include "hub/safety_net/keeper.h"
#include "hub/safety_net/resender.h"
#include "hub/spool_recovery.h"
#include "hub/spool_tasks.h"
#include "hub/suspension/suspensions.h"
#include "hub/trace/tracer.h"
#include "storage/set_aside.h"

namespace umbra::hub {
namespace {

using storage::MessageState;
using storage::Shadow;
using storage::StoredMessage;

constexpr std::size_t problems_logged_max = 20;
constexpr Duration hubs_answer_within = 10s;  // to an operator's question or order that is passed on

/// The memory in which attempts are marked: the caller's, or a mapped file's, or none.
struct Attempts {
  std::unique_ptr<storage::AttemptMarks::Region, void (*)(storage::AttemptMarks::Region*)> mapped{
      nullptr, [](storage::AttemptMarks::Region*) {}};
  storage::AttemptMarks::Region* region = nullptr;
};

class WiredHub final : public Hub, public AdminBackend {
 public:
  WiredHub(const Config& config, HubParts parts, std::unique_ptr<storage::Spool> spool, Attempts attempts)
      : own_live_(parts.live != nullptr ? nullptr : std::make_unique<LiveConfig>(config)),
        live_(parts.live != nullptr ? *parts.live : *own_live_),
        config_(live_.now()),
        own_tls_(parts.runtime.tls != nullptr ? nullptr : std::make_unique<TlsStore>(config_)),
        tls_(parts.runtime.tls != nullptr ? *parts.runtime.tls : *own_tls_),
        authenticators_(parts.runtime.io, parts.runtime.network,
                        parts.password_lane != nullptr ? *parts.password_lane : parts.reader_lane, parts.log),
        log_(parts.log),
        own_record_logs_(
            parts.record_logs != nullptr ? nullptr : std::make_unique<RecordLogs>(RecordLogsConfig{}, log_)),
        record_logs_(parts.record_logs != nullptr ? *parts.record_logs : *own_record_logs_),
        records_(parts.runtime.io, parts.runtime.random,
                 {&record_logs_.receive(), &record_logs_.send(), &record_logs_.connectivity()}),
        runtime_{parts.runtime.io,
                 parts.runtime.random,
                 parts.runtime.network,
                 parts.runtime.resolver,
                 &tls_,
                 &authenticators_,
                 &records_},
        spool_(std::move(spool)),
        attempts_(std::move(attempts)),
        peering_(runtime_, config_, *spool_, log_, metrics_, parts.arbiter),
        suspensions_(runtime_.io, *spool_, log_),
        outbound_(Outbound::make(runtime_, config_, *spool_, peering_, log_, metrics_, marks())),
        net_keeper_(runtime_, config_, *spool_, log_),
        pressure_(config_.pressure, log_),
        throttle_(config_.throttling_policies, [this] { return hubs_heard(); }),
        client_hosts_(runtime_, config_.throttling_policies, throttle_, parts.log),
        pressure_watch_(runtime_, *spool_, parts.pressure, pressure_),
        acceptor_(runtime_, config_, *spool_, peering_, *outbound_, net_keeper_, log_, metrics_),
        drainer_(runtime_, config_, *spool_, peering_,
                 {[this](bool is_closed) { close_to_clients(is_closed); }, [this] { return sessions(); },
                  [this](const std::string& destination) { return can_reach(destination); }},
                 log_, metrics_, parts.drain),
        resender_(
            runtime_, config_, *spool_, peering_, *outbound_,
            [this] {
              return drainer_.drain().is_ready() ? std::string() : std::string("the hub is being drained");
            },
            log_, metrics_),
        tracer_(runtime_, config_, *spool_,
                parts.trace_lane != nullptr ? *parts.trace_lane : parts.reader_lane,
                config_.cluster.enabled() ? &peering_.questions() : nullptr),
        filters_(runtime_, config_, *spool_, log_, metrics_),
        waiting_mail_(runtime_, config_, *spool_, peering_, *outbound_, filters_, log_, metrics_),
        intake_(runtime_, acceptor_, filters_, waiting_mail_, *spool_, log_, metrics_),
        listeners_(runtime_, config_, intake_, pressure_, throttle_, log_, metrics_) {
    peering_.set_outbound(*outbound_);
    peering_.on_query([this](PassedQuery query) { return answer_another_hub(std::move(query)); });
    outbound_->set_suspensions(suspensions_);
    pressure_watch_.on_level([this](PressureLevel level) { peering_.set_pressure(level); });
    suspensions_.on_change([this] {
      outbound_->suspensions_changed();
      listeners_.suspensions_changed(suspensions_);
    });
  }

  // Hub
  Result<void> start() override {
    suspensions_.start();
    outbound_->start();
    is_started_ = true;
    if (auto started = peering_.start(); !started) return started;
    drainer_.start();
    pressure_watch_.start();
    client_hosts_.start();
    net_keeper_.start();
    resender_.start();
    waiting_mail_.start(intake_);
    if (auto listening = listeners_.start(); !listening) return listening;
    if (!config_.admin.socket.empty() || config_.admin.address) {
      auto started = AdminServer::start(runtime_.io, config_.admin, *this, log_, tls_.admin());
      if (!started) return std::unexpected(started.error());
      admin_ = std::move(*started);
    }
    log_.line(
        LogLevel::info, "started",
        {{"spool", to_string(spool_->id())}, {"epoch", static_cast<std::int64_t>(spool_->epoch().value)}});
    return {};
  }

  void reload() override {
    (void)reload_configuration();
    (void)reload_certificates();
  }
  Result<void> load_certificates() { return own_tls_ ? own_tls_->load(log_) : Result<void>{}; }

  Task<void> stop() override {
    is_stopping_ = true;
    acceptor_.close();
    listeners_.close();
    authenticators_.close();
    filters_.stop();
    co_await listeners_.stop();
    co_await waiting_mail_.stop();
    co_await records_.stop();
    if (admin_) co_await admin_->stop();
    co_await resender_.stop();
    co_await net_keeper_.stop();
    co_await pressure_watch_.stop();
    co_await suspensions_.stop();
    if (is_started_) co_await outbound_->stop();
    runtime_.resolver.cancel();
    co_await client_hosts_.stop();
    co_await authenticators_.stop();
    co_await drainer_.stop();
    co_await peering_.stop();
    co_await drainer_.join();
    log_.line(LogLevel::info, "stopped", {});
    spool_->stop();
  }

  const Metrics& metrics() const override { return metrics_; }
  storage::Spool& spool() override { return *spool_; }
  DrainControl& drain() override { return drainer_; }
  SafetyNetControl& safety_net() override { return resender_; }
  TraceControl& tracer() override { return tracer_; }
  Suspensions& suspensions() override { return suspensions_; }
  Task<std::vector<HubAnswer>> ask_hubs(std::string target) override {
    if (!config_.cluster.enabled()) co_return std::vector<HubAnswer>{};
    co_return co_await peering_.questions().ask_all(std::move(target), hubs_answer_within);
  }
  Task<HubAnswer> ask_hub(std::string hub, std::string target) override {
    return peering_.questions().ask_hub(std::move(hub), std::move(target), hubs_answer_within);
  }
  Task<HubAnswer> order_hub(std::string hub, std::string by, std::string target) override {
    return peering_.questions().order(std::move(hub), std::move(by), std::move(target), hubs_answer_within);
  }
  Task<std::vector<HubAnswer>> order_hubs(std::string by, std::string target) override {
    if (!config_.cluster.enabled()) co_return std::vector<HubAnswer>{};
    co_return co_await peering_.questions().order_all(std::move(by), std::move(target), hubs_answer_within);
  }
  SessionRecords* session_records() override { return &records_; }
  std::string why_not_suspend(const Suspension& suspension) const override {
    if (suspension.what != Suspension::What::listener) return {};
    if (suspension.name == "*") return {};
    bool is_known = std::ranges::any_of(
        config_.listeners, [&](const auto& listener) { return listener.name == suspension.name; });
    return is_known ? std::string() : "there is no listener " + suspension.name;
  }
  bool is_returning() const override { return peering_.is_returning(); }
  const std::optional<Ended>& ended() const override {
    if (auto failed = spool_->unhealthy(); failed && !ended_) {
      // Started again, it meets the mark of the damage and sets the spool aside.
      ended_ =
          Ended{storage::is_damage(*failed) && sets_aside(config_), "the spool has failed: " + failed->what};
    }
    return ended_ ? ended_ : const_cast<Peering&>(peering_).members().ended();
  }

  // AdminBackend
  HubIdentity identity() const override {
    return {config_.hub_name, config_.host_name, spool_->id(), spool_->epoch()};
  }

  Health health() const override {
    Health health;
    health.live = !spool_->unhealthy();
    health.reason = const_cast<MessageAcceptor&>(acceptor_).why_not_ready();
    if (health.reason.empty()) health.reason = waiting_mail_.why_not_ready();
    if (health.reason.empty() && listeners_.are_all_suspended())
      health.reason = "the listeners are suspended";
    if (!drainer_.drain().is_ready())
      health.reason = std::string(to_string(drainer_.drain().order().verb)) + ": " +
                      std::string(to_string(drainer_.drain().state()));
    health.ready = health.live && health.reason.empty();
    health.mail_waits = const_cast<Peering&>(peering_).ownership().why_mail_waits();
    return health;
  }

  std::vector<PeerReport> peers() const override {
    std::vector<PeerReport> reports;
    auto now = MonotonicClock::now();
    auto& members = const_cast<Peering&>(peering_).members();
    auto candidates = members.candidates();  // in the order of all()
    for (std::size_t i = 0; const auto& member : members.all()) {
      const auto& candidate = candidates[i++];
      PeerReport report;
      report.takes_copies = candidate.is_reachable && !candidate.is_refusing;
      report.hub = member->name();
      report.address = member->config.address;
      report.trouble = member->trouble;
      report.drift = member->drift;
      report.pressure = member->pressure;
      if (!member->identity) {
        report.state = "never heard";
      } else {
        report.spool = member->identity->spool;
        report.epoch = member->identity->epoch;
        report.state = member->watch.is_silent(now) ? "silent"
                       : member->control->is_open() ? "alive"
                                                    : "unreachable";
        if (member->state != smtp::HubState::active)
          report.state += ", " + std::string(smtp::to_string(member->state));
        if (auto heard_at = member->watch.heard_at()) report.silent_for = now - *heard_at;
      }
      reports.push_back(std::move(report));
    }
    return reports;
  }

  Task<Result<Gauges>> gauges() override {
    auto counts = co_await query<storage::QueueCounts>(runtime_.io, *spool_,
                                                       [](storage::Reader& r) { return r.counts(); });
    if (!counts) co_return std::unexpected(counts.error());
    // As of the last scrape, should the reader be far behind the writer this moment.
    auto balance = co_await query<storage::Balance>(runtime_.io, *spool_,
                                                    [](storage::Reader& r) { return r.balance(); });
    if (balance)
      balance_ = *balance;
    else if (balance.error().code != std::errc::resource_unavailable_try_again)
      co_return std::unexpected(balance.error());
    Gauges g;
    g.balance = balance_;
    if (balance_.oldest) {
      auto oldest = co_await query<std::optional<StoredMessage>>(
          runtime_.io, *spool_, [row = *balance_.oldest](storage::Reader& r) { return r.message(row); });
      if (!oldest) co_return std::unexpected(oldest.error());
      if (*oldest)
        g.queue_oldest_age_seconds = std::max(
            0.0, std::chrono::duration<double>(WallClock::now() - (*oldest)->envelope.accepted_at).count());
    }
    g.queue_messages = counts->messages;
    g.queue_held = counts->held;
    g.unprotected_messages = counts->unprotected + peering_.short_messages();
    g.takeover_wait_seconds = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(peering_.takeover_wait()).count());
    g.shadow_messages = counts->shadows;
    g.outbox_discards = counts->outbox;
    g.safety_net_messages = counts->kept;
    g.safety_net_octets = counts->kept_octets;
    if (counts->kept_oldest)
      g.safety_net_oldest_age_seconds =
          std::max(0.0, std::chrono::duration<double>(WallClock::now() - *counts->kept_oldest).count());
    g.cluster_members = config_.cluster.enabled() ? peering_.members().size() + 1 : 0;
    g.cluster_members_alive = config_.cluster.enabled() ? 1 : 0;
    g.configuration_hash = digest_of(shared_configuration(config_));
    for (const auto& peer : peers()) {
      g.peers.push_back({peer.hub, peer.state.starts_with("alive"),
                         peer.silent_for ? std::chrono::duration<double>(*peer.silent_for).count() : -1});
      if (peer.state.starts_with("alive")) ++g.cluster_members_alive;
      g.peer_pressure.emplace_back(peer.hub, static_cast<std::int64_t>(peer.pressure));
      if (peer.drift)
        g.configuration_drift.emplace_back(peer.hub, static_cast<std::int64_t>(peer.drift->size()));
    }
    auto statistics = spool_->statistics();
    g.spool_free_octets = spool_->free_octets();
    g.spool_wal_octets = statistics.wal_octets;
    g.spool_batches_total = statistics.batches;
    g.safety_net_evicted = {statistics.kept_gone_age, statistics.kept_gone_size, statistics.kept_gone_disk};
    g.spool_operations_total = statistics.operations;
    g.spool_failed_batches_total = statistics.failed_batches;
    g.spool_waiting_operations = statistics.waiting_operations;
    g.spool_last_commit_seconds = std::chrono::duration<double>(statistics.last_commit).count();
    g.spool_commit_seconds = statistics.commit_seconds;
    g.spool_failed_full = statistics.failed_full;
    g.spool_failed_io = statistics.failed_io;
    g.spool_failed_damaged = statistics.failed_damaged;
    g.spool_epoch = spool_->epoch().value;
    g.spools_set_aside = storage::spools_set_aside(config_.spool.directory).size();
    for (const auto& report : tls_.report()) {
      if (!report.problem.empty()) ++g.certificates_refused;
      if (report.valid_until != WallTime::max())
        g.certificate_expiry.emplace_back(report.place, unix_seconds(report.valid_until));
    }
    const auto& state = live_.state();
    g.configuration_last_reload_successful = state.is_refused ? 0 : 1;
    g.configuration_last_reload_success_timestamp_seconds =
        static_cast<std::uint64_t>(unix_seconds(state.read_at));
    g.configuration_keys_waiting_for_restart = state.waiting.size();
    g.log_lines_dropped_total = log_.lines_dropped();
    g.log_octets_lost_total = log_.octets_lost();
    for (auto& one : record_logs_.state())
      g.record_logs.push_back({std::move(one.name), one.buffer.lines_dropped, one.buffer.octets_lost,
                               one.buffer.octets_waiting, std::move(one.trouble)});
    g.pressure = pressure_.state();
    g.suspensions = suspensions_.list();
    g.content_filters = filters_.report();
    waiting_mail_.report(g.content_filters);
    g.ready = health().ready;
    g.mail_waits = health().mail_waits.empty() ? 0 : 1;
    g.drain = drainer_.gauges();
    g.started_at = started_at_;
    co_return g;
  }

  Task<Result<std::vector<StoredMessage>>> messages(RowId after, std::size_t limit) override {
    co_return co_await query<std::vector<StoredMessage>>(
        runtime_.io, *spool_, [after, limit](storage::Reader& r) -> Result<std::vector<StoredMessage>> {
          auto rows = r.messages(after, RowId{INT64_MAX}, limit);
          if (!rows) return std::unexpected(rows.error());
          std::vector<StoredMessage> result;
          for (auto row : *rows) {
            auto message = r.message(row);
            if (!message) return std::unexpected(message.error());
            if (*message) result.push_back(std::move(**message));
          }
          return result;
        });
  }

  Task<Result<std::optional<StoredMessage>>> message(MessageId id) override {
    co_return co_await query<std::optional<StoredMessage>>(
        runtime_.io, *spool_, [id](storage::Reader& r) -> Result<std::optional<StoredMessage>> {
          auto row = r.find_message(id);
          if (!row) return std::unexpected(row.error());
          if (!*row) return std::optional<StoredMessage>{};
          return r.message(**row);
        });
  }

  Task<Result<QueuePage>> search_queue(QueueFilter filter, RowId after, std::size_t limit) override {
    co_return co_await query<QueuePage>(runtime_.io, *spool_,
                                        [filter = std::move(filter), after, limit](storage::Reader& r) {
                                          return look_at_queue(r, filter, after, limit);
                                        });
  }

  Task<Result<std::vector<Shadow>>> shadows(RowId after, std::size_t limit) override {
    co_return co_await query<std::vector<Shadow>>(
        runtime_.io, *spool_, [after, limit](storage::Reader& r) { return r.shadows(after, limit); });
  }

  Task<Result<std::optional<Shadow>>> shadow(MessageId id) override {
    co_return co_await query<std::optional<Shadow>>(runtime_.io, *spool_,
                                                    [id](storage::Reader& r) { return r.shadow(id); });
  }

  const ConfigState& configuration() const override { return live_.state(); }

  /// First everything that can fail; then, in one step, everything that cannot.
  ConfigReload reload_configuration() override {
    if (is_stopping_) return refused({{config_.file, 0, "the hub is stopping"}});
    auto plan = live_.read();
    if (!plan) return refused(std::move(plan.error()));
    auto places = tls_.places_for(plan->next);
    if (!places) return refused({{config_.file, 0, places.error().what}});
    auto opened = listeners_.open(plan->next);
    if (!opened)
      return refused({{config_.file, 0, opened.error().what + ": " + opened.error().code.message()}});

    ConfigReload done{plan->changed, {}};
    const auto level = config_.log.level;
    live_.apply(std::move(*plan));
    done.state = live_.state();
    if (config_.log.level != level) log_.set_level(log_level_of(config_.log.level));
    record_logs_.configuration_changed(config_.logs);
    tls_.replace(std::move(*places));
    throttle_.configuration_changed();
    client_hosts_.configuration_changed();
    filters_.configuration_changed();
    listeners_.configuration_changed(std::move(*opened));
    listeners_.suspensions_changed(suspensions_);
    outbound_->configuration_changed();
    net_keeper_.configuration_changed();
    resender_.configuration_changed();
    peering_.configuration_changed();
    if (admin_) admin_->configuration_changed();
    log_.line(LogLevel::info,
              done.changed.empty() ? "configuration read again: nothing to change" : "configuration changed",
              {{"file", config_.file}});
    for (const auto& change : done.changed)
      log_.line(LogLevel::info, "configuration key changed", {{"change", to_string(change)}});
    for (const auto& change : done.state.waiting)
      log_.line(LogLevel::warning, "configuration key changed in the file and needs a restart",
                {{"change", to_string(change)}});
    return done;
  }

  std::expected<LiveConfig::Plan, std::vector<ConfigProblem>> preview_configuration() const override {
    return live_.read();
  }

  std::vector<CertificateReport> certificates() override { return tls_.report(); }

  std::vector<CertificateReport> reload_certificates() override { return tls_.reload(log_, metrics_); }

  Task<Result<ActionOutcome>> act(MessageId id, QueueAction action, std::string next_hop) override {
    if (action == QueueAction::reroute) co_return co_await reroute(id, std::move(next_hop));
    auto found = co_await message(id);
    if (!found) co_return std::unexpected(found.error());
    if (!*found) co_return ActionOutcome{ActionOutcome::Kind::not_found, ""};
    auto& stored = **found;
    auto row = stored.row;
    if (auto why = why_not_change(stored); !why.empty())
      co_return ActionOutcome{ActionOutcome::Kind::refused, why};
    if (action == QueueAction::bounce) {
      auto bounced = co_await outbound_->bounce(row, "bounced by the operator");
      if (!bounced && bounced.error().code == std::errc::device_or_resource_busy)
        co_return ActionOutcome{ActionOutcome::Kind::refused, "it is being sent this moment"};
      if (!bounced) co_return std::unexpected(bounced.error());
      co_return ActionOutcome{};
    }
    if (action == QueueAction::remove) {
      auto removed = co_await outbound_->remove(row);
      if (!removed && removed.error().code == std::errc::device_or_resource_busy)
        co_return ActionOutcome{ActionOutcome::Kind::refused, "it is being sent this moment"};
      if (!removed) co_return std::unexpected(removed.error());
      outbound_->pardon(id);
      co_return ActionOutcome{};
    }
    bool is_held = stored.state == MessageState::held;
    if (action == QueueAction::hold && is_held)
      co_return ActionOutcome{ActionOutcome::Kind::refused, "it is held already"};
    if (action == QueueAction::release && !is_held)
      co_return ActionOutcome{ActionOutcome::Kind::refused, "it is not held"};
    if (action == QueueAction::release && waiting_mail_.waits(stored.envelope))
      co_return ActionOutcome{ActionOutcome::Kind::refused, "it waits for content filter " +
                                                                stored.envelope.waits_for.front() +
                                                                ", and is released when that is back"};
    if (action == QueueAction::retry && is_held)
      co_return ActionOutcome{ActionOutcome::Kind::refused, "it is held: release it"};
    auto entries =
        outbound_->entries_for(stored.envelope, stored.progress, outbound_->mail_time(), stored.next_hop);
    bool is_claimed = action == QueueAction::hold && outbound_->claim(row);
    auto changed =
        co_await commit(runtime_.io, *spool_, [row, id, action, entries](storage::Writer& w) -> Result<void> {
          if (action == QueueAction::hold) return w.set_state(row, MessageState::held, {});
          if (action == QueueAction::release) {
            if (auto pardoned = w.forget_suspect(id); !pardoned) return pardoned;
            return w.set_state(row, MessageState::queued, entries);
          }
          return w.set_queue(row, entries);
        });
    if (is_claimed) outbound_->give_up_claim(row);
    if (!changed) {
      outbound_->look_again();
      co_return std::unexpected(changed.error());
    }
    if (action == QueueAction::release) outbound_->pardon(id);
    if (action == QueueAction::hold)
      outbound_->forget(row);
    else
      outbound_->look_again();
    if (action == QueueAction::retry) co_return ActionOutcome{};
    bool is_hold = action == QueueAction::hold;
    log_.message(is_hold ? MessageEvent::held : MessageEvent::released, id, {});
    ActionOutcome outcome;
    if (is_hold && !is_claimed) outcome.remark = "an attempt is under way, and may still deliver it";
    remark_untold(outcome, id, is_hold ? "held" : "released",
                  is_hold ? "may deliver it after a take-over" : "hold it after a take-over",
                  co_await peering_.notes().told(row));
    co_return outcome;
  }

  Task<Result<ActionOutcome>> reroute(MessageId id, std::string next_hop) {
    auto found = co_await message(id);
    if (!found) co_return std::unexpected(found.error());
    if (!*found) co_return ActionOutcome{ActionOutcome::Kind::not_found, ""};
    auto& stored = **found;
    auto row = stored.row;
    auto why = why_not_change(stored);
    if (why.empty()) why = outbound_->why_not_reroute(stored, next_hop);
    if (why.empty() && next_hop.empty() && stored.next_hop.empty()) why = "it goes as the routes say already";
    if (why.empty() && waiting_mail_.waits(stored.envelope))
      why = "it waits for content filter " + stored.envelope.waits_for.front() +
            ", and is routed when that is back";
    // Two next hops must not have it at once.
    if (why.empty() && !outbound_->claim(row)) why = "it is being sent this moment";
    if (!why.empty()) co_return ActionOutcome{ActionOutcome::Kind::refused, why};
    auto entries = outbound_->entries_for(stored.envelope, stored.progress, outbound_->mail_time(), next_hop);
    auto changed = co_await commit(runtime_.io, *spool_, [row, next_hop, entries](storage::Writer& w) {
      return w.set_next_hop(row, next_hop, entries);
    });
    outbound_->give_up_claim(row);
    outbound_->look_again();
    if (!changed) co_return std::unexpected(changed.error());
    ++metrics_.messages_rerouted_total;
    log_.message(
        MessageEvent::rerouted, id,
        {{"destination", next_hop.empty() ? std::string_view("config") : std::string_view(next_hop)}});
    ActionOutcome outcome;
    if (stored.state == MessageState::held) outcome.remark = "it is held: release it";
    // Whoever takes the message over goes on from what it was told.
    remark_untold(outcome, id, "rerouted", "send it elsewhere after a take-over",
                  co_await peering_.notes().told(row, smtp::next_hop_capability));
    co_return outcome;
  }

 private:
  storage::AttemptMarks* marks() {
    if (attempts_.region == nullptr) return nullptr;
    return &marks_.emplace(*attempts_.region, spool_->id(), spool_->epoch());
  }
  /// What becomes of it is not for this hub alone to say now; empty: it is.
  std::string why_not_change(const storage::StoredMessage& stored) {
    if (peering_.pending().contains(stored.id))
      return "the message is being accepted or taken over this moment";
    if (peering_.is_returning() && stored.row < spool_->first_row_of_epoch())
      return "this hub is still asking who owns the message";
    if (storage::is_handing_over(stored.state)) return "the message is being handed over to another hub";
    return {};
  }
  /// Whoever takes the message over goes on from what it was told.
  void remark_untold(ActionOutcome& outcome, MessageId id, std::string_view what, const std::string& then,
                     const std::vector<std::string>& hubs) {
    if (hubs.empty()) return;
    std::string names;
    for (const auto& name : hubs) names += (names.empty() ? "" : ", ") + name;
    if (!outcome.remark.empty()) outcome.remark += "; ";
    outcome.remark += then + ", as they do not know of it yet: " + names;
    log_.line(LogLevel::warning, "holders do not know yet",
              {{"id", to_string(id)}, {"what", what}, {"hubs", names}});
  }
  ConfigReload refused(std::vector<ConfigProblem> problems) {
    live_.refuse(std::move(problems));
    const auto& all = live_.state().problems;
    for (std::size_t i = 0; i < std::min(all.size(), problems_logged_max); ++i)
      log_.line(LogLevel::error, "configuration refused, the former one stays in force",
                {{"problem", to_string(all[i])}});
    return {{}, live_.state()};
  }
  Task<QueryAnswer> answer_another_hub(PassedQuery query) {
    const bool is_order = !query.by.empty();
    if (!is_order) {
      auto answer = co_await passed_on_.passed_on(std::move(query));
      co_return QueryAnswer{answer.status, std::move(answer.body)};
    }
    const auto [hub, by, target] = query;
    auto answer = co_await passed_on_.passed_on(std::move(query));
    log_.line(
        LogLevel::info, "order by way of another hub",
        {{"hub", hub}, {"by", by}, {"order", target}, {"status", static_cast<std::int64_t>(answer.status)}});
    co_return QueryAnswer{answer.status, std::move(answer.body)};
  }
  void close_to_clients(bool is_closed) { listeners_.set_draining(is_closed); }
  /// A message for this destination alone, whatever its time, could be tried.
  [[nodiscard]] bool can_reach(const std::string& destination) {
    storage::StoredMessage message;
    message.state = storage::MessageState::queued;
    message.queue = {{destination, WallTime{}, 0}};
    return !outbound_->is_stuck(message);
  }
  /// This one included.
  [[nodiscard]] std::size_t hubs_heard() {
    auto now = MonotonicClock::now();
    auto heard = std::ranges::count_if(peering_.members().all(), [now](const auto& member) {
      return member->identity && !member->watch.is_silent(now);
    });
    return static_cast<std::size_t>(heard) + 1;
  }
  [[nodiscard]] std::size_t sessions() const { return listeners_.sessions(); }

  const std::unique_ptr<LiveConfig> own_live_;  // unless one was passed in
  LiveConfig& live_;
  const Config& config_;                     // the one in force
  const std::unique_ptr<TlsStore> own_tls_;  // unless one was passed in
  TlsStore& tls_;
  Authenticators authenticators_;
  EventLog& log_;
  const std::unique_ptr<RecordLogs> own_record_logs_;  // unless they were passed in: keeps nothing
  RecordLogs& record_logs_;
  SessionRecords records_;
  Runtime runtime_;
  Metrics metrics_;
  std::unique_ptr<storage::Spool> spool_;
  Attempts attempts_;
  std::optional<storage::AttemptMarks> marks_;
  Peering peering_;
  Suspensions suspensions_;
  std::unique_ptr<Outbound> outbound_;
  SafetyNetKeeper net_keeper_;
  BackPressure pressure_;
  Throttle throttle_;
  ClientHosts client_hosts_;
  PressureWatch pressure_watch_;
  MessageAcceptor acceptor_;
  Drainer drainer_;
  Resender resender_;
  Tracer tracer_;
  AdminApi passed_on_{*this};
  ContentFilters filters_;
  WaitingMail waiting_mail_;
  FilteringIntake intake_;
  Listeners listeners_;
  std::unique_ptr<AdminServer> admin_;
  bool is_started_ = false;
  bool is_stopping_ = false;
  const WallTime started_at_ = WallClock::now();
  storage::Balance balance_;  ///< as of the last scrape
  mutable std::optional<Ended> ended_;
};

}  // namespace

Result<std::unique_ptr<Hub>> Hub::make(const Config& config, HubParts parts) {
  storage::SpoolOptions options;
  options.directory = config.spool.directory;
  options.vfs = parts.spool_vfs;
  // Alone in the world a hub may be called anything.
  if (config.cluster.enabled()) options.hub = config.hub_name;
  options.safety_net = {config.safety_net.keep, config.safety_net.octets_max};
  Attempts attempts;
  attempts.region = parts.attempts;
  if (attempts.region == nullptr && parts.spool_vfs.empty() && config.delivery.crashes_max > 0) {
    if (auto mapped = storage::AttemptMarks::map(config.spool.directory)) {
      attempts.mapped = std::move(*mapped);
      attempts.region = attempts.mapped.get();
    } else {
      parts.log.line(LogLevel::warning,
                     "attempts are not marked: a message that ends the hub again and again is not found out",
                     {{"reason", mapped.error().what}});
    }
  }
  if (attempts.region != nullptr) options.interrupted = storage::AttemptMarks::read(*attempts.region);
  auto open = [&] {
    return storage::Spool::open(options, parts.runtime.random, parts.writer_lane, parts.reader_lane,
                                parts.home);
  };
  auto spool = open();
  if (!spool) {
    if (auto recovered = recover_spool(config, parts.spool_vfs, spool.error(), parts.log); !recovered)
      return std::unexpected(recovered.error());
    spool = open();
  }
  if (!spool) return std::unexpected(spool.error());
  auto hub = std::make_unique<WiredHub>(config, parts, std::move(*spool), std::move(attempts));
  if (auto loaded = hub->load_certificates(); !loaded) return std::unexpected(loaded.error());
  return hub;
}

}  // namespace umbra::hub
