// A request to the admin API on its way to an answer. Handlers (admin_*.cpp, named in admin_routes.cpp) get one, ask
// actors what they need, and answer once. They run on the API's own thread and must not wait there: what they ask is
// answered by a call of a function, on the same thread. A handler that never answers is answered for by the time-out.
#pragma once

#include "actors/actor_stats.hpp"
#include "actors/gatherer.hpp"
#include "actors/log.hpp"
#include "actors/node_context.hpp"

#include <chrono>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pg_edge::actors {

/// Objects keep the order in which their fields were put in.
using json = nlohmann::ordered_json;

enum class http_method : std::uint8_t { get, post, put, patch, delete_ };

/// "GET".
std::string_view to_string(http_method method);

struct admin_request {
  http_method method = http_method::get;
  std::string target;                                         // as it came, for the log
  std::map<std::string, std::string, std::less<>> parameters; // of the path: "/v1/clients/{id}"
  std::vector<std::pair<std::string, std::string>> query;     // decoded, in order
  std::map<std::string, std::string, std::less<>> headers;    // names in lower case
  std::string text;                                           // the body
  json body;                                                  // the body, if the route takes JSON
  std::string peer;                                           // address, for the log
  std::string who = "anonymous";                              // the token's name
  config::admin_role role = config::admin_role::none;

  std::string_view header(std::string_view name) const;
  /// The last value of that name.
  std::optional<std::string> asked(std::string_view name) const;
};

struct admin_reply {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// What is wrong, as RFC 9457 has it. `field`: which part of the request, as "pool_size", "query: limit" or
/// "If-Match"; empty: the whole of it.
struct admin_problem {
  struct detail {
    std::string field, what;
  };
  unsigned status = 400;
  std::string what; // a sentence for people: what, why, what to do
  std::vector<detail> fields;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// "Not Found".
std::string_view status_text(unsigned status);
admin_reply problem_reply(const admin_problem& problem);

/// Where calls come from: the HTTP server, or a test.
class admin_desk {
public:
  virtual ~admin_desk() = default;
  /// Runs a function in an actor, which may request and wait for answers.
  virtual void in_actor(std::function<void(caf::event_based_actor*)> function) = 0;
  /// Runs a function on the API's thread.
  virtual void on_thread(std::function<void()> function) = 0;
};

class admin_call : public std::enable_shared_from_this<admin_call> {
public:
  using teller = std::function<void(const admin_request&, admin_reply)>;

  admin_call(node_context& node, std::shared_ptr<admin_desk> desk, admin_request request, teller tell)
      : node_(node), desk_(std::move(desk)), request_(std::move(request)), tell_(std::move(tell)) {}

  const admin_request& request() const { return request_; }
  admin_request& request() { return request_; }
  node_context& node() const { return node_; }

  /// The first of these counts; what comes later is forgotten.
  void reply(admin_reply what);
  void reply(const json& body, unsigned status = 200);
  void fail(const admin_problem& problem) { reply(problem_reply(problem)); }
  void fail(unsigned status, std::string what) { fail(admin_problem{status, std::move(what), {}, {}}); }
  void fail(unsigned status, std::string field, const std::string& what);
  bool answered() const { return !tell_; }

  /// Asks an actor; `then` gets the answer on the API's thread, or `otherwise` is called there: no answer in time.
  template <class Answer, class Handle, class Message, class Then, class Otherwise>
  void ask(const Handle& whom, std::chrono::milliseconds patience, Message message, Then then, Otherwise otherwise) {
    auto self = shared_from_this();
    desk_->in_actor([=](caf::event_based_actor* actor) {
      actor->request(whom, patience, message)
          .then(
              [self, then](Answer& got) {
                auto kept = std::make_shared<Answer>(std::move(got));
                self->go_on([then, kept] { then(*kept); });
              },
              [self, otherwise](const caf::error&) { self->go_on(otherwise); });
    });
  }
  /// The same; who does not answer in time is reported as 503.
  template <class Answer, class Handle, class Message, class Then>
  void ask(const Handle& whom, std::chrono::milliseconds patience, Message message, Then then) {
    ask<Answer>(whom, patience, std::move(message), std::move(then),
                [this] { fail(503, "A part of the node does not answer; try again."); });
  }

  /// A view that is not older than this call.
  template <class Then>
  void gather(view_need need, Then then) {
    ask<gathered_view>(node_.gatherer, view_patience, gather_view{need},
                       [then](const gathered_view& got) { then(*got.view); });
  }

  /// Runs a function on the API's thread; an exception out of it is answered as 500.
  void go_on(std::function<void()> function);
  /// The same, here and now.
  void guard(const std::function<void()>& function);

private:
  node_context& node_;
  std::shared_ptr<admin_desk> desk_;
  admin_request request_;
  teller tell_;
};

using admin_call_ptr = std::shared_ptr<admin_call>;

/// Whose wish it is, for the audit log.
inline author author_of(const admin_call_ptr& call) {
  return {"token " + call->request().who, call->request().peer};
}

} // namespace pg_edge::actors
