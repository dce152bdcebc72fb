// How many clients a tenant, a database and a user have on this node, and whether one more may come. A client holds a
// seat from its login to its end. The counters are shared by the reactors; they are touched at logins and ends only.
#pragma once

#include "config/resolve.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pg_edge::actors {

class client_seats;

/// Whom a client counts for.
struct client_place {
  std::string_view tenant, database, user; // as the client named them
};

/// One client's place in the counters; one pointer, since idle clients have it too. Empty, it counts nowhere.
class client_seat {
public:
  client_seat() = default;
  client_seat(client_seat&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
  client_seat& operator=(client_seat&& other) noexcept {
    if (this != &other) {
      release();
      at_ = std::exchange(other.at_, nullptr);
    }
    return *this;
  }
  ~client_seat() { release(); }

  explicit operator bool() const { return at_ != nullptr; }
  void release();

private:
  friend class client_seats;
  struct row;
  explicit client_seat(row* at) : at_(at) {}
  row* at_ = nullptr;
};

/// Why there is no seat.
struct client_limit_reached {
  std::string_view setting;
  int value = 0;
};

/// All counters of a node; outlives every seat. Its functions may be called on any thread.
class client_seats {
public:
  client_seats();
  ~client_seats();
  client_seats(const client_seats&) = delete;
  client_seats& operator=(const client_seats&) = delete;

  /// A seat, if no limit is reached; else `reached` says which one, the widest first. A limit lowered by a reload
  /// keeps further clients out and ends nobody.
  client_seat take(const client_place& place, const config::client_limits& limits, client_limit_reached& reached);

  /// How many clients there are: of the tenant; of its database; of its user.
  struct counts {
    int tenant = 0, database = 0, user = 0;
  };
  counts count(const client_place& place) const;
  /// Counters that exist: none when there are no clients.
  std::size_t size() const;

private:
  friend class client_seat;
  struct tables;
  std::unique_ptr<tables> tables_;
};

/// Where the limit that holds was set: "[users.app]", "[tenants.acme.databases.shop]", "[tenants.acme]" or "[pg_edge]".
std::string where_set(const config::route& way, std::string_view setting);

} // namespace pg_edge::actors
