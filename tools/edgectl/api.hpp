// The admin API as pg_edgectl sees it: a JSON request over HTTP or HTTPS, with libcurl.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::edgectl {

using json = nlohmann::ordered_json;

/// What went wrong, for people. `status` 0: the node could not be reached.
struct api_error : std::runtime_error {
  api_error(long code, const std::string& text, json problem_body = {})
      : std::runtime_error(text), status(code), problem(std::move(problem_body)) {}
  long status;
  json problem;
};

struct api_options {
  std::string url = "http://127.0.0.1:9632";
  std::string token;
  std::string authority_file; // of certificates; empty: the system's
  long timeout_seconds = 60;
};

struct api_answer {
  long status = 0;
  json body;
  std::string etag;
};

class api {
public:
  explicit api(api_options options);
  ~api();
  api(const api&) = delete;
  api& operator=(const api&) = delete;

  /// Throws api_error for what is not 2xx.
  api_answer ask(std::string_view method, const std::string& path, const json& body = {},
                 const std::vector<std::string>& headers = {});
  json get(const std::string& path) { return ask("GET", path).body; }
  /// All items of a list, page by page. `query` without the "?".
  std::vector<json> list(const std::string& path, const std::string& query = "");

private:
  struct handle;
  api_options options_;
  std::unique_ptr<handle> handle_;
};

/// As a part of a path or of a query.
std::string escaped(std::string_view text);

} // namespace pg_edge::edgectl
