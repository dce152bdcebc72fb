// Clients that mean harm or are broken: garbage, lies about lengths, stalled logins, floods, and deaf readers.
#include "tests/soak/load_client.hpp"
#include "tests/soak/loads.hpp"

namespace pg_edge::soak {

namespace {

std::string garbage(std::mt19937& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes)
    byte = static_cast<char>(random());
  return bytes;
}

void before_login(run& all, std::mt19937& random) {
  wire_options how;
  how.timeout = milliseconds(3000);
  wire_client client(all.in.node->port(), how);
  const std::string start_up = startup_bytes({{"user", "trust_user"}, {"database", "trans"}});
  switch (random() % 7) {
  case 0:
    client.send(garbage(random, 1 + random() % 4000));
    break;
  case 1:
    client.send(int32_bytes(0x7fffffff) + int32_bytes(protocol_3_0));
    break;
  case 2: // a login that stalls
    client.send(start_up.substr(0, 1 + random() % (start_up.size() - 1)));
    all.pause(milliseconds(random() % 3000));
    break;
  case 3:
    client.send(ssl_request_bytes());
    client.read_raw(1);
    client.send(garbage(random, 500));
    break;
  case 4:
    client.send(cancel_bytes(static_cast<std::int32_t>(random()), garbage(random, 4)));
    break;
  case 5:
    for (int i = 0; i < 50; ++i)
      client.send(gssenc_request_bytes());
    break;
  default: { // all but the length
    std::string broken = start_up;
    broken[8 + random() % (broken.size() - 8)] = static_cast<char>(random());
    client.send(broken);
  }
  }
  client.closed_within(milliseconds(random() % 500));
}

void after_login(run& all, std::mt19937& random) {
  wire_client client = client_of(all, any_pool(random), "hostile", false);
  switch (random() % 6) {
  case 0:
    client.send(garbage(random, 1 + random() % 4000));
    break;
  case 1:
    client.send("Q" + int32_bytes(0x7ffffff0) + "select");
    break;
  case 2: { // a flood of tiny messages
    std::string flood;
    for (int i = 0; i < 20000; ++i)
      flood += sync_bytes();
    client.send(flood);
    break;
  }
  case 3: // never reads what it asked for
    client.send(query_bytes("select repeat('x', 1000000) from generate_series(1, 100)"));
    all.pause(milliseconds(500 + random() % 2000));
    return client.close_abruptly();
  case 4: // out of order
    client.send(copy_data_bytes("x") + copy_done_bytes() + execute_bytes("none") + password_bytes("x") + sync_bytes());
    break;
  default: {
    std::string batch =
        parse_bytes("a", "select $1::int") + bind_bytes("", "a", {"1"}) + execute_bytes() + sync_bytes();
    batch[random() % batch.size()] = static_cast<char>(random());
    client.send(batch);
  }
  }
  client.closed_within(milliseconds(random() % 500));
}

} // namespace

void attack(run& all, unsigned number) {
  std::mt19937 random = all.random(600 + number);
  while (!all.stopping) {
    try {
      random() % 2 == 0 ? before_login(all, random) : after_login(all, random);
    } catch (const test_failure&) { // thrown out, as it should be
    }
    all.count("attacks");
    all.pause(milliseconds(random() % 100));
  }
}

} // namespace pg_edge::soak
