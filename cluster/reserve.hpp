// reserve_pool_size: how far a pool may at present go beyond its size. Its steward tells this to the permits by
// resize(), so that all promises about a pool's size hold for size + reserve too.
#pragma once

#include <algorithm>
#include <cstdint>

namespace pg_edge::cluster {

class reserve_pool {
public:
  reserve_pool(std::uint32_t size, std::uint32_t reserve) : size_(size), reserve_(reserve) {}

  /// A reload.
  void configure(std::uint32_t size, std::uint32_t reserve) {
    size_ = size;
    reserve_ = reserve;
    used_ = std::min(used_, reserve_);
  }
  /// So many clients have waited too long. `free`: permits nobody holds, which come before the reserve.
  void lacking(std::uint32_t clients, std::uint32_t free) {
    const auto more = clients > free ? clients - free : 0;
    used_ += std::min(more, reserve_ - used_);
  }
  /// So many servers are idle, and nobody has waited for long.
  void spare(std::uint32_t servers) { used_ -= std::min(servers, used_); }

  [[nodiscard]] std::uint32_t used() const { return used_; }
  /// The size for the permits.
  [[nodiscard]] std::uint32_t total() const { return size_ + used_; }

private:
  std::uint32_t size_;
  std::uint32_t reserve_;
  std::uint32_t used_ = 0;
};

} // namespace pg_edge::cluster
