#include "cluster/messages.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace pg_edge::cluster {

namespace {

/// Lists of anything; nobody's list is longer than its bytes.
template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;

// Structs that other headers own and that have no field list of their own.
template <class F, class T>
void fields_of(F& f, T& x) {
  using plain = std::remove_const_t<T>;
  if constexpr (std::is_same_v<plain, pool_key>)
    f(x.tenant), f(x.database), f(x.user);
  else if constexpr (std::is_same_v<plain, member>)
    f(x.id), f(x.name), f(x.address), f(x.incarnation);
  else if constexpr (std::is_same_v<plain, departed_member>)
    f(x.id), f(x.name), f(x.incarnation);
  else if constexpr (std::is_same_v<plain, view>)
    f(x.epoch), f(x.members), f(x.departed);
  else
    plain::fields(f, x);
}

class writer {
public:
  template <class T>
  void operator()(const T& value) {
    if constexpr (std::is_same_v<T, bool>)
      protocol::put_u8(out, value ? 1 : 0);
    else if constexpr (std::is_same_v<T, std::int32_t>)
      protocol::put_i32(out, value);
    else if constexpr (std::is_same_v<T, std::uint32_t>)
      protocol::put_u32(out, value);
    else if constexpr (std::is_same_v<T, std::uint64_t>)
      protocol::put_u32(out, static_cast<std::uint32_t>(value >> 32)),
          protocol::put_u32(out, static_cast<std::uint32_t>(value));
    else if constexpr (std::is_same_v<T, std::string>)
      protocol::put_u32(out, static_cast<std::uint32_t>(value.size())), protocol::put_bytes(out, value);
    else if constexpr (is_list<T>) {
      protocol::put_u32(out, static_cast<std::uint32_t>(value.size()));
      for (const auto& one : value)
        (*this)(one);
    } else
      fields_of(*this, value);
  }
  protocol::bytes out;
};

/// A message that ends before a field was written by a node that does not know the field: the default stays. One that
/// ends within a field is malformed.
class field_reader {
public:
  explicit field_reader(protocol::bytes_view in) : in_(in) {}

  template <class T>
  void operator()(T& value) {
    if (in_.at_end() && depth_ == 0) return;
    if constexpr (std::is_same_v<T, bool>)
      value = in_.u8() != 0;
    else if constexpr (std::is_same_v<T, std::int32_t>)
      value = in_.i32();
    else if constexpr (std::is_same_v<T, std::uint32_t>)
      value = in_.u32();
    else if constexpr (std::is_same_v<T, std::uint64_t>)
      value = u64();
    else if constexpr (std::is_same_v<T, std::string>)
      value = std::string(in_.take(in_.u32()));
    else if constexpr (is_list<T>)
      list(value);
    else {
      ++depth_;
      fields_of(*this, value);
      --depth_;
    }
  }
  bool ok() const { return in_.ok(); }

private:
  std::uint64_t u64() {
    const std::uint64_t high = in_.u32();
    return high << 32 | in_.u32();
  }
  template <class T>
  void list(std::vector<T>& value) {
    std::uint32_t count = in_.u32();
    value.clear();
    ++depth_;
    for (; count > 0 && in_.ok() && !in_.at_end(); --count)
      (*this)(value.emplace_back());
    --depth_;
    if (count > 0) in_.fail();
  }

  protocol::reader in_;
  int depth_ = 0; // within structs of structs nothing may be missing
};

template <std::size_t I = 0>
bool read_as(std::uint16_t number, field_reader& in, std::optional<node_message>& out) {
  if constexpr (I == std::variant_size_v<node_message>) {
    return false;
  } else {
    using kind = std::variant_alternative_t<I, node_message>;
    if (kind::number != number) return read_as<I + 1>(number, in, out);
    kind value;
    kind::fields(in, value);
    out = std::move(value);
    return true;
  }
}

} // namespace

protocol::bytes encode(const node_message& what) {
  writer out;
  protocol::put_u16(out.out, message_version);
  std::visit(
      [&out](const auto& value) {
        protocol::put_u16(out.out, value.number);
        std::decay_t<decltype(value)>::fields(out, value);
      },
      what);
  return std::move(out.out);
}

decoded_message decode(protocol::bytes_view raw) {
  decoded_message result;
  protocol::reader head(raw);
  result.version = head.u16();
  const std::uint16_t number = head.u16();
  if (!head.ok()) return {0, std::nullopt, true};
  field_reader body(head.rest());
  read_as(number, body, result.what);
  if (!body.ok()) {
    result.what.reset();
    result.malformed = true;
  }
  return result;
}

std::string mismatch(const node_hello& ours, const node_hello& theirs, std::uint16_t their_version) {
  if (their_version < oldest_compatible_version)
    return "node " + theirs.name + " speaks version " + std::to_string(their_version) + " of the nodes' protocol (" +
           theirs.software + "); the oldest that " + ours.name + " understands is " +
           std::to_string(oldest_compatible_version) + ": upgrade it first";
  if (ours.cluster != theirs.cluster)
    return "node " + theirs.name + " belongs to cluster \"" + theirs.cluster + "\", node " + ours.name +
           " to cluster \"" + ours.cluster + "\": set the same [cluster] name";
  if (ours.name == theirs.name) return "both nodes are called \"" + ours.name + "\": give each its own [cluster] node";
  return {};
}

} // namespace pg_edge::cluster
