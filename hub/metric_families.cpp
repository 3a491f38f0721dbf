#include "hub/metric_families.h"

#include <prometheus/text_serializer.h>

#include <limits>

namespace umbra::hub {

using prometheus::MetricType;

MetricFamilies& MetricFamilies::begin(std::string_view name, std::string_view help, std::string_view labels,
                                      MetricType type) {
  // process_: the names that every exporter has for a process.
  std::string full = name.starts_with("process_") ? std::string(name) : "umbra_" + std::string(name);
  families_.push_back({.name = std::move(full), .help = std::string(help), .type = type, .metric = {}});
  labels_.emplace_back(labels);
  return *this;
}

MetricFamilies& MetricFamilies::family(std::string_view name, std::string_view help,
                                       std::string_view labels) {
  return begin(name, help, labels, name.ends_with("_total") ? MetricType::Counter : MetricType::Gauge);
}

MetricFamilies& MetricFamilies::histograms(std::string_view name, std::string_view help,
                                           std::string_view labels) {
  return begin(name, help, labels, MetricType::Histogram);
}

MetricFamilies& MetricFamilies::value(double value, const Labels& labels) {
  auto& family = families_.back();
  auto& metric = family.metric.emplace_back();
  for (const auto& [label, word] : labels) metric.label.push_back({std::string(label), std::string(word)});
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return *this;
}

MetricFamilies& MetricFamilies::observed(std::span<const std::uint64_t> counts,
                                         std::span<const double> bounds, double sum, const Labels& labels) {
  auto& metric = families_.back().metric.emplace_back();
  for (const auto& [label, word] : labels) metric.label.push_back({std::string(label), std::string(word)});
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    count += counts[i];
    metric.histogram.bucket.push_back(
        {count, i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity()});
  }
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = sum;
  return *this;
}

std::string MetricFamilies::text() const {
  std::vector<prometheus::MetricFamily> with_values;
  for (const auto& family : families_)
    if (!family.metric.empty()) with_values.push_back(family);
  return prometheus::TextSerializer().Serialize(with_values);
}

std::string MetricFamilies::table() const {
  std::string rows;
  for (std::size_t i = 0; i < families_.size(); ++i) {
    const auto& family = families_[i];
    const char* type = family.type == MetricType::Counter     ? "counter"
                       : family.type == MetricType::Histogram ? "histogram"
                                                              : "gauge";
    rows += "| `" + family.name + "` | " + type + " | " + labels_[i] + " | " + family.help + " |\n";
  }
  return rows;
}

std::size_t MetricFamilies::series() const {
  std::size_t count = 0;
  for (const auto& family : families_)
    for (const auto& metric : family.metric)
      count += family.type == MetricType::Histogram ? metric.histogram.bucket.size() + 2 : 1;
  return count;
}

}  // namespace umbra::hub
