#include "actors/handover.hpp"

#include "actors/listener.hpp"
#include "actors/log.hpp"
#include "actors/node_context.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

/// How long the running process may take to answer, and the new one to begin to serve.
constexpr std::chrono::milliseconds opening_limit{30'000};
/// How often permits and the other process are looked at while there are two.
constexpr std::chrono::milliseconds look_time{20};
/// A process that ends closes its sockets a moment before it counts as ended.
constexpr std::chrono::milliseconds dying_time{2'000};
constexpr int takeover_backlog = 8;

std::string reason() {
  return std::strerror(errno);
}

bool make_address(const std::string& path, sockaddr_un& address, std::string& error) {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    error = "takeover_socket: " + path + ": too long for a Unix socket";
    return false;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return true;
}

owned_fd connect_to(const std::string& path, std::string& error) {
  sockaddr_un address;
  if (!make_address(path, address, error)) return {};
  owned_fd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (made && ::connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return made;
  error = path + ": " + reason();
  return {};
}

/// Should the new process not come to serve, the file is still the old one's.
std::shared_ptr<listening_socket> not_ours_yet(std::shared_ptr<listening_socket> socket) {
  socket->keep_file(true);
  return socket;
}

/// To know that a process has ended whatever happens to its number.
owned_fd watch_process(pid_t pid) {
  return owned_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

/// Whether another user's process is kept out: what goes over this socket is every client's session.
bool trusted(int fd) {
  const auto peer = peer_of(fd);
  return peer && (peer->uid == ::geteuid() || peer->uid == 0);
}

} // namespace

handover::handover(node_context& node) : node_(node), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

handover::~handover() {
  stop();
}

// -- the new process, before anything of it runs
// -------------------------------------------------------------------------------

bool handover::take_over(const std::string& path, std::string& error) {
  for (version_ = cluster::handover_version; !ask_to_give(path, error);) {
    const auto older = cluster::version_instead(error, version_);
    if (!older) return false;
    version_ = *older;
    error.clear();
  }
  return true;
}

bool handover::ask_to_give(const std::string& path, std::string& error) {
  owned_fd socket = connect_to(path, error);
  if (!socket) return false;
  if (!trusted(socket.get())) {
    error = path + ": the process there belongs to another user";
    return false;
  }
  channel_ = std::make_unique<handover_channel>(std::move(socket));
  channel_->send(cluster::hello{.version = version_, .program = PG_EDGE_VERSION, .pid = ::getpid()});
  // Who refuses may have said so and closed before it has heard us: what it said is there all the same.
  static_cast<void>(channel_->flush_now(opening_limit));
  while (error.empty()) {
    std::string why;
    auto got = channel_->next(opening_limit, why);
    if (!got) {
      error = path + ": " + why;
    } else if (const auto* no = std::get_if<cluster::refused_to_give>(&got->frame)) {
      error = no->why;
    } else if (const auto* yes = std::get_if<cluster::welcome_to_take>(&got->frame)) {
      if (yes->version != version_) error = "the running process hands over by another version";
      other_pid_ = yes->pid;
      node_.cancels.set_process(1U - yes->process % 2);
      node_.next_id = yes->next_id;
      watchdog_ = yes->watchdog;
    } else if (auto* one = std::get_if<cluster::listening>(&got->frame)) {
      inherited_.emplace_back(std::move(*one), std::move(got->descriptor));
    } else if (auto* user = std::get_if<cluster::known_user>(&got->frame)) {
      node_.credentials.take(std::move(*user));
    } else if (const auto* scope = std::get_if<cluster::paused_scope>(&got->frame)) {
      node_.gates.take(*scope);
    } else if (const auto* here = std::get_if<cluster::server_here>(&got->frame)) {
      take(*here, std::move(got->descriptor));
    } else if (const auto* away = std::get_if<cluster::server_away>(&got->frame)) {
      witnesses_.erase(away->id);
    } else if (std::holds_alternative<cluster::servers_told>(got->frame)) {
      all_witnesses_ = true;
    } else if (std::holds_alternative<cluster::opening_done>(got->frame)) {
      other_process_ = watch_process(other_pid_);
      set_role(role::taking);
      permits.begin(false, [this](const cluster::handover_frame& frame) { post({frame, {}, {}}); });
      return true;
    } else {
      error = path + ": it said something unexpected";
    }
  }
  channel_.reset();
  inherited_.clear();
  return false;
}

std::shared_ptr<listening_socket> handover::inherited(const std::string& door, const std::string& name) {
  for (auto& [what, fd] : inherited_)
    if (fd && what.kind == cluster::listening_kind::clients && what.door == door && what.name == name)
      return not_ours_yet(listening_socket::adopt(fd.release(), what.name, what.file));
  return nullptr;
}

std::vector<std::shared_ptr<listening_socket>> handover::inherited_passed(const std::string& door) {
  std::vector<std::shared_ptr<listening_socket>> result;
  for (auto& [what, fd] : inherited_)
    if (fd && what.kind == cluster::listening_kind::passed && what.door == door)
      result.push_back(listening_socket::adopt(fd.release(), what.name, what.file, true));
  return result;
}

int handover::inherited_admin() {
  for (auto& [what, fd] : inherited_)
    if (fd && what.kind == cluster::listening_kind::admin) return fd.release();
  return -1;
}

// -- both
// ---------------------------------------------------------------------------------------------------------------------

/// The socket's file belongs to its owner alone, before anybody can connect.
bool handover::listen(const std::string& path, std::string& error) {
  if (path.empty()) return true;
  for (auto& [what, fd] : inherited_)
    if (fd && what.kind == cluster::listening_kind::takeover && what.name == path) listening_ = std::move(fd);
  if (!listening_) {
    std::string nobody;
    if (connect_to(path, nobody)) {
      error = "takeover_socket: a process of pg_edge answers at " + path +
              ": start with --takeover to take over from it, or stop it first";
      return false;
    }
    if (errno == ECONNREFUSED) ::unlink(path.c_str()); // left behind by a process that is gone
    sockaddr_un address;
    if (!make_address(path, address, error)) return false;
    owned_fd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const mode_t before = ::umask(0177);
    const bool bound = made && ::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::umask(before);
    if (!bound || ::chmod(path.c_str(), 0600) != 0 || ::listen(made.get(), takeover_backlog) != 0) {
      error = "takeover_socket: " + path + ": " + reason();
      return false;
    }
    listening_ = std::move(made);
  }
  path_ = path;
  own_path_ = true;
  return true;
}

void handover::start(std::vector<opened_door> doors, std::chrono::microseconds watchdog) {
  {
    const std::lock_guard lock(mutex_);
    doors_ = std::move(doors);
    for (const opened_door& one : doors_)
      one.socket->keep_file(false);
    other_doors_open_ = channel_ != nullptr && version_ >= cluster::version_with_doors_closed;
  }
  watchdog_ = static_cast<std::uint64_t>(watchdog.count());
  inherited_.clear(); // what the settings do not name any more closes
  if (channel_) {
    channel_->send(cluster::serving{});
    channel_->send(cluster::servers_told{}); // there is none yet, and each is told when it begins
    log(level::info, log_event::handover_begun, {{"from", other_pid_.load()}});
  }
  if (listening_ || channel_) thread_ = std::thread([this] { run(); });
}

void handover::stop() {
  stopping_ = true;
  wake();
  if (thread_.joinable()) thread_.join();
  channel_.reset();
  listening_.reset();
  if (own_path_ && role_ != role::giving) ::unlink(path_.c_str());
  own_path_ = false;
}

void handover::close_doors() {
  const std::lock_guard lock(mutex_);
  doors_.clear();
}

std::vector<opened_door> handover::doors() const {
  const std::lock_guard lock(mutex_);
  return doors_;
}

void handover::tell_closed_doors() {
  post({cluster::doors_closed{}, {}, {}});
}

void handover::note_closed_doors() {
  const std::lock_guard lock(mutex_);
  other_doors_open_ = false;
  doors_noted_.notify_all();
}

bool handover::wait_for_closed_doors(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return doors_noted_.wait_for(lock, limit, [this] { return !other_doors_open_; });
}

void handover::set_role(role now) {
  role_.store(now, std::memory_order_release);
  giving_.store(now == role::giving, std::memory_order_relaxed);
}

void handover::post(message what) {
  {
    const std::lock_guard lock(mutex_);
    orders_.push_back(std::move(what));
  }
  wake();
}

void handover::wake() {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_.get(), &one, sizeof one));
}

// -- the thread
// ----------------------------------------------------------------------------------------------------------------

void handover::run() {
  clock::time_point looked{};
  while (!stopping_) {
    const role now = role_;
    pollfd events[3] = {{wake_.get(), POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}};
    if (now != role::giving) events[1].fd = listening_.get(); // then it is the new process's
    if (channel_) {
      events[2].fd = channel_->fd();
      if (channel_->wants_write()) events[2].events |= POLLOUT;
    }
    const int patience = now == role::alone ? 1000 : static_cast<int>(look_time.count());
    static_cast<void>(::poll(events, 3, patience));
    std::uint64_t woken = 0;
    static_cast<void>(::read(wake_.get(), &woken, sizeof woken));
    if ((events[1].revents & POLLIN) != 0) accept_successor();
    take_orders();
    if (channel_ && (events[2].revents & (POLLIN | POLLHUP | POLLERR)) != 0) read_channel();
    if (channel_) {
      std::vector<std::uint64_t> marks;
      const bool alive = channel_->flush(marks);
      note_written(marks);
      if (!alive) lose_channel("it does not read any more");
    }
    if (role_ == role::offering && clock::now() > serving_by_)
      lose_channel("it did not begin to serve within " + std::to_string(opening_limit.count() / 1000) + " s");
    if (role_ != role::alone && clock::now() - looked >= look_time) {
      looked = clock::now();
      permits.look();
      if (role_ == role::bereft) watch_the_dead();
    }
  }
}

void handover::take_orders() {
  std::vector<message> orders;
  {
    const std::lock_guard lock(mutex_);
    orders.swap(orders_);
  }
  for (message& one : orders) {
    if (auto* record = std::get_if<cluster::moved_client>(&one.frame)) {
      record->number = ++last_number_;
      offers_[record->number] = one.client;
      if (!channel_) {
        settle(record->number, false);
        continue;
      }
    } else if (auto* cancel = std::get_if<cluster::cancel_asked>(&one.frame)) {
      if (!channel_) {
        caf::anon_send(one.client, cancel_done{});
        continue;
      }
      cancel->number = ++last_number_;
      cancels_[cancel->number] = one.client;
      cancel_keys_[cancel->number] = {cancel->process_id, cancel->secret};
    } else if (const auto* refused = std::get_if<cluster::client_refused>(&one.frame)) {
      arrivals_.erase(refused->number);
    } else if (std::holds_alternative<cluster::doors_closed>(one.frame)) {
      // Not to one that does not know it, nor to the successor of one that has died meanwhile.
      if (role_ != role::giving || version_ < cluster::version_with_doors_closed) continue;
    }
    const bool last_word = std::holds_alternative<cluster::goodbye>(one.frame);
    if (channel_) channel_->send(one.frame, std::move(one.descriptor), last_word ? goodbye_mark : 0);
  }
}

void handover::accept_successor() {
  owned_fd who(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!who) return;
  if (!trusted(who.get())) return turn_away(std::move(who), "only the user who runs pg_edge may take over from it");
  switch (role_) {
  case role::alone:
    break;
  case role::offering:
    return turn_away(std::move(who), "another process is about to take over from this one");
  case role::giving:
  case role::taking:
    return turn_away(std::move(who), "the takeover before this one is not over: process " +
                                         std::to_string(other_pid_.load()) +
                                         " still has clients; they end by themselves or after takeover_timeout, or "
                                         "send it SIGINT");
  case role::bereft:
    return turn_away(std::move(who), "the takeover before this one ended with the death of process " +
                                         std::to_string(other_pid_.load()) +
                                         ", and Postgres has not closed all of its connections yet; try again later");
  }
  if (node_.draining) return turn_away(std::move(who), "this process is shutting down");
  channel_ = std::make_unique<handover_channel>(std::move(who));
  set_role(role::offering);
  serving_by_ = clock::now() + opening_limit;
}

void handover::turn_away(owned_fd who, const std::string& why) {
  log(level::warning, log_event::handover_failed, {{"reason", why}});
  handover_channel channel(std::move(who));
  channel.send(cluster::refused_to_give{why});
  static_cast<void>(channel.flush_now(look_time));
}

/// All that the new process must have before it can serve.
void handover::greet(const cluster::hello& words) {
  auto objection = cluster::objection_to(words, PG_EDGE_VERSION);
  const auto open = doors();
  if (!objection && open.empty()) objection = "this process is shutting down";
  if (objection) {
    log(level::warning, log_event::handover_failed, {{"reason", *objection}});
    channel_->send(cluster::refused_to_give{*objection});
    static_cast<void>(channel_->flush_now(look_time));
    channel_.reset();
    return set_role(role::alone);
  }
  version_ = words.version;
  other_pid_ = words.pid;
  other_process_ = watch_process(words.pid);
  constexpr std::uint64_t ids_left = 1U << 20; // for what this process still begins
  channel_->send(cluster::welcome_to_take{.version = version_,
                                          .program = PG_EDGE_VERSION,
                                          .pid = ::getpid(),
                                          .process = static_cast<std::uint8_t>(node_.cancels.process()),
                                          .next_id = node_.next_id.load() + ids_left,
                                          .watchdog = watchdog_});
  for (const opened_door& one : open)
    channel_->send(
        cluster::listening{one.socket->passed() ? cluster::listening_kind::passed : cluster::listening_kind::clients,
                           one.door, one.socket->name(), one.socket->file()},
        owned_fd::copy_of(one.socket->fd()));
  channel_->send(cluster::listening{cluster::listening_kind::takeover, {}, path_, path_},
                 owned_fd::copy_of(listening_.get()));
  for (cluster::known_user& user : node_.credentials.all())
    channel_->send(std::move(user));
  for (const cluster::paused_scope& scope : node_.gates.in_force())
    channel_->send(scope);
  tell_servers();
  channel_->send(cluster::opening_done{});
}

void handover::read_channel() {
  std::vector<handover_channel::received> frames;
  std::string why;
  const bool alive = channel_->receive(frames, why);
  for (auto& one : frames) {
    if (!channel_) return; // what came before was its end
    take_frame(std::move(one));
  }
  if (!alive && channel_) lose_channel(why.empty() ? "it closed the connection" : why);
}

void handover::take_frame(handover_channel::received what) {
  const auto unexpected = [this] { lose_channel("it said something unexpected"); };
  std::visit(
      [&](auto& frame) {
        using type = std::decay_t<decltype(frame)>;
        if constexpr (std::is_same_v<type, cluster::hello>) {
          return role_ == role::offering ? greet(frame) : unexpected();
        } else if constexpr (std::is_same_v<type, cluster::serving>) {
          return role_ == role::offering ? take(frame) : unexpected();
        } else if constexpr (std::is_same_v<type, cluster::doors_closed>) {
          return role_ == role::taking ? note_closed_doors() : unexpected();
        } else if constexpr (std::is_same_v<type, cluster::moved_client> ||
                             std::is_same_v<type, cluster::server_here>) {
          take(std::move(frame), std::move(what.descriptor));
        } else if constexpr (std::is_same_v<type, cluster::pool_claim> || std::is_same_v<type, cluster::pool_claimed> ||
                             std::is_same_v<type, cluster::permits_given> ||
                             std::is_same_v<type, cluster::permits_wanted>) {
          permits.take(frame);
        } else if constexpr (std::is_same_v<type, cluster::server_away>) {
          witnesses_.erase(frame.id);
        } else if constexpr (std::is_same_v<type, cluster::servers_told>) {
          all_witnesses_ = true;
        } else if constexpr (std::is_same_v<type, cluster::goodbye>) {
          log(level::info, log_event::handover_ended, {{"from", other_pid_.load()}, {"clients", moved_.load()}});
          channel_.reset();
          note_closed_doors();
          settle_arrivals(true);
          witnesses_.clear();
          permits.end();
          set_role(role::alone);
        } else if constexpr (std::is_same_v<type, cluster::client_taken> ||
                             std::is_same_v<type, cluster::client_refused> ||
                             std::is_same_v<type, cluster::client_yours> ||
                             std::is_same_v<type, cluster::cancel_asked> ||
                             std::is_same_v<type, cluster::cancel_answered>) {
          take(frame);
        } else {
          unexpected();
        }
      },
      what.frame);
}

/// The new process accepts connections: from here on this one has only what it has.
void handover::take(cluster::serving) {
  log(level::info, log_event::handover_begun, {{"to", other_pid_.load()}});
  set_role(role::giving);
  all_witnesses_ = true; // it has none yet, and tells of each: should it die now, servers_told may never come
  permits.begin(true, [this](const cluster::handover_frame& frame) { post({frame, {}, {}}); });
  caf::anon_send(node_.node, handover_news{handover_news::begun});
}

// -- the end of the other one
// ------------------------------------------------------------------------------------------------

bool handover::other_is_dead(std::chrono::milliseconds patience) const {
  if (!other_process_) return ::kill(other_pid_, 0) != 0 && errno == ESRCH;
  pollfd ended{other_process_.get(), POLLIN, 0};
  return ::poll(&ended, 1, static_cast<int>(patience.count())) > 0;
}

void handover::lose_channel(const std::string& why) {
  channel_.reset();
  note_closed_doors(); // whether or not it is dead: it will not say it
  if (said_goodbye_) return;
  log(role_ == role::offering ? level::warning : level::error, log_event::handover_failed,
      {{"process", other_pid_.load()}, {"reason", why}, {"clients", moved_.load()}});
  if (role_ == role::offering) return set_role(role::alone);
  const bool was_giving = role_ == role::giving;
  set_role(role::bereft);
  while (!offers_.empty())
    settle(offers_.begin()->first, false);
  for (const auto& [number, requester] : std::exchange(cancels_, {}))
    caf::anon_send(requester, cancel_done{});
  cancel_keys_.clear();
  const bool dead = other_is_dead(dying_time);
  settle_arrivals(dead);
  if (was_giving) caf::anon_send(node_.node, handover_news{handover_news::other_died});
}

/// Its permits are ours again when Postgres has closed the connections that it had. It has closed them by dying, but we
/// hold copies: our half is closed here, and what Postgres still sends is read and dropped until it closes its own.
void handover::watch_the_dead() {
  if (!other_is_dead({})) return;
  for (auto one = witnesses_.begin(); one != witnesses_.end();) {
    const int fd = one->second.socket.get();
    ::shutdown(fd, SHUT_WR);
    char dropped[16 * 1024];
    ssize_t got = 0;
    while ((got = ::recv(fd, dropped, sizeof dropped, MSG_DONTWAIT)) > 0)
      continue;
    const bool closed = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    one = closed ? witnesses_.erase(one) : std::next(one);
  }
  if (!witnesses_.empty() || !all_witnesses_) return;
  log(level::info, log_event::handover_ended, {{"process", other_pid_.load()}, {"dead", true}});
  permits.end();
  set_role(role::alone);
}

} // namespace pg_edge::actors
