// Requests to the admin API of a node, as scripts make them.
#pragma once

#include "tests/support/pg_edge_process.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace pg_edge::test {

/// What the admin API has answered.
struct answer {
  int status = 0;
  std::string etag, location, body;
  nlohmann::json value() const { return nlohmann::json::parse(body, nullptr, false); }
  std::string field() const {
    const nlohmann::json all = value();
    return all.contains("errors") ? all["errors"][0].value("field", "") : std::string();
  }
};

/// By curl, as scripts do it.
inline answer ask(std::uint16_t port, const std::string& method, const std::string& path, const std::string& body = "",
                  const std::vector<std::string>& headers = {}, const std::string& token = api_boss) {
  std::vector<std::string> argv{"curl", "-s", "-i", "-X", method, "-H", "Authorization: Bearer " + token};
  for (const std::string& header : headers)
    argv.insert(argv.end(), {"-H", header});
  if (!body.empty()) argv.insert(argv.end(), {"-H", "Content-Type: application/json", "--data-binary", body});
  argv.push_back("http://127.0.0.1:" + std::to_string(port) + path);
  const run_result got = run(argv);
  answer out;
  std::istringstream lines(got.out);
  std::string line;
  while (std::getline(lines, line) && line != "\r") {
    line.pop_back();
    if (line.starts_with("HTTP/1.1 ")) out.status = std::stoi(line.substr(9));
    const auto colon = line.find(": ");
    const std::string name = line.substr(0, colon);
    if (name == "ETag" || name == "etag") out.etag = line.substr(colon + 2);
    if (name == "Location" || name == "location") out.location = line.substr(colon + 2);
  }
  out.body =
      got.out.substr(std::min(got.out.size(), static_cast<std::size_t>(std::max<std::streamoff>(lines.tellg(), 0))));
  return out;
}

} // namespace pg_edge::test
