// A value that is replaced as a whole while others read it: settings, a list. Who reads gets the one of the moment and
// keeps it as long as it likes.
//
// Not std::atomic<std::shared_ptr>: that of g++ 12 reads the pointer in no order with whoever replaces it next (its
// load() ends in a relaxed unlock), and ThreadSanitizer does not see its lock. Reading takes a lock for the copy of a
// pointer, so what is asked at every transaction keeps its copy (present_settings in messages.hpp).
#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace pg_edge::actors {

template <class T>
class published {
public:
  std::shared_ptr<const T> get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  /// The value before goes behind the lock: its end may take a while.
  void set(std::shared_ptr<const T> now) {
    const std::lock_guard lock(mutex_); // ends before `now` does
    value_.swap(now);
  }

private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
};

} // namespace pg_edge::actors
