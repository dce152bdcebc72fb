// A load generator that costs next to nothing, for what pgbench cannot do cheaply: closed-loop queries of fixed bytes,
// logins, and crowds of idle connections.
//   bench_load query   PORT USER DATABASE PASSWORD CONNECTIONS SECONDS simple|extended|prepared [QUERIES]
//   bench_load connect PORT USER DATABASE PASSWORD THREADS SECONDS plain|tls [LOGINS]
//   bench_load idle    PORT USER DATABASE PASSWORD CONNECTIONS plain|tls
// Each prints one line of JSON; `idle` then holds its connections until its standard input ends. With QUERIES or LOGINS
// it ends after so many, for whoever counts what one costs.
#include "protocol/frame.hpp"
#include "tools/benchmark/login.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace {

using namespace pg_edge;
using clock_type = std::chrono::steady_clock;
using protocol::bytes;

// -- latencies: 32 steps to each power of two of nanoseconds, so that a percentile is right to 3%

class latencies {
public:
  void add(std::uint64_t nanoseconds) { ++counts_[slot(nanoseconds)]; }
  double microseconds(double share) const {
    std::uint64_t all = 0, seen = 0;
    for (const auto count : counts_)
      all += count;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if (static_cast<double>(seen += counts_[i]) >= share * static_cast<double>(all))
        return static_cast<double>(start(i + 1)) / 1000;
    return 0;
  }

private:
  static constexpr unsigned steps = 32;
  static std::size_t slot(std::uint64_t value) {
    if (value < steps) return value;
    const auto power = static_cast<unsigned>(std::bit_width(value)) - 6; // so that value >> power is in [32, 64)
    return (power + 1) * steps + ((value >> power) - steps);
  }
  static std::uint64_t start(std::size_t slot) {
    if (slot < steps) return slot;
    return (steps + slot % steps) << (slot / steps - 1);
  }
  std::array<std::uint64_t, 40 * steps> counts_{};
};

// -- queries

bytes message(char type, std::string_view body) {
  bytes out(1, type);
  protocol::put_u32(out, static_cast<std::uint32_t>(body.size() + 4));
  return out.append(body);
}

std::string_view zeros(std::size_t count) {
  static const std::string many(16, '\0');
  return std::string_view(many).substr(0, count);
}

bytes bind_execute(std::string_view statement) {
  return message('B', bytes(1, '\0') + bytes(statement) + bytes(zeros(7))) +
         message('D', bytes("P") + bytes(zeros(1))) + message('E', zeros(5)) + message('S', {});
}

struct workload {
  bytes before, each; // once for each connection; for each query
};

workload make_workload(std::string_view name) {
  const bytes sql = bytes("SELECT 1") + bytes(zeros(1));
  if (name == "extended") return {{}, message('P', bytes(zeros(1)) + sql + bytes(zeros(2))) + bind_execute({})};
  if (name == "prepared")
    return {message('P', bytes("s1") + bytes(zeros(1)) + sql + bytes(zeros(2))) + message('S', {}), bind_execute("s1")};
  return {{}, message('Q', sql)};
}

struct querier {
  int fd = -1;
  bytes in;
  clock_type::time_point sent{};
};

/// Counts the ReadyForQuery messages in what has come, and keeps the rest.
unsigned take_ready(bytes& in) {
  unsigned ready = 0;
  std::size_t used = 0;
  protocol::frame_header header;
  while (protocol::read_header(std::string_view(in).substr(used), header) == protocol::header_status::ok &&
         in.size() - used >= header.total()) {
    if (header.type == 'E') {
      std::fprintf(stderr, "an ErrorResponse: %.200s\n", in.data() + used + protocol::frame_header_size);
      std::exit(1);
    }
    if (header.type == 'Z') ++ready;
    used += header.total();
  }
  in.erase(0, used);
  return ready;
}

void send_query(querier& who, const bytes& what, clock_type::time_point now) {
  who.sent = now;
  if (::send(who.fd, what.data(), what.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(what.size()))
    benchmark::die("send");
}

/// A % in the database's name becomes the number of the connection.
benchmark::account numbered(benchmark::account who, std::size_t number) {
  if (const std::size_t at = who.database.find('%'); at != std::string::npos)
    who.database.replace(at, 1, std::to_string(number));
  return who;
}

int run_queries(const benchmark::account& who, std::size_t connections, double seconds, std::string_view kind,
                std::uint64_t at_most) {
  const workload work = make_workload(kind);
  std::vector<querier> all(connections);
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  for (querier& one : all) {
    benchmark::session made;
    if (!made.log_in(numbered(who, static_cast<std::size_t>(&one - all.data()))))
      benchmark::die("login: " + made.why());
    one.fd = made.release();
    if (!work.before.empty()) {
      send_query(one, work.before, {});
      char chunk[4096];
      while (take_ready(one.in) == 0)
        if (const ssize_t count = ::recv(one.fd, chunk, sizeof chunk, 0); count > 0)
          one.in.append(chunk, static_cast<std::size_t>(count));
        else
          benchmark::die("recv");
    }
    benchmark::set_non_blocking(one.fd);
    benchmark::watch(epoll, one.fd, &one);
  }
  latencies times;
  std::uint64_t queries = 0, begun = connections;
  const auto start = clock_type::now();
  const auto end = start + std::chrono::duration_cast<clock_type::duration>(std::chrono::duration<double>(seconds));
  for (querier& one : all)
    send_query(one, work.each, start);
  std::vector<epoll_event> events(256);
  auto now = start;
  while (now < end && queries < at_most) {
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 100);
    now = clock_type::now();
    for (int i = 0; i < count; ++i) {
      auto& one = *static_cast<querier*>(events[static_cast<std::size_t>(i)].data.ptr);
      char chunk[65536];
      const ssize_t got = ::recv(one.fd, chunk, sizeof chunk, 0);
      if (got == 0 || (got < 0 && errno != EAGAIN)) benchmark::die("recv");
      if (got < 0) continue;
      one.in.append(chunk, static_cast<std::size_t>(got));
      if (take_ready(one.in) == 0) continue;
      ++queries;
      times.add(static_cast<std::uint64_t>(std::chrono::nanoseconds(now - one.sent).count()));
      if (begun++ < at_most) send_query(one, work.each, now);
    }
  }
  const double spent = std::chrono::duration<double>(now - start).count();
  std::printf("{\"queries\": %llu, \"seconds\": %.4f, \"p50\": %.1f, \"p95\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f}\n",
              static_cast<unsigned long long>(queries), spent, times.microseconds(0.5), times.microseconds(0.95),
              times.microseconds(0.99), times.microseconds(0.999));
  return 0;
}

// -- logins and crowds

int run_logins(const benchmark::account& who, std::size_t threads, double seconds, std::uint64_t at_most) {
  std::atomic<std::uint64_t> begun{0}, done{0}, failed{0};
  const auto end =
      clock_type::now() + std::chrono::duration_cast<clock_type::duration>(std::chrono::duration<double>(seconds));
  const auto start = clock_type::now();
  std::vector<std::jthread> crowd;
  for (std::size_t i = 0; i < threads; ++i)
    crowd.emplace_back([&] {
      while (clock_type::now() < end && begun++ < at_most) {
        benchmark::session one;
        if (one.log_in(who)) {
          one.leave();
          ++done;
        } else if (failed++ == 0) {
          std::fprintf(stderr, "login: %s\n", one.why().c_str());
        }
      }
    });
  crowd.clear();
  std::printf("{\"logins\": %llu, \"failed\": %llu, \"seconds\": %.4f}\n", static_cast<unsigned long long>(done.load()),
              static_cast<unsigned long long>(failed.load()),
              std::chrono::duration<double>(clock_type::now() - start).count());
  return 0;
}

int hold_idle(const benchmark::account& who, std::size_t connections) {
  std::vector<benchmark::session> crowd(connections);
  std::size_t held = 0;
  for (auto& one : crowd)
    if (one.log_in(who))
      ++held;
    else {
      std::fprintf(stderr, "login %zu: %s\n", held, one.why().c_str());
      break;
    }
  std::printf("{\"held\": %zu}\n", held);
  std::fflush(stdout);
  char ignored = 0;
  while (::read(STDIN_FILENO, &ignored, 1) > 0) {
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool counted = arguments.size() == 8 || arguments.size() == 9;
  const bool queries = counted && arguments[0] == "query";
  const bool logins = counted && arguments[0] == "connect";
  const bool idle = arguments.size() == 7 && arguments[0] == "idle";
  if (!queries && !logins && !idle) {
    std::fprintf(stderr, "usage: bench_load query|connect|idle PORT USER DATABASE PASSWORD COUNT ...\n");
    return 2;
  }
  benchmark::account who;
  who.port = static_cast<std::uint16_t>(std::stoi(arguments[1]));
  who.user = arguments[2];
  who.database = arguments[3];
  who.password = arguments[4];
  who.tls = !queries && arguments[idle ? 6 : 7] == "tls";
  const auto count = static_cast<std::size_t>(std::stoul(arguments[5]));
  if (idle) return hold_idle(who, count);
  const double seconds = std::stod(arguments[6]);
  const std::uint64_t at_most = arguments.size() == 9 ? std::stoull(arguments[8]) : ~std::uint64_t{0};
  return queries ? run_queries(who, count, seconds, arguments[7], at_most) : run_logins(who, count, seconds, at_most);
}
