#include "actors/admin_precondition.hpp"

#include "config/value_text.hpp"

#include <algorithm>
#include <vector>

namespace pg_edge::actors {

namespace {

/// The tags of a header, without quotes; "*" is one.
std::vector<std::string> tags_of(std::string_view header) {
  std::vector<std::string> out;
  for (const std::string& one : config::split_list(header)) {
    const bool quoted = one.size() >= 2 && one.front() == '"' && one.back() == '"';
    out.push_back(quoted ? one.substr(1, one.size() - 2) : one);
  }
  return out;
}

} // namespace

std::string etag_of(std::uint64_t revision) {
  return "\"" + std::to_string(revision) + "\"";
}

precondition precondition_of(const admin_request& request, std::uint64_t present, bool required) {
  const std::string_view match = request.header("if-match"), none_match = request.header("if-none-match");
  if (!none_match.empty()) {
    const auto tags = tags_of(none_match);
    const bool there = present != 0 && std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) {
                         return tag == "*" || tag == std::to_string(present);
                       });
    if (there) return {std::nullopt, 412};
    if (match.empty()) return {present, 0};
  }
  if (match.empty()) {
    if (present == 0) return {0, 0}; // should somebody make it just now, that is a conflict
    return required ? precondition{std::nullopt, 428} : precondition{};
  }
  for (const std::string& tag : tags_of(match))
    if ((tag == "*" && present != 0) || (present != 0 && tag == std::to_string(present))) return {present, 0};
  return {std::nullopt, 412};
}

void refuse_precondition(const admin_call_ptr& call, unsigned status, std::uint64_t present) {
  admin_problem problem;
  problem.status = status;
  problem.what = status == 428 ? "If-Match is missing: read the object's definition, and send its ETag with the change."
                 : present == 0 ? "If-Match: the object is not there any more."
                                : "If-Match: the object is another than the one that was read; read it again.";
  problem.fields = {{"If-Match", status == 428 ? "is missing" : "does not match"}};
  if (present != 0) problem.headers.emplace_back("ETag", etag_of(present));
  call->fail(problem);
}

} // namespace pg_edge::actors
