// Two clusters of two nodes on one store, of which one takes over the other's tenants while clients come and go,
// objects are written, nodes are killed and answers of the store are late or lost. For succession_simulation_test.
#pragma once

#include "cluster/succession.hpp"
#include "simulated_store.hpp"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pg_edge::cluster::simulation {

/// What is done wrong around the same state machines, for a test of the checks.
enum class succession_slip : std::uint8_t {
  none,
  blind_writer, // objects are written without looking at the record
  hasty_heir,   // serves as soon as the pools move, whatever is withheld
  stranger,     // a life that has just registered opens servers before it has read the record
};

class succession_simulator {
public:
  using ms = std::int64_t;

  explicit succession_simulator(std::uint64_t seed, succession_slip slip = succession_slip::none);
  /// Throws std::runtime_error with the promise that was broken.
  void run();

  int moves = 0, given_up = 0, kills = 0, writes = 0, refused_writes = 0;

private:
  static constexpr std::uint32_t size = 4;
  static constexpr ms step = 10, faults_end = 12'000, all_ends = 60'000;
  static constexpr ms lease = 2000;

  struct pending {
    ms due = 0;
    std::uint64_t process = 0;
    store_question asked;
    std::optional<store_answer> answer; // it has been carried out
  };
  struct watch {
    std::string prefix;
    std::size_t next = 0;
    ms due = 0;
  };
  struct node {
    std::string cluster, name;
    std::uint64_t process = 0; // 0: it is dead
    std::unique_ptr<succession> core;
    std::uint64_t incarnation = 0;
    std::map<std::uint64_t, watch> watches;
    std::uint32_t servers = 0;
    std::optional<store_revision> record_known; // as the actor of objects knows it
    ms starts = 0, registers = 0;
  };
  /// Of a process that was killed: Postgres has not noticed yet, or its queries run on.
  struct left_over {
    std::string cluster, name;
    std::uint64_t incarnation = 0;
    std::uint32_t servers = 0;
    ms gone = 0, lease_over = 0;
  };

  std::uint64_t random(std::uint64_t below);
  bool chance(std::uint64_t one_in) { return random(one_in) == 0; }
  void require(bool holds, const std::string& promise) const;
  store_answer store_now(store_question asked);
  std::optional<store_entry> read(const std::string& key);
  void start(node& who);
  void enlist(node& who);
  void write_view(const std::string& cluster);
  void kill(node& who);
  void bury();
  void serve_store(node& who);
  void take_questions(node& who);
  void use_pool(node& who);
  void use_heir(node& who);
  void write_object(node& who);
  void command(node& who);
  void check();
  void check_end();
  std::uint32_t in_postgres(const std::string& cluster) const;

  succession_slip slip_;
  std::uint64_t random_;
  ms now_ = 0;
  simulated_store store_{1.0};
  std::vector<node> nodes_;
  std::vector<pending> pending_;
  std::vector<left_over> left_;
  std::map<std::string, view> views_;
  std::uint64_t next_process_ = 1;
  std::map<std::string, std::string> written_; // what was acknowledged of blue's objects, by key behind the root
  store_revision sealed_at_ = 0;               // by the newest take-over
  bool moved_ = false;
};

} // namespace pg_edge::cluster::simulation
