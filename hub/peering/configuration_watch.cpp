#include "hub/peering/configuration_watch.h"

#include <algorithm>

#include "smtp/configuration_lines.h"

namespace umbra::hub {
namespace {

constexpr Duration tell_timeout = 2s;

}  // namespace

ConfigurationWatch::ConfigurationWatch(Runtime runtime, const Config& config, Members& members, EventLog& log)
    : config_(config),
      log_(log),
      own_(shared_configuration(config)),
      announcement_(runtime, members, {.keyword = smtp::configuration_capability, .task_name = "tell the configuration", .timeout = tell_timeout,
                                       .command = [this] { return smtp::format_configuration(own_); },
                                       .not_offered = [this](Member& member) { set(member, std::nullopt); }}) {}  // of a release before

void ConfigurationWatch::heard(Member& member, const cluster::Configuration& values) {
  member.message_octets_max = cluster::message_octets_max_of(values).value_or(UINT64_MAX);
  auto heartbeat = cluster::time_of(values, "heartbeat").value_or(Duration{0});
  member.silence = std::max<Duration>(config_.cluster.lease, heartbeat * cluster::heartbeats_per_lease);
  set(member, cluster::compare(own_, values));
}

void ConfigurationWatch::set(Member& member, std::optional<std::vector<cluster::Difference>> differences) {
  if (!differences) {
    member.message_octets_max = UINT64_MAX;
    member.silence = config_.cluster.lease;
  }
  auto before = std::exchange(member.drift, std::move(differences)).value_or(std::vector<cluster::Difference>{});
  auto now = member.drift.value_or(std::vector<cluster::Difference>{});
  member.is_refused = std::ranges::any_of(now, &cluster::Difference::is_refused);
  for (const auto& one : now)
    if (std::ranges::find(before, one) == before.end())
      log_.line(one.is_refused ? LogLevel::error : LogLevel::warning,
                one.is_refused ? "another hub is configured in a way that is not safe with this one: no promises to it"
                               : "another hub is configured differently",
                {{"member", member.name()}, {"key", one.key}, {"here", one.here}, {"there", one.there}, {"reason", one.why}});
  for (const auto& one : before)
    if (std::ranges::find(now, one.key, &cluster::Difference::key) == now.end())
      log_.line(LogLevel::info, member.drift ? "another hub is configured as this one again" : "another hub does not tell its configuration any more",
                {{"member", member.name()}, {"key", one.key}});
}

}  // namespace umbra::hub
