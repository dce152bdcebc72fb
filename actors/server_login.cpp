// A server connection up to its first idle moment: addresses, TLS, authentication, connect_query.
#include "actors/log.hpp"
#include "actors/random.hpp"
#include "actors/resolver.hpp"
#include "actors/server.hpp"
#include "protocol/errors.hpp"
#include "protocol/frame.hpp"
#include "protocol/password.hpp"
#include "protocol/startup.hpp"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <tuple>
#include <utility>

namespace pg_edge::actors {

namespace {

/// A login message longer than this is no Postgres server's.
constexpr std::size_t login_message_limit = 1024 * 1024;

/// With server_connect_timeout off, a host that does not answer is left for the next one after so long.
constexpr std::chrono::seconds silent_host_limit{15};

/// 57P01 to 57P05: the server is shutting down, has crashed or does not take logins yet.
constexpr std::string_view not_now_class = "57P";

} // namespace

server::attempt::attempt(server& owner)
    : settings(owner.pool_->settings()), hosts(owner.plan_.hosts),
      deadline(timer::calling<&server::on_connect_timeout>(owner)) {
  const auto limit = settings->server_connect_timeout;
  if (limit.count() > 0) give_up_at = owner.home().now() + limit;
}

// -- hosts and addresses
// -----------------------------------------------------------------------------------------------------------

bool server::more_to_try() const {
  return !attempt_->addresses.empty() || !attempt_->hosts.empty();
}

/// Each host and address gets an equal part of the time that is left, so that one that swallows everything does not
/// take it all.
void server::begin_part(std::size_t parts_left) {
  ++attempt_->part;
  attempt_->go_on = false;
  const auto now = home().now();
  clock::duration part = silent_host_limit;
  if (attempt_->give_up_at != clock::time_point::max())
    part = std::max<clock::duration>(attempt_->give_up_at - now, {}) / static_cast<std::int64_t>(parts_left);
  else if (parts_left == 1)
    return home().cancel(attempt_->deadline);
  home().schedule(attempt_->deadline, now + part);
}

void server::resolve_next() {
  set_step(server_step::resolving);
  attempt& login = *attempt_;
  if (login.hosts.empty())
    return refused(login.last_error.empty() ? "no host to connect to" : login.last_error, {}, false);
  const std::uint16_t port = login.settings->port;
  std::vector<std::string> places;
  for (const std::string& host : login.hosts)
    places.push_back(host_table::place_of(host, port));
  address_seat_.leave();
  host_seat_.leave();
  std::size_t chosen = 0;
  std::tie(chosen, host_seat_) = node_.hosts.choose(
      pool_->id, places, login.settings->load_balance_hosts == config::host_balance::round_robin, home().now());
  const std::string host = login.hosts[chosen];
  login.hosts.erase(login.hosts.begin() + static_cast<std::ptrdiff_t>(chosen));
  login.last_where = host_seat_.place();
  begin_part(login.hosts.size() + 1);
  if (auto literal = literal_address(host, port)) return try_addresses({{*literal}, {}});
  const auto still = [this, part = login.part] {
    return attempt_ && attempt_->part == part && step_ == server_step::resolving;
  };
  request(node_.resolver, caf::infinite, resolve_host{host, port})
      .then(
          [this, still](resolved_host& found) {
            if (still()) try_addresses(std::move(found));
          },
          [this, still](caf::error&) {
            if (still()) try_addresses({{}, "the resolver failed"});
          });
}

void server::try_addresses(resolved_host found) {
  if (found.addresses.empty()) {
    attempt_->last_error = std::move(found.error);
    return fail_host();
  }
  attempt_->addresses = std::move(found.addresses);
  connect_next();
}

void server::connect_next() {
  attempt& login = *attempt_;
  if (!login.same_address) {
    if (login.addresses.empty()) return fail_host();
    std::vector<std::string> places;
    for (const server_address& one : login.addresses)
      places.push_back(host_table::place_of(one));
    address_seat_.leave();
    std::size_t chosen = 0;
    std::tie(chosen, address_seat_) = node_.hosts.choose(
        pool_->id, places, login.settings->load_balance_hosts == config::host_balance::round_robin, home().now());
    address_ = login.addresses[chosen];
    login.addresses.erase(login.addresses.begin() + static_cast<std::ptrdiff_t>(chosen));
    begin_part(1 + login.addresses.size() + login.hosts.size());
  }
  if (std::exchange(login.same_address, false)) ++login.part;
  const int family = address_.address.ss_family;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail_attempt(std::string("socket: ") + std::strerror(errno));
  socket_ = stream(fd);
  if (family != AF_UNIX) {
    const auto settings = node_.settings()->values;
    using std::chrono::duration_cast;
    set_no_delay(fd);
    set_keepalive(fd, {settings->tcp_keepalive, duration_cast<std::chrono::seconds>(settings->tcp_keepidle),
                       duration_cast<std::chrono::seconds>(settings->tcp_keepintvl), settings->tcp_keepcnt,
                       duration_cast<std::chrono::milliseconds>(settings->tcp_user_timeout)});
  }
  set_step(server_step::connecting);
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address_.address), address_.length);
  if (result != 0 && errno != EINPROGRESS) return fail_attempt(std::strerror(errno));
  await_connect();
  node_.handover.server_opened(plan_.id, fd);
  if (!watch()) return fail_attempt(std::string("epoll: ") + std::strerror(errno));
}

/// This address did not work: the next one, or the next host.
void server::fail_attempt(std::string why) {
  close_own_socket();
  in_.clear();
  out_.clear();
  node_.hosts.failed(address_seat_.place(), home().now());
  attempt_->last_where = address_.host + ":" + std::to_string(address_.port);
  attempt_->last_error = std::move(why);
  attempt_->with_tls = false;
  attempt_->login.reset();
  connect_next();
}

/// No address of this host worked: the next host.
void server::fail_host() {
  note_host_failed(attempt_->last_where + ": " + attempt_->last_error);
  resolve_next();
}

void server::note_host_failed(const std::string& why) {
  if (node_.hosts.failed(host_seat_.place(), home().now()) && plan_.hosts.size() > 1)
    log_own(level::warning, log_event::host_avoided, field("host", host_seat_.place()), field("reason", why));
  address_seat_.leave();
  host_seat_.leave();
}

/// A server that starts, stops or recovers says so: another host may be better off.
bool server::try_another_host() {
  const std::string_view state = protocol::error_field(attempt_->login->error_body(), 'C');
  if (!state.starts_with(not_now_class) || !more_to_try()) return false;
  node_.hosts.failed(address_seat_.place(), home().now());
  attempt_->last_where = address_.host + ":" + std::to_string(address_.port);
  attempt_->last_error = "it does not take logins now";
  attempt_->with_tls = false;
  connect_later();
  return true;
}

/// For when its bytes are still being read.
void server::connect_later() {
  close_own_socket();
  set_step(server_step::resolving);
  attempt_->go_on = true;
  send(caf::actor_cast<caf::actor>(this), connect_server{});
}

/// sslmode=allow: a server that refuses the login in clear may take it over TLS.
bool server::try_again_with_tls() {
  const bool due = attempt_->settings->server_tls_sslmode == config::tls_mode::allow && !attempt_->with_tls &&
                   address_.address.ss_family != AF_UNIX;
  if (!due) return false;
  attempt_->with_tls = true;
  attempt_->same_address = true;
  connect_later();
  return true;
}

void server::on_connected() {
  const config::tls_mode mode = attempt_->settings->server_tls_sslmode;
  const bool over_unix = address_.address.ss_family == AF_UNIX;
  const bool plain_first = mode == config::tls_mode::allow && !attempt_->with_tls;
  if (over_unix || mode == config::tls_mode::disable || plain_first) return begin_session();
  protocol::bytes request;
  protocol::append_ssl_request(request);
  set_step(server_step::asking_tls);
  write(request);
}

std::size_t server::read_tls_answer(protocol::bytes_view in) {
  const tls_mode_row& mode = actors::describe(attempt_->settings->server_tls_sslmode);
  if (in[0] == 'S' && in.size() == 1) {
    tls_settings files{attempt_->settings->server_tls_ca_file,
                       attempt_->settings->server_tls_cert_file,
                       attempt_->settings->server_tls_key_file,
                       attempt_->settings->server_tls_protocols,
                       attempt_->settings->server_tls_ciphers,
                       attempt_->settings->server_tls13_ciphers,
                       {}};
    const tls_context_result context = make_server_tls_context(files, mode.mode);
    if (!context.context) {
      login_failed("TLS: " + context.error, {});
      return in.size();
    }
    set_step(server_step::handshaking);
    begin_connect_tls(*context.context, address_.host, mode.mode);
    return in.size();
  }
  if (in[0] == 'N' && in.size() == 1) {
    if (mode.tls_required)
      login_failed("the server does not offer TLS, and server_tls_sslmode requires it", {});
    else
      begin_session();
    return in.size();
  }
  login_failed("the server's answer to SSLRequest is neither S nor N, or has more behind it", {});
  return in.size();
}

void server::on_handshake() {
  begin_session();
}

// -- authentication
// --------------------------------------------------------------------------------------------------------

void server::begin_session() {
  set_step(server_step::logging_in);
  const config::pool_settings& settings = *attempt_->settings;
  const bool over_unix = address_.address.ss_family == AF_UNIX;
  attempt_->login = std::make_unique<protocol::server_login>(
      server_identity(), random_nonce(),
      protocol::server_login::channel{socket_.tls(), socket_.channel_end_point(),
                                      socket_.tls() || over_unix || settings.server_allow_cleartext});
  send_start_up();
}

/// The configured secret when one can log in with it; else what clients' logins and look-ups have told.
protocol::server_login::identity server::server_identity() const {
  const config::pool_settings& settings = *attempt_->settings;
  protocol::server_login::identity who{settings.server_user, settings.server_secret, {}, {}};
  const protocol::secret_kind kind = protocol::classify_secret(settings.server_secret);
  if (kind != protocol::secret_kind::none && kind != protocol::secret_kind::scram) return who;
  if (const auto known = node_.credentials.find(pool_->name.tenant, settings.server_user)) {
    who.secret = known->secret;
    who.client_key = known->client_key;
    who.server_key = known->server_key;
  }
  return who;
}

void server::send_start_up() {
  const config::pool_settings& settings = *attempt_->settings;
  protocol::startup_message start_up;
  start_up.parameters.emplace_back("user", settings.server_user);
  start_up.parameters.emplace_back("database", settings.dbname);
  if (plan_.replication) {
    for (const auto& item : plan_.start_up)
      start_up.parameters.push_back(item);
  } else {
    for (const auto& item : settings.server_parameters)
      start_up.parameters.push_back(item);
  }
  protocol::bytes packet;
  protocol::append_startup(packet, start_up);
  write(packet);
}

std::size_t server::read_login(protocol::bytes_view in) {
  std::size_t used = 0;
  while (step_ == server_step::logging_in && attempt_ && attempt_->login) {
    protocol::frame_header header;
    const auto status = protocol::read_header(in.substr(used), header);
    if (status == protocol::header_status::need_more) return used;
    if (status == protocol::header_status::invalid || header.total() > login_message_limit) {
      login_failed("the server's answer is not Postgres's protocol", {});
      return in.size();
    }
    if (in.size() - used < header.total()) return used;
    const protocol::bytes_view body = in.substr(used + protocol::frame_header_size, header.body());
    used += header.total();
    login_step(attempt_->login->message(header.type, body));
  }
  return step_ == server_step::closing || step_ == server_step::gone ? in.size() : used;
}

void server::login_step(protocol::server_login::step step) {
  using verdict = protocol::server_login::verdict;
  if (!step.send.empty()) write(step.send);
  switch (step.now) {
  case verdict::more:
    return;
  case verdict::derive:
    return derive();
  case verdict::failed:
    if (try_again_with_tls() || try_another_host()) return;
    return login_failed(std::move(step.why), attempt_->login->error_body());
  case verdict::impossible: {
    if (try_again_with_tls()) return;
    protocol::bytes told = protocol::make_error(protocol::error_code::server_login_failed,
                                                {address_.host + ":" + std::to_string(address_.port), step.why});
    return login_failed(std::move(step.why), told.substr(protocol::frame_header_size));
  }
  case verdict::done:
    break;
  }
  const protocol::server_login& login = *attempt_->login;
  session_.values = login.values();
  session_.transaction_status = 'I';
  initial_values_ = login.values();
  process_id_ = login.process_id();
  cancel_secret_ = login.cancel_secret();
  if (!attempt_->settings->connect_query.empty() && !plan_.replication)
    return ask_own(attempt_->settings->connect_query, server_step::connect_query);
  logged_in();
}

void server::derive() {
  const protocol::server_login& login = *attempt_->login;
  const auto still = [this, part = attempt_->part] { // the same login to the same address
    return attempt_ && attempt_->part == part && attempt_->login && step_ == server_step::logging_in;
  };
  request(node_.deriver, caf::infinite, derive_request{0, login.secret(), login.salt(), login.iterations()})
      .then(
          [this, still](derived_key& key) {
            if (still()) login_step(attempt_->login->keys(key.salted_password));
          },
          [this, still](caf::error&) {
            if (still()) login_failed("key derivation failed", {});
          });
}

void server::logged_in() {
  node_.hosts.succeeded(address_seat_.place());
  if (node_.hosts.succeeded(host_seat_.place()) && plan_.hosts.size() > 1)
    log_own(level::info, log_event::host_works_again, field("host", host_seat_.place()));
  attempt_.reset();
  set_step(server_step::idle);
  connected_at_ = idle_since_ = home().now();
  log_own(level::info, log_event::server_connected, field("pid", process_id_), field("host", address_.host),
          field("port", address_.port), field("tls", socket_.tls()));
  send(share_, server_ready{self_ptr()});
}

/// The server said no, or cannot be logged in to as it is.
void server::login_failed(std::string why, protocol::bytes error) {
  refused(std::move(why), std::move(error), true);
}

/// The connection was lost before the login was done.
void server::lost_during_login(std::string why) {
  const bool before_session =
      step_ == server_step::connecting || step_ == server_step::asking_tls || step_ == server_step::handshaking;
  const bool elsewhere = step_ == server_step::logging_in && more_to_try();
  if (before_session || elsewhere)
    return fail_attempt(why.empty() ? "the server closed the connection" : std::move(why));
  close_own_socket();
  refused(why.empty() ? "the server closed the connection during login" : std::move(why), {}, false);
}

/// The share is told at once. Postgres may have forked a process for this login: unless the connection is closed
/// already, or never was one, the permit is free when Postgres has closed its side too, which is bounded since a peer
/// that never answers may not be Postgres at all. `error`: what it said, without the head of the message.
void server::refused(std::string why, protocol::bytes error, bool reached) {
  if (step_ == server_step::closing || step_ == server_step::gone) return;
  const std::string where =
      step_ == server_step::resolving ? attempt_->last_where : address_.host + ":" + std::to_string(address_.port);
  log_own(level::debug, log_event::server_login_failed, field("address", where), field("reason", why));
  const bool of_host = error.empty() || std::string_view(protocol::error_field(error, 'C')).starts_with(not_now_class);
  if (of_host && !host_seat_.place().empty()) {
    node_.hosts.failed(address_seat_.place(), home().now());
    note_host_failed(why);
  }
  protocol::bytes answer;
  if (error.empty()) {
    answer = protocol::make_error(protocol::error_code::server_connect_failed, {where, why});
  } else { // the server's own words
    protocol::put_u8(answer, 'E');
    protocol::put_u32(answer, static_cast<std::uint32_t>(error.size() + 4));
    answer += error;
  }
  send(share_, server_refused{self_ptr(), std::move(answer), where, why, reached});
  close_reason_ = std::move(why);
  const auto limit = attempt_->settings->server_connect_timeout;
  const bool accepted = open() && step_ != server_step::connecting && step_ != server_step::resolving;
  attempt_.reset();
  told_closing_ = true; // server_refused says it
  if (!accepted) return gone(close_reason_);
  set_step(server_step::closing);
  socket_.shutdown_write();
  await_end(limit);
  read_later();
}

void server::on_connect_timeout() {
  if (!attempt_) return;
  const auto limit = std::chrono::duration_cast<std::chrono::seconds>(attempt_->settings->server_connect_timeout);
  std::string why =
      "server_connect_timeout (" + std::to_string(limit.count()) + " s) while " + std::string(to_string(step_));
  if (step_ == server_step::connect_query || !more_to_try()) return refused(std::move(why), {}, false);
  why.insert(0, "no answer within its part of ");
  if (step_ != server_step::resolving) return fail_attempt(std::move(why));
  attempt_->last_error = std::move(why);
  fail_host();
}

} // namespace pg_edge::actors
