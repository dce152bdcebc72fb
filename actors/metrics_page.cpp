// From the table of metrics to Prometheus's text, and to docs/metrics.md.
#include "actors/metric_table.hpp"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <sstream>

namespace pg_edge::actors {

namespace {

constexpr double us = 1e-6;                            // seconds
constexpr unsigned first_border = 7, last_border = 26; // 2^7 us = 128 us to 2^26 us = 67 s

/// The length of the character that begins here, 0 if it is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xED && byte(1) > 0x9F;
  const bool beyond = lead == 0xF4 && byte(1) > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

prometheus::MetricType type_of(metric_type type) {
  switch (type) {
  case metric_type::counter:
    return prometheus::MetricType::Counter;
  case metric_type::gauge:
    return prometheus::MetricType::Gauge;
  default:
    return prometheus::MetricType::Histogram;
  }
}

} // namespace

std::string_view to_string(metric_type type) {
  return type == metric_type::counter ? "counter" : type == metric_type::gauge ? "gauge" : "histogram";
}

std::vector<double> bucket_borders() {
  std::vector<double> result;
  for (unsigned i = first_border; i <= last_border; ++i)
    result.push_back(static_cast<double>(std::uint64_t{1} << i) * us);
  return result;
}

std::string label_text(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length > 0) {
      result.append(text.substr(0, length));
    } else {
      const auto byte = static_cast<unsigned char>(text[0]);
      result.append("\\x").append({digits[byte >> 4], digits[byte & 15]});
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

// -- values
// --------------------------------------------------------------------------------------------------------------

prometheus::ClientMetric& metric_out::at(metric_labels labels) {
  std::vector<prometheus::ClientMetric::Label> key;
  key.reserve(labels.size());
  for (const auto& [name, value] : labels)
    key.push_back({std::string(name), label_text(value)});
  const auto [place, fresh] = known_.emplace(key, family_.metric.size());
  if (fresh) family_.metric.emplace_back().label = std::move(key);
  return family_.metric[place->second];
}

void metric_out::add(metric_labels labels, double value) {
  prometheus::ClientMetric& to = at(labels);
  (family_.type == prometheus::MetricType::Counter ? to.counter.value : to.gauge.value) += value;
}

void metric_out::add(metric_labels labels, const sparse_histogram& durations) {
  prometheus::ClientMetric::Histogram& to = at(labels).histogram;
  if (to.bucket.empty())
    for (const double border : bucket_borders())
      to.bucket.push_back({0, border});
  for (std::size_t i = 0; i < to.bucket.size(); ++i)
    to.bucket[i].cumulative_count += durations.below(std::uint64_t{1} << (first_border + i));
  to.sample_count += durations.total();
  to.sample_sum += static_cast<double>(durations.sum()) * us;
}

std::string write_metrics(const metrics_view& view) {
  std::vector<prometheus::MetricFamily> families;
  for (const metric_row& row : metric_rows()) {
    prometheus::MetricFamily& family = families.emplace_back();
    family.name = row.name;
    family.help = row.help;
    family.type = type_of(row.type);
    metric_out to(family);
    row.collect(view, to);
    if (family.metric.empty()) families.pop_back();
  }
  return prometheus::TextSerializer().Serialize(families);
}

// -- the document
// --------------------------------------------------------------------------------------------------------

std::string metrics_document() {
  std::string text = R"(# Metrics

What `GET /metrics` on the admin listener (`[admin] listen`) says, in Prometheus's text format. This page is generated
from `actors/metric_table.cpp`; do not edit it. [throughput.md](throughput.md) tells how the figures are made, what
counting costs, and how to see them without Prometheus.

| Metric | Type | Labels | What it says |
|---|---|---|---|
)";
  for (const metric_row& row : metric_rows())
    text.append("| `")
        .append(row.name)
        .append("` | ")
        .append(to_string(row.type))
        .append(" | ")
        .append(row.labels)
        .append(" | ")
        .append(row.help)
        .append(" |\n");
  return text;
}

} // namespace pg_edge::actors
