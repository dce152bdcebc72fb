// One SQLite file, opened so that what it has acknowledged survives kill -9 and power failure: write-ahead log, every
// commit waits for the disk, readable by its owner alone. A thin cover of the C interface for sqlite_store: errors are
// values in the operator's words. Used by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace pg_edge::actors {

/// What went wrong; `unsure`: what was written may be there after all.
struct sqlite_trouble {
  std::string why;
  bool unsure = false;
};

class sqlite_file {
public:
  ~sqlite_file();

  /// Makes the file, and the last folder of its path, if they are not there. Null: `why` says what is wrong.
  static std::unique_ptr<sqlite_file> open(const std::string& path, std::string& why);

  /// Whether the path still leads to the file that was opened. What is written to another one would be lost.
  bool still_there() const;
  /// Another number after each commit of another connection to the file, in this process or another.
  std::int64_t data_version();

  /// Takes the right to write, so that what is read from here on stays true until commit().
  bool begin();
  /// Everything that is read until roll_back() is of one moment.
  bool begin_reading();
  bool commit();
  void roll_back();

  const std::optional<sqlite_trouble>& trouble() const { return trouble_; }
  std::optional<sqlite_trouble> take_trouble();

private:
  friend class sqlite_statement;
  sqlite_file() = default;
  bool set_up(std::string& why);
  bool run(const char* sql);
  void note(int code);

  std::string path_;
  std::uint64_t device_ = 0, inode_ = 0;
  sqlite3* handle_ = nullptr;
  std::optional<sqlite_trouble> trouble_; // of the first statement that failed
  bool in_transaction_ = false;
};

/// One statement, used once:
///   sqlite_statement rows(file, "SELECT a FROM b WHERE c = ?", key);
///   while (rows.next()) rows.number(0);
class sqlite_statement {
public:
  template <class... Values>
  sqlite_statement(sqlite_file& file, const char* sql, const Values&... values) : file_(file) {
    prepare(sql);
    (bind(values), ...);
  }
  ~sqlite_statement();
  sqlite_statement(const sqlite_statement&) = delete;
  sqlite_statement& operator=(const sqlite_statement&) = delete;

  /// False: no more rows, or it failed (sqlite_file::trouble).
  bool next();
  std::int64_t number(int column) const;
  std::string bytes(int column) const;
  bool is_null(int column) const;

private:
  void prepare(const char* sql);
  void bind(const std::string& bytes);
  void bind(const std::optional<std::string>& bytes);
  void bind(std::int64_t number);

  sqlite_file& file_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

} // namespace pg_edge::actors
