// The rig of exchange_rig.hpp, and a test that it notices what it is there to notice.
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"
#include "tests/protocol/exchange_rig.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <initializer_list>

namespace pg_edge::test {

using namespace protocol;

// -- client messages --------------------------------------------------------------------------------------------------

std::string raw(char type, std::string_view body) {
  std::string out(1, type);
  put_u32(out, static_cast<std::uint32_t>(4 + body.size()));
  return out.append(body);
}

std::string q(std::string_view sql) {
  return encode(protocol::query{sql});
}

std::string p(std::string_view name, std::string_view sql, std::vector<std::uint32_t> types) {
  protocol::parse message;
  message.statement = name;
  message.text = sql;
  message.parameter_types = std::move(types);
  return encode(message);
}

std::string b(std::string_view name, std::vector<std::string> parameters, std::string_view portal) {
  protocol::bind message;
  message.portal = portal;
  message.statement = name;
  for (const std::string& one : parameters)
    message.parameters.push_back(one);
  return encode(message);
}

std::string ds(std::string_view name) {
  return encode(protocol::describe{'S', name});
}
std::string dp(std::string_view name) {
  return encode(protocol::describe{'P', name});
}
std::string e(std::string_view portal, int limit) {
  return encode(protocol::execute{portal, limit});
}
std::string cs(std::string_view name) {
  return encode(protocol::close{'S', name});
}
std::string cp(std::string_view name) {
  return encode(protocol::close{'P', name});
}
std::string s() {
  return encode(protocol::sync{});
}
std::string h() {
  return encode(protocol::flush{});
}
std::string copy_data(std::string_view data) {
  return encode(protocol::copy_data{data});
}
std::string copy_done() {
  return encode(protocol::copy_done{});
}
std::string copy_fail(std::string_view why) {
  return encode(protocol::copy_fail{why});
}
std::string exec_params(std::string_view sql, std::vector<std::string> parameters) {
  return p("", sql) + b("", std::move(parameters)) + dp() + e() + s();
}

// -- what a client got
// -------------------------------------------------------------------------------------------------

namespace {

std::string describe_message(char type, bytes_view body) {
  std::string line(1, type);
  if (type == 'Z' || type == 'd') return line + " " + std::string(body);
  if (type == 'C') return line + " " + std::string(body.substr(0, body.find('\0')));
  if (type == 'E') return line + " " + std::string(error_field(body, 'C')) + " " + std::string(error_field(body, 'M'));
  if (type == 'S') {
    const auto status = decode<parameter_status>(body);
    return status ? line + " " + std::string(status->name) + "=" + std::string(status->value) : line + " ?";
  }
  if (type == 'T') return line + " " + std::to_string(body.size() < 2 ? 0 : load_u16(body.data()));
  if (type == 't') {
    const auto types = decode<parameter_description>(body);
    for (const std::uint32_t oid : types ? types->types : std::vector<std::uint32_t>{})
      line += " " + std::to_string(oid);
    return line;
  }
  if (type == 'A') return line + " " + std::string(body.substr(4, body.find('\0', 4) - 4));
  if (type == 'D') {
    const auto row = decode<data_row>(body);
    return row && !row->values.empty() ? line + " " + std::string(*row->values[0]) : line + " ?";
  }
  return line;
}

template <class F>
std::size_t for_each_message(bytes_view in, F&& f) {
  std::size_t at = 0;
  frame_header header;
  while (in.size() - at >= frame_header_size && read_header(in.substr(at), header) == header_status::ok &&
         in.size() - at >= header.total()) {
    f(header.type, in.substr(at + frame_header_size, header.body()));
    at += header.total();
  }
  return at;
}

/// A client's message as a line, for looking at what servers were sent.
std::string describe_request(char type, bytes_view body) {
  std::string text(body);
  std::replace(text.begin(), text.end(), '\0', '.');
  if (std::string_view("PCQBDE").find(type) != std::string_view::npos)
    return std::string(1, type) + " " + text.substr(0, text.find_last_not_of('.') + 1);
  return std::string(1, type);
}

} // namespace

std::vector<std::string> lines_of(std::string_view bytes) {
  std::vector<std::string> lines;
  const std::size_t used =
      for_each_message(bytes, [&](char type, bytes_view body) { lines.push_back(describe_message(type, body)); });
  if (used != bytes.size()) lines.push_back("+ " + std::to_string(bytes.size() - used) + " bytes");
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string result;
  for (const std::string& line : lines)
    result += (result.empty() ? "" : "; ") + line;
  return result;
}

std::string comparable(std::string_view bytes, toy_settings parameters) {
  std::string result;
  char status = 'I';
  for (std::string line : lines_of(bytes)) {
    if (line.starts_with("S ")) {
      const std::size_t equals = line.find('=');
      parameters[line.substr(2, equals - 2)] = line.substr(equals + 1);
      continue;
    }
    if (const std::size_t quote = line.find('"'); line.starts_with("E ") && quote != std::string::npos)
      line.replace(quote, line.rfind('"') + 1 - quote, "?");
    // What an aborted transaction answers: a statement that the server has not got fails earlier there.
    if (status == 'E' && std::string_view("Etn123").find(line[0]) != std::string_view::npos) continue;
    if (line.starts_with("Z ")) status = line[2];
    result += line;
    if (line.starts_with("Z "))
      for (const auto& [name, value] : parameters)
        result += " " + value;
    result += "\n";
  }
  return result;
}

std::string straight(std::string_view bytes, toy_settings startup, toy_database database) {
  toy_server toy(database, startup);
  toy.feed(bytes);
  return comparable(toy.take(), toy_server(database, startup).reported());
}

// -- the rig
// -----------------------------------------------------------------------------------------------------------

namespace {

parameter_values_ptr values_of(const toy_settings& settings) {
  auto values = std::make_shared<parameter_values>();
  for (const auto& [name, value] : settings)
    values->set(name, value);
  return values;
}

} // namespace

rig::rig(rig_options options, delivery how) : options_(options), how_(how) {
  rules_.share_statements = options_.sharing;
  rules_.max_server_statements = options_.max_server_statements;
  rules_.cache = &cache_;
  rules_.counts = &counts_;
  for (std::size_t i = 0; i < options_.servers; ++i) {
    servers_.push_back(std::make_unique<rig_server>());
    replace(*servers_.back());
  }
}

rig::~rig() = default;

void rig::replace(rig_server& server) {
  server.toy = std::make_unique<toy_server>(database_, options_.server_startup);
  server.session = server_session{};
  server.session.rules = &rules_;
  server.session.values = values_of(server.toy->reported());
  server.to_toy.clear();
  server.from_toy.clear();
  server.input.clear();
  server.client = nullptr;
  server.now = rig_server::doing::nothing;
}

rig_client& rig::client(toy_settings startup) {
  clients_.push_back(std::make_unique<rig_client>());
  rig_client& made = *clients_.back();
  toy_server login(database_, startup);
  made.startup = startup;
  made.session.id = next_id_++;
  made.session.rules = &rules_;
  made.session.values = values_of(login.reported());
  made.session.startup_values = made.session.values;
  made.session.custom_startup = !startup.empty();
  std::vector<parameter> unreported;
  for (const auto& [name, value] : startup)
    if (toy_reported.count(name) == 0) unreported.push_back({name, value});
  if (!unreported.empty()) made.session.profile = std::make_shared<startup_profile>(make_startup_profile(unreported));
  return made;
}

void rig::problem(const std::string& text) {
  if (problems_.size() < 4096) problems_ += text + "\n";
}

void rig::queue(rig_client& client, std::string_view bytes) {
  client.outgoing.append(bytes);
  client.sent.append(bytes);
}

void rig::send(rig_client& client, std::string_view bytes) {
  queue(client, bytes);
  run();
}

void rig::elsewhere(const std::string& sql) {
  toy_server other(database_);
  other.feed(q(sql));
}

std::string rig::got(rig_client& client) {
  std::string result = joined(lines_of(client.output));
  client.output.clear();
  return result;
}

std::vector<std::string> requests_of(std::string_view bytes) {
  std::vector<std::string> lines;
  for_each_message(bytes, [&](char type, bytes_view body) { lines.push_back(describe_request(type, body)); });
  return lines;
}

std::string rig::requests(rig_server& server) {
  const std::string result = joined(requests_of(server.sent));
  server.sent.clear();
  return result;
}

void rig::run() {
  while (step()) {
  }
  for (const auto& one : clients_)
    if (one->waits && one->server != nullptr && one->server->session.owed.empty())
      problem("a client waits although its server owes nothing");
}

bool rig::step() {
  std::vector<std::function<bool()>> moves;
  const auto from_clients = [&] {
    for (const auto& one : clients_)
      if (!one->outgoing.empty() && !one->gone) moves.push_back([&, c = one.get()] { return arrive_at_exchange(*c); });
  };
  const auto from_servers = [&] {
    for (const auto& one : servers_) {
      if (!one->from_toy.empty()) moves.push_back([&, s = one.get()] { return arrive_from_toy(*s); });
      if (!one->to_toy.empty()) moves.push_back([&, s = one.get()] { return arrive_at_toy(*s); });
    }
  };
  if (how_.in == delivery::order::lazy) from_clients(), from_servers();
  if (how_.in != delivery::order::lazy) from_servers(), from_clients();
  moves.push_back([&] { return check_out(); });
  if (how_.in == delivery::order::random) std::shuffle(moves.begin(), moves.end(), *how_.random);
  return std::any_of(moves.begin(), moves.end(), [](const auto& move) { return move(); });
}

std::size_t rig::piece_of(std::size_t size) {
  if (how_.random != nullptr && how_.piece == 0) {
    const std::size_t most = (*how_.random)() % 4 == 0 ? 3 : size;
    return 1 + (*how_.random)() % std::max<std::size_t>(std::min(size, most), 1);
  }
  return how_.piece == 0 ? size : std::min(size, how_.piece);
}

bool rig::arrive_at_exchange(rig_client& client) {
  // A socket is not read while the client's last message cannot be used, except in pieces.
  if (client.waits || client.wants_server) return false;
  const std::size_t n = piece_of(client.outgoing.size());
  client.input.append(client.outgoing, 0, n);
  client.outgoing.erase(0, n);
  use_input(client);
  return true;
}

void rig::write(rig_server& server, const gather& bytes) {
  for (std::size_t i = 0; i < bytes.pieces(); ++i)
    server.to_toy.append(bytes.at(i)), server.sent.append(bytes.at(i));
}

void rig::use_input(rig_client& client) {
  gather to_server;
  gather to_client;
  server_session* session = client.server != nullptr ? &client.server->session : nullptr;
  // A copy of exactly these bytes, so that a sanitizer sees a look beyond them.
  const std::vector<char> exact(client.input.begin(), client.input.end());
  const client_step result =
      from_client(client.session, session, bytes_view(exact.data(), exact.size()), to_server, to_client);
  if (result.consumed > exact.size()) return problem("from_client used more than there was");
  if (session == nullptr && !to_server.empty()) problem("bytes for a server without one");
  if (client.server != nullptr) write(*client.server, to_server);
  for (std::size_t i = 0; i < to_client.pieces(); ++i)
    client.output.append(to_client.at(i));
  client.input.erase(0, result.consumed);
  switch (result.verdict) {
  case client_verdict::more:
    break;
  case client_verdict::need_server:
    if (session != nullptr) problem("a server is wanted beside the one there is");
    client.wants_server = true;
    queue_.push_back(&client);
    break;
  case client_verdict::wait:
    if (session == nullptr || session->owed.empty()) problem("a wait for nothing");
    client.waits = true;
    break;
  case client_verdict::terminate:
    client.gone = true;
    break;
  case client_verdict::broken:
    client.gone = true;
    client.broken = result.why.text();
    break;
  }
}

bool rig::check_out() {
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    rig_client& client = *queue_[i];
    rig_server* best = nullptr;
    for (const auto& one : servers_) {
      const bool free = one->client == nullptr && one->now == rig_server::doing::nothing;
      if (!free || (may_have && !may_have(client, *one))) continue;
      if (best == nullptr || (options_.spread && best == client.last_server)) best = one.get();
    }
    if (best == nullptr) continue;
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
    attach(*best, client);
    return true;
  }
  return false;
}

void rig::attach(rig_server& server, rig_client& client) {
  server.client = &client;
  const std::string sql = restoring_sql(server.session, client.session);
  if (!sql.empty()) return ask(server, sql, rig_server::doing::restoring);
  server.now = rig_server::doing::serving;
  client.server = client.last_server = &server;
  client.wants_server = false;
  use_input(client);
}

void rig::ask(rig_server& server, const std::string& sql, rig_server::doing what) {
  gather out;
  protocol::ask(server.session, sql, out);
  server.now = what;
  write(server, out);
}

bool rig::arrive_at_toy(rig_server& server) {
  const std::size_t n = piece_of(server.to_toy.size());
  const std::string now = server.to_toy.substr(0, n);
  server.to_toy.erase(0, n);
  server.toy->feed(now);
  server.from_toy += server.toy->take();
  return true;
}

bool rig::arrive_from_toy(rig_server& server) {
  const std::size_t n = piece_of(server.from_toy.size());
  server.input.append(server.from_toy, 0, n);
  server.from_toy.erase(0, n);
  use_input(server);
  return true;
}

void rig::use_input(rig_server& server) {
  while (true) {
    gather to_server;
    gather to_client;
    rig_client* client = server.now == rig_server::doing::serving ? server.client : nullptr;
    const std::vector<char> exact(server.input.begin(), server.input.end());
    const server_step result = from_server(server.session, client != nullptr ? &client->session : nullptr,
                                           bytes_view(exact.data(), exact.size()), to_client, to_server);
    if (result.consumed > exact.size()) return problem("from_server used more than there was");
    write(server, to_server);
    if (client == nullptr && !to_client.empty()) problem("bytes for a client without one");
    for (std::size_t i = 0; client != nullptr && i < to_client.pieces(); ++i)
      client->output.append(to_client.at(i));
    server.input.erase(0, result.consumed);
    if (result.broken) {
      problem("the server is held to be broken: " + result.reason);
      if (client != nullptr) client->gone = true, client->server = nullptr;
      return replace(server);
    }
    if (result.own_done) {
      own_done(server);
      continue;
    }
    if (result.ready) {
      if (!server.session.settled() || server.session.transaction_status != 'I') problem("ready, but not settled");
      if (client != nullptr && options_.sharing) {
        released(server);
        continue;
      }
    }
    if (client != nullptr && client->waits && (server.session.owed.empty() || server.session.copy_in)) {
      if (server.session.owed.empty() && !result.drained) problem("drained, but it is not said");
      client->waits = false;
      use_input(*client);
    }
    return;
  }
}

void rig::released(rig_server& server) {
  rig_client& client = *server.client;
  // Whatever is on its way must have nothing in it that is still to be answered.
  std::string probe = server.to_toy;
  server.to_toy.clear();
  server.toy->feed(probe);
  const std::string late = server.toy->take();
  if (!late.empty()) problem("a server was given back while it had this to say: " + joined(lines_of(late)));
  if (!server.toy->idle()) problem("a server was given back that was not idle");
  server.client = nullptr;
  client.server = nullptr;
  client.waits = false;
  const std::optional<std::string> reset = resetting_sql(server.session, "DISCARD ALL", false);
  if (!reset) {
    ++server.closed;
    replace(server);
  } else if (!reset->empty()) {
    ask(server, *reset, rig_server::doing::resetting);
  } else {
    finish_release(server);
  }
  use_input(client);
}

void rig::own_done(rig_server& server) {
  if (!server.session.own_error.empty()) problem("a query of the pooler's own failed");
  if (server.now == rig_server::doing::resetting) {
    note_reset(server.session);
    return finish_release(server);
  }
  rig_client& client = *server.client;
  note_restored(server.session, client.session);
  server.now = rig_server::doing::serving;
  client.server = client.last_server = &server;
  client.wants_server = false;
  use_input(client);
}

void rig::finish_release(rig_server& server) {
  server.now = rig_server::doing::nothing;
  server.client = nullptr;
  check_clean(server);
}

/// A server that goes to the next client has nothing of the last one, and the exchange knows what it has.
void rig::check_clean(rig_server& server) {
  std::string there;
  for (const auto& [name, what] : server.toy->statements())
    there += name + " ";
  // The exchange may think a stale statement there that is not, since Close never fails; never the other way round.
  if (server.session.statements.size() < server.toy->statements().size())
    problem("the server has statements unknown to the exchange: " + there);
  if (!server.toy->listens().empty()) problem("a LISTEN was left behind");
  if (!server.toy->temporary().empty()) problem("a temporary table was left behind");
  for (const auto& [name, value] : server.toy->settings()) {
    if (toy_reported.count(name) != 0) {
      if (server.session.values->get(name) != value) problem("the exchange does not know the value of " + name);
      continue;
    }
    const auto& startup = server.toy->startup();
    const auto found = startup.find(name);
    if (value == (found != startup.end() ? found->second : "")) continue;
    bool of_profile = false;
    for (const auto& item : server.session.profile ? server.session.profile->gucs : std::vector<parameter>{})
      of_profile |= item.first == name && item.second == value;
    if (!of_profile) problem("a setting was left behind: " + name + "=" + value);
  }
}

} // namespace pg_edge::test
