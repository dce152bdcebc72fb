// What the store says while one cluster takes over another: the record of the take-over, the same text in the folders
// of both, and what each node of the one that gives still holds. Texts are on the wire between versions, as upgrades
// are what this is for: fields are only ever added at the end of a line, and what is not known is not looked at.
//
//   <root>succession/state         "moving blue green 0 token deploy": step, from, to, revision of moving, by whom
//   <root>succession/last          of the one that takes over: why the last take-over was given up, for people
//   <root>succession/held/<node>   "moving 4711", then a line for each database with servers: "3 tenant database"
#pragma once

#include "cluster/store.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pg_edge::cluster {

/// How far it is. Only `sealing` can be taken back.
enum class succession_step : std::uint8_t { none, sealing, copying, moving, done };
std::string_view to_string(succession_step step);

struct succession_record {
  succession_step step = succession_step::none;
  std::string from, to;     // clusters
  store_revision moved = 0; // of `done`: when moving began; of `moving` the revision of the record itself says so
  std::string by;
  friend bool operator==(const succession_record&, const succession_record&) = default;
};
std::string to_text(const succession_record& one);
std::optional<succession_record> parse_succession_record(std::string_view text);
/// Why objects of this cluster cannot be changed, and what to do; empty: they can.
std::string why_sealed(const std::optional<succession_record>& record, const std::string& cluster);

/// Servers, from before they connect until Postgres has closed them, by tenant and database.
using held_servers = std::map<std::pair<std::string, std::string>, std::uint32_t>;

/// What a node of the cluster that gives says: it obeys this step, and holds this.
struct held_report {
  succession_step step = succession_step::none;
  std::uint64_t incarnation = 0; // of its life in the cluster
  held_servers held;
  friend bool operator==(const held_report&, const held_report&) = default;
};
std::string to_text(const held_report& one);
std::optional<held_report> parse_held_report(std::string_view text);

inline constexpr std::string_view succession_folder = "succession/";
inline constexpr std::string_view succession_state = "state", succession_last = "last", succession_held = "held/";
std::string succession_state_key(const std::string& root);

} // namespace pg_edge::cluster
