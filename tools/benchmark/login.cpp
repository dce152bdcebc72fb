#include "tools/benchmark/login.hpp"

#include "protocol/frame.hpp"
#include "protocol/server_login.hpp"
#include "protocol/startup.hpp"

#include <map>
#include <mutex>
#include <utility>

namespace benchmark {

namespace {

using namespace pg_edge;

SSL_CTX* tls_context() {
  static SSL_CTX* const context = [] {
    SSL_CTX* made = ::SSL_CTX_new(::TLS_client_method());
    ::SSL_CTX_set_verify(made, SSL_VERIFY_NONE, nullptr);
    ::SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    return made;
  }();
  return context;
}

protocol::bytes cached_derivation(const protocol::server_login& login) {
  static std::mutex guard;
  static std::map<protocol::bytes, protocol::bytes> known;
  const std::scoped_lock lock(guard);
  protocol::bytes& found = known[login.salt()];
  if (found.empty()) found = protocol::salted_password(login.secret(), login.salt(), login.iterations());
  return found;
}

} // namespace

session::session(session&& other) noexcept {
  *this = std::move(other);
}

session& session::operator=(session&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(tls_, other.tls_);
  std::swap(in_, other.in_);
  return *this;
}

session::~session() {
  if (tls_ != nullptr) ::SSL_free(tls_);
  if (fd_ >= 0) ::close(fd_);
}

bool session::log_in(const account& who) {
  fd_ = connect_to(who.port);
  if (who.tls && !begin_tls()) return false;
  return converse(who);
}

void session::leave() {
  send_all(std::string_view("X\0\0\0\4", 5));
  *this = session();
}

int session::release() {
  return std::exchange(fd_, -1);
}

bool session::begin_tls() {
  protocol::bytes request;
  protocol::append_ssl_request(request);
  char answer = 0;
  if (!send_all(request) || ::recv(fd_, &answer, 1, MSG_WAITALL) != 1 || answer != 'S') {
    why_ = "no TLS";
    return false;
  }
  SSL* made = ::SSL_new(tls_context());
  ::SSL_set_fd(made, fd_);
  tls_ = made;
  if (::SSL_connect(made) == 1) return true;
  why_ = "TLS handshake";
  return false;
}

bool session::send_all(std::string_view what) {
  if (tls_ != nullptr) return ::SSL_write(tls_, what.data(), static_cast<int>(what.size())) > 0;
  return ::send(fd_, what.data(), what.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(what.size());
}

bool session::receive(std::size_t at_least) {
  char chunk[4096];
  while (in_.size() < at_least) {
    const auto count = tls_ != nullptr ? static_cast<ssize_t>(::SSL_read(tls_, chunk, sizeof chunk))
                                       : ::recv(fd_, chunk, sizeof chunk, 0);
    if (count <= 0) return false;
    in_.append(chunk, static_cast<std::size_t>(count));
  }
  return true;
}

bool session::converse(const account& who) {
  protocol::server_login login({who.user, who.password, {}, {}}, "rOprNGfwEbeRWgbNEkqO", {who.tls, {}, true});
  protocol::startup_message hello;
  hello.parameters = {{"user", who.user}, {"database", who.database}};
  protocol::bytes out;
  protocol::append_startup(out, hello);
  if (!send_all(out)) return false;
  for (;;) {
    protocol::frame_header header;
    if (!receive(protocol::frame_header_size) || protocol::read_header(in_, header) != protocol::header_status::ok ||
        !receive(header.total())) {
      why_ = "the connection was closed";
      return false;
    }
    auto step = login.message(header.type, std::string_view(in_).substr(protocol::frame_header_size, header.body()));
    in_.erase(0, header.total());
    using verdict = protocol::server_login::verdict;
    if (step.now == verdict::derive) step = login.keys(cached_derivation(login));
    if (!step.send.empty() && !send_all(step.send)) return false;
    if (step.now == verdict::done) return true;
    if (step.now == verdict::failed || step.now == verdict::impossible) {
      why_ = step.why;
      return false;
    }
  }
}

} // namespace benchmark
