// Where the sources and the build are. Only folders.cpp is compiled with these paths, so that a compiler cache serves
// every checkout alike.
#pragma once

namespace pg_edge::test {

extern const char* const source_folder;
extern const char* const build_folder;

} // namespace pg_edge::test
