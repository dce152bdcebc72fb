#include "tools/edgectl/commands.hpp"

#include <algorithm>

namespace pg_edge::edgectl {

namespace {

constexpr std::size_t any = 64;

constexpr option_row list_options[] = {{"--sort", "COLUMNS", "order, with commas; a - before a column: descending"}};
constexpr option_row top_options[] = {
    {"--by", "WHAT", "pool (usual), database, user, tenant or client", "pool database user tenant client"},
    {"--sort", "COLUMN", "xact_s (usual), query_s, in_mb_s, out_mb_s, query_ms, query_p95_ms, query_p99_ms, ...",
     "xact_s query_s in_mb_s out_mb_s query_ms query_p95_ms query_p99_ms xact_p99_ms wait_p99_ms maxwait_ms clients "
     "waiting servers idle"},
    {"--window", "SECONDS", "1 (usual), 10 or 60: what rates and times are of", "1 10 60"},
    {"--interval", "SECONDS", "between two looks"},
    {"--reverse", "", "the smallest first"},
    {"--once", "", "print one table and end"},
};
constexpr option_row scope_options[] = {
    {"--tenant", "NAME", "of the database, or alone: all of the tenant"},
};
constexpr option_row wait_options[] = {
    {"--tenant", "NAME", "of the database, or alone: all of the tenant"},
    {"--wait", "SECONDS", "how long servers that close are waited for"},
};
constexpr option_row kill_options[] = {
    {"--tenant", "NAME", "of the database, or alone: all of the tenant"},
    {"--wait", "SECONDS", "how long servers that close are waited for"},
    {"--all", "", "really everything"},
};
constexpr option_row ban_options[] = {
    {"--tenant", "NAME", "of the user; else the default one"},
    {"--reason", "TEXT", "what those are told who are kept out"},
    {"--until", "TIME", "as 2030-01-01T00:00:00Z; without it, for ever"},
    {"--for", "SPAN", "such as 90s, 2h or 7d, instead of --until"},
};
constexpr option_row unban_options[] = {{"--tenant", "NAME", "of the user; else the default one"}};
constexpr option_row apply_options[] = {
    {"--file", "FILE", "what shall be there, also -f; - is standard input"},
    {"--plan", "", "only say what would change: status 2 if anything would"},
    {"--yes", "", "do not ask"},
    {"--prune", "", "remove what was made at run time and is not in the file"},
    {"--set-secrets", "", "also where there is one, which cannot be compared"},
};
constexpr option_row drain_options[] = {
    {"--mode", "MODE", "wait_for_clients (usual), wait_for_servers or at_once",
     "wait_for_clients wait_for_servers at_once"},
};

constexpr option_row node_options[] = {
    {"--notice", "SECONDS", "how long clients are still let in while /readyz says draining; else 0"},
    {"--wait", "SECONDS", "until the node has left; else 60, 0: not at all"},
};
constexpr option_row cluster_options[] = {
    {"--config", "FILE", "of this host's node; else /etc/pg_edge/pg_edge.toml"},
    {"--from", "STORE", "init: the SQLite store to copy objects from; else that of store_path"},
    {"--wait", "SECONDS", "init, join: how long etcd is waited for, else 60; take-over: until it is done, else 300"},
    {"--status", "", "take-over: only say how far it is"},
    {"--abort", "", "take-over: give it up, for as long as nothing has moved"},
};
constexpr option_row cert_options[] = {
    {"--folder", "FOLDER", "where cluster-ca.crt, cluster-ca.key and the nodes' files are; else the present one"},
    {"--hosts", "LIST", "node: its addresses and names, with commas: 10.0.0.1,a.example"},
    {"--days", "DAYS", "how long it is good; else 3650 for the authority, 825 for a node"},
};

constexpr command_row rows[] = {
    {"status", "", 0, 0, {}, "what the node is and how it is", show_status},
    {"top", "", 0, 0, top_options, "who does how much, live", run_top},
    {"tenants", "[FILTER...]", 0, any, list_options, "tenants", show_tenants},
    {"databases", "[FILTER...]", 0, any, list_options, "databases", show_databases},
    {"users", "[FILTER...]", 0, any, list_options, "configured users", show_users},
    {"pools", "[FILTER...]", 0, any, list_options, "pools, with what their clients and servers do", show_pools},
    {"clients", "[FILTER...]", 0, any, list_options, "client connections", show_clients},
    {"servers", "[FILTER...]", 0, any, list_options, "connections to Postgres", show_servers},
    {"sessions", "[FILTER...]", 0, any, list_options, "clients that have a server, with it", show_sessions},
    {"nodes", "[FILTER...]", 0, any, list_options, "the nodes of the cluster, as this one sees them", show_nodes},
    {"bans", "[FILTER...]", 0, any, list_options, "who is kept out", show_bans},
    {"ban", "tenant|user|address NAME", 2, 2, ban_options, "end sessions and let nobody in", run_ban},
    {"unban", "tenant|user|address NAME", 2, 2, unban_options, "end a ban", run_unban},
    {"apply", "-f FILE", 0, 0, apply_options, "make tenants, databases, users and settings what a file says",
     run_apply},
    {"pause", "[DATABASE]", 0, 1, wait_options, "hand out no servers; queries wait", run_pause},
    {"resume", "[DATABASE]", 0, 1, scope_options, "end a pause or kill of the same scope", run_resume},
    {"reconnect", "[DATABASE]", 0, 1, scope_options, "close each server when it is next released", run_reconnect},
    {"kill", "[DATABASE]", 0, 1, kill_options, "drop clients and servers, then as pause", run_kill},
    {"kill-client", "ID", 1, 1, {}, "end one client", run_kill_client},
    {"disable", "[DATABASE]", 0, 1, scope_options, "refuse new clients", run_disable},
    {"enable", "[DATABASE]", 0, 1, scope_options, "let new clients in again", run_enable},
    {"reload", "", 0, 0, {}, "read the configuration file again", run_reload},
    {"cluster", "init|join|leave | take-over [NAME]", 1, 2, cluster_options,
     "found the cluster's store with this host's node, make its etcd a member, or take it out; take over the tenants "
     "of "
     "another cluster",
     run_cluster},
    {"cert", "ca | node NAME", 1, 2, cert_options, "make a private authority for a cluster, or a node's certificate",
     run_cert},
    {"node", "drain NAME", 2, 2, node_options,
     "have any node of the cluster hand over what it has, leave and end, when its clients' transactions have",
     run_node},
    {"drain", "", 0, 0, drain_options, "end the node when its clients have gone", run_drain},
};

constexpr option_row globals[] = {
    {"--url", "URL", "of the admin API; else PG_EDGE_URL, else http://127.0.0.1:9632"},
    {"--token", "TOKEN", "better in PG_EDGE_TOKEN, or in a file: other users see command lines"},
    {"--token-file", "FILE", "with the token on its first line"},
    {"--ca-file", "FILE", "with the authorities to trust for https"},
    {"--json", "", "print JSON"},
    {"--help", "", "print this"},
    {"--version", "", "print the version"},
};

std::string joined(std::span<const option_row> options) {
  std::string out;
  for (const option_row& one : options)
    out += (out.empty() ? "" : " ") + std::string(one.name);
  return out;
}

std::string command_names() {
  std::string out;
  for (const command_row& one : rows)
    out += std::string(one.name) + " ";
  return out + "completion";
}

std::string option_lines(std::span<const option_row> options, std::string_view indent) {
  constexpr std::size_t column = 24;
  std::string out;
  for (const option_row& one : options) {
    std::string left = std::string(one.name) + (one.value.empty() ? "" : " " + std::string(one.value));
    left += std::string(left.size() < column ? column - left.size() : 1, ' ');
    out.append(indent).append(left).append(one.help).append("\n");
  }
  return out;
}

std::string bash_completion() {
  std::string out = "_pg_edgectl() {\n"
                    "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= i\n"
                    "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
                    "    case ${COMP_WORDS[i]} in\n"
                    "      --url | --token | --token-file | --ca-file) ((i++)) ;;\n"
                    "      -*) ;;\n"
                    "      *) command=${COMP_WORDS[i]}; break ;;\n"
                    "    esac\n"
                    "  done\n"
                    "  case $before in\n"
                    "    --token-file | --ca-file) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n";
  for (const command_row& one : rows)
    for (const option_row& option : one.options)
      if (!option.choices.empty())
        out += "    " + std::string(option.name) + ") [[ $command == " + std::string(one.name) +
               " ]] && { COMPREPLY=($(compgen -W \"" + std::string(option.choices) +
               "\" -- \"$word\")); return; } ;;&\n";
  out += "  esac\n  case $command in\n    \"\") COMPREPLY=($(compgen -W \"" + command_names() + " " + joined(globals) +
         "\" -- \"$word\")) ;;\n";
  for (const command_row& one : rows)
    out += "    " + std::string(one.name) + ") COMPREPLY=($(compgen -W \"" + joined(one.options) + " --json" +
           "\" -- \"$word\")) ;;\n";
  out += "    completion) COMPREPLY=($(compgen -W \"bash zsh\" -- \"$word\")) ;;\n"
         "  esac\n}\ncomplete -F _pg_edgectl pg_edgectl\n";
  return out;
}

} // namespace

std::span<const command_row> commands() {
  return rows;
}

std::span<const option_row> global_options() {
  return globals;
}

std::string usage() {
  constexpr std::size_t column = 26;
  std::string out = "pg_edgectl: looks at a node of pg_edge and steers it, over its admin API\n\n"
                    "  pg_edgectl [OPTION...] COMMAND [ARGUMENT...]\n\nCommands:\n";
  for (const command_row& one : rows) {
    std::string left = std::string(one.name) + (one.arguments.empty() ? "" : " " + std::string(one.arguments));
    left += std::string(left.size() < column ? column - left.size() : 1, ' ');
    out += "  " + left + std::string(one.help) + "\n" + option_lines(one.options, "      ");
  }
  out += "  completion bash|zsh       print the completion for a shell: source <(pg_edgectl completion bash)\n"
         "  man                       print the manual page: pg_edgectl man | man -l -\n\nOptions:\n";
  out += option_lines(globals, "  ");
  return out + "\nA FILTER is COLUMN=VALUE,..., COLUMN!=VALUE, COLUMN~=PATTERN, COLUMN>NUMBER and so on.\n"
               "Exit status: 0 done, 1 failed or wrong use, 2 there are changes that were not applied.\n";
}

std::string completion(std::string_view shell) {
  if (shell == "bash") return bash_completion();
  if (shell == "zsh") return "autoload -U +X bashcompinit && bashcompinit\n" + bash_completion();
  throw usage_error("completion: bash or zsh");
}

std::string man_page() {
  const auto escaped_text = [](std::string_view text) {
    std::string out;
    for (const char c : text)
      out += c == '-' ? std::string("\\-") : c == '\\' ? std::string("\\e") : std::string(1, c);
    return out;
  };
  const auto option_items = [&](std::span<const option_row> options) {
    std::string out;
    for (const option_row& one : options)
      out += ".TP\n.B " + escaped_text(one.name) +
             (one.value.empty() ? "" : " \\fI" + std::string(one.value) + "\\fR") + "\n" + escaped_text(one.help) +
             "\n";
    return out;
  };
  std::string out = ".TH PG_EDGECTL 1 \"\" \"pg_edge " PG_EDGE_VERSION "\"\n.SH NAME\n"
                    "pg_edgectl \\- looks at a node of pg_edge and steers it\n.SH SYNOPSIS\n"
                    ".B pg_edgectl\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n.SH COMMANDS\n";
  for (const command_row& one : rows) {
    out += ".TP\n.B " + escaped_text(one.name) + (one.arguments.empty() ? "" : " " + escaped_text(one.arguments)) +
           "\n" + escaped_text(one.help) + "\n";
    if (!one.options.empty()) out += ".RS\n" + option_items(one.options) + ".RE\n";
  }
  return out + ".SH OPTIONS\n" + option_items(globals) +
         ".SH EXIT STATUS\n0: done; 1: failed, or wrong use; 2: there are changes (apply \\-\\-plan).\n";
}

} // namespace pg_edge::edgectl
