#include "hub/peering/configuration_watch.h"

#include <algorithm>

#include "smtp/configuration_lines.h"

namespace umbra::hub {
namespace {

constexpr Duration tell_timeout = 2s;

}  // namespace

ConfigurationWatch::ConfigurationWatch(Runtime runtime, const Config& config, Members& members, EventLog& log)
    : config_(config),
      members_(members),
      log_(log),
      own_(shared_configuration(config)),
      announcement_(runtime, members,
                    {.keyword = smtp::configuration_capability,
                     .task_name = "tell the configuration",
                     .timeout = tell_timeout,
                     .command = [this] { return smtp::format_configuration(own_); },
                     .not_offered = [this](Member& member) { not_offered(member); }}) {}

// It is of a release before.
void ConfigurationWatch::not_offered(Member& member) {
  std::erase_if(told_, [&](const auto& one) { return one.first.lock().get() == &member; });
  set(member, std::nullopt);
}

void ConfigurationWatch::heard(Member& member, const cluster::Configuration& values) {
  std::erase_if(told_, [](const auto& one) { return one.first.expired(); });
  for (const auto& known : members_.all())
    if (known.get() == &member) told_[known] = values;
  compare_with(member, values);
  if (!config_.cluster.discovery.enabled()) return;
  auto zone = values.find("zone");
  member.zone = zone == values.end() ? std::string() : zone->second;
}

void ConfigurationWatch::configuration_changed() {
  auto now = shared_configuration(config_);
  if (now == own_) return;
  own_ = std::move(now);
  for (const auto& [known, values] : told_)
    if (auto member = known.lock(); member && member->drift) compare_with(*member, values);
  announcement_.changed();
}

void ConfigurationWatch::compare_with(Member& member, const cluster::Configuration& values) {
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
  auto before =
      std::exchange(member.drift, std::move(differences)).value_or(std::vector<cluster::Difference>{});
  auto now = member.drift.value_or(std::vector<cluster::Difference>{});
  member.is_refused = std::ranges::any_of(now, &cluster::Difference::is_refused);
  for (const auto& one : now)
    if (std::ranges::find(before, one) == before.end())
      log_.line(one.is_refused ? LogLevel::error : LogLevel::warning,
                one.is_refused
                    ? "another hub is configured in a way that is not safe with this one: no promises to it"
                    : "another hub is configured differently",
                {{"member", member.name()},
                 {"key", one.key},
                 {"here", one.here},
                 {"there", one.there},
                 {"reason", one.why}});
  for (const auto& one : before)
    if (std::ranges::find(now, one.key, &cluster::Difference::key) == now.end())
      log_.line(LogLevel::info,
                member.drift ? "another hub is configured as this one again"
                             : "another hub does not tell its configuration any more",
                {{"member", member.name()}, {"key", one.key}});
}

}  // namespace umbra::hub
