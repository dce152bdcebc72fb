#include "actors/node_links.hpp"

#include "actors/listener.hpp"
#include "actors/log.hpp"
#include "actors/node_link.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

namespace pg_edge::actors {

namespace {

constexpr std::chrono::milliseconds first_pause{50}, longest_pause{1000};
constexpr int accepts_per_turn = 32;

/// The links of one reactor to one node; only its thread looks at it.
struct way {
  caf::actor link; // null: none
  node_link* object = nullptr;
  std::string last_error;
  reactor::clock::time_point again_at{};
  std::chrono::milliseconds pause{0};
};

} // namespace

struct node_links::table {
  mutable std::mutex mutex;
  std::shared_ptr<const link_identity> self = std::make_shared<link_identity>();
  std::shared_ptr<const link_service> service;
  std::string admitted;
  std::map<node_number, link_peer> peers;
  std::map<caf::actor_id, caf::actor_addr> alive;            // dialled and accepted
  std::map<const reactor*, std::map<node_number, way>> ways; // the outer map is guarded; an inner one is its reactor's

  std::map<node_number, way>& ways_of(const reactor& here) {
    std::lock_guard held(mutex);
    return ways[&here];
  }
};

node_links::node_links() : table_(std::make_unique<table>()) {}
node_links::~node_links() = default;

// -- any thread
// -----------------------------------------------------------------------------------------------------------------

void node_links::become(link_identity self) {
  auto made = std::make_shared<const link_identity>(std::move(self));
  std::lock_guard held(table_->mutex);
  table_->self = std::move(made);
}

void node_links::serve(link_service service) {
  auto made = std::make_shared<const link_service>(std::move(service));
  std::lock_guard held(table_->mutex);
  table_->service = std::move(made);
}

void node_links::set_peer(node_number node, link_peer where) {
  std::lock_guard held(table_->mutex);
  table_->peers[node] = std::move(where);
}

void node_links::forget_peer(node_number node, std::string why) {
  std::vector<caf::actor> links;
  {
    std::lock_guard held(table_->mutex);
    table_->peers.erase(node);
    for (const auto& [id, address] : table_->alive)
      if (auto link = caf::actor_cast<caf::actor>(address)) links.push_back(std::move(link));
  }
  for (const caf::actor& link : links)
    caf::anon_send(link, drop_link{node, why});
}

void node_links::admit(std::string cluster) {
  std::lock_guard held(table_->mutex);
  table_->admitted = std::move(cluster);
}

std::string node_links::admitted() const {
  std::lock_guard held(table_->mutex);
  return table_->admitted;
}

void node_links::close() {
  std::lock_guard held(table_->mutex);
  table_->ways.clear();
  table_->alive.clear();
  table_->service.reset();
}

void node_links::link_began(const caf::actor& link) {
  std::lock_guard held(table_->mutex);
  table_->alive[link.id()] = link.address();
}

void node_links::link_is_over(caf::actor_id id) {
  std::lock_guard held(table_->mutex);
  table_->alive.erase(id);
}

std::shared_ptr<const link_identity> node_links::self() const {
  std::lock_guard held(table_->mutex);
  return table_->self;
}

std::shared_ptr<const link_service> node_links::service() const {
  std::lock_guard held(table_->mutex);
  return table_->service;
}

std::optional<link_peer> node_links::peer(node_number node) const {
  std::lock_guard held(table_->mutex);
  const auto found = table_->peers.find(node);
  return found == table_->peers.end() ? std::nullopt : std::optional(found->second);
}

std::vector<node_number> node_links::peers() const {
  std::lock_guard held(table_->mutex);
  std::vector<node_number> result;
  for (const auto& [node, where] : table_->peers)
    result.push_back(node);
  return result;
}

// -- on a reactor
// ----------------------------------------------------------------------------------------------------------------

/// The link to that node, made if need be and if its pause is over.
node_link* node_links::link_to(reactor& here, node_number to, std::string& why) {
  way& found = table_->ways_of(here)[to];
  if (found.link) return found.object;
  const auto where = peer(to);
  const std::string name = "node " + std::to_string(to & ~foreign_node);
  if (!where)
    why = (to & foreign_node) == 0 ? name + " is not a member of the cluster"
                                   : "no node of the cluster that has taken over can be reached";
  else if (here.now() < found.again_at)
    why = found.last_error;
  else if (here.stopping())
    why = "this node stops";
  if (!why.empty()) return nullptr;
  found.link = spawn_pinned<node_link>(here, *this, to, *where);
  found.object = static_cast<node_link*>(caf::actor_cast<caf::abstract_actor*>(found.link));
  return found.object;
}

carried_stream_ptr node_links::open(reactor& here, node_number to, protocol::bytes_view request,
                                    const caf::actor& owner, std::string& why) {
  node_link* link = link_to(here, to, why);
  if (link == nullptr) return nullptr;
  auto made = link->open_stream(request);
  if (made)
    made->belong_to(owner);
  else
    why = "node " + std::to_string(to) + ": no room for another stream";
  return made;
}

bool node_links::signal(reactor& here, node_number to, protocol::bytes_view what) {
  std::string why;
  node_link* link = link_to(here, to, why);
  if (link != nullptr) link->send_signal(what);
  return link != nullptr;
}

void node_links::link_works(reactor& here, node_number to) {
  table_->ways_of(here)[to].pause = {};
}

/// The first loss of a link that worked costs nothing; what cannot be reached is tried less and less often.
void node_links::link_ended(reactor& here, node_number to, node_link& which, const std::string& why) {
  way& found = table_->ways_of(here)[to];
  if (found.object != &which) return;
  found.link = nullptr;
  found.object = nullptr;
  found.last_error = why;
  found.again_at = here.now() + found.pause;
  found.pause = std::clamp(found.pause * 2, first_pause, longest_pause);
}

// -- accepting
// -------------------------------------------------------------------------------------------------------------------

namespace {

class link_listener final : public pinned_actor, public io_handler {
public:
  link_listener(caf::actor_config& config, reactor& home, node_links& links, std::shared_ptr<listening_socket> socket)
      : pinned_actor(config, home, actor_kind::link_listener), links_(links), socket_(std::move(socket)),
        pause_(timer::calling<&link_listener::go_on>(*this)) {}

  caf::behavior make_behavior() override {
    go_on();
    return {[this](const close_server&) { quit(); }};
  }

  void on_exit() override {
    home().cancel(pause_);
    if (watched_) home().unwatch(socket_->fd(), *this);
    watched_ = false;
    socket_.reset();
  }

  void on_io(std::uint32_t) override {
    for (int i = 0; i < accepts_per_turn; ++i) {
      const int fd = ::accept4(socket_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNABORTED || errno == EINTR)) return;
      if (fd < 0) return rest();
      spawn_pinned<node_link>(home(), links_, stream(fd));
    }
  }

private:
  void go_on() {
    watched_ = home().watch_accept(socket_->fd(), *this);
    if (!watched_) rest();
  }
  /// Out of descriptors: asking again at once would only spin.
  void rest() {
    if (watched_) home().unwatch(socket_->fd(), *this);
    watched_ = false;
    home().schedule(pause_, home().now() + first_pause);
  }

  node_links& links_;
  std::shared_ptr<listening_socket> socket_;
  timer pause_;
  bool watched_ = false;
};

} // namespace

caf::actor spawn_link_listener(reactor& home, node_links& links, std::shared_ptr<listening_socket> socket) {
  return caf::actor_cast<caf::actor>(spawn_pinned<link_listener>(home, links, std::move(socket)));
}

} // namespace pg_edge::actors
