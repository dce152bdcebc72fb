// Cancels: of long queries, of queries that end meanwhile, with wrong secrets; and the next query must not be hit.
#include "tests/soak/load_client.hpp"
#include "tests/soak/loads.hpp"

namespace pg_edge::soak {

namespace {

/// What a cancelled query may say: its own end, or its own answer if it was quicker.
void check_cancelled(run& all, const std::string& answer, const std::string& own) {
  const std::string error = error_of(answer);
  if (error == "57014")
    all.count("queries cancelled");
  else if (error.empty() && answer.find(own) != std::string::npos)
    all.count("queries that outran their cancel");
  else if (error.empty())
    throw wrong_answer("cancels: got " + answer + ", not " + own);
  else
    all.count("cancelled queries refused with " + error);
}

void use(run& all, wire_client& client, const std::string& who, std::mt19937& random) {
  for (unsigned i = 0; i < 10 && !all.stopping; ++i) {
    const std::string tag = who + "x" + std::to_string(i);
    const bool wrong = random() % 4 == 0;
    client.send(query_bytes("select pg_sleep(" + std::string(wrong ? "0.01" : "0.1") + "), '" + tag + "'"));
    all.pause(milliseconds(random() % 30));
    // One that is not over may still hit what comes next, as it might without a pooler.
    if (!send_cancel(all.in.node->port(), client.backend_pid(), wrong ? "none" : client.secret(), milliseconds(20000)))
      throw test_failure("the cancel was not taken");
    const std::string answer = summary(client.read_until_ready());
    if (wrong && error_of(answer) == "57014") throw wrong_answer("a wrong secret cancelled " + tag);
    check_cancelled(all, answer, "D(," + tag + ")");
    const std::string after = answer_of(client, query_bytes("select '" + tag + "'"));
    if (error_of(after) == "57014") throw wrong_answer("the query behind a cancelled one was hit");
    if (error_of(after).empty() && after.find("D(" + tag + ")") == std::string::npos)
      throw wrong_answer("behind a cancel: got " + after);
  }
}

} // namespace

void cancel_queries(run& all, unsigned number) {
  std::mt19937 random = all.random(500 + number);
  for (unsigned session = 0; !all.stopping; ++session) {
    const std::string who = "k" + std::to_string(number) + "n" + std::to_string(session);
    try {
      wire_client client = client_of(all, any_pool(random), who, false);
      use(all, client, who, random);
    } catch (const wrong_answer& problem) {
      all.fail(problem.what());
    } catch (const test_failure&) {
      all.count("cancelling connections lost");
      all.pause(milliseconds(50));
    }
  }
}

} // namespace pg_edge::soak
