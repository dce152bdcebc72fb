#include "actors/sqlite_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

/// How long to wait for another process that writes: for moments only, when one node takes over from another.
constexpr int busy_ms = 2000;
/// "pged": so that no file of another program is taken for ours.
constexpr int application_id = 0x70676564;
constexpr int layout_version = 1;

constexpr const char* layout = R"(
CREATE TABLE IF NOT EXISTS entries (
  key BLOB PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, lease INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_of_leases ON entries (lease) WHERE lease <> 0;
CREATE TABLE IF NOT EXISTS history (
  revision INTEGER, key BLOB, value BLOB, lease INTEGER NOT NULL, PRIMARY KEY (revision, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (id INTEGER PRIMARY KEY, milliseconds INTEGER NOT NULL, beats INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO counters VALUES ('revision', 0), ('forgotten', 0), ('lease', 0);
)";

/// False: `why`. Others cannot read it, also not for a moment: there are passwords in it.
bool make_private_file(const std::string& path, std::string& why) {
  const auto slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) ::mkdir(path.substr(0, slash).c_str(), 0700);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    why = "cannot open " + path + ": " + std::strerror(errno);
    return false;
  }
  ::close(fd);
  return true;
}

} // namespace

sqlite_file::~sqlite_file() {
  if (handle_ != nullptr) ::sqlite3_close(handle_);
}

std::unique_ptr<sqlite_file> sqlite_file::open(const std::string& path, std::string& why) {
  if (!make_private_file(path, why)) return nullptr;
  std::unique_ptr<sqlite_file> file(new sqlite_file);
  file->path_ = path;
  if (::sqlite3_open_v2(path.c_str(), &file->handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr) !=
      SQLITE_OK) {
    why = "cannot open " + path + ": " + (file->handle_ != nullptr ? ::sqlite3_errmsg(file->handle_) : "no memory");
    return nullptr;
  }
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0) {
    file->device_ = found.st_dev;
    file->inode_ = found.st_ino;
  }
  return file->set_up(why) ? std::move(file) : nullptr;
}

bool sqlite_file::set_up(std::string& why) {
  const auto failed = [&] {
    why = "cannot use " + path_ + ": " + (trouble_ ? trouble_->why : "?");
    return false;
  };
  ::sqlite3_busy_timeout(handle_, busy_ms);
  std::int64_t owner = 0, version = 0, tables = 0;
  {
    sqlite_statement id(*this, "PRAGMA application_id");
    if (id.next()) owner = id.number(0);
    sqlite_statement layout_of(*this, "PRAGMA user_version");
    if (layout_of.next()) version = layout_of.number(0);
    sqlite_statement count(*this, "SELECT count(*) FROM sqlite_master");
    if (count.next()) tables = count.number(0);
  }
  if (trouble_) return failed();
  if (tables > 0 && owner != application_id) {
    why = path_ + " is a database of another program, not a store of pg_edge";
    return false;
  }
  if (version > layout_version) {
    why = path_ + " was written by a later version of pg_edge";
    return false;
  }
  const bool fine = run("PRAGMA journal_mode = WAL") && run("PRAGMA synchronous = FULL") &&
                    run("PRAGMA secure_delete = ON") && run("PRAGMA wal_autocheckpoint = 256") &&
                    run("PRAGMA journal_size_limit = 1048576");
  if (!fine) return failed();
  // The files beside it stay when it is closed: to be opened again it then needs no room on the disk and no right to
  // write in the folder.
  int stays = 1;
  ::sqlite3_file_control(handle_, "main", SQLITE_FCNTL_PERSIST_WAL, &stays);
  if (version == layout_version) return true;
  if (begin() && run(layout) && run(("PRAGMA application_id = " + std::to_string(application_id)).c_str()) &&
      run(("PRAGMA user_version = " + std::to_string(layout_version)).c_str()) && commit())
    return true;
  roll_back();
  return failed();
}

bool sqlite_file::still_there() const {
  struct stat found {};
  return ::stat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_;
}

std::int64_t sqlite_file::data_version() {
  sqlite_statement row(*this, "PRAGMA data_version");
  return row.next() ? row.number(0) : 0;
}

void sqlite_file::note(int code) {
  if (trouble_) return;
  const int kind = code & 0xff;
  std::string why = ::sqlite3_errmsg(handle_);
  // SQLite says "database or disk is full"; an operator wants to know which disk, and what else it may be.
  if (kind == SQLITE_FULL) why = "no space left for " + path_ + " (" + why + ")";
  if (kind == SQLITE_READONLY) why = path_ + " or its folder cannot be written (" + why + ")";
  if (kind == SQLITE_IOERR) {
    const int number = ::sqlite3_system_errno(handle_);
    why = "the disk of " + path_ + " fails (" + why + (number != 0 ? std::string(": ") + std::strerror(number) : "") +
          ")";
  }
  trouble_ = sqlite_trouble{std::move(why), false};
}

std::optional<sqlite_trouble> sqlite_file::take_trouble() {
  auto taken = std::move(trouble_);
  trouble_.reset();
  return taken;
}

bool sqlite_file::run(const char* sql) {
  const int code = ::sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) note(code);
  return code == SQLITE_OK;
}

bool sqlite_file::begin() {
  in_transaction_ = run("BEGIN IMMEDIATE");
  return in_transaction_;
}

bool sqlite_file::begin_reading() {
  in_transaction_ = run("BEGIN");
  return in_transaction_;
}

bool sqlite_file::commit() {
  if (trouble_) return false;
  const int code = ::sqlite3_exec(handle_, "COMMIT", nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) {
    in_transaction_ = false;
    return true;
  }
  note(code);
  // The last frame may have reached the log although the disk said it did not: a crash right now would bring it back.
  trouble_->unsure = (code & 0xff) == SQLITE_IOERR;
  return false;
}

void sqlite_file::roll_back() {
  if (in_transaction_) ::sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  in_transaction_ = false;
}

// -- a statement
// -----------------------------------------------------------------------------------------------------------

sqlite_statement::~sqlite_statement() {
  ::sqlite3_finalize(statement_);
}

void sqlite_statement::prepare(const char* sql) {
  if (const int code = ::sqlite3_prepare_v2(file_.handle_, sql, -1, &statement_, nullptr); code != SQLITE_OK)
    file_.note(code);
}

void sqlite_statement::bind(const std::string& bytes) {
  if (statement_ == nullptr) return;
  const int code = ::sqlite3_bind_blob64(statement_, ++bound_, bytes.data() == nullptr ? "" : bytes.data(),
                                         bytes.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) file_.note(code);
}

void sqlite_statement::bind(const std::optional<std::string>& bytes) {
  if (bytes)
    bind(*bytes);
  else
    ++bound_; // NULL unless bound
}

void sqlite_statement::bind(std::int64_t number) {
  if (statement_ == nullptr) return;
  if (const int code = ::sqlite3_bind_int64(statement_, ++bound_, number); code != SQLITE_OK) file_.note(code);
}

bool sqlite_statement::next() {
  if (statement_ == nullptr || file_.trouble_) return false;
  const int code = ::sqlite3_step(statement_);
  if (code != SQLITE_ROW && code != SQLITE_DONE) file_.note(code);
  return code == SQLITE_ROW;
}

std::int64_t sqlite_statement::number(int column) const {
  return ::sqlite3_column_int64(statement_, column);
}

std::string sqlite_statement::bytes(int column) const {
  const void* data = ::sqlite3_column_blob(statement_, column);
  return data == nullptr ? std::string{}
                         : std::string(static_cast<const char*>(data),
                                       static_cast<std::size_t>(::sqlite3_column_bytes(statement_, column)));
}

bool sqlite_statement::is_null(int column) const {
  return ::sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

} // namespace pg_edge::actors
