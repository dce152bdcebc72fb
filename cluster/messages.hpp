// What nodes say to each other. Each message is a struct with its field list; the list is both how it is written and
// how it is read. The numbers of messages are on the wire and never change; a field is only ever added at the end of
// a message (an older node does not read it, a newer one finds it missing and keeps the default).
//
//   envelope:  u16 version of the sender's release | u16 number of the message | fields
//   fields:    integers big endian, texts and lists with a u32 length in front
//
// tests/cluster/messages_test.cpp keeps the bytes of each message as this release writes them.
#pragma once

#include "cluster/view.hpp"
#include "protocol/bytes.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace pg_edge::cluster {

/// Raised when old nodes could not live beside new ones; see compatible().
inline constexpr std::uint16_t message_version = 1;
inline constexpr std::uint16_t oldest_compatible_version = 1;

// -- finding each other ----------------------------------------------------------------------------------------------

/// The first word on a new connection, and the answer to it.
struct node_hello {
  static constexpr std::uint16_t number = 1;
  std::string cluster, name, address;
  std::string software; // for people
  bool answer = false;
  std::uint32_t alive_every_ms = 0; // how often node_alive follows; 0: a release that does not say it
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.cluster), f(x.name), f(x.address), f(x.software), f(x.answer), f(x.alive_every_ms);
  }
};

/// Instead of the answer: why not.
struct node_refusal {
  static constexpr std::uint16_t number = 2;
  std::string why;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.why);
  }
};

/// Said again and again, so that silence tells that a connection is dead though nobody has closed it.
struct node_alive {
  static constexpr std::uint16_t number = 3;
  template <class F, class T>
  static void fields(F&, T&) {}
};

// -- permits: see cluster/pool_books.hpp and cluster/pool_agent.hpp --------------------------------------------------

/// What one share of a node stands at.
struct share_state {
  share_key key;
  std::uint64_t granted = 0; // by the orders that have reached the node
  std::uint64_t seen = 0;    // of those, as of the share's last report
  std::uint64_t returned = 0, recalled = 0, urgent = 0;
  std::uint32_t wanted = 0;
  bool draining = false;
  bool crashed = false; // it lives no more, and what it held is not known to be free
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.key.share), f(x.key.incarnation), f(x.granted), f(x.seen), f(x.returned), f(x.recalled), f(x.urgent),
        f(x.wanted), f(x.draining), f(x.crashed);
  }
  friend bool operator==(const share_state&, const share_state&) = default;
};

/// Steward to node: what do you hold of this pool? The answer promises to obey no steward of an older view.
struct pool_ask {
  static constexpr std::uint16_t number = 20;
  pool_key pool;
  std::uint64_t epoch = 0;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.pool), f(x.epoch);
  }
};

/// Node to steward: all of it. Sent when asked, when a share begins or ends, and when either side has lost words.
struct pool_state {
  static constexpr std::uint16_t number = 21;
  pool_key pool;
  std::uint64_t epoch = 0;
  node_id node = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t serial = 0; // of the node's words about this pool; comes back in pool_known
  std::vector<share_state> shares;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.pool), f(x.epoch), f(x.node), f(x.incarnation), f(x.serial), f(x.shares);
  }
};

/// Node to steward: a permit_report. Servers do not travel between nodes.
struct pool_report {
  static constexpr std::uint16_t number = 22;
  pool_key pool;
  std::uint64_t epoch = 0;
  node_id node = 0;
  permit_report report;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.pool), f(x.epoch), f(x.node), f(x.report.from.share), f(x.report.from.incarnation), f(x.report.granted),
        f(x.report.returned), f(x.report.wanted), f(x.report.draining);
  }
};

/// Steward to node: a permit_order.
struct pool_order {
  static constexpr std::uint16_t number = 23;
  pool_key pool;
  std::uint64_t epoch = 0;
  permit_order order;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.pool), f(x.epoch), f(x.order.to.share), f(x.order.to.incarnation), f(x.order.granted), f(x.order.recalled),
        f(x.order.urgent), f(x.order.draining);
  }
};

/// Node to steward: clients have waited reserve_pool_timeout in vain, or servers have been spare for so long.
struct pool_reserve {
  static constexpr std::uint16_t number = 24;
  pool_key pool;
  std::uint64_t epoch = 0;
  std::uint32_t lacking = 0, spare = 0;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.pool), f(x.epoch), f(x.lacking), f(x.spare);
  }
};

/// Steward to node: your pool_state has arrived.
struct pool_known {
  static constexpr std::uint16_t number = 25;
  pool_key pool;
  std::uint64_t epoch = 0;
  std::uint64_t serial = 0;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.pool), f(x.epoch), f(x.serial);
  }
};

// -- the roster ------------------------------------------------------------------------------------------------------

struct roster_entry {
  pool_key pool;
  std::int32_t pid = 0;     // of the Postgres backend
  std::uint32_t age_ms = 0; // since its login, when this was sent
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.pool), f(x.pid), f(x.age_ms);
  }
};

/// To everybody: the backends of this life of a node, all of them.
struct roster {
  static constexpr std::uint16_t number = 30;
  node_id node = 0;
  std::uint64_t incarnation = 0;
  std::vector<roster_entry> backends;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.node), f(x.incarnation), f(x.backends);
  }
};

/// A CancelRequest for a client of the node whose number is in the key.
struct cancel_forward {
  static constexpr std::uint16_t number = 31;
  std::int32_t process_id = 0;
  std::string secret;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.process_id), f(x.secret);
  }
};

/// To a node: somebody wants it to drain and stop. It has told so the node that he asked.
struct node_drain {
  static constexpr std::uint16_t number = 32;
  std::string by, from; // who, and at which address
  std::uint32_t notice_s = 0;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.by), f(x.from), f(x.notice_s);
  }
};

// -- kept in the store: see cluster/membership.hpp -------------------------------------------------------------------

/// A life of a node that is registered.
struct node_record {
  static constexpr std::uint16_t number = 40;
  std::string address;
  std::uint32_t version = 0;     // message_version of its release
  std::string link;              // host:port of its links; empty: it has none
  std::uint32_t link_number = 0; // of it on links and in cancel keys; 0: none
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.address), f(x.version), f(x.link), f(x.link_number);
  }
  friend bool operator==(const node_record&, const node_record&) = default;
};

struct view_record {
  static constexpr std::uint16_t number = 41;
  view now;
  template <class F, class T>
  static void fields(F& f, T& x) {
    f(x.now);
  }
};

// -- all of them -----------------------------------------------------------------------------------------------------

/// The table: every message there is. To add one, write its struct with a new number and name it here.
using node_message =
    std::variant<node_hello, node_refusal, node_alive, pool_ask, pool_state, pool_report, pool_order, pool_reserve,
                 pool_known, roster, cancel_forward, node_drain, node_record, view_record>;

[[nodiscard]] protocol::bytes encode(const node_message& what);

struct decoded_message {
  std::uint16_t version = 0;
  std::optional<node_message> what; // nothing: a message of a later release, or no message at all
  bool malformed = false;           // the latter
};
[[nodiscard]] decoded_message decode(protocol::bytes_view raw);
/// A message of this one kind; nothing: it is another, or none.
template <class Record>
[[nodiscard]] std::optional<Record> decode_record(protocol::bytes_view raw) {
  const decoded_message read = decode(raw);
  const auto* record = read.what ? std::get_if<Record>(&*read.what) : nullptr;
  return record != nullptr ? std::optional<Record>(*record) : std::nullopt;
}

/// Why two nodes cannot be in one cluster, said from the side that has `ours`; empty: they can.
[[nodiscard]] std::string mismatch(const node_hello& ours, const node_hello& theirs, std::uint16_t their_version);

} // namespace pg_edge::cluster
