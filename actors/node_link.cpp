#include "actors/node_link.hpp"

#include "actors/log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace pg_edge::actors {

namespace {

/// What is gathered for one write: less than the allocator would map anew each time a socket leaves the rest of it.
constexpr std::size_t most_in_a_write = 96 * 1024;
/// Writes in a turn; then the reactor's other work comes first.
constexpr int writes_per_turn = 10;
/// Looks at the clock, and pings, within failure_timeout.
constexpr int ticks_in_timeout = 4;

cluster::link_hello hello_of(const link_identity& self) {
  return {.node = self.node, .incarnation = self.incarnation, .cluster = self.cluster};
}

/// The bytes of the present write, of whichever link of this thread.
protocol::bytes& scratch_bytes() {
  thread_local protocol::bytes own;
  return own;
}

} // namespace

node_link::node_link(caf::actor_config& config, reactor& home, node_links& links, node_number to, link_peer where)
    : connection(config, home, actor_kind::node_link, stream()), links_(links), self_(links.self()),
      where_(std::move(where)), mux_(cluster::stream_mux::side::dialled, hello_of(*self_)),
      tick_(timer::calling<&node_link::on_tick>(*this)), node_(to), dialled_(true) {}

node_link::node_link(caf::actor_config& config, reactor& home, node_links& links, stream socket)
    : connection(config, home, actor_kind::node_link, std::move(socket)), links_(links), self_(links.self()),
      mux_(cluster::stream_mux::side::accepted, hello_of(*self_)), tick_(timer::calling<&node_link::on_tick>(*this)) {}

// -- beginning
// ---------------------------------------------------------------------------------------------------------------

caf::behavior node_link::make_behavior() {
  calls_->belong_to(caf::actor_cast<caf::actor>(this));
  links_.link_began(caf::actor_cast<caf::actor>(this));
  heard_ = home().now();
  home().schedule(tick_, home().now() + self_->failure_timeout / ticks_in_timeout);
  if (dialled_)
    dial();
  else if (!watch())
    end("out of descriptors");
  else
    secure();
  return {
      [this](const link_called&) { serve_calls(); },
      [this](const drop_link& message) {
        if (message.node == node_) end(message.why);
      },
      [this](const close_server& message) { end(message.reason); },
  };
}

bool node_link::take(const std::type_info& type, const void*) {
  if (type != typeid(link_called)) return false;
  serve_calls();
  return true;
}

void node_link::dial() {
  const int fd = ::socket(where_.at.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return end(std::strerror(errno));
  socket_ = stream(fd);
  set_no_delay(fd);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&where_.at.address), where_.at.length) != 0 &&
      errno != EINPROGRESS)
    return end(std::strerror(errno));
  await_connect();
  if (!watch()) end("out of descriptors");
}

void node_link::on_connected() {
  secure();
}

/// Each side shows a certificate of the cluster's authority; whose it is does not matter, nodes come and go.
void node_link::secure() {
  if (!dialled_) set_no_delay(socket_.fd());
  const tls_context_ptr& context = dialled_ ? self_->connect : self_->accept;
  if (!context) return greet();
  step_ = step::securing;
  if (dialled_)
    begin_connect_tls(*context, where_.at.host, config::tls_mode::verify_ca);
  else
    begin_accept_tls(*context, false);
  socket_.expect_bulk();
}

void node_link::on_handshake() {
  greet();
}

void node_link::greet() {
  step_ = step::greeting;
  write_soon();
}

std::string node_link::on_hello(const cluster::link_hello& other) {
  const std::string expected = !dialled_ || where_.cluster.empty() ? self_->cluster : where_.cluster;
  const bool foreign = other.cluster != self_->cluster;
  if (other.cluster != expected && (dialled_ || other.cluster != links_.admitted()))
    return "it is a node of the cluster \"" + other.cluster + "\", " + (dialled_ ? "expected was one" : "this one is") +
           " of \"" + expected + "\"";
  const auto number = static_cast<node_number>(foreign ? other.node | foreign_node : other.node);
  if (dialled_ && number != node_)
    return "node " + std::to_string(other.node) + " answers where node " + std::to_string(node_ & ~foreign_node) +
           " was expected";
  // A session that was relayed may find that its pool lives on its own node by now, and goes on in the same way.
  const bool itself = number == self_->node && other.incarnation == self_->incarnation;
  if (number == self_->node && !itself) return "it has the number of this node, " + std::to_string(other.node);
  const auto known = links_.peer(number);
  if (known && known->incarnation != 0 && known->incarnation != other.incarnation)
    return "node " + std::to_string(other.node) + " is known here by another start of it";
  node_ = number;
  step_ = step::up;
  if (dialled_) links_.link_works(home(), node_);
  log(level::info, log_event::link_up, {{"node", node_}, {"dialled", dialled_}, {"tls", socket_.tls_version()}});
  return {};
}

// -- bytes
// -------------------------------------------------------------------------------------------------------------------

std::size_t node_link::on_bytes(protocol::bytes_view in) {
  const std::size_t used = mux_.feed(in, *this);
  if (!mux_.broken().empty()) {
    end_turn(); // the other side is to hear why
    end(mux_.broken());
    return in.size();
  }
  if (mux_.wants_fill()) write_soon();
  return used;
}

void node_link::write_soon() {
  if (step_ == step::greeting || step_ == step::up) home().at_turn_end(*this);
}

void node_link::end_turn() {
  protocol::bytes& out = scratch_bytes();
  for (int i = 0; i < writes_per_turn && open() && !output_blocked() && mux_.wants_fill(); ++i) {
    out.clear();
    mux_.fill(out, most_in_a_write, *this);
    if (out.empty()) return; // until the other side has said hello
    write(out);
  }
  if (open() && !output_blocked() && mux_.greeted() && mux_.wants_fill()) home().again(*this);
}

/// Also the turn after one in which too much was to be written.
void node_link::on_drained() {
  write_soon();
}

void node_link::serve_calls() {
  for (const cluster::stream_id which : calls_->take()) {
    const auto found = streams_.find(which);
    if (found == streams_.end()) continue;
    const carried_stream::work work = found->second->take_work();
    for (const protocol::bytes& what : work.signals)
      mux_.signal(which, what);
    if (work.consumed > 0) mux_.consumed(which, work.consumed);
    if (work.finish)
      mux_.finish(which);
    else if (work.send)
      mux_.want_send(which);
  }
  if (mux_.wants_fill()) write_soon();
}

std::size_t node_link::pull(cluster::stream_id which, protocol::bytes& out, std::size_t most) {
  const auto found = streams_.find(which);
  return found == streams_.end() ? 0 : found->second->pull(out, most);
}

// -- streams
// -----------------------------------------------------------------------------------------------------------------

carried_stream_ptr node_link::open_stream(protocol::bytes_view request) {
  if (step_ == step::gone) return nullptr;
  const auto which = mux_.open(request);
  if (!which) return nullptr;
  auto made = std::make_shared<carried_stream>(calls_, *which);
  streams_.emplace(*which, made);
  write_soon();
  return made;
}

void node_link::send_signal(protocol::bytes_view what) {
  mux_.signal(0, what);
  write_soon();
}

void node_link::on_open(cluster::stream_id which, protocol::bytes_view request) {
  auto made = std::make_shared<carried_stream>(calls_, which);
  streams_.emplace(which, made);
  const auto service = links_.service();
  if (service && service->opened) return service->opened(home(), node_, std::move(made), request);
  streams_.erase(which);
  mux_.reset(which, "this node serves no streams");
}

void node_link::on_data(cluster::stream_id which, protocol::bytes_view data) {
  if (const auto found = streams_.find(which); found != streams_.end()) found->second->give(data);
}

void node_link::on_finish(cluster::stream_id which) {
  const auto found = streams_.find(which);
  if (found != streams_.end()) found->second->other_finished();
}

void node_link::on_reset(cluster::stream_id which, protocol::bytes_view why) {
  const auto found = streams_.find(which);
  if (found == streams_.end()) return;
  found->second->lost(std::string(why));
  streams_.erase(found);
}

void node_link::on_signal(cluster::stream_id which, protocol::bytes_view what) {
  if (which == 0) {
    const auto service = links_.service();
    if (service && service->signalled) service->signalled(node_, what);
  } else if (const auto found = streams_.find(which); found != streams_.end()) {
    found->second->pass_signal(what);
  }
}

// -- the end
// -----------------------------------------------------------------------------------------------------------------

/// Also forgets the streams that have ended on both sides, of which the mux knows.
void node_link::on_tick() {
  std::erase_if(streams_, [this](const auto& one) { return !mux_.exists(one.first); });
  const auto now = home().now();
  if (std::exchange(heard_bytes_, bytes_in_) != bytes_in_) heard_ = now;
  const auto silent = now - heard_;
  if (silent >= self_->failure_timeout)
    return end(step_ == step::up ? "it has been silent for too long" : "it does not answer");
  if (step_ == step::up) {
    mux_.ping(0);
    write_soon();
  }
  home().schedule(tick_, now + self_->failure_timeout / ticks_in_timeout);
}

void node_link::on_lost(std::string why) {
  end(why.empty() ? "it closed the connection" : why);
}

void node_link::on_exception() noexcept {
  end("an internal error");
}

void node_link::end(const std::string& why) {
  if (std::exchange(step_, step::gone) == step::gone) return;
  home().cancel(tick_);
  calls_->close();
  const std::string text = "node " + std::to_string(node_) + ": " + why;
  for (const auto& [which, one] : streams_)
    one->lost(text);
  log(level::warning, log_event::link_lost,
      {{"node", node_}, {"dialled", dialled_}, {"streams", streams_.size()}, {"reason", why}});
  streams_.clear();
  if (dialled_) links_.link_ended(home(), node_, *this, text);
  close_socket();
  quit();
}

/// When the reactor stops, nobody is left to be told.
void node_link::on_exit() {
  if (reactor::current() == &home() && !home().stopping()) end("the node stops");
  links_.link_is_over(id());
  home().cancel(tick_);
  calls_->close();
  streams_.clear();
  close_socket();
}

} // namespace pg_edge::actors
