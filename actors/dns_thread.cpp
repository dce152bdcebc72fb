#include "actors/dns_thread.hpp"

#include "actors/log.hpp"
#include "config/resolv_conf.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <map>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sstream>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace pg_edge::actors {

using cluster::family_answer;

namespace {

constexpr std::size_t longest_name = 253;

/// c-ares has few things to set up for the whole process; it wants them done by one thread, once.
int library_status() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

family_answer read_answer(int status, const ares_addrinfo* found, bool v6) {
  family_answer out;
  if (status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME) out.is = family_answer::kind::none;
  if (status != ARES_SUCCESS) {
    out.why = ares_strerror(status);
    return out;
  }
  out.life = std::chrono::hours(24);
  for (const ares_addrinfo_node* one = found->nodes; one != nullptr; one = one->ai_next) {
    if (one->ai_family != (v6 ? AF_INET6 : AF_INET)) continue;
    config::ip_address address;
    address.v6 = v6;
    if (v6)
      std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(one->ai_addr)->sin6_addr, 16);
    else
      std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in*>(one->ai_addr)->sin_addr, 4);
    if (std::find(out.addresses.begin(), out.addresses.end(), address) == out.addresses.end())
      out.addresses.push_back(address);
    out.life = std::min<std::chrono::milliseconds>(out.life, std::chrono::seconds(std::max(one->ai_ttl, 0)));
  }
  out.is = out.addresses.empty() ? family_answer::kind::none : family_answer::kind::found;
  if (out.addresses.empty()) out.why = ares_strerror(ARES_ENODATA);
  return out;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

} // namespace

// -- a channel
// -------------------------------------------------------------------------------------------------------------

/// One reading of resolv.conf, and the questions asked by it.
class dns_thread::channel {
public:
  channel(const std::string& file, report& on_result) : on_result_(on_result) {
    ares_options options{};
    options.timeout = first_try_ms;
    options.tries = tries;
    char lookups[] = "fb"; // files, then name servers
    options.lookups = lookups;
    options.sock_state_cb = [](void* self, ares_socket_t socket, int readable, int writable) {
      static_cast<channel*>(self)->note_socket(socket, readable != 0, writable != 0);
    };
    options.sock_state_cb_data = this;
    int chosen = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    std::string path = file;
    if (!path.empty()) {
      options.resolvconf_path = path.data();
      chosen |= ARES_OPT_RESOLVCONF;
    }
    int status = library_status();
    if (status == ARES_SUCCESS) status = ares_init_options(&channel_, &options, chosen);
    if (status != ARES_SUCCESS) {
      fail(status);
      return;
    }
    const std::string servers = config::name_servers_with_ports(read_file(path.empty() ? "/etc/resolv.conf" : path));
    if (servers.empty()) return;
    if (status = ares_set_servers_ports_csv(channel_, servers.c_str()); status != ARES_SUCCESS) fail(status);
  }

  ~channel() {
    ending_ = true; // what is under way is told so, and asked for by nobody any more
    if (channel_ != nullptr) ares_destroy(channel_);
  }
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  bool idle() const { return open_ == 0; }
  bool broken() const { return channel_ == nullptr; }

  void ask(dns_question what) {
    if (what.address) return ask_name(what);
    ask_addresses(std::move(what));
  }

  void add_to(std::vector<pollfd>& watched) const {
    for (const auto& [socket, events] : sockets_)
      watched.push_back({socket, events, 0});
  }

  /// Milliseconds until c-ares wants to do something; -1: when a socket does.
  int patience() const {
    timeval span{};
    if (channel_ == nullptr || ares_timeout(channel_, nullptr, &span) == nullptr) return -1;
    return static_cast<int>(std::min<std::int64_t>(span.tv_sec * 1000 + (span.tv_usec + 999) / 1000, 60'000));
  }

  void go_on(const std::vector<pollfd>& watched) {
    if (channel_ == nullptr) return;
    for (const pollfd& one : watched) {
      if (one.revents == 0 || !sockets_.contains(one.fd)) continue;
      const bool broken = (one.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
      const bool in = broken || (one.revents & POLLIN) != 0, out = broken || (one.revents & POLLOUT) != 0;
      ares_process_fd(channel_, in ? one.fd : ARES_SOCKET_BAD, out ? one.fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD); // what has waited too long
  }

private:
  struct job {
    channel* owner = nullptr;
    dns_result result;
    int missing = 0; // parts
  };
  struct part {
    std::shared_ptr<job> whole;
    bool v6 = false;
  };

  void fail(int status) {
    log(level::error, log_event::dns_failed, {{"reason", ares_strerror(status)}});
    if (channel_ != nullptr) ares_destroy(std::exchange(channel_, nullptr));
  }

  void note_socket(ares_socket_t socket, bool readable, bool writable) {
    if (!readable && !writable)
      sockets_.erase(socket);
    else
      sockets_[socket] = static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
  }

  /// Both families on their own: the failure of one says nothing about the other.
  void ask_addresses(dns_question what) {
    auto whole = std::make_shared<job>();
    whole->owner = this;
    whole->result.id = what.id;
    if (channel_ == nullptr || what.name.empty() || what.name.size() > longest_name) {
      const auto why = channel_ == nullptr ? "the resolver could not be set up" : "this is no host name";
      whole->result.v4.why = whole->result.v6.why = why;
      return on_result_(std::move(whole->result));
    }
    whole->missing = 2;
    ++open_;
    for (const bool v6 : {false, true}) {
      ares_addrinfo_hints hints{};
      hints.ai_family = v6 ? AF_INET6 : AF_INET;
      hints.ai_socktype = SOCK_STREAM;
      hints.ai_flags = ARES_AI_NOSORT | ARES_AI_ENVHOSTS;
      ares_getaddrinfo(channel_, what.name.c_str(), nullptr, &hints, &channel::on_addresses, new part{whole, v6});
    }
  }

  static void on_addresses(void* raw, int status, int, ares_addrinfo* found) {
    const std::unique_ptr<part> mine(static_cast<part*>(raw));
    const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> keep(found, &ares_freeaddrinfo);
    job& whole = *mine->whole;
    (mine->v6 ? whole.result.v6 : whole.result.v4) = read_answer(status, found, mine->v6);
    const bool found_some = (mine->v6 ? whole.result.v6 : whole.result.v4).is == family_answer::kind::found;
    if (whole.missing > 1 && found_some && !whole.owner->ending_) {
      dns_result part_of_it = whole.result;
      part_of_it.partial = true;
      whole.owner->on_result_(std::move(part_of_it));
    }
    if (--whole.missing == 0) whole.owner->done(std::move(whole.result));
  }

  void ask_name(const dns_question& what) {
    dns_result result;
    result.id = what.id;
    if (channel_ == nullptr) return on_result_(std::move(result));
    auto* mine = new job{this, std::move(result), 1};
    ++open_;
    const auto& address = *what.address;
    ares_gethostbyaddr(channel_, address.bytes.data(), address.size_bits() / 8, address.v6 ? AF_INET6 : AF_INET,
                       &channel::on_name, mine);
  }

  static void on_name(void* raw, int status, int, hostent* found) {
    const std::unique_ptr<job> mine(static_cast<job*>(raw));
    if (status == ARES_SUCCESS && found != nullptr && found->h_name != nullptr) mine->result.name = found->h_name;
    mine->owner->done(std::move(mine->result));
  }

  void done(dns_result result) {
    --open_;
    if (!ending_) on_result_(std::move(result));
  }

  report& on_result_;
  ares_channel channel_ = nullptr;
  std::map<int, short> sockets_;
  std::size_t open_ = 0;
  bool ending_ = false;
};

// -- the thread
// ------------------------------------------------------------------------------------------------------------

dns_thread::dns_thread(std::string resolv_conf, report on_result)
    : file_(std::move(resolv_conf)), on_result_(std::move(on_result)) {
  wake_up_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_up_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  thread_ = std::thread([this] { run(); });
}

dns_thread::~dns_thread() {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
  ::close(wake_up_);
}

void dns_thread::wake() {
  ::eventfd_write(wake_up_, 1);
}

void dns_thread::ask(dns_question what) {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    inbox_.push_back(std::move(what));
  }
  wake();
}

/// False: the end.
bool dns_thread::take_inbox(std::list<dns_question>& out) {
  const std::lock_guard<std::mutex> hold(mutex_);
  out.splice(out.end(), inbox_);
  return !stopping_;
}

dns_thread::file_state dns_thread::look_at_file() const {
  struct stat found {};
  if (::stat(file_.empty() ? "/etc/resolv.conf" : file_.c_str(), &found) != 0) return {};
  return {found.st_mtim.tv_sec, found.st_mtim.tv_nsec, found.st_size, found.st_ino};
}

dns_thread::channel& dns_thread::current() {
  const file_state now = look_at_file();
  if (channels_.empty() || read_ != now || channels_.back()->broken())
    channels_.push_back(std::make_unique<channel>(file_, on_result_));
  read_ = now;
  return *channels_.back();
}

void dns_thread::run() {
  sigset_t all; // signals are for the main thread
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), "dns");
  std::list<dns_question> questions;
  while (take_inbox(questions)) {
    for (dns_question& one : questions)
      current().ask(std::move(one));
    questions.clear();
    watch();
    channels_.remove_if([this](const auto& one) { return one->idle() && one != channels_.back(); });
  }
  channels_.clear();
}

void dns_thread::watch() {
  std::vector<pollfd> watched{{wake_up_, POLLIN, 0}};
  int limit = -1;
  for (const auto& one : channels_) {
    one->add_to(watched);
    if (const int span = one->patience(); span >= 0) limit = limit < 0 ? span : std::min(limit, span);
  }
  ::poll(watched.data(), watched.size(), limit);
  eventfd_t taken = 0;
  ::eventfd_read(wake_up_, &taken);
  for (const auto& one : channels_)
    one->go_on(watched);
}

} // namespace pg_edge::actors
