#include "hub/inbound/client_hosts.h"

#include <algorithm>
#include <set>

namespace umbra::hub {

ClientHosts::ClientHosts(Runtime runtime, const std::vector<ThrottlingPolicyConfig>& policies,
                         Throttle& throttle, EventLog& log)
    : runtime_(runtime),
      policies_(policies),
      throttle_(throttle),
      log_(log),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void ClientHosts::start() {
  tasks_.spawn("client hosts", watch());
}

Task<void> ClientHosts::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
}

Task<void> ClientHosts::watch() {
  while (!is_stopping_) {
    std::set<std::string> names;
    for (const auto& policy : policies_) names.insert(policy.hosts.begin(), policy.hosts.end());
    std::erase_if(addresses_, [&](const auto& known) { return !names.contains(known.first); });
    for (const auto& name : names)
      if (!is_stopping_) co_await look_up(name);
    throttle_.set_addresses(addresses_);
    if (!is_stopping_) co_await wake_.wait_for(interval);
  }
}

Task<void> ClientHosts::look_up(std::string name) {
  auto found = co_await runtime_.resolver.addresses(name);
  if (!found || found->empty()) {
    log_.line(LogLevel::warning, "a client host of a throttling policy was not found",
              {{"host", name}, {"error", found ? "it has no address" : found.error().what}});
    if (found) addresses_.erase(name);
    co_return;
  }
  auto& ranges = addresses_[name];
  ranges.clear();
  for (const auto& address : *found)
    if (auto range = AddressRange::parse(address)) ranges.push_back(std::move(*range));
}

}  // namespace umbra::hub
