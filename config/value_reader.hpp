// One TOML value into one typed member, or a problem that says what was expected. Knows rows and types, not sections.
#pragma once

#include "config/load.hpp"
#include "config/setting_table.hpp"
#include "config/toml_tree.hpp"

namespace pg_edge::config {

/// Collects problems of one file, and of the files it names.
class problem_list {
public:
  explicit problem_list(std::string file) : file_{std::move(file)} {}

  void error(int line, std::string text) { add(line, std::move(text), false); }
  void warning(int line, std::string text) { add(line, std::move(text), true); }
  /// One of another file, which the file names.
  void add(problem other) {
    errors_ += other.warning ? 0 : 1;
    problems_.push_back(std::move(other));
  }

  bool has_errors() const { return errors_ > 0; }
  const std::string& file() const { return file_; }

  /// All problems, sorted by line; in the order they were found within a line. Those of other files come last.
  std::vector<problem> take();

private:
  void add(int line, std::string text, bool warning) { add({file_, line, std::move(text), warning}); }

  std::string file_;
  std::vector<problem> problems_;
  std::size_t errors_ = 0;
};

class value_reader {
public:
  value_reader(const outside& world, problem_list& problems) : world_{world}, problems_{problems} {}

  /// Each fills `out` and returns true, or reports one problem and leaves `out` alone.
  bool read(const toml_entry& entry, const setting_row& row, bool& out);
  bool read(const toml_entry& entry, const setting_row& row, int& out);
  bool read(const toml_entry& entry, const setting_row& row, std::uint16_t& out);
  bool read(const toml_entry& entry, const setting_row& row, duration& out);
  bool read(const toml_entry& entry, const setting_row& row, byte_size& out);
  bool read(const toml_entry& entry, const setting_row& row, std::string& out);
  bool read(const toml_entry& entry, const setting_row& row, std::vector<std::string>& out);
  bool read(const toml_entry& entry, const setting_row& row, std::vector<network>& out);
  bool read(const toml_entry& entry, const setting_row& row, pool_mode& out);
  bool read(const toml_entry& entry, const setting_row& row, auth_type& out);
  bool read(const toml_entry& entry, const setting_row& row, tls_mode& out);
  bool read(const toml_entry& entry, const setting_row& row, host_balance& out);
  bool read(const toml_entry& entry, const setting_row& row, admin_role& out);
  bool read(const toml_entry& entry, const setting_row& row, log_format& out);
  bool read(const toml_entry& entry, const setting_row& row, cluster_budget& out);

  template <class T>
  bool read(const toml_entry& entry, const setting_row& row, std::optional<T>& out) {
    T value{};
    if (!read(entry, row, value)) return false;
    out = std::move(value);
    return true;
  }

  /// The first line of the file that the entry names.
  bool read_secret_file(const toml_entry& entry, const setting_row& row, std::string& out);

  /// A string with every ${NAME} replaced by the environment's value; "$${" stands for "${" itself.
  bool read_text(const toml_entry& entry, std::string& out);

private:
  template <class Enum>
  bool read_enum(const toml_entry& entry, Enum& out);
  template <class T, class Parse>
  bool read_substituted(const toml_entry& entry, std::string_view expected, T& out, Parse parse);
  bool substitute(const toml_entry& entry, const std::string& raw, std::string& out);
  bool check_text(const toml_entry& entry, const setting_row& row, std::string& text);
  bool check_files(const toml_entry& entry, std::string& text);
  bool check_protocols(const toml_entry& entry, const std::string& text);
  bool wrong_type(const toml_entry& entry, std::string_view expected);
  bool fail(const toml_entry& entry, const std::string& text);
  std::string absolute(const std::string& path) const;

  const outside& world_;
  problem_list& problems_;
};

} // namespace pg_edge::config
