#include "tests/support/dns_server.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pg_edge::test {

namespace {

constexpr std::size_t header_size = 12;
constexpr int type_a = 1, type_ptr = 12, type_aaaa = 28;
enum class code : char { ok = 0, server_failed = 2, no_such_name = 3 };

void put_u16(std::string& out, int value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

std::string lower(std::string text) {
  for (char& c : text)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// "a.b" as labels with lengths.
std::string labels(const std::string& name) {
  std::string out;
  for (std::size_t from = 0; from <= name.size();) {
    const std::size_t dot = std::min(name.find('.', from), name.size());
    out += static_cast<char>(dot - from) + name.substr(from, dot - from);
    from = dot + 1;
  }
  return out + '\0';
}

void put_record(std::string& out, int type, int ttl, const std::string& data) {
  put_u16(out, 0xC000 + static_cast<int>(header_size)); // the question's name
  put_u16(out, type);
  put_u16(out, 1);
  put_u16(out, ttl >> 16);
  put_u16(out, ttl & 0xFFFF);
  put_u16(out, static_cast<int>(data.size()));
  out += data;
}

} // namespace

dns_server::dns_server() {
  socket_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (socket_ < 0 || ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw test_failure("no socket for a name server");
  ::chmod(folder_.path().c_str(), 0755);
  write_file(resolv_conf(), "nameserver 127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "\n");
  thread_ = std::thread([this] { serve(); });
}

dns_server::~dns_server() {
  stopping_ = true;
  thread_.join();
  ::close(socket_);
}

void dns_server::set(const std::string& name, const std::vector<std::string>& addresses, int ttl) {
  const std::lock_guard<std::mutex> hold(mutex_);
  records_[lower(name)] = {addresses, {}, ttl};
}

void dns_server::set_reverse(const std::string& address, const std::string& name) {
  in_addr raw{};
  if (::inet_pton(AF_INET, address.c_str(), &raw) != 1) throw test_failure("no address: " + address);
  const auto* b = reinterpret_cast<const unsigned char*>(&raw.s_addr);
  std::string reversed;
  for (const int i : {3, 2, 1, 0})
    reversed += std::to_string(b[i]) + ".";
  const std::lock_guard<std::mutex> hold(mutex_);
  records_[reversed + "in-addr.arpa"] = {{}, name, 1};
}

void dns_server::remove(const std::string& name) {
  const std::lock_guard<std::mutex> hold(mutex_);
  records_.erase(lower(name));
}

int dns_server::questions(const std::string& name) const {
  const std::lock_guard<std::mutex> hold(mutex_);
  const auto found = counts_.find(lower(name));
  return found == counts_.end() ? 0 : found->second;
}

void dns_server::serve() {
  while (!stopping_) {
    pollfd watched{socket_, POLLIN, 0};
    if (::poll(&watched, 1, 20) <= 0) continue;
    char packet[1024];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got = ::recvfrom(socket_, packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got <= 0) continue;
    const std::string out = answer({packet, static_cast<std::size_t>(got)});
    if (out.empty() || silent_) continue;
    for (int waited = 0; waited < delay_ && !stopping_; waited += 10)
      std::this_thread::sleep_for(milliseconds(10));
    ::sendto(socket_, out.data(), out.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
  }
}

std::string dns_server::answer(const std::string& question) {
  std::string name;
  std::size_t at = header_size;
  while (at < question.size() && question[at] != 0) {
    const auto length = static_cast<unsigned char>(question[at]);
    if (at + 1 + length > question.size()) return "";
    name += (name.empty() ? "" : ".") + question.substr(at + 1, length);
    at += 1 + length;
  }
  if (at + 5 > question.size()) return "";
  const int type = static_cast<unsigned char>(question[at + 1]) * 256 + static_cast<unsigned char>(question[at + 2]);
  const std::lock_guard<std::mutex> hold(mutex_);
  ++counts_[lower(name)];
  ++asked_;
  const auto found = records_.find(lower(name));
  std::string records;
  int count = 0;
  if (found != records_.end() && !broken_)
    for (const std::string& address : found->second.addresses) {
      const bool v6 = address.find(':') != std::string::npos;
      char raw[16];
      if (type != (v6 ? type_aaaa : type_a) || ::inet_pton(v6 ? AF_INET6 : AF_INET, address.c_str(), raw) != 1)
        continue;
      put_record(records, type, found->second.ttl, std::string(raw, v6 ? 16 : 4));
      ++count;
    }
  if (found != records_.end() && !broken_ && type == type_ptr && !found->second.pointer.empty()) {
    put_record(records, type, found->second.ttl, labels(found->second.pointer));
    ++count;
  }
  const code result = broken_ ? code::server_failed : found == records_.end() ? code::no_such_name : code::ok;
  std::string out = question.substr(0, 2) + '\x81' + static_cast<char>(0x80 + static_cast<char>(result));
  put_u16(out, 1);
  put_u16(out, count);
  put_u16(out, 0);
  put_u16(out, 0);
  return out + question.substr(header_size, at + 5 - header_size) + records;
}

} // namespace pg_edge::test
