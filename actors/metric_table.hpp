// Every metric, a row each: name, type, labels, what it says, where its values come from. /metrics, docs/metrics.md and
// the checks of dashboards and alert rules follow from the rows. To add a metric: a row.
#pragma once

#include "actors/node_figures.hpp"
#include "actors/process_figures.hpp"
#include "actors/series_ledger.hpp"

#include <prometheus/metric_family.h>

#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pg_edge::actors {

struct node_list; // cluster_words.hpp

/// What the values come from.
struct metrics_view {
  const series_ledger* series = nullptr;
  std::vector<pool_state> pools; // of every share, at this moment
  std::vector<error_figures> errors;
  std::vector<reactor_figures> reactors;
  process_figures process;
  // of the node
  std::int64_t clients = 0, sessions = 0;
  std::uint64_t memory_limit = 0, memory_used = 0;
  std::uint64_t log_lines_dropped = 0;
  bool draining = false;
  bool paused = false;
  std::shared_ptr<const node_list> nodes; // of the cluster; null: the node is alone
};

enum class metric_type : std::uint8_t { counter, gauge, histogram };
std::string_view to_string(metric_type type);

using metric_labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// One metric on its way to Prometheus. Values with the same labels are added up: where tenants share the name "other",
/// or where names only differ in bytes that are no text.
class metric_out {
public:
  explicit metric_out(prometheus::MetricFamily& family) : family_(family) {}
  void add(metric_labels labels, double value);
  void add(metric_labels labels, const sparse_histogram& durations);

private:
  prometheus::ClientMetric& at(metric_labels labels);

  prometheus::MetricFamily& family_;
  std::map<std::vector<prometheus::ClientMetric::Label>, std::size_t> known_;
};

struct metric_row {
  std::string_view name;
  metric_type type;
  std::string_view labels; // "tenant, database"; empty: none
  std::string_view help;
  void (*collect)(const metrics_view&, metric_out&);
};

std::span<const metric_row> metric_rows();

/// The labels of a pool's series, for the rows.
inline constexpr std::string_view pool_labels = "tenant, database, user, pool_mode";

/// The upper borders of the buckets of a histogram, in seconds: powers of two of a microsecond, which are borders of
/// our own buckets, so that every count is exact.
std::vector<double> bucket_borders();

/// All of it as Prometheus reads it.
std::string write_metrics(const metrics_view& view);
inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

/// docs/metrics.md
std::string metrics_document();

/// `text` in UTF-8 as it is, else with each byte that is none as \xNN: Prometheus refuses the whole page for one.
std::string label_text(std::string_view text);

} // namespace pg_edge::actors
