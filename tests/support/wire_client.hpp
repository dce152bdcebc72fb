// A client that speaks the Postgres protocol with every byte under the test's control. It shares no code with
// protocol/ on purpose: a test of bytes must not inherit the bugs of what it tests.
#pragma once

#include "tests/support/process.hpp"

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pg_edge::test {

// -- bytes -------------------------------------------------------------------------------------------------------

std::string int16_bytes(int value);
std::string int32_bytes(std::int64_t value);
std::string c_string(std::string_view text);
/// Type byte, length, body.
std::string message_bytes(char type, std::string_view body);

using start_parameters = std::vector<std::pair<std::string, std::string>>;
inline constexpr std::int32_t protocol_3_0 = 196608;
inline constexpr std::int32_t protocol_3_2 = 196610;

std::string startup_bytes(const start_parameters& parameters, std::int32_t protocol = protocol_3_0);
std::string ssl_request_bytes();
std::string gssenc_request_bytes();
std::string cancel_bytes(std::int32_t pid, std::string_view secret);
std::string password_bytes(std::string_view password);
std::string query_bytes(std::string_view sql);
std::string parse_bytes(std::string_view name, std::string_view sql, const std::vector<std::int32_t>& type_oids = {});
using bind_values = std::vector<std::optional<std::string>>; // nullopt is NULL
std::string bind_bytes(std::string_view portal, std::string_view statement, const bind_values& values = {},
                       const std::vector<int>& value_formats = {}, const std::vector<int>& result_formats = {});
/// kind: 'S' statement or 'P' portal.
std::string describe_bytes(char kind, std::string_view name);
std::string close_bytes(char kind, std::string_view name);
std::string execute_bytes(std::string_view portal = "", std::int32_t row_limit = 0);
std::string sync_bytes();
std::string flush_bytes();
std::string terminate_bytes();
std::string copy_data_bytes(std::string_view data);
std::string copy_done_bytes();
std::string copy_fail_bytes(std::string_view reason);

// -- messages ----------------------------------------------------------------------------------------------------

struct wire_message {
  char type = 0;
  std::string body;
  /// Length on the wire, type byte included.
  std::size_t size() const { return body.size() + 5; }
};

/// Short form for expectations and failures: the type, and in parentheses what matters most:
/// Z(I), C(SELECT 1), E(42P01), N(00000), S(TimeZone=UTC), D(1,NULL,x), R(0), A(channel:payload), T(name,name);
/// others are the bare type.
std::string summary(const wire_message& message);
/// A field of an ErrorResponse or NoticeResponse: 'S' severity, 'C' SQLSTATE, 'M' message, 'H' hint ...
std::string error_field(const wire_message& message, char field);
/// The values of a DataRow.
std::vector<std::optional<std::string>> row_values(const wire_message& message);

// -- the client --------------------------------------------------------------------------------------------------

enum class transport { plain, tls, direct_tls }; // tls: by SSLRequest; direct: with ALPN "postgresql"

struct wire_options {
  transport how = transport::plain;
  std::string authority_file; // verify the server's certificate against it, for the name localhost
  milliseconds timeout{10000};
  int receive_buffer = 0; // SO_RCVBUF before connecting, for tests of back-pressure; 0: the system's
};

class wire_client {
public:
  /// Connects to 127.0.0.1, or a Unix socket when host starts with '/' (the folder of .s.PGSQL.port).
  explicit wire_client(std::uint16_t port, const wire_options& options = {}, const std::string& host = "127.0.0.1");
  ~wire_client();
  wire_client(wire_client&& other) noexcept;
  wire_client& operator=(wire_client&& other) noexcept;

  // -- login ----------------------------------------------------------------------------------------------------
  /// Sends a start-up packet and answers what the server asks for (trust, cleartext, md5, SCRAM-SHA-256), up to
  /// ReadyForQuery. Throws test_failure with the server's message when it refuses. Returns *this.
  wire_client& startup(const start_parameters& parameters, const std::string& password = "",
                       std::int32_t protocol = protocol_3_0);
  /// As startup, but returns all messages until ReadyForQuery, ErrorResponse or end of stream; never throws for a
  /// refusal.
  std::vector<wire_message> try_startup(const start_parameters& parameters, const std::string& password = "",
                                        std::int32_t protocol = protocol_3_0);
  /// Start-up of a user on a database.
  wire_client& login(const std::string& user, const std::string& database, const std::string& password = "");
  /// From BackendKeyData.
  std::int32_t backend_pid() const { return backend_pid_; }
  const std::string& secret() const { return secret_; }
  /// The last ParameterStatus of that name, since start-up.
  std::string parameter(const std::string& name) const;

  // -- bytes ----------------------------------------------------------------------------------------------------
  /// Throws test_failure when the connection is gone or nothing can be sent for the time-out.
  void send(std::string_view bytes);
  /// In writes of `piece` bytes, with a pause between them.
  void send_in_pieces(std::string_view bytes, std::size_t piece = 1, milliseconds pause = milliseconds(0));
  /// Exactly so many bytes, outside any message framing (the answer to SSLRequest).
  std::string read_raw(std::size_t count, std::optional<milliseconds> limit = {});
  /// No more bytes to send; the other direction stays open.
  void shutdown_write();
  /// Closes with a FIN, or an RST (SO_LINGER 0) after which the peer reads ECONNRESET.
  void close();
  void close_abruptly();
  int descriptor() const;

  // -- messages -------------------------------------------------------------------------------------------------
  /// The next message; throws test_failure at the limit or the end of stream.
  wire_message read_message(std::optional<milliseconds> limit = {});
  /// The next message; nullopt at the limit or the end of stream.
  std::optional<wire_message> try_read_message(milliseconds limit);
  /// True when the peer closes within the limit; messages before that are skipped, the last kept in last_message().
  bool closed_within(milliseconds limit);
  const wire_message& last_message() const { return last_; }
  /// Nothing arrives for so long.
  bool silent_for(milliseconds duration);
  /// All messages up to and including the next ReadyForQuery.
  std::vector<wire_message> read_until_ready(std::optional<milliseconds> limit = {});

  /// Reads as many messages as named and compares: "1 2 T D C(SELECT 1) Z(I)". A bare type matches any content;
  /// with parentheses the summary must be equal; "D*" is any number, also none. ParameterStatus and notices count
  /// like everything else unless named in ignored ("SN"). Throws test_failure with both lists; returns what it read.
  std::vector<wire_message> expect(std::string_view pattern, std::string_view ignored = "");
  /// Sends a simple query and expects.
  std::vector<wire_message> query(std::string_view sql, std::string_view pattern);
  /// Sends a simple query; summaries of all messages up to ReadyForQuery, joined by spaces.
  std::string ask(std::string_view sql);
  /// Sends a simple query; first value of its first row. Throws when there is none or an error came.
  std::string value(std::string_view sql);

private:
  struct stream;
  bool fill(std::chrono::steady_clock::time_point end);
  std::optional<wire_message> take_message();
  void note(const wire_message& message);

  std::unique_ptr<stream> stream_;
  milliseconds timeout_{10000};
  std::string received_;
  std::size_t consumed_ = 0;
  bool ended_ = false;
  std::int32_t backend_pid_ = 0;
  std::string secret_;
  std::vector<std::pair<std::string, std::string>> parameters_;
  wire_message last_;
};

/// Summaries joined by spaces.
std::string summary(const std::vector<wire_message>& messages);

/// Sends a CancelRequest on a connection of its own and waits until the peer closes it. True when it did so in time,
/// without a byte of an answer.
bool send_cancel(std::uint16_t port, std::int32_t pid, std::string_view secret,
                 milliseconds limit = milliseconds(10000), const wire_options& options = {});

} // namespace pg_edge::test
