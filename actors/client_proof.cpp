// How a client proves who it is: which method holds for it, the exchange, and where it goes afterwards.
#include "actors/client_login_state.hpp"
#include "actors/random.hpp"
#include "actors/share.hpp"
#include "actors/share_directory.hpp"
#include "protocol/frame.hpp"
#include "protocol/password.hpp"

#include <algorithm>

namespace pg_edge::actors {

namespace {

/// A login message longer than this is none.
constexpr std::size_t auth_message_limit = protocol::max_auth_frame_length;

/// Whether every password of the tenant is a SCRAM verifier, so that a user with none would have had one too.
bool only_verifiers(const config::tenant& tenant) {
  return !tenant.users.empty() && std::all_of(tenant.users.begin(), tenant.users.end(), [](const auto& entry) {
    return protocol::classify_secret(entry.second.secret) == protocol::secret_kind::scram;
  });
}

protocol::auth_method method_for(config::auth_type type, protocol::secret_kind stored, const config::tenant& tenant) {
  switch (type) {
  case config::auth_type::any:
  case config::auth_type::trust:
  case config::auth_type::cert: // these two were looked at when the method was chosen
  case config::auth_type::peer:
    return protocol::auth_method::trust;
  case config::auth_type::plain:
    return protocol::auth_method::cleartext;
  case config::auth_type::md5: // pgbouncer: a SCRAM verifier is used as such
    if (stored == protocol::secret_kind::none && only_verifiers(tenant)) return protocol::auth_method::scram;
    return stored == protocol::secret_kind::scram ? protocol::auth_method::scram : protocol::auth_method::md5;
  case config::auth_type::pam:
    return protocol::auth_method::outside;
  case config::auth_type::scram_sha_256:
  case config::auth_type::hba:
    break;
  }
  return protocol::auth_method::scram;
}

} // namespace

/// `secrets`: any of them will do, the first is the present one; none when the user has none or is not known.
void client::begin_exchange(bool known, std::vector<std::string> secrets) {
  const auto stored = protocol::classify_secret(secrets.empty() ? std::string_view() : secrets.front());
  const protocol::auth_method method = method_for(login_->method, stored, *login_->tenant);
  if (method == protocol::auth_method::trust && !known && login_->method != config::auth_type::any)
    return fail(password_refusal(), "no such user");
  if (method != protocol::auth_method::trust) login_->salt = random_bytes(protocol::md5_salt_size);
  make_auth(std::move(secrets), method);
  auth_step(login_->auth->begin());
}

void client::make_auth(std::vector<std::string> secrets, protocol::auth_method method) {
  const config::settings& settings = *login_->settings->values;
  // What the client wrote, not where that leads: salts must not show which tenants there are.
  const std::string &tenant = login_->tenant_asked, &user = login_->asked_user;
  const protocol::bytes& nonce =
      settings.mock_authentication_nonce.empty() ? node_.secret : settings.mock_authentication_nonce;
  login_->proof = method;
  // Where nothing is proved nothing is drawn by lot or hashed: that would be most of what such a login costs.
  const bool proves = method != protocol::auth_method::trust;
  login_->auth = std::make_unique<protocol::client_auth>(
      protocol::client_auth::identity{user, std::move(secrets), method, settings.scram_iterations},
      proves ? random_nonce() : protocol::bytes(), login_->salt,
      proves ? protocol::salt_secret(nonce, tenant) : protocol::bytes(), socket_.channel_end_point());
}

/// The keys that a proof has revealed log in to servers that have the same verifier. Those of an old password are of no
/// use there.
void client::remember_keys() {
  const protocol::client_auth& auth = *login_->auth;
  const protocol::client_keys& keys = auth.revealed();
  if (keys.client_key.empty() || auth.matched() != 0) return;
  node_.credentials.remember_keys(login_->tenant->name, user_, auth.matched_secret(), keys.client_key, keys.server_key);
}

std::size_t client::read_auth(protocol::bytes_view in) {
  std::size_t used = 0;
  while (step_ == client_step::authenticating && !login_->busy) {
    protocol::frame_header header;
    const auto status = protocol::read_header(in.substr(used), header);
    if (status == protocol::header_status::need_more) return used;
    if (status == protocol::header_status::invalid || header.total() > auth_message_limit || header.type != 'p') {
      if (header.type == 'X')
        leave("the client said goodbye during login");
      else
        fail(protocol::error_code::invalid_auth_response, {"expected a password message"});
      return in.size();
    }
    if (in.size() - used < header.total()) return used;
    const protocol::bytes_view body = in.substr(used + protocol::frame_header_size, header.body());
    used += header.total();
    if (login_->kept_secret) login_->answer = body;
    auth_step(login_->auth->answer(body));
  }
  return step_ == client_step::leaving || step_ == client_step::gone ? in.size() : used;
}

void client::auth_step(protocol::client_auth::step step) {
  using verdict = protocol::client_auth::verdict;
  // Others may have failed while this one was under way: then it does not learn whether its guess was right.
  const bool decided = step.now == verdict::accepted || step.now == verdict::refused;
  if (decided && throttled()) return;
  if (!step.send.empty()) write(step.send);
  switch (step.now) {
  case verdict::more:
    return;
  case verdict::derive:
    return derive_keys();
  case verdict::ask:
    return ask_pam();
  case verdict::accepted:
    note_login(true);
    return authenticated();
  case verdict::refused:
    if (check_anew()) return;
    note_login(false);
    if (!login_->tenant_problem.empty()) step.why += ", " + login_->tenant_problem;
    return fail(password_refusal(), step.why);
  case verdict::violated:
    return fail(protocol::make_error(step.error, {step.why}), step.why);
  }
}

void client::derive_keys() {
  login_->busy = true;
  const protocol::client_auth& auth = *login_->auth;
  request(node_.deriver, caf::infinite, derive_request{0, auth.password(), auth.salt(), auth.iterations()})
      .then(
          [this](derived_key& key) {
            if (step_ != client_step::authenticating) return;
            login_->busy = false;
            auth_step(login_->auth->keys(key.salted_password));
            use_input();
            read_later();
          },
          [this](caf::error&) { fail(protocol::error_code::internal, {"key derivation failed"}); });
}

// -- PAM
// -------------------------------------------------------------------------------------------------------------------

void client::ask_pam() {
  const config::hba_rule* rule = login_->rule;
  auto question = std::make_shared<pam_question>();
  question->service =
      rule != nullptr && !rule->pam_service.empty() ? rule->pam_service : login_->settings->values->auth_pam_service;
  question->user = user_;
  question->password = login_->auth->password();
  if (peer_.port != 0) question->host = peer_.host;
  question->by_name = rule != nullptr && rule->pam_use_hostname;
  login_->pam = std::move(question);
  login_->busy = true;
  const bool taken =
      node_.pam.ask(login_->pam, [to = caf::actor_cast<caf::weak_actor_ptr>(self_ptr())](pam_answer answer) {
        if (const auto here = caf::actor_cast<caf::actor>(to)) caf::anon_send(here, std::move(answer));
      });
  if (!taken) fail(protocol::error_code::pam_busy, {std::to_string(pam_threads::max_waiting)});
}

/// PAM knows nothing of tenants: who may log in to one is said by its [users], where no password need stand. Such a
/// client, too, is refused behind PAM, so that it cannot tell.
std::string client::why_pam_is_no_matter() const {
  const config::tenant& tenant = *login_->tenant;
  const bool everybody = tenant.name == config::default_tenant_name && login_->tenant_problem.empty();
  return everybody || tenant.users.contains(user_) ? "" : "no such user of its tenant";
}

void client::take_pam_answer(const pam_answer& message) {
  if (step_ != client_step::authenticating || !login_->pam) return;
  login_->busy = false;
  const std::string otherwise = why_pam_is_no_matter();
  const bool right = message.right && otherwise.empty();
  // Servers are logged in to with the same password, unless the file has one for them.
  const auto entry = login_->tenant->users.find(user_);
  if (right && (entry == login_->tenant->users.end() || entry->second.secret.empty()))
    node_.credentials.remember(login_->tenant->name, user_, login_->pam->password);
  login_->pam.reset();
  auth_step(login_->auth->told(right, message.right ? otherwise : message.why));
  use_input();
  read_later();
}

void client::authenticated() {
  const config::settings& settings = *login_->settings->values;
  remember_keys();
  login_->auth.reset();
  login_is_over();
  if (!certificate_agrees() || !tenant_lets_in()) return;
  if (config::is_console_name(database_) && login_->tenant == &settings.default_tenant) {
    const auto listed = [this](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), user_) != names.end();
    };
    const bool admin = listed(settings.admin_users) || settings.auth_type == config::auth_type::any;
    if (!admin && !listed(settings.stats_users)) return fail(protocol::error_code::not_allowed, {user_, database_});
    return begin_console(admin);
  }
  const auto& route = login_->route;
  if (!route) return fail(protocol::error_code::no_such_database, {database_});
  if (node_.gates.disabled(route->tenant->name, route->database_name))
    return fail(protocol::error_code::database_disabled, {route->database_name});
  if (!take_session() || !read_parameters() || !take_seat(*route)) return;
  if (lives_elsewhere(*route)) return open_relay();
  ask_for_pool();
}

void client::ask_for_pool() {
  const config::route& route = *login_->route;
  set_step(client_step::joining);
  std::string server_user = route.server_user(user_);
  class share* here = share_directory::here().find(route.tenant->name, route.database_name, server_user);
  if (here != nullptr && here->join_directly()) return join({caf::actor_cast<caf::actor>(here), &home(), here->pool()});
  send(node_.tenants, join_pool{caf::actor_cast<caf::actor>(this), route.tenant->name, route.database_name, user_,
                                std::move(server_user)});
}

} // namespace pg_edge::actors
