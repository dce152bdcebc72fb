#include "tests/support/ledger.hpp"

#include <algorithm>

namespace pg_edge::test {

namespace {

constexpr std::size_t most_sentences = 20;

} // namespace

ledger::ledger(const postgres& server, std::string table, std::string database)
    : server_(server), table_(std::move(table)), database_(std::move(database)) {
  server_.query("drop table if exists " + table_ + "; create table " + table_ + " (id bigint); grant all on " + table_ +
                    " to public",
                database_);
}

std::int64_t ledger::next() {
  std::lock_guard guard(lock_);
  fates_.push_back(fate::unknown);
  return static_cast<std::int64_t>(fates_.size());
}

void ledger::tell(std::int64_t id, fate what) {
  std::lock_guard guard(lock_);
  fates_.at(static_cast<std::size_t>(id - 1)) = what;
}

std::size_t ledger::size(fate what) const {
  std::lock_guard guard(lock_);
  return static_cast<std::size_t>(std::count(fates_.begin(), fates_.end(), what));
}

std::vector<std::string> ledger::disagreements() const {
  const pq_result rows = server_.admin(database_).exec("select id, count(*) from " + table_ + " group by id");
  std::lock_guard guard(lock_);
  std::vector<std::string> sentences;
  const auto say = [&](std::size_t id, const std::string& what) {
    if (sentences.size() < most_sentences) sentences.push_back("row " + std::to_string(id) + " " + what);
  };
  std::vector<bool> there(fates_.size() + 1);
  for (int i = 0; i < rows.rows(); ++i) {
    const std::size_t id = std::stoul(rows.value(i, 0));
    if (id == 0 || id > fates_.size()) {
      say(id, "is nobody's");
      continue;
    }
    there[id] = true;
    if (rows.value(i, 1) != "1") say(id, "was written " + rows.value(i, 1) + " times");
    if (fates_[id - 1] == fate::refused) say(id, "is there, though its client was told that it was not written");
  }
  for (std::size_t id = 1; id <= fates_.size(); ++id)
    if (fates_[id - 1] == fate::written && !there[id]) say(id, "was acknowledged and is not there");
  return sentences;
}

} // namespace pg_edge::test
