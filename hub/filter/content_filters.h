// The content filters of a hub: which of them a message is put before, in the order of the configuration, and
// what they look like to an operator. A filter that a reload does not change keeps its connections and what
// is known of it. Owned by the hub; home thread.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "hub/filter/content_filter.h"

namespace umbra::hub {

class ContentFilters {
 public:
  /// The references must outlive it; `config` is read when it has changed.
  ContentFilters(Runtime runtime, const Config& config, storage::Spool& spool, EventLog& log,
                 Metrics& metrics);
  ~ContentFilters();

  [[nodiscard]] std::vector<std::shared_ptr<ContentFilter>> for_client(std::string_view listener,
                                                                       std::string_view address) const;
  /// Null: there is none of that name.
  [[nodiscard]] std::shared_ptr<ContentFilter> find(std::string_view name) const;
  void configuration_changed();
  /// Messages that are before a filter get `stopping`, those that come later too.
  void stop();
  [[nodiscard]] std::vector<Gauges::ContentFilter> report() const;

 private:
  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  EventLog& log_;
  Metrics& metrics_;
  std::string host_name_;
  std::vector<std::shared_ptr<ContentFilter>> filters_;
  std::vector<std::weak_ptr<ContentFilter>>
      former_;  ///< not configured any more, with messages before them perhaps
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
