// The extended query protocol as the admin console speaks it: commands without parameters, prepared, bound, described
// and executed one message at a time. It exists because drivers such as asyncpg and psycopg 3 know nothing else.
//
//   take(message) --> reply            : send it, go on
//               '--> question          : ask the console, then answered(its messages) --> send what that returns, go on
//   after an error everything up to the next Sync is passed over
#pragma once

#include "protocol/console_result.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>

namespace pg_edge::protocol {

enum class console_wish : std::uint8_t {
  simple,   // run all statements; ends with ReadyForQuery
  describe, // RowDescription or NoData of the one statement
  execute,  // run the one statement: rows and CommandComplete, without RowDescription
};

struct console_question {
  console_wish wish = console_wish::simple;
  std::string sql;
  result_formats formats;
  std::int32_t max_rows = 0; // 0: all
};

class console_session {
public:
  /// Statements and portals a client may have open, and the bytes of their names and texts.
  static constexpr std::size_t most_objects = 1000;
  static constexpr std::size_t most_bytes = 1024 * 1024;

  struct step {
    bytes reply;
    std::optional<console_question> question;
    bool terminate = false; // the client said goodbye
    bool unknown = false;   // no message has this type: end the connection
  };

  /// A whole message of the client.
  step take(char type, bytes_view body);

  /// To be told of each answer to a question; `failed`: it is an error.
  void answered(bool failed) { skipping_ = failed && !simple_; }

private:
  struct portal {
    std::string sql;
    result_formats formats;
  };

  void on_parse(bytes_view body, step& out);
  void on_bind(bytes_view body, step& out);
  void on_describe(bytes_view body, step& out);
  void on_execute(bytes_view body, step& out);
  void on_close(bytes_view body, step& out);
  void refuse(step& out, bytes error);
  void on_query(bytes_view body, step& out);
  bool room_for(std::size_t more) const;

  std::map<std::string, std::string, std::less<>> statements_; // name to text
  std::map<std::string, portal, std::less<>> portals_;
  bool skipping_ = false;
  bool simple_ = false; // the question under way
};

} // namespace pg_edge::protocol
