// Accepts connections on one address and makes a client of each, on the reactor that accepted it. Every reactor has a
// listener for every address; they share the listening socket, and the kernel wakes one of them. Which door an address
// belongs to ([listeners.NAME], or the one of the global settings) is told to each client.
#pragma once

#include "actors/messages.hpp"
#include "actors/node_context.hpp"
#include "actors/pinned_actor.hpp"
#include "actors/stream.hpp"

#include <atomic>
#include <memory>
#include <string>

namespace pg_edge::actors {

/// A listening socket that several reactors share; closed, and a Unix socket's file removed, with the last of them.
class listening_socket {
public:
  /// `error` is set when there is none.
  static std::shared_ptr<listening_socket> tcp(const std::string& address, int port, int backlog, std::string& error);
  /// `group`: who owns the file, by name or number; empty leaves the process's own.
  static std::shared_ptr<listening_socket> local(const std::string& folder, int port, int mode,
                                                 const std::string& group, int backlog, std::string& error);
  /// One that another process of this node has opened; `file` of a Unix socket, else empty. `passed`: by the service
  /// manager, so it stands for the addresses in the settings.
  static std::shared_ptr<listening_socket> adopt(int fd, std::string name, std::string file, bool passed = false);
  ~listening_socket();
  listening_socket(const listening_socket&) = delete;
  listening_socket& operator=(const listening_socket&) = delete;

  int fd() const { return fd_; }
  bool tcp() const { return file_.empty(); }
  /// What a new socket has, for when a setting is taken back.
  const keepalive_options& keepalive_of_kernel() const { return kernels_; }
  const std::string& name() const { return name_; }
  const std::string& file() const { return file_; }
  bool passed() const { return passed_; }
  /// Another process has it too: the file stays when this one closes.
  void keep_file(bool yes) { file_kept_ = yes; }

private:
  listening_socket(int fd, std::string name, std::string file)
      : fd_(fd), name_(std::move(name)), file_(std::move(file)), kernels_(read_keepalive(fd)) {}

  int fd_;
  std::string name_;
  std::string file_;
  bool passed_ = false;
  std::atomic<bool> file_kept_{false};
  keepalive_options kernels_;
};

class listener final : public pinned_actor, public io_handler {
public:
  /// `door`: the key in [listeners]; empty: the one of the global settings.
  listener(caf::actor_config& config, reactor& home, node_context& node, std::shared_ptr<listening_socket> socket,
           std::string door);

  caf::behavior make_behavior() override;
  void on_exit() override;
  void on_io(std::uint32_t events) override;
  const char* name() const override { return "listener"; }
  std::string describe() const override;

private:
  void go_on();
  void prepare_accepts();
  void set_options(int fd) const;
  void pause(std::string_view why);

  node_context& node_;
  std::shared_ptr<listening_socket> socket_;
  std::string door_;
  timer pause_;
  std::shared_ptr<const node_settings> prepared_for_;
  bool set_each_ = false; // connections may be in the backlog that came before the present settings
  bool watched_ = false;
  bool paused_ = false;
};

} // namespace pg_edge::actors
