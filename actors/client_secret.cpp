// What is stored about a user who wants in: configured, or looked up in a database.
#include "actors/client_login_state.hpp"

namespace pg_edge::actors {

namespace {

/// Whoever proves itself otherwise, or not at all, may have any name.
bool needs_no_user(config::auth_type method) {
  return method == config::auth_type::any || method == config::auth_type::pam;
}

bool asks_for_secret(config::auth_type method) {
  return method == config::auth_type::plain || method == config::auth_type::md5 ||
         method == config::auth_type::scram_sha_256;
}

} // namespace

/// Goes on in begin_exchange() with what is stored for the user.
void client::find_secret() {
  const auto found = login_->tenant->users.find(user_);
  if (found == login_->tenant->users.end()) return look_up();
  // A section may hold a user's limits only: then the secret is looked up, as in pgbouncer.
  const config::user& entry = found->second;
  if (entry.secret.empty() && entry.old_passwords.empty() && !login_->rules.auth_user.empty() &&
      asks_for_secret(login_->method))
    return look_up();
  std::vector<std::string> secrets;
  if (!entry.secret.empty()) secrets.push_back(entry.secret);
  secrets.insert(secrets.end(), entry.old_passwords.begin(), entry.old_passwords.end());
  begin_exchange(true, std::move(secrets));
}

// -- auth_query
// ----------------------------------------------------------------------------------------------------------------

lookup_user client::lookup_wish(bool fresh) const {
  return {login_->settings->values,
          login_->tenant->name,
          login_->route ? login_->route->database_name : database_,
          user_,
          login_->rules.auth_user,
          login_->rules.auth_query,
          login_->rules.auth_dbname,
          fresh};
}

/// Asks the database, and goes on with what it says unless the client has gone or there was no answer.
void client::ask_database(bool fresh, void (client::*go_on)(found_user& found, std::vector<std::string> secrets)) {
  login_->busy = true;
  request(node_.lookup, caf::infinite, lookup_wish(fresh))
      .then(
          [this, go_on](found_user& found) {
            if (step_ != client_step::authenticating) return;
            login_->busy = false;
            if (found.outcome == lookup_outcome::failed)
              return fail(protocol::error_code::lookup_failed, {login_->asked_user});
            std::vector<std::string> secrets;
            if (!found.secret.empty()) {
              node_.credentials.remember(login_->tenant->name, user_, found.secret);
              secrets.push_back(std::move(found.secret));
            }
            (this->*go_on)(found, std::move(secrets));
            use_input();
            read_later();
          },
          [this](caf::error&) { fail(protocol::error_code::internal, {"the look-up of the user failed"}); });
}

/// A user whom no file names. Whether there is such a database is told as late as for others: after the proof.
void client::look_up() {
  // Nor does anybody belong to a tenant that is not there.
  const bool somewhere = (login_->route || !login_->rules.auth_dbname.empty()) && login_->tenant_problem.empty();
  if (login_->rules.auth_user.empty() || !somewhere || config::is_console_name(database_) ||
      needs_no_user(login_->method))
    return begin_exchange(false, {});
  ask_database(false, &client::looked_up);
}

void client::looked_up(found_user& found, std::vector<std::string> secrets) {
  login_->kept_secret = found.cached && !secrets.empty();
  // Databases keep SCRAM verifiers, so nobody is asked for what somebody would be asked for.
  if (secrets.empty() && login_->method == config::auth_type::md5) login_->method = config::auth_type::scram_sha_256;
  begin_exchange(found.outcome == lookup_outcome::found, std::move(secrets));
}

/// A proof has failed. Was it checked against a secret that may be out of date, then a password or md5 answer is
/// checked once more, against what the database says now; true: that is under way. The proof of SCRAM hangs on the old
/// verifier, so there the next login gets the new one.
bool client::check_anew() {
  if (!login_->kept_secret) return false;
  login_->kept_secret = false;
  if (login_->proof == protocol::auth_method::scram) {
    send(node_.lookup, doubt_user{lookup_wish(true)});
    return false;
  }
  ask_database(true, &client::checked_anew);
  return true;
}

void client::checked_anew(found_user&, std::vector<std::string> secrets) {
  make_auth(std::move(secrets), login_->proof);
  login_->auth->begin(); // it has been asked already
  auth_step(login_->auth->answer(login_->answer));
}

} // namespace pg_edge::actors
