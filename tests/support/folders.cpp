#include "tests/support/folders.hpp"

namespace pg_edge::test {

const char* const source_folder = PG_EDGE_SOURCE_FOLDER;
const char* const build_folder = PG_EDGE_BUILD_FOLDER;

} // namespace pg_edge::test
