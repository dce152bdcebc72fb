// parse_options of startup.hpp: the small command line that a client may send as the parameter `options`.
#include "protocol/startup.hpp"

#include <algorithm>
#include <charconv>

namespace pg_edge::protocol {

namespace {

using name_value_view = std::pair<std::string_view, std::string_view>;

/// A short switch of the postgres program and the setting it stands for. Settings a session cannot change
/// (shared_buffers) are the server's to refuse. Switches without a setting are for the server's own start: a session's
/// are ignored.
struct short_switch {
  char letter;
  bool takes_value;
  std::string_view setting;
  std::string_view fixed_value; // where the switch takes none
};

constexpr short_switch short_switches[] = {
    {'B', true, "shared_buffers", ""},
    {'F', false, "fsync", "false"},
    {'N', true, "max_connections", ""},
    {'O', false, "allow_system_table_mods", "true"},
    {'P', false, "ignore_system_indexes", "true"},
    {'S', true, "work_mem", ""},
    {'W', true, "post_auth_delay", ""},
    {'e', false, "datestyle", "euro"},
    {'h', true, "listen_addresses", ""},
    {'i', false, "listen_addresses", "*"},
    {'k', true, "unix_socket_directories", ""},
    {'l', false, "ssl", "true"},
    {'p', true, "port", ""},
    {'s', false, "log_statement_stats", "true"},
    {'C', true, "", ""},
    {'D', true, "", ""},
    {'E', false, "", ""},
    {'T', false, "", ""},
    {'b', false, "", ""},
    {'j', false, "", ""},
    {'n', false, "", ""},
    {'r', true, "", ""},
    {'v', true, "", ""},
};

/// `-d n` turns on all of these up to its level, besides log_min_messages.
constexpr std::pair<int, name_value_view> debug_switches[] = {{2, {"log_statement", "all"}},
                                                              {3, {"debug_print_parse", "true"}},
                                                              {4, {"debug_print_plan", "true"}},
                                                              {5, {"debug_print_rewritten", "true"}}};

/// `-f x` forbids a kind of plan.
constexpr std::pair<char, std::string_view> plan_switches[] = {
    {'s', "enable_seqscan"}, {'i', "enable_indexscan"}, {'o', "enable_indexonlyscan"}, {'b', "enable_bitmapscan"},
    {'t', "enable_tidscan"}, {'n', "enable_nestloop"},  {'m', "enable_mergejoin"},     {'h', "enable_hashjoin"},
};

/// `-t x` logs the time of a stage.
constexpr std::pair<std::string_view, std::string_view> stage_switches[] = {
    {"parser", "log_parser_stats"}, {"planner", "log_planner_stats"}, {"executor", "log_executor_stats"}};

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// Words end at white space; a backslash takes the next character as it is. A last backslash is dropped, so that a lone
/// one makes an empty word.
std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::size_t i = 0;
  while (true) {
    while (i < text.size() && is_space(text[i]))
      ++i;
    if (i == text.size()) return words;
    std::string& word = words.emplace_back();
    for (; i < text.size() && !is_space(text[i]); ++i) {
      if (text[i] == '\\' && ++i == text.size()) return words;
      word.push_back(text[i]);
    }
  }
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

class options_parser {
public:
  explicit options_parser(std::string_view options) : words_(split_words(options)) {}

  /// False on an error, which is then in error().
  bool run() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (word.size() < 2 || word[0] != '-') return unknown(word);
      if (word == "--") return next_ == words_.size() || unknown(words_[next_]);
      if (!switches(word)) return false;
    }
    return true;
  }

  std::vector<name_value> take_settings() { return std::move(settings_); }
  const std::string& error() const { return error_; }

private:
  /// Reads one word of switches: those without a value may share a word (`-es`), a value ends it (`-ca=b`, `-c a=b`).
  bool switches(const std::string& word) {
    for (std::size_t at = 1; at < word.size(); ++at) {
      const char letter = word[at];
      const auto known = std::find_if(std::begin(short_switches), std::end(short_switches),
                                      [letter](const short_switch& s) { return s.letter == letter; });
      const bool in_table = known != std::end(short_switches);
      if (in_table && !known->takes_value) {
        if (!known->setting.empty()) set(known->setting, known->fixed_value);
        continue;
      }
      const bool takes_value = in_table || std::string_view("-cdft").find(letter) != std::string_view::npos;
      if (!takes_value) return unknown(word);
      std::string value = word.substr(at + 1);
      if (value.empty()) {
        if (next_ == words_.size()) return unknown(word);
        value = words_[next_++];
      }
      if (in_table) return known->setting.empty() || set(known->setting, value);
      return valued(letter, value, word);
    }
    return true;
  }

  bool valued(char letter, const std::string& value, const std::string& word) {
    if (letter == 'f') {
      for (const auto& [plan, setting] : plan_switches)
        if (value[0] == plan) return set(setting, "false");
      return unknown(word);
    }
    if (letter == 't') {
      for (const auto& [stage, setting] : stage_switches)
        if (value[0] == stage[0] && (value[0] != 'p' || value.substr(0, 2) == stage.substr(0, 2)))
          return set(setting, "true");
      return unknown(word);
    }
    if (letter == 'd') return debug(value);
    return assignment(letter, value);
  }

  bool debug(const std::string& value) {
    int level = 0; // a value that is no number is 0, as in Postgres
    std::from_chars(value.data(), value.data() + value.size(), level);
    set("log_min_messages", level > 0 ? "debug" + std::to_string(level) : "notice");
    for (const auto& [least, setting] : debug_switches)
      if (level >= least) set(setting.first, setting.second);
    return true;
  }

  bool assignment(char letter, const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      error_ = (letter == '-' ? "--" : "-c ") + text + " requires a value";
      return false;
    }
    std::string name = text.substr(0, equals);
    std::replace(name.begin(), name.end(), '-', '_');
    return set(name, text.substr(equals + 1));
  }

  /// True always, so that the last step of a switch can return it.
  bool set(std::string_view name, std::string_view value) {
    std::erase_if(settings_, [name](const name_value& s) { return same_name(s.first, name); });
    settings_.emplace_back(name, value);
    return true;
  }

  bool unknown(const std::string& word) {
    error_ = "invalid command-line argument for server process: " + word;
    return false;
  }

  std::vector<std::string> words_;
  std::size_t next_ = 0;
  std::vector<name_value> settings_;
  std::string error_;
};

} // namespace

std::vector<name_value> parse_options(std::string_view options, std::string& error) {
  options_parser parser(options);
  const bool ok = parser.run();
  error = parser.error();
  return ok ? parser.take_settings() : std::vector<name_value>{};
}

} // namespace pg_edge::protocol
