// A node for the tests of the relay: pg_edge with other nodes and the homes of pools told on the command line, where a
// cluster would find them out.
//   relay_node --config FILE NUMBER LINK_PORT HOMES [tls=FOLDER] PEER=PORT...
// HOMES is a file with the number of the node on which all pools live, read at each login; no file: here. FOLDER has
// node.crt, node.key and ca.crt, the same for all nodes; without it links are plain.
#include "actors/node.hpp"
#include "actors/resolver.hpp"
#include "actors/tls_context.hpp"
#include "config/load.hpp"

#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

using namespace pg_edge;

namespace {

/// Mutual TLS with the certificates of that folder.
bool guard(actors::link_identity& self, const std::string& folder) {
  actors::tls_settings parts;
  parts.cert_file = folder + "/node.crt";
  parts.key_file = folder + "/node.key";
  parts.ca_file = folder + "/ca.crt";
  const auto accept = actors::make_client_tls_context(parts, config::tls_mode::verify_ca);
  const auto connect = actors::make_server_tls_context(parts, config::tls_mode::verify_ca);
  std::cerr << accept.error << connect.error;
  self.accept = accept.context;
  self.connect = connect.context;
  return accept.context && connect.context;
}

} // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 5) return 2;
  const config::load_result loaded = config::load_file(words[1]);
  for (const config::problem& problem : loaded.problems)
    std::cerr << config::to_string(problem) << "\n";
  if (!loaded.value) return 1;
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGQUIT})
    sigaddset(&signals, number);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  actors::node node(words[1], loaded);
  std::vector<std::string> errors;
  if (!node.start(errors)) {
    for (const std::string& error : errors)
      std::cerr << error << "\n";
    return 1;
  }
  actors::link_identity self;
  self.node = static_cast<actors::node_number>(std::stoi(words[2]));
  self.incarnation = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  self.cluster = "test";
  for (std::size_t i = 5; i < words.size(); ++i) {
    const std::size_t at = words[i].find('=');
    if (words[i].starts_with("tls=")) {
      if (guard(self, words[i].substr(at + 1))) continue;
      return 1;
    }
    const auto port = static_cast<std::uint16_t>(std::stoi(words[i].substr(at + 1)));
    const auto number = static_cast<actors::node_number>(std::stoi(words[i].substr(0, at)));
    if (number != self.node) node.links().set_peer(number, {*actors::literal_address("127.0.0.1", port), 0});
  }
  node.places().set([own = self.node, file = words[4]](const actors::pool_name&) {
    std::ifstream in(file);
    int home = 0;
    return in >> home ? static_cast<actors::node_number>(home) : own;
  });
  std::string error;
  if (!node.serve_other_nodes(self, "127.0.0.1", std::stoi(words[3]), error)) {
    std::cerr << error << "\n";
    return 1;
  }
  constexpr timespec look{0, 50'000'000};
  while (!node.finished()) {
    const int number = ::sigtimedwait(&signals, nullptr, &look);
    node.look();
    if (number == SIGTERM) node.shut_down(actors::shutdown_mode::wait_for_clients);
    if (number == SIGINT) node.shut_down(actors::shutdown_mode::wait_for_servers);
    if (number == SIGQUIT) node.shut_down(actors::shutdown_mode::at_once);
  }
  node.stop();
  return 0;
}
