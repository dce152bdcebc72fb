// A private real Postgres for tests: its own folder, port and user, stopped and deleted with the test program.
#pragma once

#include "tests/support/certificates.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/process.hpp"

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

namespace pg_edge::test {

struct known_user {
  const char* name;
  const char* password;
  const char* method; // of pg_hba.conf on 127.0.0.1; also how the password is stored
};

/// Users every test Postgres has, beside the superuser "postgres" (trusted). None is a superuser.
inline constexpr known_user trust_user{"trust_user", "", "trust"};
inline constexpr known_user password_user{"password_user", "secret of password_user", "password"};
inline constexpr known_user md5_user{"md5_user", "secret of md5_user", "md5"};
inline constexpr known_user scram_user{"scram_user", "secret of scram_user", "scram-sha-256"};
inline constexpr known_user tls_user{"tls_user", "secret of tls_user", "scram-sha-256"}; // refused without TLS
inline constexpr known_user replication_user{"replication_user", "", "trust"};           // may replicate
inline constexpr known_user known_users[] = {trust_user, password_user, md5_user,
                                             scram_user, tls_user,      replication_user};

/// Databases every test Postgres has, beside "postgres". All users may do anything in them.
inline constexpr const char* known_databases[] = {"app", "other"};

struct postgres_options {
  std::string configuration; // lines added to postgresql.conf
  int max_connections = 300;
};

/// One Postgres server. Started by the constructor, on 127.0.0.1 and a Unix socket, TLS on.
class postgres {
public:
  explicit postgres(const postgres_options& options = {});
  ~postgres();
  postgres(const postgres&) = delete;
  postgres& operator=(const postgres&) = delete;

  /// The one all tests of a program share; started on first use. A test that stops or freezes it starts it again.
  static postgres& shared();
  /// The newest Postgres's program of that name (psql, pgbench, initdb ...), or of PG_EDGE_POSTGRES_BIN if set.
  static std::string program(const std::string& name);

  std::string host() const { return "127.0.0.1"; }
  std::uint16_t port() const { return port_; }
  std::string socket_dir() const { return folder_ / "socket"; }
  std::string data_dir() const { return folder_ / "data"; }
  /// For libpq, over TCP: "host=127.0.0.1 port=... dbname=app user=...", with the password of a known user.
  std::string conninfo(const std::string& user = "postgres", const std::string& database = "app") const;
  /// server_version_num, e.g. 150020.
  int version() const;
  const certificate_authority& authority() const { return authority_; }
  /// The authority's certificate as a file (sslrootcert, server_tls_ca_file).
  std::string authority_file() const { return folder_ / "root.crt"; }
  std::string log() const { return read_file(folder_ / "log"); }

  // -- life -----------------------------------------------------------------------------------------------------
  enum class shutdown { smart = 15, fast = 2, immediate = 3 }; // SIGTERM, SIGINT, SIGQUIT
  void start();
  void stop(shutdown how = shutdown::fast);
  void restart(shutdown how = shutdown::fast);
  /// kill -9 of all its processes, as a machine that dies; start() recovers it.
  void kill();
  /// SIGSTOP to all its processes: sockets stay open, nobody answers. thaw() undoes it.
  void freeze();
  void thaw();
  /// SIGHUP, and waits until the postmaster has read its files.
  void reload();
  /// Replaces what set_configuration put there before; takes effect by reload() or restart().
  void set_configuration(const std::string& lines);
  bool running() { return postmaster_.running(); }

  // -- questions, as the superuser by the Unix socket -------------------------------------------------------------
  /// The first value of the first row, "" when there is none. Throws pq_error.
  std::string query(const std::string& sql, const std::string& database = "app") const;
  /// Client backends now; an empty name means any.
  int backends(const std::string& user = "", const std::string& database = "") const;
  /// Before a pg_edge whose backends are to be counted: until those of the one before have left. Throws test_failure
  /// when they do not.
  void wait_until_left(const std::string& user = "trust_user", milliseconds limit = milliseconds(10'000)) const;
  /// A connection as the superuser by the Unix socket.
  pq admin(const std::string& database = "app") const;

private:
  void write_configuration(const postgres_options& options);
  void launch();
  bool accepts() const;
  void make_users() const;

  temp_dir folder_;
  certificate_authority authority_;
  std::uint16_t port_ = 0;
  process postmaster_;
};

/// Samples the number of client backends as often as Postgres answers, on a thread, and keeps the highest: the
/// witness that a pool kept its size. Its own connection is not counted.
class backend_watcher {
public:
  backend_watcher(const postgres& server, std::string user = "", std::string database = "",
                  milliseconds interval = milliseconds(2));
  ~backend_watcher();
  backend_watcher(const backend_watcher&) = delete;
  backend_watcher& operator=(const backend_watcher&) = delete;
  int max() const { return max_; }
  int last() const { return last_; }
  /// How often it looked: a test of a maximum that never looked proves nothing.
  int samples() const { return samples_; }

private:
  void watch(const postgres& server, const std::string& sql, milliseconds interval);

  std::atomic<bool> stopping_ = false;
  std::atomic<int> max_ = 0, last_ = 0, samples_ = 0;
  std::thread thread_;
};

} // namespace pg_edge::test
