// A hostile client from its first byte to its end: start-up packets, authentication, then a session on a pool of one
// toy server that a well-behaved client shares. The first byte chooses how it is asked to prove itself and how bytes
// are cut; then steps: a length byte and so many bytes, or the well-behaved client's turn. That one always gets its own
// answer, the hostile one only whole messages and none of the other's, and the rig keeps its own checks of the server.
#include "protocol/client_auth.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"
#include "protocol/startup.hpp"
#include "tests/protocol/exchange_rig.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>

using namespace pg_edge::protocol;
using namespace pg_edge::test;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

/// The login, up to the first byte of the session. False: refused, or not there yet.
class opening {
public:
  explicit opening(unsigned flags) : flags_(flags) {}

  bool take(bytes& in) {
    while (!in.empty() && !over_ && !done_) {
      const std::size_t before = in.size();
      if (auth_)
        answer(in);
      else
        start_up(in);
      if (in.size() == before && !done_) break;
    }
    return done_;
  }
  bool over() const { return over_; }
  const toy_settings& settings() const { return settings_; }

private:
  void start_up(bytes& in) {
    const first_bytes kind = classify_first_bytes(in);
    if (kind == first_bytes::need_more) return;
    std::size_t length = 0;
    const header_status status = read_startup_length(in, length);
    if (kind != first_bytes::postgres || status == header_status::invalid) return end();
    if (status != header_status::ok || in.size() < length) return;
    const std::vector<char> exact(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(length));
    const startup_packet packet = parse_startup(bytes_view(exact.data(), exact.size()));
    in.erase(0, length);
    if (std::holds_alternative<ssl_request>(packet) || std::holds_alternative<gssenc_request>(packet)) {
      if (++requests_ > 2) end();
      return;
    }
    const auto* message = std::get_if<startup_message>(&packet);
    if (message == nullptr) return end();
    std::string error;
    parse_options(message->find("options").value_or(""), error);
    if (!error.empty()) return end();
    if (const auto name = message->find("application_name")) settings_["application_name"] = *name;
    static constexpr auth_method methods[] = {auth_method::trust, auth_method::cleartext, auth_method::md5,
                                              auth_method::scram};
    auth_ = std::make_unique<client_auth>(
        client_auth::identity{std::string(message->user()), {"password"}, methods[flags_ & 3], 1}, "nonce", "salt",
        "of the node");
    settle(auth_->begin());
  }

  void answer(bytes& in) {
    frame_header header;
    const header_status status = read_header(in, header);
    if (status == header_status::invalid || (status == header_status::ok && header.total() > 4096)) return end();
    if (status != header_status::ok || in.size() < header.total()) return;
    if (header.type != 'p') return end();
    const bytes body = in.substr(frame_header_size, header.body());
    in.erase(0, header.total());
    settle(auth_->answer(body));
  }

  void settle(client_auth::step step) {
    while (step.now == client_auth::verdict::derive)
      step = auth_->keys(salted_password(auth_->password(), auth_->salt(), 1));
    done_ = step.now == client_auth::verdict::accepted;
    if (step.now == client_auth::verdict::refused || step.now == client_auth::verdict::violated) end();
  }

  void end() { over_ = true; }

  unsigned flags_;
  std::unique_ptr<client_auth> auth_;
  toy_settings settings_;
  int requests_ = 0;
  bool over_ = false, done_ = false;
};

constexpr const char* secret = "of the well-behaved client";

void ask_well(rig& all, rig_client& well, int number) {
  const std::string mine = secret + std::to_string(number);
  all.send(well, number % 2 == 0 ? q("SELECT '" + mine + "'") : exec_params("SELECT '" + mine + "'"));
  if (well.server == nullptr && well.wants_server) return; // the other one holds the server
  must(all.got(well).find("D " + mine) != std::string::npos);
}

/// Whole messages, and none of the other client's.
void check_output(const std::string& out) {
  must(out.find(secret) == std::string::npos);
  bytes_view rest = out;
  frame_header header;
  while (!rest.empty()) {
    must(read_header(rest, header) == header_status::ok && header.total() <= rest.size());
    rest.remove_prefix(header.total());
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned flags = data[0];
  bytes_view in(reinterpret_cast<const char*>(data) + 1, size - 1);
  opening login(flags);
  bytes before;
  std::size_t piece = (flags & 4) != 0 ? 1 : 0;
  rig all({.servers = 1, .max_server_statements = 2, .sharing = true},
          {.in = (flags & 8) != 0 ? delivery::order::lazy : delivery::order::eager, .piece = piece});
  rig_client& well = all.client();
  rig_client* hostile = nullptr;
  int asked = 0;
  while (!in.empty() && !login.over() && (hostile == nullptr || !hostile->gone)) {
    const auto head = static_cast<std::uint8_t>(in[0]);
    in.remove_prefix(1);
    if (head == 0xff) {
      if (!well.wants_server) ask_well(all, well, ++asked);
      continue;
    }
    const bytes_view now = in.substr(0, std::min<std::size_t>(head, in.size()));
    in.remove_prefix(now.size());
    if (hostile != nullptr) {
      all.send(*hostile, now);
      continue;
    }
    before += now;
    if (!login.take(before)) continue;
    hostile = &all.client(login.settings());
    all.send(*hostile, before);
  }
  if (hostile != nullptr) check_output(hostile->output);
  // A server that the hostile client has made to close is no fault of the rules.
  const std::string& problems = all.problems();
  if (!problems.empty() && hostile != nullptr && (hostile->server == nullptr || !hostile->server->toy->closed())) {
    std::cerr << problems;
    std::abort();
  }
  return 0;
}
