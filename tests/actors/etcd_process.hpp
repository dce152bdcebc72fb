// An etcd for tests: one member, on free ports, with a data folder of its own that goes with it.
#pragma once

#include "tests/support/process.hpp"

#include <csignal>
#include <string>
#include <vector>

namespace pg_edge::actors {

class etcd_process {
public:
  /// With them, and "https", it shows and asks for certificates.
  static std::vector<std::string> tls_arguments(const std::string& ca, const std::string& certificate,
                                                const std::string& key) {
    return {"--client-cert-auth", "--trusted-ca-file=" + ca, "--cert-file=" + certificate, "--key-file=" + key};
  }
  /// `more`: arguments beside those it always has.
  explicit etcd_process(std::vector<std::string> more = {}, std::string scheme = "http", std::string host = "127.0.0.1")
      : more_(std::move(more)), scheme_(std::move(scheme)), host_(std::move(host)), port_(test::free_port()),
        peer_port_(test::free_port()) {
    start();
  }

  std::string url() const { return scheme_ + "://" + host_ + ":" + std::to_string(port_); }
  void start() {
    const std::string peer = "http://127.0.0.1:" + std::to_string(peer_port_);
    std::vector<std::string> command{"etcd",
                                     "--name=one",
                                     "--data-dir=" + (folder_ / "data"),
                                     "--listen-client-urls=" + url(),
                                     "--advertise-client-urls=" + url(),
                                     "--listen-peer-urls=" + peer,
                                     "--initial-advertise-peer-urls=" + peer,
                                     "--initial-cluster=one=" + peer};
    command.insert(command.end(), more_.begin(), more_.end());
    test::process_options options;
    options.stderr_file = folder_ / "log";
    process_ = test::process(command, options);
    // The gateway listens before the member can serve; the client asks again on its own within its time-out.
    const auto serves = [this] {
      return test::read_file(folder_ / "log").find("ready to serve client requests") != std::string::npos;
    };
    if (!test::wait_for(serves, std::chrono::seconds(60)))
      throw test::test_failure("etcd does not start: " + test::read_file(folder_ / "log"));
  }
  void kill() { process_.kill_tree(); }
  void signal(int number) { process_.signal(number); }
  void restart() {
    kill();
    test::write_file(folder_ / "log", "");
    start();
  }

private:
  test::temp_dir folder_;
  std::vector<std::string> more_;
  std::string scheme_, host_;
  std::uint16_t port_, peer_port_;
  test::process process_;
};

} // namespace pg_edge::actors
