#include "cluster/handover.hpp"

#include <charconv>
#include <type_traits>

namespace pg_edge::cluster {

namespace {

// One list of fields a frame, run with `writer` or `reader`.

class writer {
public:
  explicit writer(bytes& out) : out_(out) {}
  void operator()(const std::string& text) {
    protocol::put_u32(out_, static_cast<std::uint32_t>(text.size()));
    out_.append(text);
  }
  void operator()(bool yes) { protocol::put_u8(out_, yes ? 1 : 0); }
  void operator()(std::uint8_t number) { protocol::put_u8(out_, number); }
  void operator()(std::uint16_t number) { protocol::put_u16(out_, number); }
  void operator()(std::uint32_t number) { protocol::put_u32(out_, number); }
  void operator()(std::int32_t number) { protocol::put_i32(out_, number); }
  void operator()(std::uint64_t number) {
    protocol::put_u32(out_, static_cast<std::uint32_t>(number >> 32));
    protocol::put_u32(out_, static_cast<std::uint32_t>(number));
  }
  void operator()(std::int64_t number) { (*this)(static_cast<std::uint64_t>(number)); }
  template <class T>
  void operator()(const std::optional<T>& maybe) {
    (*this)(maybe.has_value());
    if (maybe) (*this)(*maybe);
  }
  template <class T>
  void operator()(const std::vector<T>& items) {
    (*this)(static_cast<std::uint32_t>(items.size()));
    for (const T& item : items)
      (*this)(item);
  }
  void operator()(const std::pair<std::string, std::string>& two) {
    (*this)(two.first);
    (*this)(two.second);
  }
  template <class T>
  void operator()(const T& record) {
    fields(*this, record);
  }

private:
  bytes& out_;
};

/// Lists grow item by item and end at the first field that is missing, so a count that lies costs no memory.
class reader {
public:
  explicit reader(bytes_view in) : in_(in) {}
  bool complete() const { return in_.ok() && in_.at_end(); }

  void operator()(std::string& text) { text = in_.take(in_.u32()); }
  void operator()(bool& yes) {
    const std::uint8_t raw = in_.u8();
    if (raw > 1) in_.fail();
    yes = raw == 1;
  }
  void operator()(std::uint8_t& number) { number = in_.u8(); }
  void operator()(std::uint16_t& number) { number = in_.u16(); }
  void operator()(std::uint32_t& number) { number = in_.u32(); }
  void operator()(std::int32_t& number) { number = in_.i32(); }
  void operator()(std::uint64_t& number) {
    number = std::uint64_t{in_.u32()} << 32;
    number |= in_.u32();
  }
  void operator()(std::int64_t& number) {
    std::uint64_t raw = 0;
    (*this)(raw);
    number = static_cast<std::int64_t>(raw);
  }
  template <class T>
  void operator()(std::optional<T>& maybe) {
    bool there = false;
    (*this)(there);
    if (there) (*this)(maybe.emplace());
  }
  template <class T>
  void operator()(std::vector<T>& items) {
    std::uint32_t left = 0;
    (*this)(left);
    for (; left > 0 && in_.ok(); --left)
      (*this)(items.emplace_back());
  }
  void operator()(std::pair<std::string, std::string>& two) {
    (*this)(two.first);
    (*this)(two.second);
  }
  void operator()(listening_kind& kind) {
    const std::uint8_t raw = in_.u8();
    if (raw > static_cast<std::uint8_t>(listening_kind::admin)) in_.fail();
    kind = static_cast<listening_kind>(raw);
  }
  template <class T>
  void operator()(T& record) {
    fields(*this, record);
  }

private:
  protocol::reader in_;
};

template <class F, class... Fields>
void each(F& f, Fields&... all) {
  (f(all), ...);
}

} // namespace

// -- the fields
// ------------------------------------------------------------------------------------------------------------

// Found by argument-dependent look-up, for const records as for others.
#define PG_EDGE_FIELDS(type, ...)                                                                                      \
  template <class F, class R>                                                                                          \
  requires std::is_same_v<std::remove_const_t<R>, type>                                                                \
  void fields(F& f, R& r) {                                                                                            \
    each(f __VA_OPT__(, ) __VA_ARGS__);                                                                                \
    static_cast<void>(r);                                                                                              \
  }

PG_EDGE_FIELDS(handover_pool, r.tenant, r.database, r.user)
PG_EDGE_FIELDS(hello, r.magic, r.version, r.program, r.pid)
PG_EDGE_FIELDS(welcome_to_take, r.version, r.program, r.pid, r.process, r.next_id, r.watchdog)
PG_EDGE_FIELDS(refused_to_give, r.why)
template <class R>
requires std::is_same_v<std::remove_const_t<R>, listening>
void fields(writer& f, R& r) {
  f(static_cast<std::uint8_t>(r.kind));
  each(f, r.door, r.name, r.file);
}
inline void fields(reader& f, listening& r) {
  each(f, r.kind, r.door, r.name, r.file);
}
PG_EDGE_FIELDS(known_user, r.tenant, r.user, r.secret, r.client_key, r.server_key)
PG_EDGE_FIELDS(paused_scope, r.tenant, r.database, r.paused, r.disabled)
PG_EDGE_FIELDS(opening_done)
PG_EDGE_FIELDS(serving)
PG_EDGE_FIELDS(doors_closed)
PG_EDGE_FIELDS(moved_statement, r.name, r.text, r.sql_types, r.has_sql_types, r.verified, r.written)
PG_EDGE_FIELDS(moved_session, r.id, r.values, r.startup_values, r.profile, r.custom_startup, r.statements, r.unnamed,
               r.unnamed_names)
PG_EDGE_FIELDS(moved_client, r.number, r.pool, r.user, r.peer_host, r.peer_port, r.connected_at, r.idle_for,
               r.key_process_id, r.key_secret, r.unconfirmed, r.session)
PG_EDGE_FIELDS(client_taken, r.number)
PG_EDGE_FIELDS(client_refused, r.number, r.why)
PG_EDGE_FIELDS(client_yours, r.number)
PG_EDGE_FIELDS(pool_claim, r.pool)
PG_EDGE_FIELDS(pool_claimed, r.pool, r.total)
PG_EDGE_FIELDS(permits_given, r.pool, r.count)
PG_EDGE_FIELDS(permits_wanted, r.pool, r.count)
PG_EDGE_FIELDS(cancel_asked, r.number, r.process_id, r.secret)
PG_EDGE_FIELDS(cancel_answered, r.number, r.found)
PG_EDGE_FIELDS(server_here, r.id)
PG_EDGE_FIELDS(server_away, r.id)
PG_EDGE_FIELDS(servers_told)
PG_EDGE_FIELDS(goodbye)
#undef PG_EDGE_FIELDS

// -- bytes
// -----------------------------------------------------------------------------------------------------------------

namespace {

template <class T>
constexpr std::uint8_t descriptors_with =
    std::is_same_v<T, listening> || std::is_same_v<T, moved_client> || std::is_same_v<T, server_here> ? 1 : 0;

template <class T>
bool read_as(const handover_header& header, bytes_view body, std::optional<handover_frame>& result) {
  if (header.type != T::type) return false;
  T frame{};
  reader in(body);
  in(frame);
  if (in.complete() && header.descriptors == descriptors_with<T>) result = std::move(frame);
  return true;
}

template <class... T>
std::optional<handover_frame> read_one_of(const handover_header& header, bytes_view body, std::variant<T...>*) {
  std::optional<handover_frame> result;
  static_cast<void>((read_as<T>(header, body, result) || ...));
  return result;
}

} // namespace

bytes encode(const handover_frame& frame) {
  bytes out(4, '\0');
  std::visit(
      [&out](const auto& one) {
        using frame_type = std::decay_t<decltype(one)>;
        out.push_back(frame_type::type);
        protocol::put_u8(out, descriptors_with<frame_type>);
        writer{out}(one);
      },
      frame);
  protocol::store_u32(out.data(), static_cast<std::uint32_t>(out.size() - 4));
  return out;
}

handover_status read_handover_header(bytes_view in, handover_header& header) {
  if (in.size() < handover_header_size) return handover_status::need_more;
  protocol::reader fields(in);
  const std::uint32_t length = fields.u32();
  header.type = static_cast<char>(fields.u8());
  header.descriptors = fields.u8();
  const std::size_t rest = handover_header_size - 4;
  if (length < rest || length > max_handover_frame || header.descriptors > max_handover_descriptors)
    return handover_status::invalid;
  header.body = length - rest;
  return handover_status::complete;
}

std::optional<handover_frame> decode(const handover_header& header, bytes_view body) {
  return read_one_of(header, body, static_cast<handover_frame*>(nullptr));
}

// -- versions
// --------------------------------------------------------------------------------------------------------------

namespace {

// Written by every release, and read by those of a newer version: these words stay.
constexpr bytes_view refusal_begins = "the running process (version ";
constexpr bytes_view refusal_names = ") hands over by version ";

} // namespace

std::optional<std::string> objection_to(const hello& words, bytes_view own_program) {
  if (words.magic != handover_magic) return "who connected does not speak the language of a hand-over";
  if (words.version >= oldest_handover_version && words.version <= handover_version) return std::nullopt;
  return std::string(refusal_begins) + std::string(own_program) + std::string(refusal_names) +
         std::to_string(handover_version) + " of the language, and the new one (version " + words.program +
         ") takes over by version " + std::to_string(words.version) +
         ": stop the running one and start the new one instead";
}

std::optional<std::uint32_t> version_instead(bytes_view refusal, std::uint32_t proposed) {
  const std::size_t names = refusal.find(refusal_names);
  if (!refusal.starts_with(refusal_begins) || names == bytes_view::npos) return std::nullopt;
  const bytes_view digits = refusal.substr(names + refusal_names.size());
  std::uint32_t version = 0;
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
  if (status != std::errc() || version < oldest_handover_version || version >= proposed) return std::nullopt;
  return version;
}

} // namespace pg_edge::cluster
