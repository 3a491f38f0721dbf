#include "hub/peering/members.h"

#include <algorithm>
#include <cstdio>

#include "cluster/companions.h"
#include "hub/peering/ownership.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {

using cluster::Standing;

namespace {
constexpr std::size_t members_max = 256;
constexpr Duration forgotten_kept = 10min;  // longer than any question or copy takes
constexpr std::size_t distant_beats = 8;    // to hubs that are distant, in each heartbeat, all together
constexpr Duration idle_max =
    10s;  // a session without a command is ended by its server after 30 s: with the period below it is never
constexpr Duration distant_period_max = 15s;
constexpr Duration shared_for = 10min;
constexpr Duration noop_timeout = 5s;

}  // namespace

Member::Member(const Runtime& runtime, const MemberConfig& named, const ClusterConfig& cluster,
               LinkOwner& owner)
    : config(named),
      zone(named.zone),
      control(std::make_unique<Link>(runtime, named, cluster, owner)),
      data(std::make_unique<Link>(runtime, named, cluster, owner)),
      silence(cluster.lease),
      beat_timer(runtime.io) {}

Members::Members(Runtime runtime, const Config& config, storage::Spool& spool, EventLog& log)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      log_(log),
      tasks_(runtime.io),
      clock_timer_(runtime.io),
      pause_(config.cluster.heartbeat) {
  for (const auto& named : config.cluster.members)
    if (named.name != config.hub_name) add(named);
}

Members::~Members() = default;

Member& Members::add(const MemberConfig& named) {
  members_.push_back(std::make_shared<Member>(runtime_, named, config_.cluster, *this));
  if (!is_running_) return *members_.back();
  choose_companions();
  run(members_.back());
  return *members_.back();
}

// Under majority ownership every beat asks for a vote, so all of them are needed.
void Members::choose_companions() {
  if (ownership_mode(config_.cluster) == OwnershipMode::majority) return;
  std::vector<cluster::ZonedHub> others;
  for (const auto& member : members_) others.push_back({member->name(), member->config.zone});
  auto companions =
      cluster::companions_of({config_.hub_name, config_.cluster.own_zone(config_.hub_name)}, others);
  for (const auto& member : members_) member->is_companion = companions.contains(member->name());
  auto distant = members_.size() - companions.size();
  auto period = config_.cluster.heartbeat * std::max<std::size_t>(distant / distant_beats, 1);
  distant_period_ =
      distant == 0
          ? Duration{0}
          : std::min<Duration>(period, std::max<Duration>(distant_period_max, config_.cluster.heartbeat));
}

void Members::share(Member& member) {
  bool was_distant = is_distant(member);
  member.shared_until = MonotonicClock::now() + shared_for;
  if (was_distant) member.beat_timer.cancel();  // beat at once
}

bool Members::is_distant(const Member& member) const {
  return !member.is_companion && member.state == smtp::HubState::active &&
         MonotonicClock::now() >= member.shared_until;
}

Duration Members::lease_to(const Member& member) const {
  return config_.cluster.lease + (is_distant(member) ? distant_period_ : Duration{0});
}

Duration Members::patience_with(const Member& member) const {
  return std::max(member.silence, lease_to(member));
}

Duration Members::patience_with_a_new_run_of(const Member& member) const {
  return member.silence + distant_period_;
}

Duration Members::until_next_beat(const Member& member) const {
  if (!is_distant(member)) return config_.cluster.heartbeat;
  // It may see this hub otherwise, or be of a release that knows no distance: it says by its promise how long
  // it has patience.
  return std::clamp<Duration>(member.granted - config_.cluster.lease, config_.cluster.heartbeat,
                              std::max<Duration>(distant_period_, config_.cluster.heartbeat));
}

void Members::run(const std::shared_ptr<Member>& member) {
  // At least as long as the promises may last that the run before this one has given.
  member->watch.begin(MonotonicClock::now(),
                      std::max(config_.cluster.restart_grace, patience_with_a_new_run_of(*member)));
  member->control->start();
  member->data->start();
  tasks_.spawn("heartbeat", beat(member));
}

Task<Result<void>> Members::start() {
  auto remembered = co_await query<std::vector<storage::PeerMemory>>(
      runtime_.io, spool_, [](storage::Reader& r) { return r.peers(); });
  if (!remembered) co_return std::unexpected(remembered.error());
  for (const auto& memory : *remembered) {
    auto* member = find(memory.hub);
    // Found by discovery in an earlier run: it may hold our mail and we its, wherever it is now.
    if (member == nullptr && config_.cluster.discovery.enabled() && memory.hub != config_.hub_name)
      member = &add({memory.hub, {}});
    if (member != nullptr) member->identity = cluster::Identity{memory.spool, memory.epoch, memory.sequence};
  }
  choose_companions();
  is_running_ = !is_stopping_;
  if (!is_running_) co_return Result<void>{};
  for (auto& member : members_) run(member);
  co_await recall_states();
  if (is_stopping_) co_return Result<void>{};
  tasks_.spawn("clock", watch_the_clock());
  co_return Result<void>{};
}

Task<void> Members::stop() {
  is_stopping_ = true;
  is_running_ = false;
  clock_timer_.cancel();
  for (const auto& member : all()) {
    member->beat_timer.cancel();
    co_await member->control->stop();
    co_await member->data->stop();
  }
  co_await tasks_.join();
}

Member* Members::find_or_admit(const std::string& name) {
  auto* member = find(name);
  if (member != nullptr || !config_.cluster.discovery.enabled() || name == config_.hub_name || is_stopping_)
    return member;
  if (members_.size() >= members_max) {
    log_.line(LogLevel::error, "too many hubs: this one is not admitted", {{"member", name}});
    return nullptr;
  }
  log_.line(LogLevel::info, "a hub joins", {{"member", name}});
  return &add({name, {}});
}

void Members::discovered(const std::string& name, const std::vector<Endpoint>& addresses) {
  auto* member = find_or_admit(name);
  if (member == nullptr || addresses.empty()) return;
  // Two addresses that claim one name: the one with an open session keeps it.
  if (member->control->is_open() || member->data->is_open()) return;
  auto present = std::ranges::find(addresses, member->config.address);
  auto next = present == addresses.end() || present + 1 == addresses.end() ? addresses.begin() : present + 1;
  auto address = *next;
  if (address == member->config.address) return;
  log_.line(LogLevel::info, "a hub is found", {{"member", name}, {"address", to_string(address)}});
  member->config.address = address;
  member->control->set_address(address);
  member->data->set_address(address);
}

void Members::came_from(const std::string& name, const std::string& host) {
  const auto& discovery = config_.cluster.discovery;
  auto* member = find(name);
  if (!discovery.enabled() || member == nullptr || !member->config.address.host.empty()) return;
  // Hubs of one cluster mostly listen at one port. A guess does no harm: who answers there proves who he is.
  discovered(name, {{host, discovery.port != 0 ? discovery.port : config_.cluster.address.port}});
}

void Members::forget(const std::string& name) {
  auto at = std::ranges::find_if(members_, [&](const auto& m) { return m->name() == name; });
  if (at == members_.end() || is_stopping_) return;
  log_.line(LogLevel::info, "a hub is forgotten: its name has gone and nothing is owed to it",
            {{"member", name}});
  auto now = MonotonicClock::now();
  std::erase_if(forgotten_, [now](const auto& f) { return now - f.first > forgotten_kept; });
  auto member = *at;
  member->is_forgotten = true;
  members_.erase(at);
  choose_companions();
  forgotten_.emplace_back(now, member);
  member->beat_timer.cancel();
  tasks_.spawn("forget a hub", end_links(member));
}

Task<void> Members::end_links(std::shared_ptr<Member> member) {
  co_await member->control->stop();
  co_await member->data->stop();
}

Member* Members::find(std::string_view name) {
  for (auto& member : members_)
    if (member->name() == name) return member.get();
  return nullptr;
}

// A process that stood still has heard nobody, and must not conclude from that. Whoever is about to conclude
// looks first: after a pause its timer may fire before the one of watch_the_clock().
void Members::look_at_the_clock() {
  auto now = MonotonicClock::now();
  if (!pause_.tick(now)) return;
  for (auto& member : members_) member->watch.paused(now, 3 * config_.cluster.heartbeat);
}

Task<void> Members::watch_the_clock() {
  while (!is_stopping_) {
    look_at_the_clock();
    co_await clock_timer_.wait_for(config_.cluster.heartbeat);
  }
}

bool Members::is_silent(const Member& member) {
  look_at_the_clock();
  return member.watch.is_silent(MonotonicClock::now());
}

void Members::end(Hub::Ended why) {
  if (ended_) return;
  log_.line(why.restart ? LogLevel::warning : LogLevel::error, why.reason, {});
  ended_ = std::move(why);
}

bool Members::promise_is_fresh(const storage::Holder& holder, Duration span) {
  bool is_former = holder.state == storage::Holder::State::former_owner;
  auto* member = find(holder.hub);
  if (member == nullptr) return is_former;
  // The copy has gone with the spool that held it.
  if (member->identity && member->identity->spool != holder.spool) return true;
  // A former owner that was not heard of since has to ask before it delivers: its word is not needed. Once it
  // is back it keeps what was taken from it as a shadow, and may take that over like every holder.
  if (is_former && member->identity && member->live_epoch < member->identity->epoch) return true;
  return member->promised_by == holder.spool && member->promise.is_recent(MonotonicClock::now(), span);
}

bool Members::is_in_touch_with(const Member& member) const {
  auto beats = 3 * config_.cluster.heartbeat + (member.is_companion ? Duration{0} : distant_period_);
  return member.beat_answered > MonotonicClock::now() - beats;
}

bool Members::all_promises_are_fresh(Duration span) const {
  auto now = MonotonicClock::now();
  return std::ranges::all_of(
      members_, [now, span](const auto& member) { return member->promise.is_recent(now, span); });
}

std::vector<cluster::Candidate> Members::candidates(std::uint64_t octets) {
  std::vector<cluster::Candidate> result;
  auto now = MonotonicClock::now();
  for (auto& member : members_)
    result.push_back(
        {member->name(),
         member->data->is_open() && member->identity.has_value() && member->promise.is_fresh(now) &&
             member->promised_by == member->identity->spool,
         now < member->refuses_copies_until || member->is_refused || member->state != smtp::HubState::active,
         member->data->under_way(), member->zone, false, member->is_companion,
         octets > member->message_octets_max, member->pressure});
  return result;
}

// Somebody claims the name of a hub that is alive at this moment, under another spool: two hubs were given
// one name, or a hub came back with an empty disk before it is noticed here that the former process has gone.
// The former one keeps the name until its session ends; to call its spool gone now would hand out mail that
// it still delivers.
bool Members::is_name_taken(const Member& member, const cluster::Identity& heard) {
  if (!member.identity || member.identity->spool == heard.spool || !member.control->is_open()) return false;
  return member.promised_by == member.identity->spool &&
         MonotonicClock::now() - member.answered_at < 3 * until_next_beat(member);
}

void Members::accept_identity(Member& member, const cluster::Identity& heard) {
  auto before = member.identity;
  bool is_new_run = !before || before->spool != heard.spool || member.live_epoch != heard.epoch;
  if (before && before->spool != heard.spool) member.replaced_spools.push_back(before->spool);
  member.identity = cluster::remember(before, heard);
  member.live_epoch = heard.epoch;
  member.is_fenced = false;
  if (!before || before->spool != heard.spool || before->epoch != heard.epoch)
    tasks_.spawn("remember a hub", save(member));
  if (is_new_run && member.state != smtp::HubState::active) {
    member.state = smtp::HubState::active;  // until its new run says otherwise
    member.watch.back(MonotonicClock::now(), patience_with_a_new_run_of(member));
    tasks_.spawn("remember a hub", forget_state(member.name()));
  }
  if (is_new_run && changed_) changed_(member);
}

Task<void> Members::forget_state(std::string name) {
  (void)co_await commit(runtime_.io, spool_,
                        [name](storage::Writer& w) { return w.set_note("peer/" + name, ""); });
}

Task<Result<void>> Members::heard_state(std::string name, SpoolId spool, smtp::HubState state,
                                        Duration back_within) {
  auto* member = find(name);
  if (member == nullptr || !member->identity || member->identity->spool != spool)
    co_return failure(std::errc::no_such_device, "XSTATE of a hub that is not there");
  bool is_news = member->state != state;
  member->state = state;
  auto now = MonotonicClock::now();
  if (state == smtp::HubState::draining)
    member->watch.heard(now, std::max(back_within, patience_with(*member)));
  else if (is_news && state == smtp::HubState::active)
    member->watch.back(now, patience_with_a_new_run_of(*member));
  // What is owed to an empty spool, and the copies that were there, are gone with what it was.
  if (is_news && state == smtp::HubState::left) member->replaced_spools.push_back(spool);
  auto until = WallClock::now() + std::chrono::duration_cast<WallClock::duration>(back_within);
  std::string note;
  if (state != smtp::HubState::active)
    note = umbra::to_string(spool) + ' ' + std::to_string(static_cast<int>(state)) + ' ' +
           std::to_string(until.time_since_epoch().count());
  if (is_news)
    log_.line(
        LogLevel::info, "a hub is " + std::string(smtp::to_string(state)),
        {{"member", name},
         {"back_within_seconds", std::chrono::duration_cast<std::chrono::seconds>(back_within).count()}});
  auto saved = co_await commit(runtime_.io, spool_,
                               [name, note](storage::Writer& w) { return w.set_note("peer/" + name, note); });
  if (saved && is_news && changed_) changed_(*member);
  co_return saved;
}

// What the others said of themselves before this run.
Task<void> Members::recall_states() {
  for (auto& member : all()) {
    auto note = co_await query<std::string>(
        runtime_.io, spool_, [name = "peer/" + member->name()](storage::Reader& r) { return r.note(name); });
    if (!note || note->empty() || !member->identity ||
        !note->starts_with(umbra::to_string(member->identity->spool) + ' '))
      continue;
    auto state = parse_number(std::string_view(*note).substr(17, 1));
    auto until = note->size() > 19 ? parse_number(std::string_view(*note).substr(19)) : std::nullopt;
    if (!state || *state > static_cast<int>(smtp::HubState::left) || !until) continue;
    if (member->live_epoch.value != 0) continue;  // it has come meanwhile
    member->state = static_cast<smtp::HubState>(*state);
    auto left = WallTime{WallTime::duration{static_cast<std::int64_t>(*until)}} - WallClock::now();
    if (member->state == smtp::HubState::draining && left > WallTime::duration::zero())
      member->watch.paused(MonotonicClock::now(), std::min<Duration>(left, 24h));
  }
}

Task<void> Members::save(Member& member) {
  storage::PeerMemory memory{member.name(), member.identity->spool, member.identity->epoch,
                             member.identity->sequence};
  member.saved_sequence = memory.sequence;
  // Not written: the next run knows less of this hub, which only delays what it may decide.
  (void)co_await commit(runtime_.io, spool_,
                        [memory](storage::Writer& w) { return w.remember_peer(memory); });
}

Standing Members::heard_hello(const smtp::HubHello& peer, const std::optional<cluster::Identity>& before) {
  auto* member = find(peer.hub);
  UMBRA_ASSERT(member != nullptr);
  cluster::Identity heard{peer.spool, peer.epoch, peer.sequence};
  auto standing = cluster::judge(member->identity, member->live_epoch, heard, before);
  if (is_name_taken(*member, heard)) {
    if (std::exchange(member->rival, heard.spool) != heard.spool)
      log_.line(LogLevel::error, "two hubs have one name: the one that is alive keeps it",
                {{"member", peer.hub}, {"spool", to_string(peer.spool)}});
    return Standing::name_taken;
  }
  if (standing == Standing::rolled_back || standing == Standing::epoch_over) {
    log_.line(LogLevel::warning,
              standing == Standing::rolled_back ? "a hub's spool was rolled back: it is refused"
                                                : "a hub's epoch is over: it must begin the next one",
              {{"member", peer.hub}, {"epoch", static_cast<std::int64_t>(peer.epoch.value)}});
    return standing;
  }
  if (standing == Standing::replaced)
    log_.line(LogLevel::warning, "a hub has come with another spool: the old one is gone",
              {{"member", peer.hub}, {"spool", to_string(peer.spool)}});
  accept_identity(*member, heard);
  // "I am back and I have my spool" cancels the clock.
  member->watch.heard(MonotonicClock::now(), patience_with(*member));
  return standing;
}

std::optional<Duration> Members::heard_beat(const std::string& name, SpoolId spool, Epoch epoch,
                                            Sequence sequence) {
  auto* member = find(name);
  if (is_over(name, spool, epoch)) return std::nullopt;
  member->identity->sequence = std::max(member->identity->sequence, sequence);
  member->watch.heard(MonotonicClock::now(), patience_with(*member));
  if (sequence.value > member->saved_sequence.value + 1000) tasks_.spawn("remember a hub", save(*member));
  return lease_to(*member);
}

void Members::meet(Member& member, SpoolId spool, Epoch lowest) {
  UMBRA_ASSERT(!member.identity);
  member.identity = cluster::Identity{spool, lowest, Sequence{0}};
}

bool Members::is_over(const std::string& name, SpoolId spool, Epoch epoch) {
  auto* member = find(name);
  return member == nullptr || !member->identity || member->identity->spool != spool ||
         epoch < member->identity->epoch;
}

Task<Result<void>> Members::end_epoch_of(Member& member, SpoolId spool, Epoch below) {
  if (!member.identity || member.identity->spool != spool) co_return Result<void>{};
  if (member.is_fenced && member.identity->epoch >= below) co_return Result<void>{};
  bool ends_lowest =
      !member.is_fenced && (member.live_epoch == member.identity->epoch || member.live_epoch.value == 0);
  if (ends_lowest) member.identity->epoch.value += 1;
  member.identity->epoch = std::max(member.identity->epoch, below);
  storage::PeerMemory memory{member.name(), spool, member.identity->epoch, member.identity->sequence};
  auto saved =
      co_await commit(runtime_.io, spool_, [memory](storage::Writer& w) { return w.remember_peer(memory); });
  // Unless its next run has come meanwhile.
  if (saved && member.identity->spool == spool && member.live_epoch < member.identity->epoch)
    member.is_fenced = true;
  co_return saved;
}

// Known in this run is enough, should the spool not take it: with the run end the sessions on which something
// of the other one could come.
Task<std::vector<smtp::KnownEpoch>> Members::heard_over(std::vector<smtp::KnownEpoch> over) {
  std::vector<smtp::KnownEpoch> alive;
  for (auto& run : over) {
    auto* member = find(run.hub);
    if (member == nullptr) continue;
    if (!member->identity) meet(*member, run.spool, Epoch{0});
    // Of a spool that was replaced only the runs that were heard: it may be put back.
    if (run.lowest == every_run)
      run.lowest = member->is_fenced ? member->identity->epoch : Epoch{member->identity->epoch.value + 1};
    if (member->identity->spool != run.spool || member->identity->epoch >= run.lowest) {
      bool lives = !member->is_fenced && member->live_epoch == member->identity->epoch && !is_silent(*member);
      if (lives) alive.push_back({run.hub, member->identity->spool, member->identity->epoch});
      continue;
    }
    log_.line(LogLevel::warning, "a hub's epoch is over, as another one tells",
              {{"member", run.hub}, {"epochs_below", static_cast<std::int64_t>(run.lowest.value)}});
    (void)co_await end_epoch_of(*member, run.spool, run.lowest);
  }
  co_return alive;
}

smtp::HubHello Members::make_hello() {
  smtp::HubHello hello;
  hello.hub = config_.hub_name;
  hello.spool = spool_.id();
  hello.epoch = spool_.epoch();
  hello.sequence = spool_.sequence();
  char digits[17];
  for (int i = 0; i < 4; ++i) {
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(runtime_.random.next()));
    hello.nonce += digits;
  }
  return hello;
}

std::optional<cluster::Identity> Members::remembered(const std::string& name) {
  auto* member = find(name);
  return member == nullptr ? std::nullopt : member->identity;
}

bool Members::on_hello(const smtp::HubHello& peer, const std::optional<cluster::Identity>& before) {
  auto* member = find(peer.hub);
  if (member == nullptr) return false;
  cluster::Identity heard{peer.spool, peer.epoch, peer.sequence};
  auto standing = cluster::judge(member->identity, member->live_epoch, heard, before);
  // A hub whose epoch we have ended learns it on its own session to us; until then nothing is sent to it.
  if (standing == Standing::rolled_back || standing == Standing::epoch_over || is_name_taken(*member, heard))
    return false;
  accept_identity(*member, heard);
  return true;
}

void Members::on_open(const std::string& name) {
  auto* member = find(name);
  if (member == nullptr) return;
  member->trouble.clear();
  member->beat_timer.cancel();  // beat at once
  if (changed_) changed_(*member);
}

void Members::on_closed(const std::string&) {}

void Members::on_refused(const std::string& name, const smtp::Reply& reply) {
  if (reply.code == 555)
    end({false,
         "hub " + name + " remembers a later state of this spool: " + smtp::to_line(reply) +
             ". A backup was restored, or another machine runs this spool. Its mail was or will be taken "
             "over by "
             "the other hubs. Put the newest spool back; or, if that is lost, run `umbra spool set-aside " +
             config_.spool.directory + "` and start again, with an empty one."});
  else
    end({true, "hub " + name + " ended this hub's epoch (it was silent for longer than a lease): " +
                   smtp::to_line(reply)});
}

void Members::on_trouble(const std::string& name, const std::string& why) {
  log_.line(LogLevel::warning, "no session with a hub", {{"member", name}, {"reason", why}});
  if (auto* member = find(name)) member->trouble = why;
}

// The session for copies has no heartbeat of its own. Whoever needed it after a quiet half minute would have
// to wait for a new one.
Task<void> Members::keep_open(std::shared_ptr<Member> member) {
  (void)co_await member->data->call("NOOP\r\n", noop_timeout);
}

Task<void> Members::beat(std::shared_ptr<Member> member) {
  while (!is_stopping_ && !member->is_forgotten) {
    if (member->data->is_open() && MonotonicClock::now() - member->data->used_at() >= idle_max)
      tasks_.spawn("keep a session", keep_open(member));
    if (member->control->is_open() && member->identity) {
      auto spool = member->identity->spool;
      auto outcome =
          co_await member->control->call(smtp::format_beat(spool_.epoch(), spool_.sequence(), agreement_),
                                         std::max(config_.cluster.lease / 3, 3 * config_.cluster.heartbeat));
      if (outcome.kind == Link::Outcome::Kind::replied && outcome.reply.code == 250) {
        auto milliseconds =
            parse_number(std::string_view(outcome.reply.text).substr(outcome.reply.text.rfind(' ') + 1));
        if (milliseconds && *milliseconds <= 3'600'000) {
          member->promised_by = spool;
          member->answered_at = MonotonicClock::now();
          member->beat_answered = outcome.sent_at;
          member->granted = std::chrono::milliseconds(*milliseconds);
          member->promise.granted(outcome.sent_at, std::chrono::milliseconds(*milliseconds));
        }
      }
    }
    if (is_stopping_ || member->is_forgotten) break;
    co_await member->beat_timer.wait_for(until_next_beat(*member));
  }
}

}  // namespace umbra::hub
