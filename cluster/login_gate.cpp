#include "cluster/login_gate.hpp"

#include <algorithm>
#include <utility>

namespace pg_edge::cluster {

login_trouble classify_login_failure(std::string_view sqlstate, bool reached) {
  if (!reached) return login_trouble::away;
  if (sqlstate.starts_with("28") || sqlstate == "3D000" || sqlstate == "42501") return login_trouble::refused;
  if (sqlstate == "53300") return login_trouble::full;
  if (sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03") return login_trouble::away;
  return login_trouble::other;
}

bool login_gate::room(gate_time now) const {
  if (away()) return of_round_ == 0 && invited_.empty() && now >= retry_at_;
  return limit_ == 0 || under_way_ + invited_.size() < limit_;
}

/// Invites who has waited longest, as many as there is room for.
void login_gate::call_up(gate_time now) {
  while (!line_.empty() && room(now)) {
    invited_.insert(line_.front());
    news_.push_back(line_.front());
    line_.pop_front();
  }
}

void login_gate::set_limit(std::uint32_t most, gate_time now) {
  if (std::exchange(limit_, most) != most) call_up(now);
}

std::optional<login_gate::round> login_gate::ask(member_id who, gate_time now) {
  call_up(now);
  const bool may = invited_.erase(who) > 0 || (line_.empty() && room(now));
  if (may) {
    ++under_way_;
    ++of_round_;
    return round_;
  }
  if (std::find(line_.begin(), line_.end(), who) == line_.end()) line_.push_back(who);
  return std::nullopt;
}

void login_gate::withdraw(member_id who, gate_time now) {
  std::erase(line_, who);
  std::erase(news_, who);
  if (invited_.erase(who) > 0) call_up(now);
}

/// Of many logins that were under way when the server went away only the first counts, else the pause would be at its
/// longest at once. In the same way a login that had been let in before the server went does not say that it is back.
bool login_gate::done(round begun, login_outcome what, gate_time most, gate_time now) {
  if (under_way_ > 0) --under_way_;
  const bool present = begun == round_;
  if (present && of_round_ > 0) --of_round_;
  bool turned = false;
  if (what == login_outcome::away && present) {
    turned = !away();
    failures_ = turned ? 1 : failures_ + 1;
    if (turned) away_since_ = now;
    const gate_time longest = std::min(longest_pause, most);
    pause_ = std::min(turned ? first_pause : pause_ * 2, longest);
    retry_at_ = now + with_jitter(pause_);
    begin_round();
  } else if (what == login_outcome::answered && present && away()) {
    turned = true;
    away_since_.reset();
    begin_round();
  }
  call_up(now);
  return turned;
}

void login_gate::begin_round() {
  ++round_;
  of_round_ = 0;
}

/// Nodes that lost the same server at the same moment do not come back in step.
gate_time login_gate::with_jitter(gate_time pause) {
  const auto quarter = static_cast<std::uint64_t>(pause.count() / 4);
  return pause - gate_time(static_cast<gate_time::rep>(quarter == 0 ? 0 : random_() % (quarter + 1)));
}

std::vector<login_gate::member_id> login_gate::take_news() {
  return std::exchange(news_, {});
}

} // namespace pg_edge::cluster
