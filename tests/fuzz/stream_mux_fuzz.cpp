// Whatever another node sends: cut anywhere, it means the same, and what waits here stays within the credits.
#include "cluster/stream_mux.hpp"

#include <cstdint>
#include <cstdlib>
#include <map>

using namespace pg_edge::cluster;
using pg_edge::protocol::bytes;
using pg_edge::protocol::bytes_view;

namespace {

struct end final : mux_events, mux_source {
  std::string on_hello(const link_hello& other) override {
    note("hello " + other.cluster);
    return other.cluster == "no" ? "not welcome" : "";
  }
  void on_open(stream_id which, bytes_view request) override { note("open " + std::to_string(which) + bytes(request)); }
  /// In whatever parts it comes. Half of all that has come is used up.
  void on_data(stream_id which, bytes_view data) override {
    if (data_of != which) note("data " + std::to_string(which) + " ");
    data_of = which;
    notes += data;
    const std::size_t used = (came[which] + data.size()) / 2 - came[which] / 2;
    came[which] += data.size();
    if ((kept[which] += data.size()) > stream_window) std::abort();
    mux.consumed(which, used);
    kept[which] -= used;
  }
  void on_finish(stream_id which) override {
    note("finish " + std::to_string(which));
    if (which % 3 == 0) mux.finish(which);
  }
  void on_reset(stream_id which, bytes_view why) override { note("reset " + std::to_string(which) + bytes(why)); }
  void on_signal(stream_id which, bytes_view what) override { note("signal " + std::to_string(which) + bytes(what)); }
  void on_pong(std::uint64_t token) override { note("pong " + std::to_string(token)); }
  std::size_t pull(stream_id, bytes& out, std::size_t most) override {
    out.append(most / 2, 'x');
    return most / 2;
  }
  void note(const bytes& what) {
    notes += "\n" + what;
    data_of = 0;
  }

  stream_mux mux{stream_mux::side::accepted, link_hello{.cluster = "c"}};
  std::map<stream_id, std::size_t> came, kept;
  stream_id data_of = 0; // whose data notes end with
  bytes notes;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Most inputs would not get past the greeting: the first bit says whether they are spared it.
  if (size < 2) return 0;
  bytes in;
  if ((data[0] & 1) != 0) append_frame(in, stream_frame::hello, 0, encode(link_hello{.node = 2, .cluster = "c"}));
  in.append(reinterpret_cast<const char*>(data) + 2, size - 2);
  end whole, pieces;
  whole.mux.feed(in, whole);
  const std::size_t step = data[1] + std::size_t{1};
  bytes kept;
  for (std::size_t at = 0; at < in.size(); at += step) {
    kept += in.substr(at, step);
    kept.erase(0, pieces.mux.feed(kept, pieces));
  }
  if (whole.notes != pieces.notes || whole.mux.broken() != pieces.mux.broken()) std::abort();
  bytes out, same;
  whole.mux.fill(out, 1 << 16, whole);
  if (out.size() > (1 << 16) + 2 * most_frame_body + in.size() * 4 + 1024) std::abort();
  return 0;
}
