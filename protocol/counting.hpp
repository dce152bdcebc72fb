// Whether the data path counts what passes. It always does, but in the build that `tools/bench --parts counting` makes
// to show what counting costs (PG_EDGE_NO_COUNTING): there every figure of traffic stays 0.
#pragma once

namespace pg_edge::protocol {

#ifdef PG_EDGE_NO_COUNTING
inline constexpr bool counting = false;
#else
inline constexpr bool counting = true;
#endif

} // namespace pg_edge::protocol
