// The metric families of one scrape, as they are named, explained and labelled: made once (hub/metrics.cpp),
// told twice, as Prometheus text and as a table of docs/metrics.md. A family without a value is in the table
// only.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/histogram.h"

namespace umbra::hub {

class MetricFamilies {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  /// Begins a family; `name` without its prefix. A counter when it ends with _total, else a gauge. `labels`:
  /// their names and values in words, for the table.
  MetricFamilies& family(std::string_view name, std::string_view help, std::string_view labels = {});
  /// The same of histograms.
  MetricFamilies& histograms(std::string_view name, std::string_view help, std::string_view labels = {});
  /// One series of the family that was begun last.
  MetricFamilies& value(double value, const Labels& labels = {});
  template <const auto& Bounds>
  MetricFamilies& value(const HistogramOf<Bounds>& histogram, const Labels& labels = {}) {
    return observed(histogram.counts, Bounds, histogram.sum, labels);
  }

  [[nodiscard]] std::string text() const;
  /// The rows of the table: name, type, labels, help.
  [[nodiscard]] std::string table() const;
  /// How many series a scrape gets, buckets included.
  [[nodiscard]] std::size_t series() const;

 private:
  MetricFamilies& begin(std::string_view name, std::string_view help, std::string_view labels,
                        prometheus::MetricType type);
  MetricFamilies& observed(std::span<const std::uint64_t> counts, std::span<const double> bounds, double sum,
                           const Labels& labels);

  std::vector<prometheus::MetricFamily> families_;
  std::vector<std::string> labels_;  ///< in words, one per family
};

}  // namespace umbra::hub
