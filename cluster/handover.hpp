// What the old and the new process of a node tell each other while the new one takes over, as bytes on a Unix socket.
// Written by hand and length-checked, since either side may be another version of the program: they agree on a version
// of this language, and tests/cluster/handover_test.cpp holds the bytes of every frame.
//
//   new  -> old   hello; once it serves: serving, client_taken, client_refused, pool_claim
//   old  -> new   welcome or refused, listening, known_user, paused_scope, opening_done; once the new one serves:
//                 doors_closed, moved_client, client_yours, pool_claimed, at last goodbye
//   both          permits_given, permits_wanted, cancel_asked, cancel_answered, server_here, server_away, servers_told
//
// A frame: Int32 length of what follows, Byte1 type, Int8 how many descriptors come with it, and the fields. A text is
// an Int32 length and that many bytes; a list an Int32 count and the items.
#pragma once

#include "protocol/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pg_edge::cluster {

using protocol::bytes;
using protocol::bytes_view;

// The new process proposes a version in its hello, its newest first. The old one goes on in it, or refuses and names
// its own newest; if the new one speaks that, it comes again and proposes it. So there is an upgrade and a way back.

/// Rises with every change of any frame. 2: doors_closed.
inline constexpr std::uint32_t handover_version = 2;
/// Those from here on are spoken.
inline constexpr std::uint32_t oldest_handover_version = 1;
/// From here on the old process says when it has closed its doors.
inline constexpr std::uint32_t version_with_doors_closed = 2;
/// "pg_edge hand-over", so that a stray connection is told apart from another version.
inline constexpr bytes_view handover_magic = "pg_edge hand-over";

/// A client whose record would be longer stays where it is.
inline constexpr std::size_t max_handover_frame = 96 * 1024 * 1024;
inline constexpr std::size_t handover_header_size = 6;
inline constexpr std::uint8_t max_handover_descriptors = 1;

/// tenant + database + server user, as everywhere.
struct handover_pool {
  std::string tenant, database, user;
  friend auto operator<=>(const handover_pool&, const handover_pool&) = default;
};

// -- the frames
// ------------------------------------------------------------------------------------------------------------

/// The first words of the new process.
struct hello {
  static constexpr char type = 'h';
  std::string magic{handover_magic};
  std::uint32_t version = handover_version;
  std::string program; // its version, for people
  std::int32_t pid = 0;
  friend bool operator==(const hello&, const hello&) = default;
};

/// The old process agrees.
struct welcome_to_take {
  static constexpr char type = 'H';
  std::uint32_t version = handover_version;
  std::string program;
  std::int32_t pid = 0;
  std::uint8_t process = 0;   // its bit in cancel keys; the new one takes the other
  std::uint64_t next_id = 0;  // of clients, servers and pools: those of the new process come behind
  std::uint64_t watchdog = 0; // microseconds in which the service manager wants to hear of us; 0: it does not
  friend bool operator==(const welcome_to_take&, const welcome_to_take&) = default;
};

/// The old process does not: a sentence.
struct refused_to_give {
  static constexpr char type = 'R';
  std::string why;
  friend bool operator==(const refused_to_give&, const refused_to_give&) = default;
};

/// `passed`: for clients, opened by the service manager (socket activation).
enum class listening_kind : std::uint8_t { clients, passed, takeover, admin };

/// A listening socket; its descriptor comes along.
struct listening {
  static constexpr char type = 'L';
  listening_kind kind = listening_kind::clients;
  std::string door; // the key in [listeners]; empty: the global settings
  std::string name; // as it was opened: address and port, or a path
  std::string file; // of a Unix socket
  friend bool operator==(const listening&, const listening&) = default;
};

/// What the old process has learned of a user and no file tells, see actors/credentials.
struct known_user {
  static constexpr char type = 'K';
  std::string tenant, user, secret;
  bytes client_key, server_key;
  friend bool operator==(const known_user&, const known_user&) = default;
};

/// PAUSE or DISABLE that is in force, for everything (both empty), a tenant, or a database.
struct paused_scope {
  static constexpr char type = 'G';
  std::string tenant, database;
  bool paused = false, disabled = false;
  friend bool operator==(const paused_scope&, const paused_scope&) = default;
};

struct opening_done {
  static constexpr char type = 'E';
  friend bool operator==(const opening_done&, const opening_done&) = default;
};

/// The new process accepts connections: from here on clients move.
struct serving {
  static constexpr char type = 's';
  friend bool operator==(const serving&, const serving&) = default;
};

/// The old process accepts nobody any more: who connects from here on is the new one's. Not in version 1.
struct doors_closed {
  static constexpr char type = 'd';
  friend bool operator==(const doors_closed&, const doors_closed&) = default;
};

struct moved_statement {
  std::string name;
  bytes text; // query, NUL, parameter types
  std::string sql_types;
  bool has_sql_types = false;
  bool verified = false;
  std::optional<bytes> written; // see protocol::client_statement
  friend bool operator==(const moved_statement&, const moved_statement&) = default;
};

using moved_values = std::vector<std::pair<std::string, std::string>>;

/// What belongs to a client and lives on in the new process. protocol/sessions.hpp says what each is.
struct moved_session {
  std::uint64_t id = 0;
  std::optional<moved_values> values, startup_values, profile;
  bool custom_startup = false;
  std::vector<moved_statement> statements;
  bytes unnamed;
  bool unnamed_names = false;
  friend bool operator==(const moved_session&, const moved_session&) = default;
};

/// An idle client; its socket comes along. It belongs to the old process until client_yours.
struct moved_client {
  static constexpr char type = 'C';
  std::uint64_t number = 0; // of this frame, for the answers
  handover_pool pool;
  std::string user;                // as the client named itself
  std::string peer_host;           // a PROXY header may have named it, so it is not what the socket says
  std::uint16_t peer_port = 0;     //
  std::int64_t connected_at = 0;   // microseconds since 1970
  std::uint64_t idle_for = 0;      // microseconds
  std::int32_t key_process_id = 0; // its cancel key, which stays the same
  bytes key_secret;
  bool unconfirmed = false; // no server has said yet what its settings mean
  moved_session session;
  friend bool operator==(const moved_client&, const moved_client&) = default;
};

/// The new process has all that the client needs and waits for the word.
struct client_taken {
  static constexpr char type = 'a';
  std::uint64_t number = 0;
  friend bool operator==(const client_taken&, const client_taken&) = default;
};
/// It cannot have that client, which stays where it is.
struct client_refused {
  static constexpr char type = 'x';
  std::uint64_t number = 0;
  std::string why;
  friend bool operator==(const client_refused&, const client_refused&) = default;
};
/// The word: the client is the new process's alone.
struct client_yours {
  static constexpr char type = 'Y';
  std::uint64_t number = 0;
  friend bool operator==(const client_yours&, const client_yours&) = default;
};

/// The new process has a pool: how many permits are the old one's? From now on the old one makes none of this name.
struct pool_claim {
  static constexpr char type = 'c';
  handover_pool pool;
  friend bool operator==(const pool_claim&, const pool_claim&) = default;
};
/// So many are, as of before anything was given.
struct pool_claimed {
  static constexpr char type = 'p';
  handover_pool pool;
  std::uint32_t total = 0;
  friend bool operator==(const pool_claimed&, const pool_claimed&) = default;
};
/// So many permits, to which no server belongs any more, are the other process's from now on.
struct permits_given {
  static constexpr char type = 'P';
  handover_pool pool;
  std::uint32_t count = 0;
  friend bool operator==(const permits_given&, const permits_given&) = default;
};
/// Clients of this process wait for so many more; 0: no longer.
struct permits_wanted {
  static constexpr char type = 'W';
  handover_pool pool;
  std::uint32_t count = 0;
  friend bool operator==(const permits_wanted&, const permits_wanted&) = default;
};

/// A CancelRequest came here for a client that is not here.
struct cancel_asked {
  static constexpr char type = 'Q';
  std::uint64_t number = 0;
  std::int32_t process_id = 0;
  bytes secret;
  friend bool operator==(const cancel_asked&, const cancel_asked&) = default;
};
/// It has been passed on, or there is no such client there either.
struct cancel_answered {
  static constexpr char type = 'q';
  std::uint64_t number = 0;
  bool found = false;
  friend bool operator==(const cancel_answered&, const cancel_answered&) = default;
};

/// A connection to Postgres of the sender; a copy of its socket comes along. Should the sender die, the receiver knows
/// by it when Postgres has closed that connection: its permit is in use until then.
struct server_here {
  static constexpr char type = 'S';
  std::uint64_t id = 0;
  friend bool operator==(const server_here&, const server_here&) = default;
};
/// Postgres has closed it.
struct server_away {
  static constexpr char type = 'D';
  std::uint64_t id = 0;
  friend bool operator==(const server_away&, const server_away&) = default;
};
/// All that there were when the new process began to serve have been told.
struct servers_told {
  static constexpr char type = 'T';
  friend bool operator==(const servers_told&, const servers_told&) = default;
};

/// The old process has no client and no server any more, and ends.
struct goodbye {
  static constexpr char type = 'B';
  friend bool operator==(const goodbye&, const goodbye&) = default;
};

using handover_frame = std::variant<hello, welcome_to_take, refused_to_give, listening, known_user, paused_scope,
                                    opening_done, serving, doors_closed, moved_client, client_taken, client_refused,
                                    client_yours, pool_claim, pool_claimed, permits_given, permits_wanted, cancel_asked,
                                    cancel_answered, server_here, server_away, servers_told, goodbye>;

// -- bytes
// -----------------------------------------------------------------------------------------------------------------

/// The whole frame, header included.
[[nodiscard]] bytes encode(const handover_frame& frame);

struct handover_header {
  std::size_t body = 0; // bytes behind the header
  char type = 0;
  std::uint8_t descriptors = 0;
};
enum class handover_status : std::uint8_t { need_more, complete, invalid };
/// Reads a header. `invalid`: nobody who speaks this language wrote it.
[[nodiscard]] handover_status read_handover_header(bytes_view in, handover_header& header);

/// Nothing if the type is unknown, a field is missing or out of range, or bytes are left over.
[[nodiscard]] std::optional<handover_frame> decode(const handover_header& header, bytes_view body);

/// What is wrong with the first words of a new process, as a sentence for its log; nothing if it may go on.
[[nodiscard]] std::optional<std::string> objection_to(const hello& words, bytes_view own_program);
/// The old process has refused `proposed` with this sentence: an older version to propose, if that is what was wrong
/// and this process speaks it.
[[nodiscard]] std::optional<std::uint32_t> version_instead(bytes_view refusal, std::uint32_t proposed);

} // namespace pg_edge::cluster
