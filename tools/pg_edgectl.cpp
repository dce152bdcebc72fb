// pg_edgectl: a command line over the admin API of a node. This file reads the command line; the commands stand in
// tools/edgectl, a row each in commands.cpp.
#include "tools/edgectl/commands.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>

namespace {

using namespace pg_edge::edgectl;

const option_row* find_option(std::span<const option_row> options, std::string_view name) {
  const auto found =
      std::find_if(options.begin(), options.end(), [&](const option_row& one) { return one.name == name; });
  return found == options.end() ? nullptr : &*found;
}

struct words {
  std::map<std::string, std::string, std::less<>> options;
  std::string command;
  std::vector<std::string> arguments;
};

/// Options may stand anywhere, "--name value" or "--name=value"; behind "--" there are none.
words read_words(const std::vector<std::string>& all) {
  words out;
  const command_row* row = nullptr;
  bool options_end = false;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string& word = all[i];
    if (word == "--" && !options_end) {
      options_end = true;
      continue;
    }
    if (options_end || !word.starts_with('-') || word == "-") {
      if (out.command.empty()) {
        out.command = word;
        const auto found = std::find_if(commands().begin(), commands().end(),
                                        [&](const command_row& one) { return one.name == word; });
        if (found != commands().end()) row = &*found;
      } else {
        out.arguments.push_back(word);
      }
      continue;
    }
    const auto equals = word.find('=');
    std::string name = word.substr(0, equals);
    if (name == "-h") name = "--help";
    if (name == "-f") name = "--file";
    const option_row* option = find_option(global_options(), name);
    if (option == nullptr && row != nullptr) option = find_option(row->options, name);
    if (option == nullptr)
      throw usage_error(name + ": unknown option" + (row != nullptr ? " of " + std::string(row->name) : ""));
    if (option->value.empty() && equals != std::string::npos) throw usage_error(name + " takes no value");
    if (option->value.empty()) {
      out.options[name] = "";
    } else if (equals != std::string::npos) {
      out.options[name] = word.substr(equals + 1);
    } else {
      if (++i == all.size()) throw usage_error(name + " needs a value: " + std::string(option->value));
      out.options[name] = all[i];
    }
  }
  return out;
}

std::string environment(const char* name, const std::string& otherwise = "") {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : std::string(value);
}

api_options options_of(const words& given) {
  api_options out;
  const auto option = [&](std::string_view name, const std::string& otherwise) {
    const auto found = given.options.find(name);
    return found == given.options.end() ? otherwise : found->second;
  };
  out.url = option("--url", environment("PG_EDGE_URL", out.url));
  out.authority_file = option("--ca-file", environment("PG_EDGE_CA_FILE"));
  out.token = option("--token", environment("PG_EDGE_TOKEN"));
  if (const std::string file = option("--token-file", ""); !file.empty()) {
    std::ifstream in(file);
    if (!in || !std::getline(in, out.token)) throw usage_error("cannot read a token from " + file);
  }
  return out;
}

int run(const std::vector<std::string>& all) {
  const words given = read_words(all);
  if (given.options.contains("--version")) {
    std::cout << "pg_edgectl " << PG_EDGE_VERSION << "\n";
    return fine;
  }
  if (given.options.contains("--help")) {
    std::cout << usage();
    return fine;
  }
  if (given.command.empty()) throw usage_error("nothing to do");
  if (given.command == "completion") {
    std::cout << completion(given.arguments.empty() ? "" : given.arguments[0]);
    return fine;
  }
  if (given.command == "man") {
    std::cout << man_page();
    return fine;
  }
  const auto row = std::find_if(commands().begin(), commands().end(),
                                [&](const command_row& one) { return one.name == given.command; });
  if (row == commands().end()) throw usage_error("unknown command " + given.command);
  if (given.arguments.size() < row->least || given.arguments.size() > row->most)
    throw usage_error(std::string(row->name) + " takes " +
                      (row->arguments.empty() ? std::string("no arguments") : std::string(row->arguments)));
  api node(options_of(given));
  call what{node, given.options.contains("--json"), given.arguments, given.options};
  return row->run(what);
}

} // namespace

int main(int argc, char** argv) {
  try {
    return run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const usage_error& error) {
    std::cerr << "pg_edgectl: " << error.what() << "\nTry pg_edgectl --help.\n";
  } catch (const api_error& error) {
    std::cerr << "pg_edgectl: " << error.what() << "\n";
  } catch (const std::exception& error) {
    std::cerr << "pg_edgectl: " << error.what() << "\n";
  }
  return failed;
}
