// Streams over socket pairs and loopback, plain and TLS, with certificates made here: partial writes, much data both
// ways, every way to end, and peers that do not speak TLS. Both ends live in this one thread, so each test is a fixed
// sequence.
#include "actors/stream.hpp"
#include "actors/tls_context.hpp"

#include <boost/test/unit_test.hpp>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <random>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

using namespace pg_edge::actors;
using pg_edge::config::tls_mode;

namespace {

// -- certificates
// ------------------------------------------------------------------------------------------------------

using key_ptr = std::shared_ptr<EVP_PKEY>;
using certificate_ptr = std::shared_ptr<X509>;

key_ptr make_key(bool rsa) {
  return {rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"), EVP_PKEY_free};
}

void add_extension(X509* certificate, int id, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
  BOOST_TEST_REQUIRE((extension != nullptr));
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

certificate_ptr make_certificate(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key,
                                 const char* alternative_names) {
  certificate_ptr made(X509_new(), X509_free);
  static long serial = 1;
  X509_set_version(made.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_pubkey(made.get(), key);
  const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8, text, -1, -1, 0);
  X509_set_issuer_name(made.get(), X509_get_subject_name(issuer != nullptr ? issuer : made.get()));
  if (issuer == nullptr) add_extension(made.get(), NID_basic_constraints, "critical,CA:TRUE");
  if (alternative_names != nullptr) add_extension(made.get(), NID_subject_alt_name, alternative_names);
  BOOST_TEST_REQUIRE((X509_sign(made.get(), issuer_key, EVP_sha256()) > 0));
  return made;
}

template <class Write>
void write_pem(const std::string& path, Write write) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "w"), std::fclose);
  BOOST_TEST_REQUIRE((file != nullptr));
  BOOST_TEST_REQUIRE(write(file.get()));
}

/// A folder with two CAs ("ca", "other_ca") and what they signed; made once for all tests.
class pki {
public:
  pki() : folder_(std::filesystem::temp_directory_path() / ("pg_edge_stream_test." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    const auto ca_key = make_key(false);
    const auto ca = make_certificate("test CA", ca_key.get(), nullptr, ca_key.get(), nullptr);
    save("ca", ca_key, ca);
    const auto other_key = make_key(false);
    save("other_ca", other_key, make_certificate("other CA", other_key.get(), nullptr, other_key.get(), nullptr));
    issue("server", false, "db.example", "DNS:db.example,IP:127.0.0.1", ca, ca_key);
    issue("server_rsa", true, "db.example", "DNS:db.example", ca, ca_key);
    issue("alice", false, "alice", nullptr, ca, ca_key);
    std::ofstream(file("garbage.pem")) << "this is not a certificate\n";
  }
  ~pki() { std::filesystem::remove_all(folder_); }
  pki(const pki&) = delete;
  pki& operator=(const pki&) = delete;

  std::string file(const std::string& name) const { return (folder_ / name).string(); }

private:
  void issue(const std::string& name, bool rsa, const std::string& common_name, const char* alternative_names,
             const certificate_ptr& ca, const key_ptr& ca_key) {
    const auto key = make_key(rsa);
    save(name, key, make_certificate(common_name, key.get(), ca.get(), ca_key.get(), alternative_names));
  }
  void save(const std::string& name, const key_ptr& key, const certificate_ptr& certificate) {
    write_pem(file(name + ".crt"), [&](FILE* out) { return PEM_write_X509(out, certificate.get()) == 1; });
    write_pem(file(name + ".key"), [&](FILE* out) {
      return PEM_write_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
    });
  }

  std::filesystem::path folder_;
};

const pki& certificates() {
  static const pki made;
  return made;
}

tls_settings with_certificate(const std::string& name, const std::string& ca = {}) {
  tls_settings settings;
  settings.cert_file = certificates().file(name + ".crt");
  settings.key_file = certificates().file(name + ".key");
  if (!ca.empty()) settings.ca_file = certificates().file(ca + ".crt");
  return settings;
}

tls_settings with_ca(const std::string& ca) {
  tls_settings settings;
  settings.ca_file = certificates().file(ca + ".crt");
  return settings;
}

tls_context_ptr accepting(const tls_settings& settings = with_certificate("server"),
                          tls_mode mode = tls_mode::require) {
  auto made = make_client_tls_context(settings, mode);
  BOOST_TEST_REQUIRE((made.context != nullptr), made.error);
  return made.context;
}

tls_context_ptr connecting(const tls_settings& settings = {}, tls_mode mode = tls_mode::require) {
  auto made = make_server_tls_context(settings, mode);
  BOOST_TEST_REQUIRE((made.context != nullptr), made.error);
  return made.context;
}

// -- pairs of streams
// --------------------------------------------------------------------------------------------------

struct pair {
  stream near, far; // `near` plays the one that connects, `far` the one that accepts
};

pair make_pair() {
  std::array<int, 2> fds{};
  BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) == 0);
  return {stream(fds[0]), stream(fds[1])};
}

/// Two ends of a TCP connection on loopback.
pair make_tcp_pair() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  BOOST_TEST_REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
  BOOST_TEST_REQUIRE(::listen(listener, 1) == 0);
  BOOST_TEST_REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const int near = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  BOOST_TEST_REQUIRE(::connect(near, reinterpret_cast<sockaddr*>(&address), size) == 0);
  const int far = ::accept(listener, nullptr, nullptr);
  ::close(listener);
  BOOST_TEST_REQUIRE(set_nonblocking(near));
  BOOST_TEST_REQUIRE(set_nonblocking(far));
  // Otherwise Nagle's algorithm may hold back a small message until the other end's delayed acknowledgement.
  BOOST_TEST_REQUIRE(set_no_delay(near));
  BOOST_TEST_REQUIRE(set_no_delay(far));
  return {stream(near), stream(far)};
}

struct handshake_result {
  io_status near, far;
};

/// Drives both handshakes until each is over, one way or the other.
handshake_result shake_hands(pair& both) {
  handshake_result result{io_status::would_block, io_status::would_block};
  for (int turn = 0; turn < 100; ++turn) {
    if (result.near == io_status::would_block) result.near = both.near.handshake();
    if (result.far == io_status::would_block) result.far = both.far.handshake();
    if (result.near != io_status::would_block && result.far != io_status::would_block) break;
  }
  return result;
}

pair make_tls_pair(pair both, const tls_context_ptr& near = connecting(), const tls_context_ptr& far = accepting()) {
  both.near.start_tls_connect(*near, "db.example", tls_mode::require);
  both.far.start_tls_accept(*far, false);
  const auto result = shake_hands(both);
  BOOST_TEST_REQUIRE((result.near == io_status::ok), both.near.last_error());
  BOOST_TEST_REQUIRE((result.far == io_status::ok), both.far.last_error());
  return both;
}

io_result write_text(stream& to, std::string_view text) {
  const iovec piece{const_cast<char*>(text.data()), text.size()};
  return to.write(&piece, 1);
}

/// Reads until there is nothing more for now; says how it ended.
io_status read_all(stream& from, std::string& out, std::size_t at_once = 65536) {
  std::vector<char> buffer(at_once);
  while (true) {
    const auto got = from.read(buffer.data(), buffer.size());
    if (got.status != io_status::ok) return got.status;
    BOOST_TEST_REQUIRE(got.bytes > 0u);
    BOOST_TEST_REQUIRE(got.bytes <= buffer.size());
    out.append(buffer.data(), got.bytes);
  }
}

std::string random_text(std::size_t size, unsigned seed) {
  std::mt19937 random(seed); // NOLINT: the same bytes every time
  std::string text(size, '\0');
  for (auto& c : text)
    c = static_cast<char>(random());
  return text;
}

/// Cuts text into pieces of random sizes (empty ones too), each in memory of its own, so that a retry has other
/// addresses.
struct cut_text {
  cut_text(std::string_view text, std::mt19937& random) {
    while (!text.empty() && parts.size() < 40) {
      const auto size = std::min<std::size_t>(text.size(), random() % (random() % 4 == 0 ? 40'000 : 300));
      parts.emplace_back(text.substr(0, size));
      text.remove_prefix(size);
    }
    // The rest in one piece: a retry must offer no less than the try before it.
    parts.emplace_back(text);
    for (auto& part : parts)
      pieces.push_back({part.data(), part.size()});
  }
  std::vector<std::string> parts;
  std::vector<iovec> pieces;
};

/// One direction of a transfer; step() writes what fits, take() reads what is there.
struct transfer {
  stream& from;
  stream& to;
  std::string sent;
  std::string received;
  std::size_t done = 0;
  std::size_t blocked = 0;

  void step(std::mt19937& random) {
    while (done < sent.size()) {
      const cut_text cut(std::string_view(sent).substr(done), random);
      const auto result = from.write(cut.pieces.data(), static_cast<int>(cut.pieces.size()));
      done += result.bytes;
      if (result.status == io_status::ok) continue;
      BOOST_TEST_REQUIRE((result.status == io_status::would_block), from.last_error());
      ++blocked;
      return;
    }
  }
  void take() { BOOST_TEST_REQUIRE((read_all(to, received, 10'000) == io_status::would_block), to.last_error()); }
};

void much_data_both_ways(pair& both) {
  constexpr std::size_t size = 3'000'000;
  for (const auto& end : {both.near.fd(), both.far.fd()}) {
    const int small = 8192;
    BOOST_TEST_REQUIRE(::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
  }
  std::mt19937 random(3); // NOLINT: the same pieces every time
  transfer there{both.near, both.far, random_text(size, 1), {}};
  transfer back{both.far, both.near, random_text(size, 2), {}};
  for (int turn = 0; turn < 100'000 && (there.received.size() < size || back.received.size() < size); ++turn) {
    there.step(random);
    back.step(random);
    there.take();
    back.take();
  }
  BOOST_TEST((there.received == there.sent));
  BOOST_TEST((back.received == back.sent));
  BOOST_TEST(there.blocked > 10u); // otherwise this test would not have tested much
  BOOST_TEST(back.blocked > 10u);
}

} // namespace

BOOST_AUTO_TEST_SUITE(stream_test)

// -- plain
// -------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_stream_is_small) {
  BOOST_TEST(sizeof(stream) == 16u);
}

BOOST_AUTO_TEST_CASE(plain_read_write_and_end) {
  auto both = make_pair();
  std::string in;
  BOOST_TEST((read_all(both.far, in) == io_status::would_block));
  BOOST_TEST((write_text(both.near, "hello").status == io_status::ok));
  BOOST_TEST((read_all(both.far, in) == io_status::would_block));
  BOOST_TEST(in == "hello");
  BOOST_TEST(!both.far.read_pending());
  BOOST_TEST((both.near.handshake() == io_status::ok)); // nothing to do without TLS
  both.near.shutdown_write();
  BOOST_TEST((read_all(both.far, in) == io_status::closed));
  BOOST_TEST((write_text(both.far, "still open this way").status == io_status::ok));
  in.clear();
  BOOST_TEST((read_all(both.near, in) == io_status::would_block));
  BOOST_TEST(in == "still open this way");
}

BOOST_AUTO_TEST_CASE(writing_nothing_is_ok) {
  auto both = make_pair();
  BOOST_TEST((both.near.write(nullptr, 0).status == io_status::ok));
  auto secure = make_tls_pair(make_pair());
  BOOST_TEST((secure.near.write(nullptr, 0).status == io_status::ok));
  BOOST_TEST((write_text(secure.near, "").status == io_status::ok));
}

BOOST_AUTO_TEST_CASE(writing_to_a_closed_peer_fails_and_does_not_kill) {
  auto both = make_pair();
  both.far.close();
  BOOST_TEST((write_text(both.near, "x").status == io_status::failed)); // SIGPIPE would have ended the test program
  BOOST_TEST(both.near.error_code() == EPIPE);
  BOOST_TEST(both.near.last_error() == "Broken pipe");
}

BOOST_AUTO_TEST_CASE(tls_to_a_closed_peer_fails_and_does_not_kill) {
  auto both = make_tls_pair(make_pair());
  both.far.close();
  BOOST_TEST((write_text(both.near, "x").status == io_status::failed));
  BOOST_TEST(both.near.error_code() == EPIPE);
}

BOOST_AUTO_TEST_CASE(more_pieces_than_the_kernel_takes_at_once) {
  auto both = make_pair();
  std::vector<iovec> pieces(2500, iovec{const_cast<char*>("ab"), 2});
  const auto result = both.near.write(pieces.data(), static_cast<int>(pieces.size()));
  BOOST_TEST((result.status == io_status::ok));
  BOOST_TEST(result.bytes == 5000u);
  std::string in;
  read_all(both.far, in);
  BOOST_TEST(in.size() == 5000u);
}

BOOST_AUTO_TEST_CASE(moving_and_closing) {
  auto both = make_pair();
  const int fd = both.near.fd();
  stream moved(std::move(both.near));
  BOOST_TEST(!both.near); // NOLINT: looks at what was moved from
  BOOST_TEST(moved.fd() == fd);
  both.near.close(); // harmless
  BOOST_TEST((write_text(moved, "x").status == io_status::ok));
  moved = stream();
  std::string in;
  BOOST_TEST((read_all(both.far, in) == io_status::closed));
  BOOST_TEST(::fcntl(fd, F_GETFD) == -1);
}

BOOST_AUTO_TEST_CASE(plain_much_data_both_ways) {
  auto local = make_pair();
  much_data_both_ways(local);
  auto tcp = make_tcp_pair();
  much_data_both_ways(tcp);
}

// -- TLS
// ---------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B044_tls_versions) {
  for (const auto& [protocol, version] :
       {std::pair<std::string, std::string>{"tlsv1.2", "TLSv1.2"}, {"tlsv1.3", "TLSv1.3"}, {"secure", "TLSv1.3"}}) {
    tls_settings settings;
    settings.protocols = protocol;
    auto both = make_tls_pair(make_tcp_pair(), connecting(settings));
    BOOST_TEST(both.near.tls());
    BOOST_TEST(both.near.tls_version() == version);
    BOOST_TEST(both.far.tls_version() == version);
    BOOST_TEST(!both.far.tls_cipher().empty());
    std::string in;
    BOOST_TEST((write_text(both.near, "hello").status == io_status::ok));
    BOOST_TEST((read_all(both.far, in) == io_status::would_block));
    BOOST_TEST((write_text(both.far, " and back").status == io_status::ok));
    BOOST_TEST((read_all(both.near, in) == io_status::would_block));
    BOOST_TEST(in == "hello and back");
  }
}

BOOST_AUTO_TEST_CASE(secure_means_tls_1_2_and_later) {
  tls_settings old;
  old.protocols = "tlsv1.0,tlsv1.1";
  old.ciphers = "DEFAULT:@SECLEVEL=0";
  auto context = connecting(old);
  auto both = make_pair();
  both.near.start_tls_connect(*context, "db.example", tls_mode::require);
  both.far.start_tls_accept(*accepting(), false);
  const auto result = shake_hands(both);
  BOOST_TEST((result.far == io_status::failed));
  BOOST_TEST((result.near == io_status::failed));
  BOOST_TEST((both.far.last_error().find("unsupported protocol") != std::string::npos), both.far.last_error());
}

BOOST_AUTO_TEST_CASE(B044_rsa_and_ecdsa_certificates_side_by_side) {
  auto settings = with_certificate("server");
  settings.cert_file += "," + certificates().file("server_rsa.crt");
  settings.key_file += ", " + certificates().file("server_rsa.key");
  for (const std::string cipher : {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"}) {
    tls_settings wants;
    wants.protocols = "tlsv1.2";
    wants.ciphers = cipher;
    auto both = make_tls_pair(make_pair(), connecting(wants), accepting(settings));
    BOOST_TEST(both.near.tls_cipher() == cipher);
  }
}

BOOST_AUTO_TEST_CASE(tls_much_data_both_ways) {
  for (const std::string protocol : {"tlsv1.2", "tlsv1.3"}) {
    tls_settings settings;
    settings.protocols = protocol;
    auto both = make_tls_pair(make_tcp_pair(), connecting(settings));
    much_data_both_ways(both);
  }
}

BOOST_AUTO_TEST_CASE(small_pieces_travel_in_one_record) {
  auto both = make_tls_pair(make_pair());
  std::vector<iovec> pieces(100, iovec{const_cast<char*>("0123456789"), 10});
  BOOST_TEST((both.near.write(pieces.data(), 100).bytes == 1000u));
  std::array<char, 2000> raw{};
  const auto n = ::recv(both.far.fd(), raw.data(), raw.size(), MSG_PEEK);
  BOOST_TEST(n < 1100); // a record each would be over 3000
  std::string in;
  BOOST_TEST((read_all(both.far, in) == io_status::would_block));
  BOOST_TEST(in.size() == 1000u);
}

BOOST_AUTO_TEST_CASE(bytes_that_epoll_cannot_see_are_pending) {
  auto both = make_tls_pair(make_pair());
  BOOST_TEST((write_text(both.near, std::string(5000, 'a')).status == io_status::ok));
  BOOST_TEST((write_text(both.near, std::string(1000, 'b')).status == io_status::ok));
  std::array<char, 100> some{};
  BOOST_TEST(both.far.read(some.data(), some.size()).bytes == some.size());
  pollfd waiting{both.far.fd(), POLLIN, 0};
  BOOST_TEST(::poll(&waiting, 1, 0) == 0); // the kernel has nothing left ...
  BOOST_TEST(both.far.read_pending());     // ... but TLS has
  std::string in(some.data(), some.size());
  BOOST_TEST((read_all(both.far, in, 100) == io_status::would_block));
  BOOST_TEST((in == std::string(5000, 'a') + std::string(1000, 'b')));
  BOOST_TEST(!both.far.read_pending());
}

BOOST_AUTO_TEST_CASE(half_a_record_is_not_pending_after_would_block) {
  auto both = make_pair();
  auto relay = make_pair(); // near <-> both.far ... relay.near <-> far: lets the test hold bytes back
  auto near = std::move(both.near);
  auto far = std::move(relay.far);
  near.start_tls_connect(*connecting(), "db.example", tls_mode::require);
  far.start_tls_accept(*accepting(), false);
  const auto pump = [&] {
    std::string bytes;
    read_all(both.far, bytes);
    write_text(relay.near, bytes);
    bytes.clear();
    read_all(relay.near, bytes);
    write_text(both.far, bytes);
  };
  for (int turn = 0; turn < 20; ++turn) {
    near.handshake();
    pump();
    far.handshake();
    pump();
  }
  BOOST_TEST((write_text(near, "hello").status == io_status::ok));
  std::string record;
  std::string in;
  read_all(both.far, record);
  write_text(relay.near, std::string_view(record).substr(0, record.size() - 1));
  BOOST_TEST((read_all(far, in) == io_status::would_block));
  BOOST_TEST(!far.read_pending()); // a reactor that trusted true would spin
  write_text(relay.near, std::string_view(record).substr(record.size() - 1));
  BOOST_TEST((read_all(far, in) == io_status::would_block));
  BOOST_TEST(in == "hello");
}

// -- ends
// --------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B046_closing_says_close_notify) {
  auto both = make_pair();
  // A plain OpenSSL peer, without our leniency: it tells a clean end from a torn one.
  const tls_context_ptr strict(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  both.near.start_tls_connect(*strict, "db.example", tls_mode::require);
  both.far.start_tls_accept(*accepting(), false);
  const auto result = shake_hands(both);
  BOOST_TEST_REQUIRE((result.near == io_status::ok));
  BOOST_TEST((write_text(both.far, "last words").status == io_status::ok));
  both.far.close();
  std::string in;
  BOOST_TEST((read_all(both.near, in) == io_status::closed));
  BOOST_TEST(in == "last words");

  auto torn = make_pair();
  torn.near.start_tls_connect(*strict, "db.example", tls_mode::require);
  torn.far.start_tls_accept(*accepting(), false);
  BOOST_TEST_REQUIRE((shake_hands(torn).near == io_status::ok));
  BOOST_TEST(::shutdown(torn.far.fd(), SHUT_WR) == 0); // behind the stream's back: no close_notify
  BOOST_TEST((read_all(torn.near, in) == io_status::failed));
}

BOOST_AUTO_TEST_CASE(an_end_without_close_notify_is_still_an_end) {
  for (const bool at_accepting_end : {true, false}) {
    auto both = make_tls_pair(make_pair());
    auto& leaver = at_accepting_end ? both.near : both.far;
    auto& stayer = at_accepting_end ? both.far : both.near;
    BOOST_TEST((write_text(leaver, "last words").status == io_status::ok));
    BOOST_TEST(::shutdown(leaver.fd(), SHUT_RDWR) == 0);
    std::string in;
    BOOST_TEST((read_all(stayer, in) == io_status::closed), stayer.last_error());
    BOOST_TEST(in == "last words");
    BOOST_TEST((read_all(stayer, in) == io_status::closed)); // and stays one
  }
}

BOOST_AUTO_TEST_CASE(a_client_has_left_when_it_says_so) {
  auto both = make_tls_pair(make_pair());
  both.near.shutdown_write();
  std::string in;
  BOOST_TEST((read_all(both.far, in) == io_status::closed));
  BOOST_TEST((write_text(both.near, "too late").status == io_status::failed));
}

BOOST_AUTO_TEST_CASE(a_server_has_left_when_its_transport_ends) {
  // Postgres says close_notify before its backend has ended; its socket ends with the process. OpenSSL plays Postgres.
  auto both = make_pair();
  const auto context = accepting();
  const std::unique_ptr<SSL, void (*)(SSL*)> postgres(SSL_new(context.get()), SSL_free);
  SSL_set_fd(postgres.get(), both.far.fd());
  both.near.start_tls_connect(*connecting(), "db.example", tls_mode::require);
  for (int turn = 0; turn < 10; ++turn) {
    both.near.handshake();
    SSL_accept(postgres.get());
  }
  BOOST_TEST_REQUIRE(SSL_is_init_finished(postgres.get()) == 1);
  BOOST_TEST(SSL_write(postgres.get(), "last words", 10) == 10);
  SSL_shutdown(postgres.get());
  std::string in;
  BOOST_TEST((read_all(both.near, in) == io_status::would_block));
  BOOST_TEST(in == "last words");
  // Peers that wait for our close_notify before they close have it now.
  char byte = 0;
  BOOST_TEST(SSL_get_error(postgres.get(), SSL_read(postgres.get(), &byte, 1)) == SSL_ERROR_ZERO_RETURN);
  BOOST_TEST((read_all(both.near, in) == io_status::would_block));
  both.far.close();
  BOOST_TEST((read_all(both.near, in) == io_status::closed));
  BOOST_TEST((read_all(both.near, in) == io_status::closed));
}

BOOST_AUTO_TEST_CASE(a_reset_is_an_end_only_after_our_own_end) {
  for (const bool we_ended : {true, false}) {
    auto both = make_tls_pair(make_tcp_pair());
    // What the far end leaves unread makes its kernel answer with a reset, as Postgres does after Terminate.
    BOOST_TEST((write_text(both.near, "Terminate").status == io_status::ok));
    if (we_ended) both.near.shutdown_write();
    const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    BOOST_TEST(::dup2(nothing, both.far.fd()) == both.far.fd()); // closes the socket behind the stream's back
    ::close(nothing);
    std::string in;
    BOOST_TEST((read_all(both.near, in) == (we_ended ? io_status::closed : io_status::failed)));
    BOOST_TEST(both.near.error_code() == ECONNRESET);
  }
}

// -- handshakes that fail
// ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(garbage_instead_of_tls) {
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8), random_text(4000, 9),
        std::string(1000, '\x16')}) {
    auto both = make_pair();
    both.far.start_tls_accept(*accepting(), true);
    write_text(both.near, garbage);
    auto status = io_status::would_block;
    for (int turn = 0; turn < 10 && status == io_status::would_block; ++turn)
      status = both.far.handshake();
    BOOST_TEST((status == io_status::failed));
    BOOST_TEST((both.far.last_error().find("TLS handshake: ") == 0), both.far.last_error());
    BOOST_TEST((both.far.handshake() == io_status::failed));
    BOOST_TEST((write_text(both.far, "x").bytes == 0u));
    both.far.close();
  }
}

BOOST_AUTO_TEST_CASE(B045_garbage_in_an_established_connection_ends_only_that) {
  auto both = make_tls_pair(make_pair());
  auto other = make_tls_pair(make_pair());
  ::send(both.near.fd(), "garbage garbage garbage", 23, 0); // behind TLS's back
  std::string in;
  BOOST_TEST((read_all(both.far, in) == io_status::failed));
  BOOST_TEST((both.far.last_error().find("TLS read: ") == 0), both.far.last_error());
  BOOST_TEST((write_text(other.near, "fine").status == io_status::ok));
  BOOST_TEST((read_all(other.far, in) == io_status::would_block));
  BOOST_TEST(in == "fine");
}

BOOST_AUTO_TEST_CASE(peer_leaves_during_the_handshake) {
  auto both = make_pair();
  both.far.start_tls_accept(*accepting(), false);
  BOOST_TEST((both.far.handshake() == io_status::would_block));
  std::array<char, 8> buffer{};
  BOOST_TEST((both.far.read(buffer.data(), buffer.size()).status == io_status::would_block));
  BOOST_TEST((write_text(both.far, "early").status == io_status::would_block));
  both.near.close();
  BOOST_TEST((both.far.handshake() == io_status::closed));
  BOOST_TEST(both.far.last_error() == "the peer closed the connection during the TLS handshake");
}

BOOST_AUTO_TEST_CASE(B043_direct_tls_needs_the_alpn_protocol) {
  const tls_context_ptr without(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const tls_context_ptr other(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_alpn_protos(other.get(), reinterpret_cast<const unsigned char*>("\x08http/1.1"), 9);
  struct row {
    tls_context_ptr context;
    bool direct;
    io_status expected;
  };
  for (const auto& row : {row{connecting(), true, io_status::ok}, row{connecting(), false, io_status::ok},
                          row{without, false, io_status::ok}, row{without, true, io_status::failed},
                          row{other, false, io_status::failed}, row{other, true, io_status::failed}}) {
    auto both = make_pair();
    both.near.start_tls_connect(*row.context, "db.example", tls_mode::require);
    both.far.start_tls_accept(*accepting(), row.direct);
    BOOST_TEST((shake_hands(both).far == row.expected), both.far.last_error());
  }
}

BOOST_AUTO_TEST_CASE(B038_what_each_mode_verifies) {
  struct row {
    tls_mode mode;
    std::string ca, host;
    bool passes;
  };
  const std::array<row, 11> rows{{
      {tls_mode::require, "other_ca", "wrong.example", true},
      {tls_mode::prefer, "other_ca", "wrong.example", true},
      {tls_mode::verify_ca, "ca", "db.example", true},
      {tls_mode::verify_ca, "ca", "wrong.example", true},
      {tls_mode::verify_ca, "other_ca", "db.example", false},
      {tls_mode::verify_full, "ca", "db.example", true},
      {tls_mode::verify_full, "ca", "127.0.0.1", true},
      {tls_mode::verify_full, "ca", "wrong.example", false},
      {tls_mode::verify_full, "ca", "127.0.0.2", false},
      {tls_mode::verify_full, "ca", "", false},
      {tls_mode::verify_full, "other_ca", "db.example", false},
  }};
  for (const auto& row : rows) {
    auto both = make_pair();
    both.near.start_tls_connect(*connecting(with_ca(row.ca), row.mode), row.host, row.mode);
    both.far.start_tls_accept(*accepting(), false);
    const auto result = shake_hands(both);
    BOOST_TEST((result.near == (row.passes ? io_status::ok : io_status::failed)),
               row.ca << " " << row.host << ": " << both.near.last_error());
    if (!row.passes) BOOST_TEST((both.near.last_error().find("verif") != std::string::npos), both.near.last_error());
  }
}

BOOST_AUTO_TEST_CASE(a_context_of_a_laxer_mode_does_not_pass_a_stricter_one) {
  auto both = make_pair();
  both.near.start_tls_connect(*connecting({}, tls_mode::require), "db.example", tls_mode::verify_ca);
  both.far.start_tls_accept(*accepting(), false);
  BOOST_TEST((shake_hands(both).near == io_status::failed));
}

BOOST_AUTO_TEST_CASE(B031_client_certificates) {
  const auto context = accepting(with_certificate("server", "ca"), tls_mode::verify_ca);
  auto good = make_tls_pair(make_pair(), connecting(with_certificate("alice")), context);
  BOOST_TEST(good.far.peer_common_name() == "alice");
  BOOST_TEST(good.near.peer_common_name().empty()); // not verified in mode require, so worth nothing

  for (const auto& settings : {tls_settings{}, with_certificate("other_ca")}) {
    auto both = make_pair();
    both.near.start_tls_connect(*connecting(settings), "db.example", tls_mode::require);
    both.far.start_tls_accept(*context, false);
    BOOST_TEST((shake_hands(both).far == io_status::failed));
    BOOST_TEST(both.far.peer_common_name().empty());
  }
}

BOOST_AUTO_TEST_CASE(B042_both_sides_see_the_same_channel_end_point) {
  for (const std::string name : {"server", "server_rsa"}) {
    auto both = make_pair();
    BOOST_TEST(both.near.channel_end_point().empty());
    both = make_tls_pair(std::move(both), connecting(), accepting(with_certificate(name)));
    const auto end_point = both.near.channel_end_point();
    BOOST_TEST(end_point.size() == 32u); // the certificates are signed with SHA-256
    BOOST_TEST((end_point == both.far.channel_end_point()));
    auto other = make_tls_pair(make_pair(), connecting(), accepting(with_certificate("alice")));
    BOOST_TEST((end_point != other.near.channel_end_point()));
  }
}

// -- contexts
// ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(errors_name_the_file_and_the_reason) {
  const auto& files = certificates();
  const auto accepting_error = [](const tls_settings& settings, tls_mode mode = tls_mode::require) {
    const auto made = make_client_tls_context(settings, mode);
    BOOST_TEST((made.context == nullptr));
    return made.error;
  };
  auto settings = with_certificate("server");
  settings.cert_file = files.file("missing.crt");
  BOOST_TEST(accepting_error(settings) == files.file("missing.crt") + ": No such file or directory");
  settings = with_certificate("server");
  settings.key_file = files.file("garbage.pem");
  BOOST_TEST((accepting_error(settings).find(files.file("garbage.pem") + ": ") == 0));
  settings = with_certificate("server");
  settings.key_file = files.file("alice.key");
  BOOST_TEST((accepting_error(settings).find("alice.key: key values mismatch") != std::string::npos),
             accepting_error(settings));
  settings = with_certificate("server");
  settings.ca_file = files.file("garbage.pem");
  BOOST_TEST((accepting_error(settings, tls_mode::verify_ca).find(files.file("garbage.pem") + ": ") == 0));
  settings = with_certificate("server");
  settings.key_file.clear();
  BOOST_TEST((accepting_error(settings).find("a key file is needed") == 0));
  BOOST_TEST(!accepting_error({}).empty());
  BOOST_TEST(!accepting_error(with_certificate("server"), tls_mode::verify_full).empty()); // no CA
  settings = with_certificate("server");
  settings.protocols = "tlsv1.2,sslv3";
  BOOST_TEST(accepting_error(settings) == "tls_protocols: unknown protocol \"sslv3\"");
  settings = with_certificate("server");
  settings.ciphers = "no-such-cipher";
  BOOST_TEST((accepting_error(settings).find("tls_ciphers \"no-such-cipher\": ") == 0));
  BOOST_TEST((make_server_tls_context(with_ca("missing"), tls_mode::verify_ca).error ==
              files.file("missing.crt") + ": No such file or directory"));
}

BOOST_AUTO_TEST_CASE(every_mode_has_its_row) {
  for (const auto mode : {tls_mode::disable, tls_mode::allow, tls_mode::prefer, tls_mode::require, tls_mode::verify_ca,
                          tls_mode::verify_full})
    BOOST_TEST((describe(mode).mode == mode));
}

// -- socket helpers
// ----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(socket_options_and_addresses) {
  auto both = make_tcp_pair();
  const auto option = [&](int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    ::getsockopt(both.near.fd(), level, name, &value, &size);
    return value;
  };
  BOOST_TEST(set_no_delay(both.near.fd()));
  BOOST_TEST(option(IPPROTO_TCP, TCP_NODELAY) == 1);
  keepalive_options options;
  options.idle = std::chrono::seconds(11);
  options.interval = std::chrono::seconds(12);
  options.count = 13;
  options.user_timeout = std::chrono::milliseconds(14'000);
  BOOST_TEST(set_keepalive(both.near.fd(), options));
  BOOST_TEST(option(SOL_SOCKET, SO_KEEPALIVE) == 1);
  BOOST_TEST(option(IPPROTO_TCP, TCP_KEEPIDLE) == 11);
  BOOST_TEST(option(IPPROTO_TCP, TCP_KEEPINTVL) == 12);
  BOOST_TEST(option(IPPROTO_TCP, TCP_KEEPCNT) == 13);
  BOOST_TEST(option(IPPROTO_TCP, TCP_USER_TIMEOUT) == 14'000);
  options.enabled = false;
  BOOST_TEST(set_keepalive(both.near.fd(), options));
  BOOST_TEST(option(SOL_SOCKET, SO_KEEPALIVE) == 0);

  const auto local = local_address(both.near.fd());
  BOOST_TEST_REQUIRE(local.has_value());
  BOOST_TEST(local->host == "127.0.0.1");
  BOOST_TEST(local->port > 0);
  BOOST_TEST((local == peer_address(both.far.fd())));
  BOOST_TEST((peer_address(make_pair().near.fd()) == socket_address{"", 0})); // an unnamed Unix socket
  BOOST_TEST(!peer_address(-1).has_value());
  BOOST_TEST(!set_no_delay(-1));
  BOOST_TEST(!set_nonblocking(-1));
}

BOOST_AUTO_TEST_SUITE_END()
