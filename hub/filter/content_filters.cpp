#include "hub/filter/content_filters.h"

#include <algorithm>
#include <utility>

namespace umbra::hub {

ContentFilters::ContentFilters(Runtime runtime, const Config& config, storage::Spool& spool, EventLog& log,
                               Metrics& metrics)
    : runtime_(runtime), config_(config), spool_(spool), log_(log), metrics_(metrics) {
  configuration_changed();
}
ContentFilters::~ContentFilters() = default;

std::vector<std::shared_ptr<ContentFilter>> ContentFilters::for_client(std::string_view listener,
                                                                       std::string_view address) const {
  std::vector<std::shared_ptr<ContentFilter>> found;
  for (const auto& filter : filters_) {
    const auto& config = filter->config();
    const bool is_for_listener =
        config.listeners.empty() || std::ranges::find(config.listeners, listener) != config.listeners.end();
    const bool is_for_client =
        config.networks.empty() || std::ranges::any_of(config.networks, [&](const AddressRange& range) {
          return range.contains(address);
        });
    if (is_for_listener && is_for_client) found.push_back(filter);
  }
  return found;
}

std::shared_ptr<ContentFilter> ContentFilters::find(std::string_view name) const {
  auto found =
      std::ranges::find_if(filters_, [&](const auto& filter) { return filter->config().name == name; });
  return found == filters_.end() ? nullptr : *found;
}

void ContentFilters::configuration_changed() {
  auto before = std::exchange(filters_, {});
  const bool has_other_name = std::exchange(host_name_, config_.host_name) != config_.host_name;
  for (const auto& wanted : config_.content_filters) {
    auto same = std::ranges::find_if(before, [&](const auto& filter) { return filter->config() == wanted; });
    filters_.push_back(
        same != before.end() && !has_other_name
            ? *same
            : std::make_shared<ContentFilter>(runtime_, wanted, host_name_, spool_, log_, metrics_));
    if (is_stopping_) filters_.back()->stop();
  }
  std::erase_if(former_, [](const auto& filter) { return filter.expired(); });
  former_.insert(former_.end(), before.begin(), before.end());
}

void ContentFilters::stop() {
  is_stopping_ = true;
  for (const auto& filter : filters_) filter->stop();
  for (const auto& former : former_)
    if (auto filter = former.lock()) filter->stop();
}

std::vector<Gauges::ContentFilter> ContentFilters::report() const {
  std::vector<Gauges::ContentFilter> all;
  all.reserve(filters_.size());
  for (const auto& filter : filters_)
    all.push_back({filter->config().name, filter->is_down(), filter->last_failure(), filter->failed_at()});
  return all;
}

}  // namespace umbra::hub
