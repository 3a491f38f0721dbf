#include "hub/config/live_config.h"

#include "hub/config/validate.h"

namespace umbra::hub {

LiveConfig::LiveConfig(Config config) : now_(std::move(config)) {
  state_.file = now_.file;
  state_.version = now_.version;
  state_.read_at = state_.tried_at = WallClock::now();
}

std::expected<LiveConfig::Plan, std::vector<ConfigProblem>> LiveConfig::read() const {
  auto wanted = load_config(now_.file);
  if (!wanted) return std::unexpected(wanted.error());
  return plan_reload(now_, *wanted);
}

std::expected<LiveConfig::Plan, std::vector<ConfigProblem>> plan_reload(const Config& in_force,
                                                                        const Config& wanted) {
  LiveConfig::Plan plan;
  plan.version = wanted.version;
  plan.next = with_restart_keys_of(in_force, wanted);
  for (auto& change : changes_between(in_force, wanted))
    (change.takes_effect == TakesEffect::at_reload ? plan.changed : plan.waiting)
        .push_back(std::move(change));
  if (plan.waiting.empty()) return plan;
  // The file is good as a whole. Is it, too, without what waits for a restart?
  ReadReport report{in_force.file, {}, {}};
  validate_with_cluster(plan.next, report);
  if (report.problems.empty()) return plan;
  std::string keys;
  for (const auto& change : plan.waiting) keys += (keys.empty() ? "" : ", ") + change.key;
  std::vector<ConfigProblem> problems;
  for (const auto& problem : report.problems)
    problems.push_back({in_force.file, 0,
                        "without what needs a restart (" + keys + ") the rest cannot be: " + problem.what +
                            ". Start the hub again"});
  return std::unexpected(std::move(problems));
}

void LiveConfig::apply(Plan plan) {
  state_.version = plan.version;
  now_ = plan.next;  // a copy: lists that are equal stay where they are
  state_.waiting = std::move(plan.waiting);
  state_.is_refused = false;
  state_.problems.clear();
  state_.read_at = state_.tried_at = WallClock::now();
}

void LiveConfig::refuse(std::vector<ConfigProblem> problems) {
  state_.is_refused = true;
  state_.problems = std::move(problems);
  state_.tried_at = WallClock::now();
}

}  // namespace umbra::hub
