// Passwords that PAM decides about. A module may take its time (LDAP, a sleep after a wrong password), and none can be
// asked without waiting: so PAM has threads of its own, and a slow one holds up only logins by PAM.
#pragma once

#include "actors/messages.hpp"

#include <functional>
#include <memory>
#include <string>

namespace pg_edge::actors {

/// One login. The client keeps it as long as it wants to know.
struct pam_question {
  std::string service; // with a path: the file of the service, anywhere
  std::string user, password;
  std::string host;     // the client's address; empty: it came by a Unix socket
  bool by_name = false; // PAM hears the name that belongs to the address

  pam_question() = default;
  ~pam_question(); // wipes the password
  pam_question(const pam_question&) = delete;
  pam_question& operator=(const pam_question&) = delete;
};

/// Authentication and the account's own rules, as in Postgres. Waits for the modules.
pam_answer check_with_pam(const pam_question& about);

/// Its functions may be called on any thread.
class pam_threads {
public:
  using tell = std::function<void(pam_answer)>;

  static constexpr std::size_t max_threads = 8;
  static constexpr std::size_t max_waiting = 200; // beside those that are asked just now

  pam_threads();
  ~pam_threads();
  pam_threads(const pam_threads&) = delete;
  pam_threads& operator=(const pam_threads&) = delete;

  /// `on_answer` is called on one of the threads, unless the question has gone before its turn. False: too many wait.
  bool ask(const std::shared_ptr<const pam_question>& about, tell on_answer);
  /// No answer comes after this. A module that is under way has a few seconds to end; its thread is left alone then,
  /// since nothing can stop it.
  void close();

private:
  struct shared_state;
  std::shared_ptr<shared_state> state_;
};

} // namespace pg_edge::actors
