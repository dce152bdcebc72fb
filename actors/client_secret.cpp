// What is stored about a user who wants in: configured, or looked up in a database.
#include "actors/client_login_state.hpp"

namespace pg_edge::actors {

/// Goes on in begin_exchange() with what is stored for the user.
void client::find_secret() {
  const auto found = login_->tenant->users.find(user_);
  if (found == login_->tenant->users.end()) return begin_exchange(false, {});
  std::vector<std::string> secrets;
  if (!found->second.secret.empty()) secrets.push_back(found->second.secret);
  for (const std::string& old : found->second.old_passwords)
    secrets.push_back(old);
  begin_exchange(true, std::move(secrets));
}

} // namespace pg_edge::actors
