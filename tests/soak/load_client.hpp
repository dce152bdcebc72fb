// A client of a soak's loads: a wire_client of a pool chosen at random, with answers as text.
#pragma once

#include "tests/soak/run.hpp"
#include "tests/support/wire_client.hpp"

#include <random>

namespace pg_edge::soak {

/// Logged in to the pool; sometimes by the proxy in front of the node. Throws test_failure when it cannot.
wire_client client_of(run& all, const pool_row& pool, const std::string& name, bool by_proxy);

const pool_row& any_pool(std::mt19937& random);

/// Summaries up to ReadyForQuery. Throws test_failure when the connection ends before.
std::string answer_of(wire_client& client, const std::string& bytes);

/// The SQLSTATE of the first error of an answer; empty: it has none.
std::string error_of(const std::string& answer);

} // namespace pg_edge::soak
