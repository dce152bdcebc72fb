#include "actors/etcd_members.hpp"

#include <cerrno>
#include <cstring>
#include <curl/curl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

using nlohmann::json;

constexpr long call_limit_ms = 2000;

bool write_whole(const std::string& file, const std::string& text) {
  std::ofstream(file + ".new") << text;
  return ::rename((file + ".new").c_str(), file.c_str()) == 0;
}

std::size_t keep_body(char* data, std::size_t, std::size_t size, void* of) {
  auto& body = *static_cast<std::string*>(of);
  if (body.size() + size > (1 << 20)) return 0;
  body.append(data, size);
  return size;
}

std::string member_text(const json& of, const char* name) {
  const auto found = of.is_object() ? of.find(name) : of.end();
  return of.is_object() && found != of.end() && found->is_string() ? found->get<std::string>() : std::string();
}

json parsed(const std::string& text) {
  return json::parse(text, nullptr, false);
}

json list_of(const json& of, const char* name) {
  return of.is_object() && of.contains(name) && of[name].is_array() ? of[name] : json::array();
}

bool write_plan(const etcd_child_options& of, const std::string& members, const std::string& state,
                std::string& error) {
  const std::string file = of.folder + "/plan";
  if (write_whole(file, json{{"members", members}, {"state", state}}.dump())) {
    // Who is root here acts for the user that the node runs as, to whom the folder belongs.
    struct stat folder {};
    if (::geteuid() == 0 && ::stat(of.folder.c_str(), &folder) == 0) [[maybe_unused]]
      const int done = ::chown(file.c_str(), folder.st_uid, folder.st_gid);
    return true;
  }
  error = "cannot write to " + of.folder + ": " + std::strerror(errno);
  return false;
}

/// A member has no name before it was started for the first time.
bool awaits(const json& members, const std::string& peer_url) {
  for (const json& one : members)
    for (const json& url : list_of(one, "peerURLs"))
      if (url == peer_url && member_text(one, "name").empty()) return true;
  return false;
}

/// "a=https://10.0.0.1:2380,...", with this node's own name.
std::string initial_cluster(const json& members, const etcd_child_options& of) {
  std::string out;
  for (const json& one : members)
    for (const json& url : list_of(one, "peerURLs"))
      if (url.is_string())
        out += (out.empty() ? "" : ",") + (url == of.peer_url() ? of.name : member_text(one, "name")) + "=" +
               url.get<std::string>();
  return out;
}

} // namespace

etcd_plan read_etcd_plan(const etcd_child_options& of) {
  std::ifstream in(of.folder + "/plan");
  std::ostringstream text;
  text << in.rdbuf();
  const json plan = parsed(text.str());
  return {member_text(plan, "members"), member_text(plan, "state")};
}

bool etcd_founded(const etcd_child_options& of) {
  return std::filesystem::exists(of.folder + "/plan");
}

bool found_etcd(const etcd_child_options& of, std::string& error) {
  if (etcd_founded(of)) {
    error = "this node has a member of the cluster \"" + of.cluster + "\" already, in " + of.folder;
    return false;
  }
  return write_plan(of, of.name + "=" + of.peer_url(), "new", error);
}

bool join_etcd(const etcd_child_options& of, const std::vector<std::string>& endpoints, std::string& error) {
  if (etcd_founded(of)) {
    error = "this node is a member already, with its data in " + of.folder;
    return false;
  }
  error = "none of the endpoints answers";
  for (const std::string& endpoint : endpoints) {
    bool ok = false;
    // A try before may have been heard, though its answer was not.
    json members = list_of(parsed(ask_etcd(of, endpoint, "/v3/cluster/member/list", "{}", ok)), "members");
    if (!ok || !awaits(members, of.peer_url())) {
      const json wish{{"peerURLs", {of.peer_url()}}};
      const json answer = parsed(ask_etcd(of, endpoint, "/v3/cluster/member/add", wish.dump(), ok));
      if (!ok) {
        if (!member_text(answer, "error").empty()) error = member_text(answer, "error");
        continue;
      }
      members = list_of(answer, "members");
    }
    return write_plan(of, initial_cluster(members, of), "existing", error);
  }
  return false;
}

bool leave_etcd(const etcd_child_options& of, const std::vector<std::string>& others, std::string& error) {
  if (!etcd_founded(of)) {
    error = "this node's etcd is no member: there is nothing in " + of.folder;
    return false;
  }
  std::vector<std::string> asked{of.endpoint()};
  asked.insert(asked.end(), others.begin(), others.end());
  bool ok = false;
  json members = json::array();
  for (const std::string& endpoint : asked) {
    members = list_of(parsed(ask_etcd(of, endpoint, "/v3/cluster/member/list", "{}", ok)), "members");
    if (ok && !members.empty()) break;
  }
  if (!ok || members.empty()) {
    error = "the cluster's store does not answer; a member can leave only while a majority is there";
    return false;
  }
  if (members.size() == 1) {
    error = "this is the last member; the cluster's data would be lost";
    return false;
  }
  for (const json& one : members) {
    if (member_text(one, "name") != of.name) continue;
    for (const json& other : members) { // by another member, which goes on to be there
      const json urls = list_of(other, "clientURLs");
      if (member_text(other, "name") == of.name || urls.empty() || !urls[0].is_string()) continue;
      const std::string body = ask_etcd(of, urls[0].get<std::string>(), "/v3/cluster/member/remove",
                                        json{{"ID", member_text(one, "ID")}}.dump(), ok);
      if (!ok) {
        error = "the other members do not let it go: " + member_text(parsed(body), "error");
        continue;
      }
      std::error_code ignored;
      std::filesystem::remove(of.folder + "/plan", ignored);
      return true;
    }
    return false;
  }
  error = "no member has the name \"" + of.name + "\"";
  return false;
}

bool says_healthy(const std::string& body) {
  return member_text(parsed(body), "health") == "true";
}

std::string ask_etcd(const etcd_child_options& of, const std::string& endpoint, const std::string& path,
                     const std::string& body, bool& ok) {
  ok = false;
  const std::unique_ptr<CURL, void (*)(CURL*)> easy(curl_easy_init(), curl_easy_cleanup);
  if (!easy) return {};
  std::string answer;
  const std::string url = endpoint + path;
  curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS, call_limit_ms);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, &keep_body);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &answer);
  if (!body.empty()) curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, body.c_str());
  if (!of.ca_file.empty()) {
    curl_easy_setopt(easy.get(), CURLOPT_CAINFO, of.ca_file.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_SSLCERT, of.cert_file.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_SSLKEY, of.key_file.c_str());
  }
  long status = 0;
  if (curl_easy_perform(easy.get()) == CURLE_OK) curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  ok = status == 200;
  return answer;
}

} // namespace pg_edge::actors
