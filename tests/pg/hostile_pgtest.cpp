// Hostile and broken clients, one row an attack. Whatever they do: they are told why where that is possible and are
// closed, one line of the log says the reason, memory and descriptors go back to what they were, and a customer beside
// them notices nothing: no error, and his work goes on.
#include "tests/pg/hostile_support.hpp"
#include "tests/pg/hostile_tls.hpp"

#include <random>

using namespace pg_edge::test;

namespace {

constexpr milliseconds login_timeout{1500};

/// Where the attacks go.
struct target {
  const pg_edge_process& node;
  std::uint16_t proxied, guarded;

  wire_client connect(int receive_buffer = 0) const {
    wire_options options = patient();
    options.receive_buffer = receive_buffer;
    return wire_client(node.port(), options);
  }
  wire_client to_proxy_door() const { return wire_client(proxied); }
  /// Where a password is asked for.
  wire_client to_guarded_door() const { return wire_client(guarded, patient()); }
  wire_client log_in(int receive_buffer = 0) const {
    wire_client client = connect(receive_buffer);
    client.login("trust_user", "app");
    return client;
  }
};

/// The error that came before the end, as "FATAL 08P01"; "closed" without one, "open" if it was not closed.
std::string end_of(wire_client& client, milliseconds limit = milliseconds(20'000)) {
  const bool closed = client.closed_within(limit);
  if (!closed) return "open";
  const wire_message& last = client.last_message();
  return last.type == 'E' ? error_field(last, 'S') + " " + error_field(last, 'C') : "closed";
}

/// Sends, on `count` connections one after the other, and returns how they ended if all did in the same way.
std::string all_end(const target& at, int count, const std::function<std::string(int)>& bytes,
                    bool half_close = false) {
  std::string how;
  for (int i = 0; i < count; ++i) {
    wire_client client = at.connect();
    try {
      client.send(bytes(i));
      if (half_close) client.shutdown_write();
    } catch (const test_failure&) { // closed while there was more to send
    }
    const std::string now = end_of(client);
    if (!how.empty() && how != now) return how + ", then " + now;
    how = now;
  }
  return how;
}

/// Many at once, and then they are waited for.
std::string all_together(const target& at, int count, const std::function<void(wire_client&, int)>& act,
                         bool guarded = false) {
  std::list<wire_client> clients;
  for (int i = 0; i < count; ++i)
    act(clients.emplace_back(guarded ? at.to_guarded_door() : at.connect()), i);
  std::string how;
  for (wire_client& client : clients) {
    const std::string now = end_of(client);
    if (!how.empty() && how != now) return how + ", then " + now;
    how = now;
  }
  return how;
}

const start_parameters app_user = {{"user", "trust_user"}, {"database", "app"}};
const start_parameters scram_user = {{"user", "scram_user"}, {"database", "app"}};

std::string lying_start(std::int64_t length) {
  return int32_bytes(length) + int32_bytes(protocol_3_0) + c_string("user") + c_string("x") + std::string(1, '\0');
}

// -- TLS
// ---------------------------------------------------------------------------------------------------

std::string renegotiate(const target& at) {
  tls_peer peer(at.node.port(), TLS1_2_VERSION);
  peer.send(startup_bytes(scram_user));
  char answer[64];
  if (SSL_read(peer.ssl(), answer, sizeof answer) <= 0) return "no answer";
  SSL_renegotiate(peer.ssl());
  const int done = SSL_do_handshake(peer.ssl());
  const int after = done == 1 ? SSL_read(peer.ssl(), answer, sizeof answer) : -1;
  return after > 0 && SSL_num_renegotiations(peer.ssl()) > 0 ? "renegotiated" : peer.end();
}

std::string key_updates(const target& at) {
  tls_peer peer(at.node.port(), TLS1_3_VERSION);
  for (int i = 0; i < 20'000; ++i) { // records without data, each with an answer to be kept ready
    SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED);
    if (SSL_do_handshake(peer.ssl()) != 1) break;
  }
  return peer.end(); // client_login_timeout at the latest
}

std::string garbage_in_tls(const target& at, int version) {
  tls_peer peer(at.node.port(), version);
  const std::string garbage(200, '\x17');
  static_cast<void>(::send(peer.fd(), garbage.data(), garbage.size(), MSG_NOSIGNAL));
  return peer.end();
}

std::string after_ssl_request(const target& at, const std::string& bytes, bool half_close = false) {
  std::string how;
  for (int i = 0; i < 10; ++i) {
    wire_client client = at.connect();
    client.send(ssl_request_bytes());
    if (client.read_raw(1) != "S") return "no TLS";
    if (!bytes.empty()) client.send(bytes);
    if (half_close) client.shutdown_write();
    how = client.closed_within(milliseconds(20'000)) ? "closed" : "open";
    if (how == "open") break;
  }
  return how;
}

// -- PROXY headers that lie
// --------------------------------------------------------------------------------------------------

const std::string proxy_signature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string proxied(const target& at, const std::string& bytes, bool half_close = false) {
  std::string how;
  for (int i = 0; i < 10; ++i) {
    wire_client client = at.to_proxy_door();
    client.send(bytes);
    if (half_close) client.shutdown_write();
    how = end_of(client);
  }
  return how;
}

// -- floods of logged-in clients
// ---------------------------------------------------------------------------------------------

/// Sends for a while without reading, on several connections, and leaves them open meanwhile.
std::string flood(const target& at, const std::string& one, int clients = 4, milliseconds span = milliseconds(800)) {
  std::string burst;
  while (burst.size() < 256 * 1024)
    burst += one;
  std::list<wire_client> all;
  std::list<std::thread> threads;
  std::atomic<std::size_t> sent = 0;
  for (int i = 0; i < clients; ++i)
    all.push_back(at.log_in(4096));
  for (wire_client& client : all)
    threads.emplace_back([&] { sent += push(client, burst, span); });
  for (std::thread& thread : threads)
    thread.join();
  return sent > 64 * 1024 ? "sent" : "sent next to nothing: " + std::to_string(sent);
}

/// A million messages that are read, too.
std::string million(const target& at, const std::string& one, int count_of_answers_each) {
  wire_client client = at.log_in();
  std::string burst;
  for (int i = 0; i < 1000; ++i)
    burst += one;
  std::atomic<bool> failed = false;
  std::thread sender([&] {
    try {
      for (int i = 0; i < 1000; ++i)
        client.send(burst);
      client.send(sync_bytes());
    } catch (const test_failure&) {
      failed = true;
    }
  });
  const std::size_t wanted = 1'000'000UL * static_cast<std::size_t>(count_of_answers_each) * 5;
  char buffer[65536];
  std::size_t got = 0;
  while (got < wanted) {
    pollfd ready{client.descriptor(), POLLIN, 0};
    if (::poll(&ready, 1, 20'000) != 1) break;
    const ssize_t n = ::recv(client.descriptor(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) break;
    got += n > 0 ? static_cast<std::size_t>(n) : 0;
  }
  sender.join();
  return failed || got < wanted ? "not answered: " + std::to_string(got) : "answered";
}

/// Many that send what pg_edge answers itself as fast as they can, and read: then pg_edge is what everybody waits for.
std::string flood_and_read(const target& at, int clients, milliseconds span) {
  std::string burst;
  for (int i = 0; i < 20'000; ++i)
    burst += sync_bytes();
  std::list<wire_client> all;
  std::vector<pollfd> watched;
  for (int i = 0; i < clients; ++i)
    watched.push_back({all.emplace_back(at.log_in()).descriptor(), POLLIN | POLLOUT, 0});
  std::vector<std::size_t> sent(watched.size());
  std::vector<char> buffer(256 * 1024);
  std::size_t answered = 0;
  const auto end = std::chrono::steady_clock::now() + span;
  while (std::chrono::steady_clock::now() < end) {
    ::poll(watched.data(), watched.size(), 10);
    for (std::size_t i = 0; i < watched.size(); ++i) {
      if ((watched[i].revents & POLLIN) != 0)
        if (const ssize_t got = ::recv(watched[i].fd, buffer.data(), buffer.size(), MSG_DONTWAIT); got > 0)
          answered += static_cast<std::size_t>(got);
      if ((watched[i].revents & POLLOUT) == 0) continue;
      const ssize_t gone = send_now(watched[i].fd, std::string_view(burst).substr(sent[i]));
      if (gone < 0) return "closed";
      sent[i] = (sent[i] + static_cast<std::size_t>(gone)) % burst.size();
    }
  }
  BOOST_TEST_MESSAGE(answered / 6 << " Syncs were answered");
  return answered > 1'000'000 ? "answered" : "answered only " + std::to_string(answered / 6);
}

std::string wrong_cancels(const target& at, int count) {
  wire_client victim = at.log_in();
  std::mt19937 random(1);
  std::list<wire_client> open;
  for (int i = 0; i < count; ++i) {
    wire_client& one = open.emplace_back(at.connect());
    std::string key = victim.secret();
    key.back() = static_cast<char>(key.back() + 1 + static_cast<char>(random() % 100));
    one.send(cancel_bytes(i % 2 == 0 ? victim.backend_pid() : static_cast<std::int32_t>(random()), key));
    if (open.size() > 50) {
      if (!open.front().closed_within(milliseconds(20'000))) return "open";
      open.pop_front();
    }
  }
  for (wire_client& one : open)
    if (!one.closed_within(milliseconds(20'000))) return "open";
  return victim.value("select 'unharmed'");
}

/// Like those who do not know the password, but with bytes that lie.
std::string after_password_request(const target& at, const std::string& bytes, bool half_close = false) {
  std::string how;
  for (int i = 0; i < 10; ++i) {
    wire_client client = at.to_guarded_door();
    client.send(startup_bytes(scram_user));
    if (client.read_message().type != 'R') return "no request";
    if (!bytes.empty()) client.send(bytes);
    if (half_close) client.shutdown_write();
    how = end_of(client);
  }
  return how;
}

std::string sasl_first(std::int64_t stated, const std::string& data) {
  return message_bytes('p', c_string("SCRAM-SHA-256") + int32_bytes(stated) + data);
}

// -- the table
// ---------------------------------------------------------------------------------------------------------------

struct attack {
  const char* name;
  std::function<std::string(const target&)> run;
  std::string outcome;
  std::string reason; // in the log; empty: there is nothing to say
};

std::vector<attack> starts() {
  const std::string timed_out = "FATAL 57P05", invalid = "FATAL 08P01";
  return {
      {"300 that say nothing", [](const target& at) { return all_together(at, 300, [](wire_client&, int) {}); },
       timed_out, "login was not finished"},
      {"100 that send a byte at a time",
       [](const target& at) {
         const std::string whole = startup_bytes(app_user);
         std::list<wire_client> all;
         for (int i = 0; i < 100; ++i)
           all.push_back(at.connect());
         for (std::size_t n = 0; n < 12; ++n) {
           for (wire_client& one : all)
             send_now(one.descriptor(), whole.substr(n, 1));
           std::this_thread::sleep_for(milliseconds(60));
         }
         std::string how;
         for (wire_client& one : all)
           how = end_of(one);
         return how;
       },
       timed_out, "login was not finished"},
      {"half a start-up packet and the end",
       [](const target& at) {
         return all_end(
             at, 50, [](int i) { return startup_bytes(app_user).substr(0, 1 + static_cast<std::size_t>(i) % 20); },
             true);
       },
       "closed", ""},
      {"lengths that lie",
       [](const target& at) {
         const std::int64_t lengths[] = {0, 1, 3, 4, 7, 10'005, 65'536, 0x00ffffff};
         return all_end(at, 40, [&](int i) { return lying_start(lengths[i % 8]); });
       },
       invalid, "invalid"},
      {"a start-up packet of 2 GB",
       [](const target& at) {
         return all_end(at, 10, [](int i) { return lying_start(i % 2 == 0 ? 0x7fffffff : -1); });
       },
       invalid, "invalid"},
      {"garbage", [](const target& at) { return all_end(at, 100, garbage); }, invalid, "startup packet"},
      {"2,400 parameters",
       [](const target& at) {
         return all_end(at, 5, [](int i) {
           start_parameters all = app_user;
           for (int n = 0; n < 2400; ++n)
             all.emplace_back("a", std::string(i % 2 == 0 ? 0 : 1, 'x'));
           return startup_bytes(all).substr(0, 10'500);
         });
       },
       "", ""},
      {"a second SSLRequest",
       [](const target& at) { return all_end(at, 20, [](int) { return ssl_request_bytes() + ssl_request_bytes(); }); },
       invalid, "unencrypted data after SSL request"},
      {"GSSAPI asked for again and again",
       [](const target& at) {
         std::string how;
         for (int i = 0; i < 10; ++i) {
           wire_client client = at.connect();
           for (int n = 0; n < 2; ++n) {
             client.send(gssenc_request_bytes());
             if (n == 0 && client.read_raw(1) != "N") return std::string("no answer");
           }
           how = end_of(client);
         }
         return how;
       },
       invalid, "a second GSSAPI encryption request"},
      {"plain bytes behind the request for TLS",
       [](const target& at) {
         return all_end(at, 20, [](int) { return ssl_request_bytes() + startup_bytes(app_user); });
       },
       invalid, "unencrypted data after SSL request"},
      {"nothing after the request for TLS", [](const target& at) { return after_ssl_request(at, "").substr(0, 6); },
       "closed", "login was not finished"},
      {"garbage after the request for TLS",
       [](const target& at) { return after_ssl_request(at, std::string(500, 'x')); }, "closed", "TLS"},
      {"a ClientHello cut short",
       [](const target& at) {
         return after_ssl_request(at, std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), true);
       },
       "closed", ""},
      {"garbage within TLS 1.2", [](const target& at) { return garbage_in_tls(at, TLS1_2_VERSION); }, "closed", "TLS"},
      {"garbage within TLS 1.3", [](const target& at) { return garbage_in_tls(at, TLS1_3_VERSION); }, "closed", "TLS"},
      {"TLS renegotiation", renegotiate, "closed", ""},
      {"key updates without end", key_updates, "closed", "too many key updates"},
      {"HTTP",
       [](const target& at) { return all_end(at, 20, [](int) { return "GET / HTTP/1.1\r\nHost: x\r\n\r\n"; }); },
       "closed", "HTTP"},
  };
}

std::vector<attack> logins() {
  const std::string timed_out = "FATAL 57P05", invalid = "FATAL 08P01";
  return {
      {"silence when the password is due",
       [](const target& at) {
         return all_together(
             at, 50,
             [](wire_client& client, int) {
               client.send(startup_bytes(scram_user));
               client.read_message();
             },
             true);
       },
       timed_out, "login was not finished"},
      {"silence in the midst of SCRAM",
       [](const target& at) {
         return all_together(
             at, 20,
             [](wire_client& client, int) {
               client.send(startup_bytes(scram_user));
               client.read_message();
               const std::string first = "n,,n=,r=abcdefghijklmnop";
               client.send(sasl_first(static_cast<std::int64_t>(first.size()), first));
               client.read_message();
             },
             true);
       },
       timed_out, "login was not finished"},
      {"a query when the password is due",
       [](const target& at) { return after_password_request(at, query_bytes("select 1")); }, invalid, ""},
      {"a password message of a gigabyte",
       [](const target& at) { return after_password_request(at, "p" + int32_bytes(0x3fffffff)); }, invalid, ""},
      {"a password message that is too short",
       [](const target& at) { return after_password_request(at, "p" + int32_bytes(3)); }, invalid, ""},
      {"SCRAM lengths that lie",
       [](const target& at) {
         const std::int64_t lengths[] = {-2, 0x7fffffff, 1000, static_cast<std::int64_t>(0xfffffffeU)};
         std::string how;
         for (const std::int64_t length : lengths)
           how = after_password_request(at, sasl_first(length, "n,,n=,r=abcdefghijklmnop"));
         return how;
       },
       invalid, "event=client_login_failed"},
      {"SCRAM of nothing", [](const target& at) { return after_password_request(at, message_bytes('p', "")); }, invalid,
       "event=client_login_failed"},
      {"the end when the password is due", [](const target& at) { return after_password_request(at, "p", true); },
       "closed", "closed the connection"},
      {"2,000 cancel requests with wrong keys", [](const target& at) { return wrong_cancels(at, 2000); }, "unharmed",
       "cancel request with a wrong key"},
      {"a PROXY header of nonsense",
       [](const target& at) { return proxied(at, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + startup_bytes(app_user)); },
       invalid, "PROXY"},
      {"a PROXY header that states 65,535 bytes",
       [](const target& at) { return proxied(at, proxy_signature + "\x21\x11\xff\xff" + std::string(3000, 'x')); },
       invalid, "PROXY"},
      {"a PROXY header too short for its addresses",
       [](const target& at) {
         return proxied(at,
                        proxy_signature + std::string("\x21\x11\x00\x04\x01\x02\x03\x04", 8) + startup_bytes(app_user));
       },
       invalid, "PROXY"},
      {"half a PROXY header and the end", [](const target& at) { return proxied(at, proxy_signature + "\x21", true); },
       "closed", ""},
      {"half a PROXY header and silence", [](const target& at) { return proxied(at, proxy_signature + "\x21"); },
       timed_out, "login was not finished"},
  };
}

std::vector<attack> sessions() {
  const std::string select = query_bytes("select repeat('x', 1000)");
  return {
      {"a million Syncs", [](const target& at) { return million(at, sync_bytes(), 1); }, "answered", ""},
      {"150 that pipeline Syncs and read", [](const target& at) { return flood_and_read(at, 150, milliseconds(2000)); },
       "answered", ""},
      {"Syncs without reading", [](const target& at) { return flood(at, sync_bytes()); }, "sent", ""},
      {"Closes without reading", [](const target& at) { return flood(at, close_bytes('P', "")); }, "sent", ""},
      {"empty Parses without reading", [](const target& at) { return flood(at, parse_bytes("", "") + flush_bytes()); },
       "sent", ""},
      {"queries without reading", [=](const target& at) { return flood(at, select); }, "sent", ""},
      {"errors without reading", [](const target& at) { return flood(at, bind_bytes("", "nothing") + sync_bytes()); },
       "sent", ""},
      {"Parses of 200 kB without Sync",
       [](const target& at) { return flood(at, parse_bytes("", "select '" + std::string(200'000, 'x') + "'"), 2); },
       "sent", ""},
      {"messages of two bytes at a time",
       [](const target& at) {
         wire_client client = at.log_in();
         const std::string all = query_bytes("select 'slow'") + sync_bytes();
         client.send_in_pieces(all, 2, milliseconds(5));
         client.expect("T D(slow) C Z(I) Z(I)");
         return std::string("answered");
       },
       "answered", ""},
      {"a query and half of the next, then silence",
       [=](const target& at) {
         std::list<wire_client> all;
         for (int i = 0; i < 20; ++i) {
           all.push_back(at.log_in());
           all.back().send(query_bytes("select 1") + select.substr(0, 7));
         }
         for (wire_client& one : all)
           one.expect("T D C Z(I)");
         return std::string("waits");
       },
       "waits", ""},
      {"50 that log in and are gone at once",
       [](const target& at) {
         for (int i = 0; i < 50; ++i) {
           wire_client client = at.log_in();
           client.send(query_bytes("select pg_sleep(0.01)"));
           client.close_abruptly();
         }
         return std::string("gone");
       },
       "gone", ""},
  };
}

struct proving_ground {
  std::uint16_t proxied = free_port(), guarded = free_port();
  pg_edge_process node;

  explicit proving_ground(int reactors)
      : node(simple_toml("reactors = " + std::to_string(reactors) +
                             "\ndefault_pool_size = 2\nmax_client_conn = 500\nclient_login_timeout = "
                             "\"1500ms\"\nlog_pooler_errors = true\nquery_wait_notify = 0\n"
                             "log_rate_limit = 0\n" // 2,000 refused cancels in a second must not silence the next row
                             "client_tls_sslmode = \"prefer\"\nclient_tls_cert_file = \"{cert}\"\n"
                             "client_tls_key_file = \"{key}\"\n",
                         "[listeners.balanced]\nlisten_addr = \"127.0.0.1\"\nlisten_port = " + std::to_string(proxied) +
                             "\nproxy_protocol = true\nproxy_protocol_from = [\"127.0.0.1\"]\n"
                             "[listeners.guarded]\nlisten_addr = \"127.0.0.1\"\nlisten_port = " +
                             std::to_string(guarded) + "\nauth_type = \"scram-sha-256\"\n")) {
    BOOST_REQUIRE(node.wait_for_log("node_started"));
  }
};

/// One row: what it did, and what it did to others.
void try_one(const attack& row, proving_ground& ground, const bystander& other) {
  BOOST_TEST_CONTEXT(row.name) {
    const target at{ground.node, ground.proxied, ground.guarded};
    const int descriptors = open_descriptors(ground.node.pid());
    const long memory = resident_kb(ground.node.pid());
    const int quiet = done_within(other, milliseconds(200));
    const int said_before = row.reason.empty() ? 0 : times_in_log(ground.node, row.reason);
    const int errors_before = other.errors(), done_before = other.done();
    const auto began = std::chrono::steady_clock::now();
    std::string outcome;
    try {
      outcome = row.run(at);
    } catch (const std::exception& e) {
      outcome = e.what();
    }
    const auto took = std::chrono::steady_clock::now() - began;
    const long grown = resident_kb(ground.node.pid()) - memory;
    const int done = other.done() - done_before;
    if (!row.outcome.empty()) BOOST_TEST(outcome == row.outcome);
    BOOST_TEST(ground.node.running());
    BOOST_TEST(other.errors() == errors_before, other.first_error());
    const double wanted = 0.02 * quiet * std::chrono::duration<double, std::milli>(took).count() / 200;
    if (took > milliseconds(500) && std::getenv("PG_EDGE_SANITIZED") == nullptr)
      BOOST_TEST(done >= wanted, done << " transactions of the bystander, " << quiet
                                      << " in 200 ms of quiet, attack took "
                                      << std::chrono::duration_cast<milliseconds>(took).count() << " ms");
    BOOST_TEST(grown < 40'000, "memory grew by " << grown << " kB");
    if (!row.reason.empty()) {
      const bool said = wait_for([&] { return times_in_log(ground.node, row.reason) > said_before; });
      BOOST_TEST(said, "the log does not say: " << row.reason);
    }
    // Servers may have been opened for it; and it may have one of the bystander's moments between two logins.
    const bool back = wait_for([&] { return open_descriptors(ground.node.pid()) <= descriptors + 5; });
    BOOST_TEST(back, "descriptors: " << open_descriptors(ground.node.pid()) << " after " << descriptors);
  }
}

void try_all(const std::vector<attack>& rows, int reactors) {
  proving_ground ground(reactors);
  const bystander other(ground.node);
  BOOST_REQUIRE(wait_for([&] { return other.done() > 50; }));
  for (const attack& row : rows)
    try_one(row, ground, other);
  BOOST_TEST(other.errors() == 0, other.first_error());
}

} // namespace

BOOST_AUTO_TEST_SUITE(hostile_pgtest)

BOOST_AUTO_TEST_CASE(starts_that_are_none) {
  try_all(starts(), 2);
}

BOOST_AUTO_TEST_CASE(B037_logins_that_stall_or_lie) {
  try_all(logins(), 2);
}

BOOST_AUTO_TEST_CASE(B132_sessions_that_send_and_never_read) {
  try_all(sessions(), 1);
}

BOOST_AUTO_TEST_CASE(B193_reloads_and_show_clients_under_load) {
  const auto toml = [](int size) {
    return simple_toml("reactors = 2\nadmin_users = \"trust_user\"\ndefault_pool_size = " + std::to_string(size) +
                       "\n");
  };
  pg_edge_process node(toml(3));
  const bystander one(node), two(node, "app"), three(node, "app");
  BOOST_REQUIRE(wait_for([&] { return one.done() > 10 && two.done() > 10 && three.done() > 10; }));
  std::atomic<bool> stop = false;
  std::atomic<int> shown = 0;
  std::thread watcher([&] {
    pq console(node.conninfo("trust_user", "pgbouncer"));
    while (!stop)
      for (const char* what : {"show clients", "show servers", "show pools", "show stats", "show config"})
        shown += console.exec(what).ok() ? 1 : -1000;
  });
  for (int i = 0; i < 30; ++i) {
    node.rewrite_config(toml(1 + i % 4));
    node.signal(SIGHUP);
    std::this_thread::sleep_for(milliseconds(60));
  }
  stop = true;
  watcher.join();
  BOOST_TEST(shown > 20);
  BOOST_TEST(wait_for([&] { return times_in_log(node, "event=settings_reloaded") >= 20; }));
  for (const bystander* who : {&one, &two, &three}) {
    BOOST_TEST(who->errors() == 0, who->first_error());
    BOOST_TEST(done_within(*who, milliseconds(500)) > 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
