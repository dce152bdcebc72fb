#include "actors/admin_http.hpp"

#include "actors/admin_access.hpp"
#include "actors/admin_call.hpp"
#include "actors/admin_routes.hpp"
#include "config/network.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <cctype>
#include <fcntl.h>
#include <future>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

namespace pg_edge::actors {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using std::chrono::steady_clock;

/// How long a connection may stay between two requests.
constexpr std::chrono::seconds keep_alive{75};
/// How often an address that could not be had is tried again, and how long connections wait when descriptors are short.
constexpr std::chrono::seconds listen_retry{1};
/// How long stop() waits for answers that are being sent.
constexpr std::chrono::seconds stop_patience{2};
constexpr int backlog = 128;

std::optional<http_method> method_of(http::verb verb) {
  switch (verb) {
  case http::verb::get:
  case http::verb::head:
    return http_method::get;
  case http::verb::post:
    return http_method::post;
  case http::verb::put:
    return http_method::put;
  case http::verb::patch:
    return http_method::patch;
  case http::verb::delete_:
    return http_method::delete_;
  default:
    return std::nullopt;
  }
}

struct actor_task {
  std::function<void(caf::event_based_actor*)> run;
};

caf::behavior bridge(caf::event_based_actor* self) {
  return {[self](const actor_task& task) { task.run(self); }};
}

} // namespace

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::actor_task)

namespace pg_edge::actors {

// -- the server
// ----------------------------------------------------------------------------------------------------------------

/// A connection, whatever it runs over.
class admin_connection {
public:
  virtual ~admin_connection() = default;
  /// At once, without an answer.
  virtual void close() = 0;
  bool busy = false;                // a request is being answered
  steady_clock::time_point since{}; // of the state it is in
};

class admin_http::server : public admin_desk, public std::enable_shared_from_this<admin_http::server> {
public:
  server(caf::actor_system& system, node_context& node) : node_(node), bridge_(system.spawn(bridge)) {}

  void start();
  void stop();

  void in_actor(std::function<void(caf::event_based_actor*)> function) override {
    caf::anon_send(bridge_, actor_task{std::move(function)});
  }
  /// Nothing once the thread has ended: whoever still answers then answers nobody.
  void on_thread(std::function<void()> function) override {
    std::lock_guard guard(mutex_);
    if (context_) asio::post(*context_, std::move(function));
  }

  node_context& node() { return node_; }
  admin_access& access() { return access_; }
  bool stopping() const { return stopping_; }
  void add(const std::shared_ptr<admin_connection>& one) { connections_.push_back(one); }
  void remove(const admin_connection* one);

private:
  struct door {
    config::endpoint at;
    std::string text;
    admin_door kind;
    tcp::acceptor acceptor;
    asio::steady_timer retry;
    bool told = false; // that it cannot be had
    door(asio::io_context& context, config::endpoint where, std::string name)
        : at(std::move(where)), text(std::move(name)), acceptor(context), retry(context) {}
  };

  void run();
  void open(door& one);
  void accept(door& one);
  void take(tcp::socket socket, const door& one);
  void make_room();
  template <class Function>
  auto on_thread_now(Function function);

  node_context& node_;
  caf::actor bridge_;
  std::mutex mutex_; // of context_, as seen by other threads
  std::unique_ptr<asio::io_context> context_ = std::make_unique<asio::io_context>(1);
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_{asio::make_work_guard(*context_)};
  std::list<door> doors_;
  std::list<std::shared_ptr<admin_connection>> connections_;
  admin_access access_;
  bool stopping_ = false;
  std::thread thread_;
};

namespace {

// -- a connection
// --------------------------------------------------------------------------------------------------------------

using plain_stream = beast::tcp_stream;
using tls_stream = asio::ssl::stream<beast::tcp_stream>;

/// One request after the other; the states are drawn in admin_http.hpp.
template <class Server, class Stream>
class connection final : public admin_connection, public std::enable_shared_from_this<connection<Server, Stream>> {
public:
  /// `context` keeps the certificate that the connection began with, whatever a reload brings.
  template <class... Arguments>
  connection(std::shared_ptr<Server> server, admin_door door, std::string peer, asio::io_context& context,
             tls_context_ptr certificate, Arguments&&... arguments)
      : server_(std::move(server)), door_(door), peer_(std::move(peer)), certificate_(std::move(certificate)),
        stream_(std::forward<Arguments>(arguments)...), timer_(context) {}

  void start() {
    if constexpr (std::is_same_v<Stream, tls_stream>) {
      limit(request_timeout());
      stream_.async_handshake(asio::ssl::stream_base::server, [self = this->shared_from_this()](error_code error) {
        if (error) return self->end();
        self->read_head();
      });
    } else {
      read_head();
    }
  }

  void close() override {
    error_code ignored;
    lowest().socket().close(ignored);
  }

private:
  beast::tcp_stream& lowest() { return beast::get_lowest_layer(stream_); }

  steady_clock::duration request_timeout() const {
    const config::duration time = server_->node().settings()->values->admin.request_timeout;
    return time.count() > 0 ? steady_clock::duration(time) : std::chrono::hours(24);
  }
  /// For everything that follows, until the next call.
  void limit(steady_clock::duration time) {
    this->since = steady_clock::now();
    lowest().expires_after(time);
  }

  /// The first byte may be long in coming; once it is there, the rest of the request has to follow.
  void read_head() {
    this->busy = false;
    parser_.emplace();
    parser_->header_limit(longest_request_head);
    parser_->body_limit(longest_request_body);
    if (buffer_.size() > 0) return read_rest_of_head();
    limit(answered_ ? steady_clock::duration(keep_alive) : request_timeout());
    stream_.async_read_some(buffer_.prepare(first_read),
                            [self = this->shared_from_this()](error_code error, std::size_t count) {
                              if (error) return self->end();
                              self->buffer_.commit(count);
                              self->read_rest_of_head();
                            });
  }

  void read_rest_of_head() {
    limit(request_timeout());
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = this->shared_from_this()](error_code error, std::size_t) { self->on_head(error); });
  }

  void on_head(error_code error) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
      return refuse({431, "The head of a request may have 16384 bytes.", {}, {}});
    if (error == http::error::body_limit) return too_large();
    if (error == http::error::end_of_stream || error == beast::error::timeout || (error && is_transport(error)))
      return end();
    if (error) return refuse({400, "This is not HTTP/1.1: " + error.message() + ".", {}, {}});
    if (auto problem = read_request()) return refuse(std::move(*problem));
    if (beast::iequals(parser_->get()[http::field::expect], "100-continue")) return invite_body();
    read_body();
  }

  /// Not the request's fault.
  static bool is_transport(error_code error) {
    return error.category() != make_error_code(http::error::bad_method).category();
  }

  void too_large() { refuse({413, "A body may have 1048576 bytes.", {{"body", "is too large"}}, {}}); }

  /// The head as the routes want it; whether there is such a route, and who asks.
  std::optional<admin_problem> read_request() {
    const auto& head = parser_->get();
    head_only_ = head.method() == http::verb::head;
    keep_alive_ = head.keep_alive();
    request_ = {};
    request_.peer = peer_;
    request_.target = std::string(head.target());
    for (const auto& one : head) {
      std::string name(one.name_string());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      request_.headers[std::move(name)] = std::string(one.value());
    }
    const std::string_view target = request_.target;
    const std::size_t mark = std::min(target.find('?'), target.size());
    const auto method = method_of(head.method());
    request_.method = method.value_or(http_method::get);
    admin_match match = match_route(request_.method, target.substr(0, mark));
    if (match.allow.empty()) return admin_problem{404, "There is no such path; GET /openapi.json lists them.", {}, {}};
    if (!method || match.route == nullptr)
      return admin_problem{405, "This path knows " + match.allow + ".", {}, {{"Allow", match.allow}}};
    route_ = match.route;
    request_.parameters = std::move(match.parameters);
    auto query = parse_query(target.substr(std::min(mark + 1, target.size())));
    if (!query) return admin_problem{400, "query: is malformed", {{"query", "is malformed"}}, {}};
    request_.query = std::move(*query);
    return server_->access().admit(server_->node().settings()->values->admin, door_, route_->role, request_,
                                   steady_clock::now());
  }

  void invite_body() {
    invitation_ = {http::status::continue_, 11};
    http::async_write(stream_, invitation_, [self = this->shared_from_this()](error_code error, std::size_t) {
      if (error) return self->end();
      self->read_body();
    });
  }

  void read_body() {
    http::async_read(stream_, buffer_, *parser_, [self = this->shared_from_this()](error_code error, std::size_t) {
      if (error == http::error::body_limit) return self->too_large();
      if (error && is_transport(error)) return self->end();
      if (error) return self->refuse({400, "This is not HTTP/1.1: " + error.message() + ".", {}, {}});
      self->on_request();
    });
  }

  void on_request() {
    request_.text = std::move(parser_->get().body());
    if (auto problem = check_request(*route_, request_)) return send(problem_reply(*problem));
    lowest().expires_never(); // nothing is read or written: timer_ watches instead
    this->busy = true;
    this->since = steady_clock::now();
    const unsigned epoch = ++epoch_;
    const auto call = std::make_shared<admin_call>(
        server_->node(), server_, std::move(request_),
        [self = this->shared_from_this(), epoch](const admin_request& request, admin_reply reply) {
          self->on_reply(epoch, request, std::move(reply));
        });
    timer_.expires_after(request_timeout());
    timer_.async_wait([call](error_code error) { // holds it: one that its handler forgets is answered too
      if (!error) call->fail(504, "The node has not answered in time; what was asked for may still be done.");
    });
    call->guard([&] { route_->handle(call); });
  }

  void on_reply(unsigned epoch, const admin_request& request, admin_reply reply) {
    if (epoch != epoch_) return;
    timer_.cancel();
    log(request.method == http_method::get ? level::debug : level::info, log_event::admin_request,
        {{"request", to_string(request.method)},
         {"target", request.target},
         {"by", request.who},
         {"peer", request.peer},
         {"status", reply.status}});
    send(std::move(reply));
  }

  void refuse(const admin_problem& problem) {
    keep_alive_ = false; // what stands behind the head is not read
    send(problem_reply(problem));
  }

  void send(admin_reply reply) {
    this->busy = true;
    response_ = {};
    response_.version(11);
    response_.result(reply.status);
    response_.reason({});
    const bool empty = reply.status == 204 || reply.status == 304;
    if (!empty) response_.set(http::field::content_type, reply.content_type);
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : reply.headers)
      response_.set(name, value);
    keep_alive_ = keep_alive_ && !server_->stopping();
    response_.keep_alive(keep_alive_);
    if (!empty) response_.content_length(reply.body.size());
    if (!empty && !head_only_) response_.body() = std::move(reply.body);
    limit(request_timeout());
    serializer_.emplace(response_);
    const auto sent = [self = this->shared_from_this()](error_code error, std::size_t) { self->on_sent(error); };
    if (head_only_)
      http::async_write_header(stream_, *serializer_, sent);
    else
      http::async_write(stream_, *serializer_, sent);
  }

  void on_sent(error_code error) {
    if (!error && keep_alive_) {
      answered_ = true;
      return read_head();
    }
    if (error) return end();
    linger();
  }

  /// What the other side still sends is read for a moment: a reset would take the answer from it.
  void linger() {
    error_code ignored;
    if constexpr (std::is_same_v<Stream, plain_stream>) lowest().socket().shutdown(tcp::socket::shutdown_send, ignored);
    limit(linger_time);
    drain(linger_bytes);
  }

  void drain(std::size_t left) {
    buffer_.clear();
    lowest().async_read_some(buffer_.prepare(first_read),
                             [self = this->shared_from_this(), left](error_code error, std::size_t count) {
                               if (error || count >= left) return self->end();
                               self->drain(left - count);
                             });
    if constexpr (std::is_same_v<Stream, tls_stream>) {
      if (!shut_) { // close_notify, then our side of the connection
        shut_ = true;
        error_code ignored;
        lowest().socket().shutdown(tcp::socket::shutdown_send, ignored);
      }
    }
  }

  void end() {
    timer_.cancel();
    close();
    server_->remove(this);
  }

  static constexpr std::size_t first_read = 4096;
  static constexpr std::chrono::seconds linger_time{2};
  static constexpr std::size_t linger_bytes = 2 * longest_request_body;

  std::shared_ptr<Server> server_;
  admin_door door_;
  std::string peer_;
  tls_context_ptr certificate_;
  Stream stream_;
  asio::steady_timer timer_; // of the handler
  beast::flat_buffer buffer_{longest_request_head + longest_request_body};
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::empty_body> invitation_;
  http::response<http::string_body> response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
  admin_request request_;
  const admin_route* route_ = nullptr;
  unsigned epoch_ = 0;
  bool keep_alive_ = false;
  bool head_only_ = false;
  bool answered_ = false;
  bool shut_ = false;
};

} // namespace

// -- doors
// --------------------------------------------------------------------------------------------------------------------

void admin_http::server::start() {
  for (const std::string& text : node_.settings()->values->admin.listen)
    if (auto at = config::parse_endpoint(text)) doors_.emplace_back(*context_, std::move(*at), text);
  for (door& one : doors_)
    open(one);
  thread_ = std::thread([this] { run(); });
}

/// An exception costs the connection that it came from, whose functions are gone with it, and nobody else.
void admin_http::server::run() {
  for (;;) {
    try {
      context_->run();
      return;
    } catch (const std::exception& error) {
      log(level::error, log_event::admin_failed, {{"reason", error.what()}});
    }
  }
}

void admin_http::server::open(door& one) {
  error_code error;
  const bool any = one.at.host == "*";
  const std::string host = one.at.host == "localhost" ? "127.0.0.1" : one.at.host;
  const auto address = any ? asio::ip::address(asio::ip::address_v6::any()) : asio::ip::make_address(host, error);
  const tcp::endpoint where(address, one.at.port);
  one.kind.loopback = !any && address.is_loopback();
  if (!error) one.acceptor.open(where.protocol(), error);
  if (!error) one.acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && address.is_v6()) one.acceptor.set_option(asio::ip::v6_only(!any), error);
  if (!error) ::fcntl(one.acceptor.native_handle(), F_SETFD, FD_CLOEXEC);
  if (!error) one.acceptor.bind(where, error);
  if (!error) one.acceptor.listen(backlog, error);
  if (!error) {
    log(level::info, log_event::admin_listening, {{"address", one.text}});
    return accept(one);
  }
  error_code ignored;
  one.acceptor.close(ignored);
  if (!one.told)
    log(level::error, log_event::admin_failed,
        {{"address", one.text},
         {"reason", error.message()},
         {"hint", "the node serves without its admin API there, and tries again every second"}});
  one.told = true;
  one.retry.expires_after(listen_retry);
  one.retry.async_wait([this, &one](error_code ended) {
    if (!ended && !stopping_) open(one);
  });
}

void admin_http::server::accept(door& one) {
  one.acceptor.async_accept([this, &one](error_code error, tcp::socket socket) {
    if (stopping_ || error == asio::error::operation_aborted) return;
    if (!error) {
      take(std::move(socket), one);
      return accept(one);
    }
    one.retry.expires_after(listen_retry); // descriptors are short
    one.retry.async_wait([this, &one](error_code ended) {
      if (!ended && !stopping_) accept(one);
    });
  });
}

void admin_http::server::take(tcp::socket socket, const door& one) {
  error_code error;
  const auto remote = socket.remote_endpoint(error);
  if (error) return; // it has gone again
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  socket.set_option(tcp::no_delay(true), error);
  make_room();
  const auto settings = node_.settings();
  const std::string peer = remote.address().to_string();
  beast::tcp_stream stream(std::move(socket));
  if (settings->admin_tls) {
    SSL_CTX_up_ref(settings->admin_tls.get());
    asio::ssl::context tls(settings->admin_tls.get()); // gives back the reference that was just taken
    const auto made = std::make_shared<connection<server, tls_stream>>(shared_from_this(), one.kind, peer, *context_,
                                                                       settings->admin_tls, std::move(stream), tls);
    add(made);
    made->start();
  } else {
    const auto made = std::make_shared<connection<server, plain_stream>>(shared_from_this(), one.kind, peer, *context_,
                                                                         nullptr, std::move(stream));
    add(made);
    made->start();
  }
}

/// The one that has been silent longest goes; one that is being answered only when all of them are.
void admin_http::server::make_room() {
  const auto most = static_cast<std::size_t>(node_.settings()->values->admin.max_connections);
  if (connections_.size() < most) return;
  const auto victim = std::min_element(connections_.begin(), connections_.end(), [](const auto& a, const auto& b) {
    return std::pair(a->busy, a->since) < std::pair(b->busy, b->since);
  });
  (*victim)->close();
  connections_.erase(victim);
}

void admin_http::server::remove(const admin_connection* one) {
  connections_.remove_if([&](const auto& other) { return other.get() == one; });
}

// -- the end
// ------------------------------------------------------------------------------------------------------------------

/// Runs a function on the API's thread and waits for what it returns.
template <class Function>
auto admin_http::server::on_thread_now(Function function) {
  std::packaged_task<decltype(function())()> task(std::move(function));
  auto result = task.get_future();
  asio::post(*context_, [&task] { task(); });
  return result.get();
}

void admin_http::server::stop() {
  if (!thread_.joinable()) return;
  on_thread_now([this] {
    stopping_ = true;
    error_code ignored;
    for (door& one : doors_) {
      one.acceptor.close(ignored);
      one.retry.cancel();
    }
    for (const auto& one : connections_)
      if (!one->busy) one->close();
  });
  constexpr std::chrono::milliseconds look{10};
  const auto until = steady_clock::now() + stop_patience;
  const auto busy = [this] {
    return std::any_of(connections_.begin(), connections_.end(), [](const auto& one) { return one->busy; });
  };
  while (on_thread_now(busy) && steady_clock::now() < until)
    std::this_thread::sleep_for(look);
  context_->stop();
  thread_.join();
  connections_.clear();
  doors_.clear();
  work_.reset();
  std::unique_ptr<asio::io_context> last;
  {
    std::lock_guard guard(mutex_);
    last = std::move(context_);
  }
  last.reset(); // with the functions that wait in it, which hold connections, which hold this
  caf::anon_send_exit(bridge_, caf::exit_reason::user_shutdown);
  bridge_ = nullptr;
}

admin_http::admin_http(caf::actor_system& system, node_context& node)
    : server_(std::make_shared<server>(system, node)) {
  server_->start();
}

admin_http::~admin_http() {
  stop();
}

void admin_http::stop() {
  if (server_) server_->stop();
}

} // namespace pg_edge::actors
