// The SHOWs whose rows come from the metrics actor: SHOW THROUGHPUT, SHOW ERRORS, SHOW REACTORS.
#pragma once

#include "actors/console_commands.hpp"
#include "actors/metrics.hpp"

namespace pg_edge::actors {

std::span<const console_command> console_figure_commands();

std::span<const protocol::console_column> throughput_result_columns();
std::span<const protocol::console_column> error_result_columns();
std::span<const protocol::console_column> reactor_result_columns();

console_rows throughput_result_rows(std::span<const throughput_row> rows);
console_rows error_result_rows(std::span<const error_figures> rows);
console_rows reactor_result_rows(std::span<const reactor_figures> rows);

} // namespace pg_edge::actors
