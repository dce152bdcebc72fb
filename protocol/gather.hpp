// The pieces of one write: bytes borrowed from a read buffer where they can be passed on untouched, own bytes where the
// pooler says something itself. It exists so that relaying costs one system call and no copy.
#pragma once

#include "protocol/bytes.hpp"

#include <cstddef>
#include <vector>

namespace pg_edge::protocol {

class gather {
public:
  struct piece {
    const char* borrowed; // null: the piece lies in the own bytes, at `offset`
    std::size_t offset;
    std::size_t size;
  };

  /// Adds bytes without copying them; they must stay where they are until clear() or move_to().
  void borrow(bytes_view view) {
    if (view.empty()) return;
    size_ += view.size();
    if (!pieces_.empty()) {
      piece& last = pieces_.back();
      if (last.borrowed != nullptr && last.borrowed + last.size == view.data()) {
        last.size += view.size();
        return;
      }
    }
    pieces_.push_back({view.data(), 0, view.size()});
  }

  /// Adds a copy of `view`.
  void copy(bytes_view view) {
    write([&](bytes& own) { own.append(view); });
  }

  /// Adds whatever `f` appends to the bytes it is given.
  template <class F>
  void write(F&& f) {
    const std::size_t before = own_.size();
    f(own_);
    const std::size_t added = own_.size() - before;
    if (added == 0) return;
    size_ += added;
    if (!pieces_.empty() && pieces_.back().borrowed == nullptr && pieces_.back().offset + pieces_.back().size == before)
      pieces_.back().size += added;
    else
      pieces_.push_back({nullptr, before, added});
  }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::size_t pieces() const { return pieces_.size(); }

  /// The i-th piece as bytes, valid until the next change.
  bytes_view at(std::size_t i) const {
    const piece& p = pieces_[i];
    return {p.borrowed != nullptr ? p.borrowed : own_.data() + p.offset, p.size};
  }

  /// Appends everything from byte `skip` on to `out`, and forgets it: what a socket did not take.
  void move_to(bytes& out, std::size_t skip) {
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      bytes_view view = at(i);
      if (skip >= view.size()) {
        skip -= view.size();
        continue;
      }
      out.append(view.substr(skip));
      skip = 0;
    }
    clear();
  }

  void clear() {
    pieces_.clear();
    own_.clear();
    size_ = 0;
  }

private:
  std::vector<piece> pieces_;
  bytes own_;
  std::size_t size_ = 0;
};

} // namespace pg_edge::protocol
