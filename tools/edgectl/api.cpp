#include "tools/edgectl/api.hpp"

#include <algorithm>
#include <cctype>
#include <curl/curl.h>

namespace pg_edge::edgectl {

namespace {

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* into) {
  static_cast<std::string*>(into)->append(bytes, size * count);
  return size * count;
}

std::size_t take_header(char* bytes, std::size_t size, std::size_t count, void* into) {
  constexpr std::string_view name = "etag:";
  std::string line(bytes, size * count);
  std::string lower = line;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower.starts_with(name)) {
    const auto begin = line.find_first_not_of(' ', name.size());
    const auto end = line.find_last_not_of("\r\n ");
    if (begin != std::string::npos && end >= begin)
      *static_cast<std::string*>(into) = line.substr(begin, end - begin + 1);
  }
  return size * count;
}

/// The problem in one line, with the fields it names.
std::string text_of(long status, const json& problem, const std::string& raw) {
  if (!problem.is_object()) return "the node answered " + std::to_string(status) + ": " + raw.substr(0, 200);
  std::string text = problem.value("detail", problem.value("title", std::string("refused")));
  for (const json& one : problem.value("errors", json::array())) {
    const std::string detail = one.value("detail", std::string());
    if (text.find(detail) == std::string::npos) text += "\n  " + one.value("field", std::string()) + ": " + detail;
  }
  return text;
}

} // namespace

struct api::handle {
  CURL* curl = nullptr;
  handle() : curl(::curl_easy_init()) {}
  ~handle() { ::curl_easy_cleanup(curl); }
};

api::api(api_options options) : options_(std::move(options)), handle_(std::make_unique<handle>()) {
  if (handle_->curl == nullptr) throw api_error(0, "libcurl cannot be started");
  while (options_.url.ends_with('/'))
    options_.url.pop_back();
}

api::~api() = default;

api_answer api::ask(std::string_view method, const std::string& path, const json& body,
                    const std::vector<std::string>& headers) {
  CURL* curl = handle_->curl;
  ::curl_easy_reset(curl); // options go, the connection stays
  const std::string url = options_.url + path;
  const std::string verb(method);
  std::string sent = body.is_null() ? std::string() : body.dump();
  std::string got, reason(CURL_ERROR_SIZE, '\0');
  api_answer answer;
  curl_slist* list = nullptr;
  if (!options_.token.empty()) list = ::curl_slist_append(list, ("Authorization: Bearer " + options_.token).c_str());
  if (!body.is_null()) list = ::curl_slist_append(list, "Content-Type: application/json");
  for (const std::string& one : headers)
    list = ::curl_slist_append(list, one.c_str());
  ::curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  ::curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, verb.c_str());
  ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
  ::curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason.data());
  ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(curl, CURLOPT_TIMEOUT, options_.timeout_seconds);
  ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &got);
  ::curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer.etag);
  if (!options_.authority_file.empty()) ::curl_easy_setopt(curl, CURLOPT_CAINFO, options_.authority_file.c_str());
  if (!body.is_null()) {
    ::curl_easy_setopt(curl, CURLOPT_POSTFIELDS, sent.data());
    ::curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(sent.size()));
  } else if (method == "POST") {
    ::curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    ::curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
  }
  const CURLcode result = ::curl_easy_perform(curl);
  ::curl_slist_free_all(list);
  if (result != CURLE_OK) {
    const std::string why = reason.substr(0, reason.find('\0')); // the buffer's text
    throw api_error(0, "cannot reach " + options_.url + ": " + (why.empty() ? ::curl_easy_strerror(result) : why) +
                           "; is [admin] in the node's configuration, and --url right?");
  }
  ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
  if (!got.empty()) answer.body = json::parse(got, nullptr, false);
  if (answer.body.is_discarded()) answer.body = got;
  if (answer.status < 200 || answer.status > 299)
    throw api_error(answer.status, text_of(answer.status, answer.body, got), answer.body);
  return answer;
}

std::vector<json> api::list(const std::string& path, const std::string& query) {
  std::vector<json> items;
  std::string cursor;
  do {
    const json page = get(path + "?limit=1000" + (query.empty() ? "" : "&" + query) + cursor);
    for (const json& one : page.at("items"))
      items.push_back(one);
    cursor = page.at("next").is_null() ? std::string() : "&cursor=" + page.at("next").get<std::string>();
  } while (!cursor.empty());
  return items;
}

std::string escaped(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.' || c == '~') {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(digits[byte >> 4]);
      out.push_back(digits[byte & 15]);
    }
  }
  return out;
}

} // namespace pg_edge::edgectl
