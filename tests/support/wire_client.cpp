#include "tests/support/wire_client.hpp"

#include "tests/support/wire_login.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace pg_edge::test {

namespace {

using clock = std::chrono::steady_clock;

enum authentication {
  auth_ok = 0,
  auth_cleartext = 3,
  auth_md5 = 5,
  auth_sasl = 10,
  auth_sasl_continue = 11,
  auth_sasl_final = 12
};

std::int32_t leading_int32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(i < bytes.size() ? bytes[i] : '\0');
  return static_cast<std::int32_t>(value);
}

bool wait_ready(int fd, short events, clock::time_point end) {
  auto left = std::chrono::duration_cast<milliseconds>(end - clock::now());
  pollfd descriptor{fd, events, 0};
  return poll(&descriptor, 1, static_cast<int>(std::max<milliseconds::rep>(left.count(), 0))) > 0;
}

std::string tls_error() {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  return text;
}

// The words of an expectation; spaces inside parentheses belong to the word.
std::vector<std::string> words_of(std::string_view pattern) {
  std::vector<std::string> words;
  std::string word;
  int depth = 0;
  for (char c : pattern) {
    if (c == ' ' && depth == 0) {
      if (!word.empty()) words.push_back(word);
      word.clear();
      continue;
    }
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    word += c;
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

bool matches(const std::string& word, const wire_message& message) {
  return word.size() == 1 ? word[0] == message.type : word == summary(message);
}

} // namespace

// -- stream: the socket, with or without TLS -----------------------------------------------------------------------

struct wire_client::stream {
  int fd = -1;
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;

  ~stream() {
    SSL_free(ssl);
    SSL_CTX_free(context);
    if (fd >= 0) ::close(fd);
  }

  void connect_to(const std::string& host, std::uint16_t port, const wire_options& options) {
    bool local = !host.empty() && host[0] == '/';
    const bool v6 = !local && host.find(':') != std::string::npos;
    fd = socket(local ? AF_UNIX : v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) throw test_failure(std::string("socket: ") + std::strerror(errno));
    if (options.receive_buffer > 0)
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof options.receive_buffer);
    int connected = -1;
    if (local) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::string path = host + "/.s.PGSQL." + std::to_string(port);
      path.copy(address.sun_path, sizeof address.sun_path - 1);
      connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    } else if (v6) {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(port);
      inet_pton(AF_INET6, host.c_str(), &address.sin6_addr);
      connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    } else {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      inet_pton(AF_INET, host.c_str(), &address.sin_addr);
      // From 127.0.0.2 to 127.0.0.2, so that a test can come from several addresses.
      sockaddr_in own = address;
      own.sin_port = 0;
      if (host != "127.0.0.1" && bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof own) != 0)
        throw test_failure("cannot bind to " + host + ": " + std::strerror(errno));
      connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
      int on = 1; // pieces sent apart must leave apart
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (connected != 0)
      throw test_failure("cannot connect to " + host + ":" + std::to_string(port) + ": " + std::strerror(errno));
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  }

  void start_tls(const wire_options& options) {
    context = SSL_CTX_new(TLS_client_method());
    ssl = SSL_new(context);
    if (!options.authority_file.empty()) {
      SSL_set1_host(ssl, "localhost");
      SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
      if (SSL_CTX_load_verify_locations(context, options.authority_file.c_str(), nullptr) != 1)
        throw test_failure("cannot read " + options.authority_file);
    }
    static const unsigned char alpn[] = "\x0apostgresql";
    SSL_set_alpn_protos(ssl, alpn, sizeof alpn - 1);
    SSL_set_tlsext_host_name(ssl, "localhost");
    SSL_set_fd(ssl, fd);
    clock::time_point end = clock::now() + options.timeout;
    for (int result; (result = SSL_connect(ssl)) != 1;) {
      if (!wait_tls(result, end)) throw test_failure("TLS handshake failed: " + tls_error());
    }
    const unsigned char* chosen = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &length);
    if (options.how == transport::direct_tls &&
        std::string_view(reinterpret_cast<const char*>(chosen), length) != "postgresql")
      throw test_failure("direct TLS: the server did not choose ALPN postgresql");
  }

  // Whether it is worth trying again.
  bool wait_tls(int result, clock::time_point end) const {
    int reason = SSL_get_error(ssl, result);
    if (reason == SSL_ERROR_WANT_READ) return wait_ready(fd, POLLIN, end);
    if (reason == SSL_ERROR_WANT_WRITE) return wait_ready(fd, POLLOUT, end);
    return false;
  }

  // Bytes read, 0 at the end of stream (or reset), -1 at the limit.
  ssize_t read(char* into, std::size_t size, clock::time_point end) const {
    for (;;) {
      if (ssl != nullptr) {
        ERR_clear_error();
        int n = SSL_read(ssl, into, static_cast<int>(size));
        if (n > 0) return n;
        int reason = SSL_get_error(ssl, n);
        if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) return 0;
        if (!wait_tls(n, end)) return -1;
      } else {
        ssize_t n = recv(fd, into, size, 0);
        if (n >= 0) return n;
        if (errno != EAGAIN && errno != EINTR) return 0;
        if (!wait_ready(fd, POLLIN, end)) return -1;
      }
    }
  }

  void write(std::string_view bytes, clock::time_point end) const {
    while (!bytes.empty()) {
      ssize_t n = 0;
      bool again = false;
      if (ssl != nullptr) {
        ERR_clear_error();
        n = SSL_write(ssl, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20)));
        again = n <= 0 && wait_tls(static_cast<int>(n), end);
      } else {
        n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        again = n < 0 && (errno == EAGAIN || errno == EINTR) && wait_ready(fd, POLLOUT, end);
      }
      if (n > 0)
        bytes.remove_prefix(static_cast<std::size_t>(n));
      else if (!again)
        throw test_failure("cannot send: the peer closed, or reads nothing");
    }
  }
};

// -- connecting --------------------------------------------------------------------------------------------------

wire_client::wire_client(std::uint16_t port, const wire_options& options, const std::string& host)
    : stream_(new stream), timeout_(options.timeout) {
  ::signal(SIGPIPE, SIG_IGN); // OpenSSL writes without MSG_NOSIGNAL
  stream_->connect_to(host, port, options);
  if (options.how == transport::tls) {
    send(ssl_request_bytes());
    std::string answer = read_raw(1);
    if (answer != "S") throw test_failure("SSLRequest was answered with \"" + answer + "\"");
  }
  if (options.how != transport::plain) stream_->start_tls(options);
}

wire_client::~wire_client() = default;
wire_client::wire_client(wire_client&&) noexcept = default;
wire_client& wire_client::operator=(wire_client&&) noexcept = default;

int wire_client::descriptor() const {
  return stream_ ? stream_->fd : -1;
}

void wire_client::shutdown_write() {
  if (stream_->ssl != nullptr) SSL_shutdown(stream_->ssl);
  ::shutdown(stream_->fd, SHUT_WR);
}

void wire_client::close() {
  stream_.reset();
}

void wire_client::close_abruptly() {
  linger abrupt{1, 0};
  setsockopt(stream_->fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
  stream_.reset();
}

// -- login -------------------------------------------------------------------------------------------------------

std::vector<wire_message> wire_client::try_startup(const start_parameters& parameters, const std::string& password,
                                                   std::int32_t protocol) {
  std::string user;
  for (const auto& [name, value] : parameters)
    if (name == "user") user = value;
  std::optional<scram_client> scram;
  std::vector<wire_message> messages;
  send(startup_bytes(parameters, protocol));
  while (auto message = try_read_message(timeout_)) {
    messages.push_back(*message);
    if (message->type == 'Z' || message->type == 'E') break;
    if (message->type != 'R') continue;
    const std::string rest = message->body.size() > 4 ? message->body.substr(4) : "";
    switch (leading_int32(message->body)) {
    case auth_ok:
      break;
    case auth_cleartext:
      send(password_bytes(password));
      break;
    case auth_md5:
      send(password_bytes(md5_answer(user, password, rest)));
      break;
    case auth_sasl: {
      scram.emplace(password);
      std::string first = scram->first();
      send(
          message_bytes('p', c_string("SCRAM-SHA-256") + int32_bytes(static_cast<std::int64_t>(first.size())) + first));
      break;
    }
    case auth_sasl_continue:
      if (!scram) throw test_failure("SASL continued before it began");
      send(message_bytes('p', scram->final(rest)));
      break;
    case auth_sasl_final:
      if (!scram || !scram->verify(rest)) throw test_failure("the server's SCRAM proof is wrong: " + rest);
      break;
    default:
      throw test_failure("unknown authentication request " + summary(*message));
    }
  }
  return messages;
}

wire_client& wire_client::startup(const start_parameters& parameters, const std::string& password,
                                  std::int32_t protocol) {
  std::vector<wire_message> messages = try_startup(parameters, password, protocol);
  if (messages.empty() || messages.back().type != 'Z') {
    std::string reason = messages.empty() ? "the connection was closed or nothing came" : summary(messages);
    if (!messages.empty() && messages.back().type == 'E') reason += " " + error_field(messages.back(), 'M');
    throw test_failure("login refused: " + reason);
  }
  return *this;
}

wire_client& wire_client::login(const std::string& user, const std::string& database, const std::string& password) {
  return startup({{"user", user}, {"database", database}}, password);
}

std::string wire_client::parameter(const std::string& name) const {
  for (auto entry = parameters_.rbegin(); entry != parameters_.rend(); ++entry)
    if (entry->first == name) return entry->second;
  return "";
}

void wire_client::note(const wire_message& message) {
  last_ = message;
  if (message.type == 'K') {
    backend_pid_ = leading_int32(message.body);
    secret_ = message.body.size() > 4 ? message.body.substr(4) : "";
  }
  if (message.type == 'S') {
    std::size_t end = message.body.find('\0');
    if (end != std::string::npos) parameters_.emplace_back(message.body.substr(0, end), message.body.c_str() + end + 1);
  }
}

// -- bytes -------------------------------------------------------------------------------------------------------

void wire_client::send(std::string_view bytes) {
  if (!stream_) throw test_failure("send after close");
  stream_->write(bytes, clock::now() + timeout_);
}

void wire_client::send_in_pieces(std::string_view bytes, std::size_t piece, milliseconds pause) {
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    send(bytes.substr(at, piece));
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
  }
}

bool wire_client::fill(clock::time_point end) {
  if (!stream_ || ended_) return false;
  if (consumed_ > 0) {
    received_.erase(0, consumed_);
    consumed_ = 0;
  }
  char buffer[65536];
  ssize_t n = stream_->read(buffer, sizeof buffer, end);
  if (n == 0) ended_ = true;
  if (n <= 0) return false;
  received_.append(buffer, static_cast<std::size_t>(n));
  return true;
}

std::string wire_client::read_raw(std::size_t count, std::optional<milliseconds> limit) {
  // Byte by byte while nothing is buffered, so that a TLS handshake's bytes are left in the socket.
  clock::time_point end = clock::now() + limit.value_or(timeout_);
  std::string bytes;
  while (bytes.size() < count) {
    char byte = 0;
    if (consumed_ < received_.size())
      byte = received_[consumed_++];
    else if (!stream_ || stream_->read(&byte, 1, end) != 1)
      throw test_failure("only " + std::to_string(bytes.size()) + " of " + std::to_string(count) + " bytes came");
    bytes += byte;
  }
  return bytes;
}

// -- messages ----------------------------------------------------------------------------------------------------

std::optional<wire_message> wire_client::take_message() {
  std::string_view waiting = std::string_view(received_).substr(consumed_);
  if (waiting.size() < 5) return std::nullopt;
  std::int32_t length = leading_int32(waiting.substr(1));
  if (length < 4) throw test_failure("a message with length " + std::to_string(length));
  std::size_t size = static_cast<std::size_t>(length) + 1;
  if (waiting.size() < size) return std::nullopt;
  wire_message message{waiting[0], std::string(waiting.substr(5, size - 5))};
  consumed_ += size;
  note(message);
  return message;
}

std::optional<wire_message> wire_client::try_read_message(milliseconds limit) {
  clock::time_point end = clock::now() + limit;
  for (;;) {
    if (auto message = take_message()) return message;
    if (!fill(end)) return std::nullopt;
  }
}

wire_message wire_client::read_message(std::optional<milliseconds> limit) {
  milliseconds allowed = limit.value_or(timeout_);
  if (auto message = try_read_message(allowed)) return *message;
  throw test_failure(ended_ ? "the connection was closed; the last message was " + summary(last_)
                            : "no message within " + std::to_string(allowed.count()) + " ms");
}

bool wire_client::closed_within(milliseconds limit) {
  clock::time_point end = clock::now() + limit;
  while (!ended_ && clock::now() < end)
    try_read_message(std::chrono::duration_cast<milliseconds>(end - clock::now()));
  return ended_;
}

bool wire_client::silent_for(milliseconds duration) {
  if (consumed_ < received_.size()) return false;
  return !fill(clock::now() + duration) && !ended_;
}

std::vector<wire_message> wire_client::read_until_ready(std::optional<milliseconds> limit) {
  std::vector<wire_message> messages;
  do
    messages.push_back(read_message(limit));
  while (messages.back().type != 'Z');
  return messages;
}

std::vector<wire_message> wire_client::expect(std::string_view pattern, std::string_view ignored) {
  std::vector<wire_message> read;
  std::optional<wire_message> next;
  auto fail = [&](const std::string& why) {
    std::string got = summary(read) + (next ? " " + summary(*next) : "");
    if (next && next->type == 'E') got += " " + error_field(*next, 'M');
    throw test_failure("expected " + std::string(pattern) + "\nbut got  " + got + "\n" + why);
  };
  auto peek = [&] {
    while (!next) {
      next = try_read_message(timeout_);
      if (!next) fail(ended_ ? "and then the connection was closed" : "and then nothing");
      if (ignored.find(next->type) != std::string_view::npos) next.reset();
    }
  };
  for (const std::string& word : words_of(pattern)) {
    if (word.size() == 2 && word[1] == '*') {
      for (peek(); next->type == word[0]; peek()) {
        read.push_back(*next);
        next.reset();
      }
      continue;
    }
    peek();
    if (!matches(word, *next)) fail("at " + word);
    read.push_back(*next);
    next.reset();
  }
  if (next) fail("the pattern ends with a repetition; nothing can say where it ends");
  return read;
}

std::vector<wire_message> wire_client::query(std::string_view sql, std::string_view pattern) {
  send(query_bytes(sql));
  return expect(pattern);
}

std::string wire_client::ask(std::string_view sql) {
  send(query_bytes(sql));
  return summary(read_until_ready());
}

std::string wire_client::value(std::string_view sql) {
  send(query_bytes(sql));
  std::vector<wire_message> messages = read_until_ready();
  for (const wire_message& message : messages) {
    if (message.type == 'E') throw test_failure(std::string(sql) + " failed: " + error_field(message, 'M'));
    if (message.type != 'D') continue;
    auto values = row_values(message);
    if (!values.empty()) return values[0].value_or("");
  }
  throw test_failure(std::string(sql) + " gave no row: " + summary(messages));
}

bool send_cancel(std::uint16_t port, std::int32_t pid, std::string_view secret, milliseconds limit,
                 const wire_options& options) {
  wire_client client(port, options);
  client.send(cancel_bytes(pid, secret));
  return client.closed_within(limit) && client.last_message().type == 0;
}

} // namespace pg_edge::test
