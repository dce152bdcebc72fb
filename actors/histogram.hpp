// Durations counted in buckets: four for each power of two of microseconds, so that a bucket's borders are at most a
// quarter apart and finding it takes two instructions. Pure. Two forms:
//   duration_histogram  all buckets in one array: what the data path counts into
//   sparse_histogram    only the buckets in use: what is kept over time, for thousands of pools
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pg_edge::actors {

namespace duration_bucket {

inline constexpr unsigned sub_bits = 2; // 2^2 buckets an octave
inline constexpr unsigned last_octave = 31;
/// Up to 2^32 us, which is more than an hour; what lasted longer counts in the last bucket.
inline constexpr std::size_t count = (std::size_t{1} << sub_bits) * last_octave;

/// Microseconds below 4 have a bucket each.
constexpr std::size_t of(std::uint64_t us) {
  constexpr std::uint64_t exact = 1U << sub_bits;
  if (us < exact) return static_cast<std::size_t>(us);
  const auto octave = static_cast<unsigned>(std::bit_width(us)) - 1;
  if (octave > last_octave) return count - 1;
  return ((octave - 1) << sub_bits) + ((us >> (octave - sub_bits)) & (exact - 1));
}

/// The smallest value in it.
constexpr std::uint64_t lower(std::size_t bucket) {
  constexpr std::uint64_t exact = 1U << sub_bits;
  if (bucket < exact) return bucket;
  const auto octave = static_cast<unsigned>(bucket >> sub_bits) + 1;
  return (exact + (bucket & (exact - 1))) << (octave - sub_bits);
}
/// The smallest value beyond it.
constexpr std::uint64_t upper(std::size_t bucket) {
  return lower(bucket + 1);
}

static_assert(of(3) == 3 && of(4) == 4 && of(7) == 7 && of(8) == 8 && of(9) == 8 && of(10) == 9);
static_assert(lower(8) == 8 && upper(8) == 10 && of((std::uint64_t{1} << 32) - 1) == count - 1);

} // namespace duration_bucket

struct bucket_count {
  std::uint8_t bucket = 0;
  std::uint64_t count = 0;
  friend bool operator==(const bucket_count&, const bucket_count&) = default;
};
static_assert(duration_bucket::count <= 256);

class duration_histogram;

class sparse_histogram {
public:
  void add(std::uint8_t bucket, std::uint64_t count);
  void merge(const sparse_histogram& other);
  void add_sum(std::uint64_t us) { sum_ += us; }
  void clear() {
    counts_.clear();
    sum_ = 0;
  }

  bool empty() const { return counts_.empty(); }
  std::uint64_t total() const;
  /// Of all durations, in microseconds.
  std::uint64_t sum() const { return sum_; }
  /// How many lasted less than `us`, which is a border of buckets.
  std::uint64_t below(std::uint64_t us) const;
  /// In microseconds: the duration that the given part of all do not exceed, as if a bucket's were spread evenly over
  /// it; 0 if there are none. Wrong by a quarter at most.
  std::uint64_t quantile(double part) const;
  const std::vector<bucket_count>& counts() const { return counts_; }

private:
  std::vector<bucket_count> counts_; // by bucket, none is 0
  std::uint64_t sum_ = 0;
};

class duration_histogram {
public:
  /// Whoever notes adds up the durations: their sum is wanted without buckets, too.
  void note(std::size_t bucket) noexcept { ++counts_[bucket]; }
  /// Adds the counts to `into` and begins anew; false: there were none.
  bool drain(sparse_histogram& into);

private:
  std::array<std::uint32_t, duration_bucket::count> counts_{};
};

} // namespace pg_edge::actors
