// ETag, If-Match and If-None-Match (RFC 9110) for objects that have a revision: two writers cannot lose each other's
// change.
#pragma once

#include "actors/admin_call.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pg_edge::actors {

/// The revision in quotes.
std::string etag_of(std::uint64_t revision);

struct precondition {
  std::optional<std::uint64_t> revision; // nullopt: whatever it is
  unsigned status = 0;                   // not 0: refused
};

/// What If-Match and If-None-Match ask of an object at this revision, 0 if there is none. Changing one that is there
/// needs an If-Match, or one of two writers would undo what the other has done without seeing it.
precondition precondition_of(const admin_request& request, std::uint64_t present, bool required);

/// Answers 412 or 428 and says what to do. `present`: the object's revision, 0 if it is not there.
void refuse_precondition(const admin_call_ptr& call, unsigned status, std::uint64_t present);

} // namespace pg_edge::actors
