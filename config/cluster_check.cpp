#include "config/cluster_check.hpp"

#include "config/value_text.hpp"

#include <algorithm>
#include <set>

namespace pg_edge::config {

namespace {

constexpr duration shortest_failure_timeout = std::chrono::milliseconds{200};
constexpr duration longest_failure_timeout = std::chrono::hours{1};
constexpr std::size_t longest_name = 63, longest_host = 253;

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

bool is_every(const std::string& host) {
  return host == "*" || host == "0.0.0.0" || host == "::";
}

/// Names stand in keys of the store, in file names and in certificates.
bool is_name(const std::string& text, std::size_t longest = longest_name) {
  constexpr std::string_view good = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !text.empty() && text.size() <= longest && text.find_first_not_of(good) == std::string::npos &&
         text.front() != '.' && text.front() != '-';
}

class cluster_checker {
public:
  cluster_checker(const cluster_settings& one, const setting_lines& lines, problem_list& problems)
      : one_{one}, lines_{lines}, problems_{problems} {}

  void run() {
    name("name", one_.name, "cluster");
    name("node", one_.node, "node");
    address("listen", one_.listen, "10.0.0.1:7432");
    address("advertise", one_.advertise, "192.0.2.1:7432");
    if (const auto at = parse_endpoint(one_.advertise); at && is_every(at->host))
      complain("advertise", "\"" + one_.advertise + "\" is every address; name the one that other nodes connect to");
    link();
    succession();
    store();
    child();
    certificates();
    if (one_.failure_timeout < shortest_failure_timeout || one_.failure_timeout > longest_failure_timeout)
      complain("failure_timeout", "is not between 200ms and 1h: a busy moment would look like a failure, or a failure "
                                  "would never be seen");
  }

private:
  void complain(std::string_view key, const std::string& what) {
    const auto found = lines_.find("cluster." + std::string{key});
    problems_.error(found == lines_.end() ? one_.line : found->second, "cluster: " + std::string{key} + ": " + what);
  }

  void name(std::string_view key, const std::string& value, const std::string& of) {
    if (value.empty())
      complain(key, "is missing: name this " + of);
    else if (!is_name(value))
      complain(key, "\"" + value + "\" is no name of a " + of + ": up to 63 letters, digits, '.', '_' and '-'");
  }

  void address(std::string_view key, const std::string& value, const std::string& example) {
    if (value.empty()) return;
    const auto at = parse_endpoint(value);
    if (!at)
      complain(key, "\"" + value + "\" is no address with a port, as " + example + " is");
    else if (!is_loopback(at->host))
      open_ = std::string{key} + " " + value;
  }

  void link() {
    address("link_listen", one_.link_listen, "10.0.0.1:7433");
    const auto at = parse_endpoint(one_.link_listen);
    if (!at) return;
    if (is_every(at->host))
      complain("link_listen",
               "\"" + one_.link_listen + "\" is every address; name the one that other nodes connect to");
    else if (!parse_address(at->host))
      complain("link_listen", "\"" + one_.link_listen + "\" is no address in numbers, which the other nodes are told");
  }

  void succession() {
    if (one_.succeeds.empty()) return;
    name("succeeds", one_.succeeds, "cluster");
    if (one_.succeeds == one_.name) complain("succeeds", "\"" + one_.succeeds + "\" is this cluster itself");
    if (one_.listen.empty() || one_.link_listen.empty())
      complain("succeeds", "needs listen and link_listen, by which the other cluster's clients are brought here");
  }

  void store() {
    if (one_.store.empty() && one_.etcd_listen.empty())
      complain("store", "is missing: list the client addresses of etcd's members, as [\"https://10.0.0.1:2379\"], or "
                        "set etcd_listen, so that this node starts one");
    std::set<std::string> seen;
    for (const std::string& text : one_.store) {
      const auto at = parse_store_endpoint(text);
      if (!at)
        complain("store", "\"" + text + "\" is no address of etcd, as https://10.0.0.1:2379 is");
      else if (!seen.insert(text).second)
        complain("store", text + " is listed twice");
      else if (at->tls)
        needs_files_ = "store " + text;
      else if (!is_loopback(at->where.host))
        complain("store", text + " can be reached from elsewhere, so it must be https");
    }
  }

  void child() {
    address("etcd_listen", one_.etcd_listen, "10.0.0.1:2379");
    address("etcd_peer_listen", one_.etcd_peer_listen, "10.0.0.1:2380");
    if (one_.etcd_listen.empty() != one_.etcd_peer_listen.empty())
      complain("etcd_listen", "etcd_listen and etcd_peer_listen go together");
    if (!one_.etcd_listen.empty() && one_.etcd_listen == one_.etcd_peer_listen)
      complain("etcd_peer_listen",
               one_.etcd_peer_listen + " is the address of etcd_listen, too; it needs a port of its own");
    for (const auto& [key, value] :
         {std::pair{"etcd_listen", &one_.etcd_listen}, std::pair{"etcd_peer_listen", &one_.etcd_peer_listen}})
      if (const auto at = parse_endpoint(*value); at && is_every(at->host))
        complain(key, "\"" + *value + "\" is every address; name the one that other nodes connect to");
    if (one_.etcd_folder.empty()) complain("etcd_folder", "is empty");
    if (one_.etcd_program.empty()) complain("etcd_program", "is empty");
  }

  void certificates() {
    const int given =
        static_cast<int>(std::count_if(std::begin(files_), std::end(files_), [](auto* f) { return !f->empty(); }));
    if (given != 0 && given != 3) complain("certificate", "certificate, key and ca go together");
    if (given != 0) return;
    if (!needs_files_.empty())
      complain("certificate", "is missing: " + needs_files_ + " needs certificate, key and ca");
    else if (!open_.empty())
      complain("certificate", "is missing: " + open_ +
                                  " can be reached from elsewhere, so it needs certificate, key and ca "
                                  "(docs/cluster.md says how to make them)");
  }

  const cluster_settings& one_;
  const setting_lines& lines_;
  problem_list& problems_;
  const std::string* files_[3] = {&one_.certificate, &one_.key, &one_.ca};
  std::string open_, needs_files_;
};

} // namespace

std::optional<store_endpoint> parse_store_endpoint(std::string_view text) {
  constexpr std::string_view plain = "http://", secure = "https://";
  store_endpoint out;
  out.tls = text.starts_with(secure);
  if (!out.tls && !text.starts_with(plain)) return std::nullopt;
  text.remove_prefix(out.tls ? secure.size() : plain.size());
  if (text.ends_with('/')) text.remove_suffix(1);
  if (const auto where = parse_endpoint(text)) {
    if (where->host == "*") return std::nullopt;
    out.where = *where;
    return out;
  }
  // The name of a host, which is looked up when it is connected to.
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const auto port = parse_integer(text.substr(colon + 1));
  out.where.host = text.substr(0, colon);
  if (!is_name(out.where.host, longest_host) || !port || *port < 1 || *port > 65'535) return std::nullopt;
  out.where.port = static_cast<std::uint16_t>(*port);
  return out;
}

void check_cluster(const cluster_settings& one, const setting_lines& lines, problem_list& problems) {
  if (one.joined) cluster_checker{one, lines, problems}.run();
}

} // namespace pg_edge::config
