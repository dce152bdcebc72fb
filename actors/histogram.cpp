#include "actors/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pg_edge::actors {

void sparse_histogram::add(std::uint8_t bucket, std::uint64_t count) {
  if (count == 0) return;
  const auto place = std::lower_bound(counts_.begin(), counts_.end(), bucket,
                                      [](const bucket_count& one, std::uint8_t than) { return one.bucket < than; });
  if (place != counts_.end() && place->bucket == bucket)
    place->count += count;
  else
    counts_.insert(place, {bucket, count});
}

void sparse_histogram::merge(const sparse_histogram& other) {
  for (const bucket_count& one : other.counts_)
    add(one.bucket, one.count);
  sum_ += other.sum_;
}

std::uint64_t sparse_histogram::total() const {
  std::uint64_t all = 0;
  for (const bucket_count& one : counts_)
    all += one.count;
  return all;
}

std::uint64_t sparse_histogram::below(std::uint64_t us) const {
  std::uint64_t found = 0;
  for (const bucket_count& one : counts_)
    if (duration_bucket::upper(one.bucket) <= us) found += one.count;
  return found;
}

std::uint64_t sparse_histogram::quantile(double part) const {
  const std::uint64_t all = total();
  if (all == 0) return 0;
  const double wanted = std::max(1.0, std::ceil(std::clamp(part, 0.0, 1.0) * static_cast<double>(all)));
  double before = 0;
  for (const bucket_count& one : counts_) {
    const auto here = static_cast<double>(one.count);
    if (before + here >= wanted) {
      const auto low = static_cast<double>(duration_bucket::lower(one.bucket));
      const auto high = static_cast<double>(duration_bucket::upper(one.bucket));
      // The middle of the k-th of n equal parts, so that a single duration is not said to be at a border.
      return static_cast<std::uint64_t>(low + (high - low) * (wanted - before - 0.5) / here);
    }
    before += here;
  }
  return duration_bucket::lower(counts_.back().bucket);
}

bool duration_histogram::drain(sparse_histogram& into) {
  bool any = false;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    any = true;
    into.add(static_cast<std::uint8_t>(i), std::exchange(counts_[i], 0));
  }
  return any;
}

} // namespace pg_edge::actors
