// What clients of a test were told of the rows they wrote, and whether the table agrees: the witness that no statement
// ran twice, that none acknowledged was lost, and that what was called "not run" was not run.
#pragma once

#include "tests/support/postgres.hpp"

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace pg_edge::test {

class ledger {
public:
  enum class fate : std::uint8_t {
    unknown, // sent, and no word that settles it: there once, or not at all
    written, // acknowledged: there once
    refused, // said, by its SQLSTATE or for want of a COMMIT, to have had no effect: not there
  };

  /// Its table, made anew with one column `id bigint`, on which there is no constraint: a row that came twice must be
  /// seen, not refused.
  ledger(const postgres& server, std::string table, std::string database = "app");

  const std::string& table() const { return table_; }
  /// An id that no other has; its fate is unknown until it is told.
  std::int64_t next();
  void tell(std::int64_t id, fate what);
  std::size_t size(fate what) const;
  /// What table and ledger do not agree on, as sentences; empty when all is well. Throws pq_error.
  std::vector<std::string> disagreements() const;

private:
  const postgres& server_;
  std::string table_, database_;
  mutable std::mutex lock_;
  std::vector<fate> fates_; // of id 1 and so on
};

} // namespace pg_edge::test
