// A hostile server for a whole connection: its login, then sessions of two legal clients that take turns on it as a
// pool's would. The input is a list of steps: a byte that says whose turn it is and which words, or how many raw bytes
// of the server follow. What the server says is marked with whom it serves: nothing marked for one client may reach the
// other, nobody gets more ends of answers than it asked for, and the server ends broken or consistent.
#include "protocol/exchange.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"
#include "protocol/server_login.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <vector>

using namespace pg_edge::protocol;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

constexpr const char* marks[] = {"for-client-one", "for-client-two", "for-nobody-at-all"};
constexpr int nobody = 2;

bytes framed(char type, const bytes& body) {
  bytes out(1, type);
  put_u32(out, static_cast<std::uint32_t>(4 + body.size()));
  return out + body;
}

bytes text(const char* what) {
  return bytes(what) + '\0';
}

bytes client_words(unsigned which) {
  const bytes sync = framed('S', ""), nul(1, '\0'), none(2, '\0');
  const auto query = [](const char* sql) { return framed('Q', text(sql)); };
  const auto batch = [&](const char* name, const char* sql) {
    return framed('P', text(name) + text(sql) + none) + framed('B', nul + text(name) + none + none + none) +
           framed('E', nul + bytes(4, '\0'));
  };
  switch (which % 16) {
  case 0:
    return query("select 1");
  case 1:
    return query("begin");
  case 2:
    return query("commit");
  case 3:
    return batch("", "select 1") + sync;
  case 4:
    return batch("a", "select 2") + sync;
  case 5:
    return framed('B', nul + text("a") + none + none + none) + framed('D', "P" + nul) +
           framed('E', nul + bytes(4, '\0')) + sync;
  case 6:
    return batch("b", "select 3");
  case 7:
    return sync;
  case 8:
    return query("copy t from stdin");
  case 9:
    return framed('d', "row\n") + framed('c', "");
  case 10:
    return query("set TimeZone to 'UTC'; reset all");
  case 11:
    return query("listen somebody");
  case 12:
    return query("deallocate a");
  case 13:
    return framed('C', "S" + text("a")) + sync;
  case 14:
    return framed('H', "");
  default:
    return framed('F', bytes(12, '\0'));
  }
}

bytes server_words(unsigned which, const char* mark) {
  const auto row = [&] {
    bytes body("\0\1", 2);
    put_u32(body, static_cast<std::uint32_t>(bytes(mark).size()));
    return framed('D', body + mark);
  };
  const auto problem = [&](char type, const char* severity, const char* code) {
    return framed(type, "S" + text(severity) + "V" + text(severity) + "C" + text(code) + "M" + text(mark) + '\0');
  };
  switch (which % 32) {
  case 0:
  case 1:
    return framed('Z', "I");
  case 2:
    return framed('Z', "T");
  case 3:
    return framed('Z', "E");
  case 4:
    return framed('1', "");
  case 5:
    return framed('2', "");
  case 6:
    return framed('3', "");
  case 7:
    return framed('n', "");
  case 8:
    return framed('T', bytes("\0\1", 2) + text(mark) + bytes(18, '\0'));
  case 9:
  case 10:
    return row();
  case 11:
    return framed('C', text("SELECT 1"));
  case 12:
    return framed('C', text("BEGIN"));
  case 13:
    return framed('C', text("SET"));
  case 14:
    return framed('C', text("LISTEN"));
  case 15:
    return framed('C', text("DEALLOCATE"));
  case 16:
    return problem('E', "ERROR", "22012");
  case 17:
    return problem('E', "FATAL", "57P01");
  case 18:
    return problem('E', "ERROR", "0A000");
  case 19:
    return problem('N', "NOTICE", "00000");
  case 20:
    return framed('A', bytes(4, '\0') + text("somebody") + text(mark));
  case 21:
    return framed('S', text("TimeZone") + text("Asia/Tokyo"));
  case 22:
    return framed('G', bytes(3, '\0'));
  case 23:
    return framed('H', bytes(3, '\0'));
  case 24:
    return framed('W', bytes(3, '\0'));
  case 25:
    return framed('d', mark);
  case 26:
    return framed('c', "");
  case 27:
    return framed('s', "");
  case 28:
    return framed('I', "");
  case 29:
    return framed('t', bytes(2, '\0'));
  case 30:
    return framed('V', bytes("\xff\xff\xff\xff", 4));
  default:
    return framed('C', text("DISCARD ALL"));
  }
}

class world {
public:
  world(std::uint8_t flags, parameter_values_ptr values) : values_(std::move(values)) {
    rules_.share_statements = (flags & 1) != 0;
    rules_.max_server_statements = 2;
    rules_.cache = &cache_;
    rules_.counts = &counts_;
    for (int i = 0; i < 2; ++i)
      begin(i);
    replace();
  }

  void client_says(int who, const bytes& words) {
    party& one = parties_[who];
    if (one.in.size() > 4096) return; // a client that waits is not read
    for (std::size_t at = 0; at < words.size();) {
      frame_header header;
      must(read_header(bytes_view(words).substr(at), header) == header_status::ok);
      if (std::string_view("QSF").find(header.type) != std::string_view::npos) ++one.asked;
      at += header.total();
    }
    one.in += words;
    use(who);
    hand_out();
  }

  void server_says(const bytes& words) {
    in_ += words;
    take();
    hand_out();
    if (in_.size() > 64 * 1024) replace();
  }

  /// Whom the server works for, as it knows.
  const char* mark() const { return marks[doing_ == work::serving ? owner_ : nobody]; }

private:
  enum class work { idle, restoring, serving, resetting };
  struct party {
    client_session session;
    bytes in, out; // `out`: what is not yet a whole message
    bool wants = false;
    std::size_t asked = 0;
  };

  void begin(int who) {
    parties_[who] = party();
    client_session& session = parties_[who].session;
    session.id = ++ids_;
    session.rules = &rules_;
    session.values = session.startup_values = values_;
  }

  /// A new connection in place of one that is closed; its client is told and begins anew.
  void replace() {
    if (doing_ != work::idle) begin(owner_);
    server_ = server_session{};
    server_.rules = &rules_;
    server_.values = values_;
    in_.clear();
    doing_ = work::idle;
  }

  void use(int who) {
    party& one = parties_[who];
    if (one.wants) return;
    const bool has = doing_ == work::serving && owner_ == who;
    gather to_server, to_client;
    const std::vector<char> exact(one.in.begin(), one.in.end());
    const client_step step = from_client(one.session, has ? &server_ : nullptr, bytes_view(exact.data(), exact.size()),
                                         to_server, to_client);
    must(step.consumed <= exact.size() && (has || to_server.empty()));
    must(server_.owed.size() <= owed_limit + 16);
    one.in.erase(0, step.consumed);
    deliver(who, to_client);
    if (step.verdict == client_verdict::need_server) {
      must(!has);
      one.wants = true;
    }
    if (step.verdict == client_verdict::wait) must(has && !server_.owed.empty());
    if (step.verdict == client_verdict::broken) {
      if (has)
        replace(); // which begins the client anew
      else
        begin(who);
    }
  }

  void hand_out() {
    for (int i = 0; i < 2 && doing_ == work::idle; ++i) {
      const int who = (last_ + 1 + i) % 2;
      if (!parties_[who].wants) continue;
      if (!server_.at_rest()) replace(); // as a server that is closed instead of handed out
      last_ = owner_ = who;
      const std::string sql = restoring_sql(server_, parties_[who].session);
      if (!sql.empty()) return own(sql, work::restoring);
      assign();
    }
  }

  void assign() {
    doing_ = work::serving;
    parties_[owner_].wants = false;
    use(owner_);
  }

  void own(const std::string& sql, work what) {
    must(server_.settled());
    gather out;
    ask(server_, sql, out);
    doing_ = what;
  }

  void take() {
    for (int turns = 0; turns < 64; ++turns) {
      party* whose = doing_ == work::serving ? &parties_[owner_] : nullptr;
      gather to_server, to_client;
      const std::vector<char> exact(in_.begin(), in_.end());
      const server_step step = from_server(server_, whose != nullptr ? &whose->session : nullptr,
                                           bytes_view(exact.data(), exact.size()), to_client, to_server);
      must(step.consumed <= exact.size() && (whose != nullptr || to_client.empty()));
      in_.erase(0, step.consumed);
      if (whose != nullptr) deliver(owner_, to_client);
      if (step.broken) {
        must(!step.reason.empty());
        return replace();
      }
      if (step.drained) must(server_.owed.empty());
      if (step.own_done) {
        if (!own_done()) return;
      } else if (step.transaction_refused) {
        return replace();
      } else if (step.ready && whose != nullptr && rules_.share_statements) {
        must(server_.settled() && server_.transaction_status == 'I');
        doing_ = work::idle;
        const auto reset = resetting_sql(server_, "DISCARD ALL", false);
        if (!reset) return replace();
        if (!reset->empty()) own(*reset, work::resetting);
        use(owner_);
      } else {
        if (whose != nullptr && (server_.owed.empty() || server_.copy_in)) use(owner_);
        return;
      }
    }
  }

  bool own_done() {
    must(doing_ == work::restoring || doing_ == work::resetting);
    const bool failed = !server_.own_error.empty() || !server_.settled() || server_.transaction_status != 'I';
    if (failed) return replace(), false;
    if (doing_ == work::resetting) {
      note_reset(server_);
      doing_ = work::idle;
      return true;
    }
    note_restored(server_, parties_[owner_].session);
    assign();
    return true;
  }

  void deliver(int who, const gather& what) {
    party& one = parties_[who];
    for (std::size_t i = 0; i < what.pieces(); ++i)
      one.out += what.at(i);
    must(one.out.find(marks[1 - who]) == bytes::npos && one.out.find(marks[nobody]) == bytes::npos);
    frame_header header;
    while (read_header(one.out, header) == header_status::ok && one.out.size() >= header.total()) {
      if (header.type == 'Z') {
        must(one.asked > 0);
        --one.asked;
      }
      one.out.erase(0, header.total());
    }
    if (one.out.size() > 256 * 1024) one.out.clear();
  }

  exchange_counts counts_;
  statement_cache cache_;
  exchange_rules rules_;
  parameter_values_ptr values_;
  party parties_[2];
  server_session server_;
  bytes in_; // of the server
  work doing_ = work::idle;
  int owner_ = 0, last_ = 0;
  std::uint64_t ids_ = 0;
};

/// True when the server has let us in; the input behind that is left.
parameter_values_ptr log_in(bytes_view& in) {
  server_login login({"bob", "secret", {}, {}}, "nonce", {false, {}, true});
  while (in.size() >= 2) {
    if (in[0] == '\xff') { // as a server does
      in.remove_prefix(1);
      login.message('R', bytes_view("\0\0\0\0", 4));
      login.message('S', bytes_view("TimeZone\0UTC", 13));
      return login.message('Z', "I").now == server_login::verdict::done ? login.values() : nullptr;
    }
    const std::size_t length = std::min<std::size_t>(static_cast<std::uint8_t>(in[1]), in.size() - 2);
    const auto step = login.message(in[0], in.substr(2, length));
    in.remove_prefix(2 + length);
    if (step.now == server_login::verdict::done) return login.values();
    if (step.now != server_login::verdict::more) return nullptr;
  }
  return nullptr;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  // Only server_words() may write a mark. No message of a server has the type 'f', and as a step it means the same as
  // 'F'.
  bytes input(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::replace(input.begin(), input.end(), 'f', 'F');
  bytes_view in = input;
  const parameter_values_ptr values = log_in(in);
  if (values == nullptr) return 0;
  world all(data[0], values);
  while (!in.empty()) {
    const auto step = static_cast<std::uint8_t>(in[0]);
    in.remove_prefix(1);
    switch (step >> 6) {
    case 0:
      all.client_says(0, client_words(step));
      break;
    case 1:
      all.client_says(1, client_words(step));
      break;
    case 2:
      all.server_says(server_words(step, all.mark()));
      break;
    default: {
      const std::size_t n = std::min<std::size_t>(step & 0x3f, in.size());
      all.server_says(bytes(in.substr(0, n)));
      in.remove_prefix(n);
    }
    }
  }
  return 0;
}
