// The admin API without its HTTP server: paths, bodies, roles, lists and pages, and the document made from the tables.
#include "actors/admin_access.hpp"
#include "actors/admin_list.hpp"
#include "actors/admin_routes.hpp"
#include "actors/admin_schemas.hpp"

#include <boost/test/unit_test.hpp>

#include <set>

using namespace pg_edge;
using namespace pg_edge::actors;
using config::admin_role;

namespace {

struct item {
  int id = 0;
  std::string name;
  int wait = 0;
};

constexpr admin_column<item> columns[] = {
    {{"id", "integer", "", false, true}, [](const item& r) -> json { return r.id; }},
    {{"name", "string", "", true}, [](const item& r) -> json { return r.name.empty() ? json() : json(r.name); }},
    {{"wait", "integer", ""}, [](const item& r) -> json { return r.wait; }},
};

list_result list(const std::vector<item>& rows, const std::string& query) {
  admin_request request;
  request.query = parse_query(query).value();
  return make_list(request, {fields_of(columns), rows.size(),
                             [&](std::size_t row, std::size_t column) { return columns[column].value(rows[row]); }});
}

std::vector<int> ids(const list_result& made) {
  std::vector<int> out;
  for (const json& one : made.body["items"])
    out.push_back(one["id"]);
  return out;
}

std::string field_of(const std::optional<admin_problem>& problem) {
  return problem && !problem->fields.empty() ? problem->fields[0].field : "none";
}

const std::vector<item> four{{1, "app", 30}, {2, "web", 10}, {3, "", 20}, {4, "app2", 10}};

admin_request get_request(const std::string& token = "") {
  admin_request request;
  request.peer = "10.0.0.1";
  request.headers["host"] = "127.0.0.1:9632";
  if (!token.empty()) request.headers["authorization"] = "Bearer " + token;
  return request;
}

config::admin_settings settings_with_tokens() {
  config::admin_settings out;
  out.served = true;
  out.tokens["look"] = {"look", admin_role::viewer, "look-look-look-look", "", 1};
  out.tokens["boss"] = {"boss", admin_role::admin, "", hex_of(sha256_of("boss-boss-boss-boss")), 1};
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(admin_routes_test)

// -- paths and bodies
// ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(percent_signs_are_decoded_or_refused) {
  BOOST_TEST(percent_decoded("a%20b%2Fc").value() == "a b/c");
  BOOST_TEST(percent_decoded("a+b").value() == "a+b");
  BOOST_TEST(percent_decoded("a+b", true).value() == "a b");
  for (const char* bad : {"%", "%2", "a%zz", "%00"})
    BOOST_TEST(!percent_decoded(bad), bad);
  BOOST_TEST(!parse_query("a=%zz"));
  BOOST_TEST(parse_query("a=1&b&&c=%3D")->size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_path_finds_its_row_or_says_what_it_knows) {
  const auto found = match_route(http_method::get, "/v1/pools/acme/my%2Fdb/app");
  BOOST_REQUIRE(found.route != nullptr);
  BOOST_TEST(found.route->name == "getPool");
  BOOST_TEST(found.parameters.at("database") == "my/db");
  const auto other = match_route(http_method::delete_, "/v1/pools");
  BOOST_TEST((other.route == nullptr));
  BOOST_TEST(other.allow == "GET, HEAD");
  for (const char* nowhere : {"/", "", "/v1", "/v1/pools/", "/v1/pools/a/b", "/v1/clients/", "/v1/%zz", "/v2/pools"})
    BOOST_TEST(match_route(http_method::get, nowhere).allow.empty(), nowhere);
}

BOOST_AUTO_TEST_CASE(bodies_are_json_objects_of_their_type) {
  const admin_route& route = *match_route(http_method::post, "/v1/node/shutdown").route;
  const auto check = [&](const std::string& body, const std::string& type) {
    admin_request request;
    request.text = body;
    request.headers["content-type"] = type;
    const auto problem = check_request(route, request);
    return problem ? problem->status : 200U;
  };
  BOOST_TEST(check("", "") == 200u);
  BOOST_TEST(check("{}", "application/json") == 200u);
  BOOST_TEST(check("{}", "application/merge-patch+json; charset=utf-8") == 200u);
  BOOST_TEST(check("{}", "text/plain") == 415u);
  BOOST_TEST(check("{}", "") == 415u);
  BOOST_TEST(check("{", "application/json") == 400u);
  BOOST_TEST(check("[]", "application/json") == 400u);
  BOOST_TEST(check("{\"mode\": \"\xff\"}", "application/json") == 400u);
  BOOST_TEST(check(std::string(100'000, '['), "application/json") == 400u);
  admin_request request;
  request.text = "{}";
  const auto problem = check_request(*match_route(http_method::get, "/v1/node").route, request);
  BOOST_TEST(field_of(problem) == "body");
}

// -- lists
// --------------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(lists_are_filtered) {
  const auto found = [&](const std::string& query) { return ids(list(four, query)); };
  BOOST_TEST((found("") == std::vector{1, 2, 3, 4}));
  BOOST_TEST((found("name=web,app") == std::vector{1, 2}));
  BOOST_TEST((found("name=") == std::vector{3}));
  BOOST_TEST((found("name!=app") == std::vector{2, 3, 4}));
  BOOST_TEST((found("name~=app*") == std::vector{1, 4}));
  BOOST_TEST((found("name~=app?") == std::vector{4}));
  BOOST_TEST((found("wait>=20") == std::vector{1, 3}));
  BOOST_TEST((found("wait>20") == std::vector{1}));
  BOOST_TEST((found("wait<20&name~=w*") == std::vector{2}));
  BOOST_TEST((found("wait<=10") == std::vector{2, 4}));
  BOOST_TEST(list(four, "wait<=10&limit=1").body["total"] == 2);
}

BOOST_AUTO_TEST_CASE(lists_are_sorted) {
  BOOST_TEST((ids(list(four, "sort=-wait,name")) == std::vector{1, 3, 4, 2}));
  BOOST_TEST((ids(list(four, "sort=name")) == std::vector{3, 1, 4, 2})); // null first
  BOOST_TEST((ids(list(four, "sort=wait")) == std::vector{2, 4, 3, 1})); // equal ones by key
}

BOOST_AUTO_TEST_CASE(pages_follow_each_other_whatever_comes_and_goes) {
  std::vector<item> rows;
  for (int i = 1; i <= 250; ++i)
    rows.push_back({i, "n" + std::to_string(i % 7), i % 10});
  std::set<int> seen;
  std::string cursor;
  for (int page = 0; page < 10; ++page) {
    const auto made = list(rows, "sort=-wait&limit=40" + cursor);
    BOOST_REQUIRE(!made.problem);
    for (const int id : ids(made))
      BOOST_TEST(seen.insert(id).second, id << " came twice");
    if (made.body["next"].is_null()) break;
    cursor = "&cursor=" + made.body["next"].get<std::string>();
    rows.erase(rows.begin()); // one that was shown, or will be: it must not move the others
  }
  for (const item& one : rows)
    BOOST_TEST(seen.contains(one.id), one.id << " was left out");
}

BOOST_AUTO_TEST_CASE(what_is_wrong_with_a_list_is_named) {
  const auto wrong = [&](const std::string& query) { return field_of(list(four, query).problem); };
  BOOST_TEST(wrong("limit=0") == "query: limit");
  BOOST_TEST(wrong("limit=1001") == "query: limit");
  BOOST_TEST(wrong("limit=x") == "query: limit");
  BOOST_TEST(wrong("sort=nam") == "query: sort");
  BOOST_TEST(wrong("nam=1") == "query: nam");
  BOOST_TEST(wrong("name>1") == "query: name");
  BOOST_TEST(wrong("wait>x") == "query: wait");
  BOOST_TEST(wrong("cursor=!!") == "query: cursor");
  BOOST_TEST(wrong("cursor=e30") == "query: cursor");
  const std::string next = list(four, "limit=1").body["next"];
  BOOST_TEST(wrong("sort=wait&cursor=" + next) == "query: cursor");
  BOOST_TEST(wrong("cursor=" + next) == "none");
  BOOST_TEST(list(four, "nam=1").problem->what.find("did you mean name") != std::string::npos);
}

// -- who asks
// ------------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(roles_hold_what_stands_before_them) {
  admin_access access;
  const auto settings = settings_with_tokens();
  const auto now = admin_access::clock::now();
  const auto status = [&](const std::string& token, admin_role needed) {
    admin_request request = get_request(token);
    const auto problem = access.admit(settings, {}, needed, request, now);
    return problem ? problem->status : 200U;
  };
  BOOST_TEST(status("", admin_role::none) == 200u);
  BOOST_TEST(status("", admin_role::viewer) == 401u);
  BOOST_TEST(status("look-look-look-look", admin_role::viewer) == 200u);
  BOOST_TEST(status("look-look-look-look", admin_role::operator_) == 403u);
  BOOST_TEST(status("boss-boss-boss-boss", admin_role::admin) == 200u);
  BOOST_TEST(status("boss-boss-boss-bosS", admin_role::viewer) == 401u);
  admin_request request = get_request("boss-boss-boss-boss");
  BOOST_TEST(!access.admit(settings, {}, admin_role::admin, request, now));
  BOOST_TEST(request.who == "boss");
  request = get_request();
  request.headers["authorization"] = "Basic Ym9zczpib3Nz";
  BOOST_TEST(access.admit(settings, {}, admin_role::viewer, request, now)->status == 401u);
}

BOOST_AUTO_TEST_CASE(without_a_token_one_may_look_from_here_only) {
  admin_access access;
  config::admin_settings settings = settings_with_tokens();
  const auto now = admin_access::clock::now();
  const auto status = [&](bool loopback, const std::string& host, admin_role needed) {
    admin_request request = get_request();
    request.headers["host"] = host;
    const auto problem = access.admit(settings, {loopback}, needed, request, now);
    return problem ? problem->status : 200U;
  };
  BOOST_TEST(status(true, "localhost:9632", admin_role::viewer) == 200u);
  BOOST_TEST(status(true, "[::1]:9632", admin_role::viewer) == 200u);
  BOOST_TEST(status(true, "localhost", admin_role::operator_) == 401u);
  BOOST_TEST(status(false, "localhost", admin_role::viewer) == 401u);
  BOOST_TEST(status(true, "evil.example.com", admin_role::viewer) == 403u); // a page's own DNS points here
  settings.anonymous_role = admin_role::operator_;
  BOOST_TEST(status(true, "localhost", admin_role::operator_) == 200u);
  admin_request request = get_request();
  request.method = http_method::post;
  request.headers["origin"] = "https://evil.example.com";
  BOOST_TEST(access.admit(settings, {true}, admin_role::operator_, request, now)->status == 403u);
  settings.anonymous_role = admin_role::none;
  BOOST_TEST(status(true, "localhost", admin_role::viewer) == 401u);
}

BOOST_AUTO_TEST_CASE(wrong_tokens_are_throttled_and_right_ones_are_not) {
  admin_access access;
  const auto settings = settings_with_tokens();
  const auto now = admin_access::clock::now();
  const auto status = [&](const std::string& token, admin_access::clock::time_point when) {
    admin_request request = get_request(token);
    const auto problem = access.admit(settings, {}, admin_role::viewer, request, when);
    return problem ? problem->status : 200U;
  };
  for (int i = 0; i < admin_failure_limit; ++i)
    BOOST_TEST(status("guess", now) == 401u);
  BOOST_TEST(status("guess", now) == 429u);
  BOOST_TEST(status("look-look-look-look", now) == 200u);
  BOOST_TEST(status("guess", now + admin_failure_window) == 401u);
}

// -- the tables
// ----------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(every_route_is_complete_and_changes_need_a_role) {
  std::set<std::string_view> names;
  std::set<std::pair<std::string_view, http_method>> places;
  for (const admin_route* route : admin_routes()) {
    BOOST_TEST(names.insert(route->name).second, route->name);
    BOOST_TEST(places.emplace(route->path, route->method).second, route->path);
    BOOST_TEST((route->handle != nullptr), route->name);
    BOOST_TEST(route->summary.ends_with("."), route->name);
    BOOST_TEST((route->path == "/openapi.json" || route->path == "/metrics" || route->method != http_method::get ||
                find_schema(route->answers) != nullptr),
               route->name);
    if (!route->takes.empty()) BOOST_TEST((find_schema(route->takes) != nullptr), route->name);
    if (route->method != http_method::get) BOOST_TEST((route->role >= admin_role::operator_), route->name);
    if (route->columns != nullptr) {
      std::size_t keys = 0;
      for (const admin_field& field : route->columns())
        keys += field.key ? 1 : 0;
      BOOST_TEST(keys > 0u, route->name << " has no key to page by");
    }
  }
}

BOOST_AUTO_TEST_CASE(problems_are_rfc_9457) {
  const admin_reply reply = problem_reply({404, "There is no tenant x.", {{"path: tenant", "unknown"}}, {}});
  BOOST_TEST(reply.content_type == "application/problem+json");
  const json body = json::parse(reply.body);
  BOOST_TEST(body["status"] == 404);
  BOOST_TEST(body["title"] == "Not Found");
  BOOST_TEST(body["errors"][0]["field"] == "path: tenant");
  // Names that are no UTF-8 do not keep an answer from being JSON.
  BOOST_TEST(!json::parse(problem_reply({404, "\xff\xfe", {}, {}}).body, nullptr, false).is_discarded());
}

BOOST_AUTO_TEST_SUITE_END()
