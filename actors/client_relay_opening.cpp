// How a relayed session begins: on the node of the client, what comes before the other node's first ReadyForQuery, and
// what a session that has begun before is told to be again; on the other node, the client whose socket is a stream.
#include "actors/client_login_state.hpp"
#include "actors/client_relay_state.hpp"
#include "actors/log.hpp"
#include "protocol/messages.hpp"

namespace pg_edge::actors {

namespace {

constexpr protocol::bytes_view sync_bytes{"S\0\0\0\4", 5};

/// What the client has not been told yet.
protocol::bytes news_of(const protocol::parameter_values_ptr& told, const protocol::parameter_values_ptr& now) {
  protocol::bytes out;
  if (!now) return out;
  for (const auto& [name, value] : *now) {
    const std::string* before = told ? told->find(name) : nullptr;
    if (before == nullptr || *before != value) append(out, protocol::parameter_status{name, value});
  }
  return out;
}

} // namespace

// -- on the client's node
// ------------------------------------------------------------------------------------------------------------------

/// Returns how much was used up.
std::size_t client::read_opening(protocol::bytes_view in) {
  std::size_t used = 0;
  while (step_ == client_step::relayed && relay_->stream && relay_->step != relay_step::open) {
    protocol::frame_header header;
    const protocol::bytes_view rest = in.substr(used);
    const auto status = protocol::read_header(rest, header);
    if (status == protocol::header_status::invalid) {
      fail(protocol::error_code::server_lost_idle, {"the node that serves it breaks the protocol"});
      return in.size();
    }
    if (status == protocol::header_status::need_more || rest.size() < header.total()) return used;
    used += header.total();
    const protocol::bytes_view whole = rest.substr(0, header.total());
    const protocol::bytes_view body = whole.substr(protocol::frame_header_size);
    const bool last = relay_->step == relay_step::opening ? opening_message(header.type, body, whole)
                                                          : replaying_message(header.type, body, whole);
    if (last) opened_relay();
  }
  return used;
}

/// True: it was the last one.
bool client::opening_message(char type, protocol::bytes_view body, protocol::bytes_view whole) {
  relay_state& state = *relay_;
  switch (type) {
  case 'K':
    if (!state.began) take_own_key();
    return false;
  case 'E':
    fail(whole, "node " + std::to_string(state.node) + " refused it: " + std::string(protocol::error_field(body, 'M')));
    return false;
  case 'S': {
    protocol::reader in(body);
    const protocol::bytes_view name = in.cstring(), value = in.cstring();
    if (in.ok()) state.greeted = protocol::with(state.greeted, name, value);
    break;
  }
  case 'Z':
    if (state.began) return replay();
    write(whole);
    return true;
  default:
    break;
  }
  if (!state.began) write(whole);
  return false;
}

/// The client has the key of this node, to which its connection belongs.
void client::take_own_key() {
  const bool long_key = login_->version.minor >= protocol::long_cancel_key_minor;
  const auto key = node_.cancels.add(caf::actor_cast<caf::actor>(this), long_key);
  if (!key) return fail(protocol::error_code::too_many_clients, {"cancel keys", "1048575", "this node"});
  key_ = *key;
  protocol::bytes own;
  append(own, protocol::backend_key_data{key_.process_id, key_.secret});
  write(own);
}

/// Its settings in one query, which is refused as a whole or not at all; each statement in a batch of its own. True:
/// there is nothing to tell.
bool client::replay() {
  relay_state& state = *relay_;
  state.step = relay_step::replaying;
  state.replies_left = 0;
  protocol::bytes all;
  const std::string settings = protocol::restore_sql(state.greeted.get(), nullptr, state.watch.told().get(), nullptr);
  state.settings_owed = !settings.empty();
  if (state.settings_owed) {
    append(all, protocol::query{settings});
    ++state.replies_left;
  }
  if (!state.tells_statements)
    for (const auto& [name, parse] : state.watch.statements()) {
      all += parse;
      all += sync_bytes;
      ++state.replies_left;
    }
  if (state.replies_left == 0) return true;
  send_to_node(all);
  return false;
}

/// A statement that is refused now, as its table has gone perhaps, is one that the client does not have.
bool client::replaying_message(char type, protocol::bytes_view body, protocol::bytes_view whole) {
  relay_state& state = *relay_;
  switch (type) {
  case 'S': {
    protocol::reader in(body);
    const protocol::bytes_view name = in.cstring(), value = in.cstring();
    if (in.ok()) state.greeted = protocol::with(state.greeted, name, value);
    return false;
  }
  case 'E':
    if (state.settings_owed || protocol::error_field(body, 'S') == "FATAL")
      fail(whole, "it could not go on: " + std::string(protocol::error_field(body, 'M')));
    return false;
  case 'Z':
    state.settings_owed = false;
    return --state.replies_left == 0;
  default:
    return false;
  }
}

void client::opened_relay() {
  relay_state& state = *relay_;
  state.step = relay_step::open;
  home().cancel(deadline_);
  last_active_ = home().now();
  if (state.began) write(news_of(state.watch.told(), state.greeted));
  if (std::exchange(state.tells_statements, false)) { // the next node is told what there is by then
    state.request.session->state.statements.clear();
    state.request.session->state.unnamed.clear();
    state.request.session->in_batch = false;
  }
  state.watch.begin(std::move(state.greeted));
  if (!std::exchange(state.began, true)) {
    const bool wanted = login_->settings->values->log_connections;
    login_.reset();
    if (wanted) log_own(log_event::client_connected, field("tls", socket_.tls()));
  }
  use_input();
  read_later();
}

// -- on the other node
// ---------------------------------------------------------------------------------------------------------------

/// Who it is has been proved to a node of the cluster; what this node's settings say of its pool holds all the same.
/// It counts in the limits of clients where it is connected.
void client::begin_relayed(const cluster::relay_request& request) {
  const config::settings& settings = *login_->settings->values;
  user_ = request.user;
  database_ = request.database;
  login_->asked_user = request.asked_user;
  for (const auto& [name, value] : request.parameters)
    login_->start_up.parameters.emplace_back(name, value);
  note_replication();
  login_->tenant = config::find_tenant(settings, request.tenant);
  if (login_->tenant == nullptr) {
    login_->tenant = &config::nobody();
    return fail(protocol::error_code::tenant_closed, {"its tenant is not known on the node that serves it"});
  }
  login_->route = config::find_route(settings, request.tenant, database_, user_);
  if (!tenant_lets_in()) return;
  if (!login_->route) return fail(protocol::error_code::no_such_database, {database_});
  if (node_.gates.disabled(login_->route->tenant->name, login_->route->database_name))
    return fail(protocol::error_code::database_disabled, {login_->route->database_name});
  if (!request.client_key.empty())
    node_.credentials.remember_keys(request.tenant, user_, request.secret, request.client_key, request.server_key);
  else if (!request.secret.empty())
    node_.credentials.remember(request.tenant, user_, request.secret);
  if (request.session) login_->session = std::make_unique<cluster::relayed_session>(*request.session);
  if (login_->session || read_parameters()) ask_for_pool();
}

} // namespace pg_edge::actors
