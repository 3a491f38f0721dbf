#include "hub/peering/discovery.h"

#include <algorithm>

#include "hub/peering/hub_channel.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

constexpr Duration connect_timeout = 2s;
constexpr Duration handshake_timeout = 3s;
constexpr Duration stale_error_after = 30s;
constexpr Duration meet_again = 60s;  // who was met, and has a session since
constexpr std::size_t addresses_max = 512;
constexpr std::size_t meetings_at_once = 16;

}  // namespace

Discovery::Discovery(Runtime runtime, const Config& config, storage::Spool& spool, Members& members,
                     EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      spool_(spool),
      members_(members),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void Discovery::start() {
  started_ = MonotonicClock::now();
  tasks_.spawn("discovery", loop());
}

Task<void> Discovery::stop() {
  is_stopping_ = true;
  wake_.cancel();
  for (auto* stream : meeting_) stream->close();
  co_await tasks_.join();
}

Task<void> Discovery::loop() {
  const auto& discovery = config_.cluster.discovery;
  while (!is_stopping_) {
    // No ternary: co_await in the arms of one is not for every compiler.
    Result<Places> answer;
    if (discovery.type == DiscoveryConfig::Type::srv)
      answer = co_await ask_services();
    else
      answer = co_await ask_addresses();
    if (is_stopping_) break;
    if (!answer)
      note_failure(answer.error().what);
    else
      note_success();
    if (answer) places_ = std::move(*answer);
    auto now = MonotonicClock::now();
    for (const auto& [hub, places] : places_) {
      if (answer) listed_[hub] = now;
      members_.discovered(hub, places);
    }
    if (answer) co_await forget_the_gone();
    if (is_stopping_) break;
    // Soon again while nobody is known: a cluster that starts comes together in moments.
    co_await wake_.wait_for(places_.empty() ? std::min<Duration>(discovery.interval, 500ms)
                                            : discovery.interval);
  }
}

Task<Result<Discovery::Places>> Discovery::ask_services() {
  const auto& name = config_.cluster.discovery.dns;
  auto targets = co_await runtime_.resolver.services(name);
  if (!targets) co_return std::unexpected(targets.error());
  if (targets->empty())
    co_return failure(std::errc::address_not_available, "SRV " + name + ": no hub is named");
  if (targets->size() > addresses_max) targets->resize(addresses_max);
  Places places;
  for (const auto& target : *targets) {
    auto hub = target.host.substr(0, target.host.find('.'));
    if (!smtp::is_hub_name(hub)) {
      warn_once("an SRV target is no hub's name", target.host);
      continue;
    }
    auto addresses = co_await runtime_.resolver.addresses(target.host);
    if (is_stopping_) break;
    auto& known = places[hub];
    if (addresses)
      for (const auto& address : *addresses) known.push_back({address, target.port});
    // It is named, and where it is will be told later: as before.
    if (auto before = places_.find(hub); known.empty() && before != places_.end()) known = before->second;
  }
  places.erase(config_.hub_name);
  co_return places;
}

Task<Result<Discovery::Places>> Discovery::ask_addresses() {
  const auto& discovery = config_.cluster.discovery;
  auto addresses = co_await runtime_.resolver.addresses(discovery.dns);
  if (!addresses) co_return std::unexpected(addresses.error());
  if (addresses->empty()) co_return failure(std::errc::address_not_available, discovery.dns + ": no address");
  if (addresses->size() > addresses_max) addresses->resize(addresses_max);
  std::map<Endpoint, Met> present;
  for (const auto& address : *addresses) {
    Endpoint at{address, discovery.port};
    auto known = met_.extract(at);
    if (known.empty())
      present.try_emplace(at);
    else
      present.insert(std::move(known));
  }
  // Who is being asked is kept until he has answered.
  for (auto& [at, met] : met_)
    if (met.is_asked) present.try_emplace(at, met);
  met_ = std::move(present);
  auto now = MonotonicClock::now();
  for (auto& [at, met] : met_) {
    if (met.is_asked || tasks_.running() > meetings_at_once) continue;
    auto* member = met.hub.empty() ? nullptr : members_.find(met.hub);
    bool is_at_home = (member != nullptr && member->control->is_open()) || met.hub == config_.hub_name;
    if (is_at_home && now < met.next) continue;
    met.is_asked = true;
    met.next = now + meet_again;
    tasks_.spawn("meet a hub", meet(at));
  }
  // Those that answer do so while the rest of the interval passes.
  Places places;
  std::map<std::string, SpoolId> spools;
  for (const auto& [at, met] : met_) {
    if (met.hub.empty()) continue;
    if (met.hub != config_.hub_name) places[met.hub].push_back(at);
    auto own = met.hub == config_.hub_name ? spool_.id() : met.spool;
    auto [other, is_new] = spools.try_emplace(met.hub, own);
    if (met.spool != other->second) warn_once("two hubs have one name", met.hub);
  }
  co_return places;
}

Task<Opening> Discovery::open(Endpoint address) {
  const auto& cluster = config_.cluster;
  SpokenVersions spoken{cluster.version_lowest, cluster.version_highest};
  Opening opening;
  for (int offered = spoken.highest; offered >= spoken.lowest && !is_stopping_; --offered) {
    auto stream = co_await runtime_.network.connect(address, MonotonicClock::now() + connect_timeout);
    if (!stream || is_stopping_) co_return opening;
    HubChannel channel(runtime_, std::move(*stream), false);
    Watchdog watchdog(runtime_.io, *channel.stream);
    watchdog.expires_after(handshake_timeout);
    meeting_.insert(channel.stream.get());
    auto trust = co_await secure_hub_channel(channel.tls, cluster.secret);
    if (trust) {
      std::string input;
      if (co_await read_hub_greeting(*channel.stream, input))
        opening = co_await open_hub_session(*channel.stream, input, members_.make_hello(), trust->proof_key,
                                            offered, spoken);
      if (opening.kind == Opening::Kind::proved) (void)co_await channel.stream->write("QUIT\r\n");
      if (opening.kind == Opening::Kind::proved && !trust->may_be(opening.server.hub)) {
        opening.kind = Opening::Kind::failed;
        opening.why = "its certificate does not name " + opening.server.hub;
      }
    } else {
      opening.why = trust.error().what;
    }
    meeting_.erase(channel.stream.get());
    channel.stream->close();
    if (opening.kind != Opening::Kind::other_version) break;
  }
  co_return opening;
}

Task<void> Discovery::meet(Endpoint address) {
  auto opening = co_await open(address);
  auto at = met_.find(address);
  if (at == met_.end()) co_return;
  at->second.is_asked = false;
  if (is_stopping_ || opening.kind != Opening::Kind::proved) {
    if (!opening.why.empty())
      warn_once("who listens at an address of the cluster is no hub of it: " + opening.why,
                to_string(address));
    co_return;
  }
  bool is_new = at->second.hub != opening.server.hub;
  at->second.hub = opening.server.hub;
  at->second.spool = opening.server.spool;
  if (is_new) wake_.cancel();
}

void Discovery::note_failure(const std::string& why) {
  ++metrics_.discovery_failures_total;
  auto now = MonotonicClock::now();
  if (failing_since_ == MonotonicTime::max()) {
    failing_since_ = now;
    log_.line(LogLevel::warning, "DNS does not name the cluster's hubs: those that are known stay",
              {{"reason", why}, {"members", static_cast<std::int64_t>(members_.size())}});
  } else if (now - failing_since_ >= stale_error_after && !std::exchange(is_error_said_, true)) {
    log_.line(LogLevel::error, "DNS has not named the cluster's hubs for 30 s: those that are known stay",
              {{"reason", why}});
  }
}

void Discovery::note_success() {
  if (failing_since_ != MonotonicTime::max())
    log_.line(LogLevel::info, "DNS names the cluster's hubs again", {});
  failing_since_ = MonotonicTime::max();
  is_error_said_ = false;
}

void Discovery::warn_once(const std::string& text, const std::string& hub) {
  if (warned_.size() > addresses_max) warned_.clear();
  if (warned_.insert(text + hub).second) log_.line(LogLevel::warning, text, {{"member", hub}});
}

Task<void> Discovery::forget_the_gone() {
  auto patience = config_.cluster.discovery.forget_after;
  for (const auto& member : members_.all()) {
    auto now = MonotonicClock::now();
    auto listed = listed_.find(member->name());
    if (now - (listed == listed_.end() ? started_ : listed->second) < patience) continue;
    if (member->control->is_open() || !members_.is_silent(*member) ||
        now - member->watch.silent_from() < patience)
      continue;
    bool is_free =
        co_await is_owed_nothing(member->name(), member->identity ? member->identity->spool : SpoolId{});
    if (is_stopping_) co_return;
    // Heard of meanwhile?
    if (!is_free || !members_.is_silent(*member)) continue;
    auto gone = co_await commit(runtime_.io, spool_,
                                [hub = member->name()](storage::Writer& w) { return w.forget_peer(hub); });
    if (!gone || is_stopping_ || !members_.is_silent(*member)) continue;
    listed_.erase(member->name());
    members_.forget(member->name());
  }
}

Task<bool> Discovery::is_owed_nothing(std::string hub, SpoolId spool) {
  auto free = co_await query<bool>(runtime_.io, spool_, [&hub, spool](storage::Reader& r) -> Result<bool> {
    auto is_it = [&](const auto& entry) { return entry.first == hub; };
    auto owners = r.shadow_owners();
    if (!owners) return std::unexpected(owners.error());
    auto owed = r.outbox_spools();
    if (!owed) return std::unexpected(owed.error());
    if (std::ranges::any_of(*owners, is_it) || std::ranges::any_of(*owed, is_it)) return false;
    if (spool.value == 0) return true;
    auto held = r.messages_held_by(spool, RowId{0}, 1);
    if (!held) return std::unexpected(held.error());
    return held->empty();
  });
  co_return free && *free;
}

}  // namespace umbra::hub
