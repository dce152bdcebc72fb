#include "config/hba.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstdlib>
#include <iterator>

namespace pg_edge::config {

namespace {

template <class Value>
struct word_row {
  std::string_view word;
  Value value;
};
constexpr word_row<hba_kind> kinds[] = {
    {"local", hba_kind::local},           {"host", hba_kind::host},
    {"hostssl", hba_kind::hostssl},       {"hostnossl", hba_kind::hostnossl},
    {"hostgssenc", hba_kind::hostgssenc}, {"hostnogssenc", hba_kind::hostnogssenc},
};
constexpr word_row<hba_method> methods[] = {
    {"trust", hba_method::trust},       {"reject", hba_method::reject},
    {"md5", hba_method::md5},           {"scram-sha-256", hba_method::scram_sha_256},
    {"password", hba_method::password}, {"cert", hba_method::cert},
    {"peer", hba_method::peer},         {"pam", hba_method::pam},
};
/// Methods that Postgres knows and pg_edge does not have.
constexpr std::string_view absent_methods[] = {"gss", "sspi", "ident", "ldap", "radius", "bsd", "oauth"};

/// One line of the file on its way to a rule. The first thing wrong with a line is what is said about it.
class rule_reader {
public:
  rule_reader(const hba_line& line, std::vector<problem>& problems) : line_{line}, problems_{problems} {}

  bool read(hba_rule& out);

private:
  bool read_names(std::string_view what, std::vector<hba_name>& into);
  bool read_address();
  bool read_range(const std::string& text);
  bool read_mask();
  bool read_method();
  bool check_method();
  bool read_options();
  bool read_option(const std::string& text);
  bool read_clientcert(const std::string& value);

  bool wrong(std::string text) {
    problems_.push_back({line_.file, line_.line, std::move(text), false});
    return false;
  }
  const hba_field* next() { return at_ < line_.fields.size() ? &line_.fields[at_++] : nullptr; }
  const hba_token* next_single(std::string_view missing, std::string_view several);

  const hba_line& line_;
  std::vector<problem>& problems_;
  std::size_t at_ = 0;
  hba_rule rule_;
};

const hba_token* rule_reader::next_single(std::string_view missing, std::string_view several) {
  const auto* field = next();
  if (field == nullptr) {
    wrong("end-of-line before " + std::string{missing});
  } else if (field->size() > 1) {
    wrong("multiple values specified for " + std::string{several});
  } else {
    return &field->front();
  }
  return nullptr;
}

bool rule_reader::read_names(std::string_view what, std::vector<hba_name>& into) {
  const auto* field = next();
  if (field == nullptr) return wrong("end-of-line before " + std::string{what} + " specification");
  for (const auto& token : *field) {
    const bool of_database = what == "database";
    if (!of_database && is_role_membership(token)) return wrong(token.text + role_membership_error);
    if (of_database && (token.is("samerole") || token.is("samegroup")))
      return wrong(token.text + role_membership_error);
    const auto before = problems_.size();
    into.push_back(hba_name::make(token, line_, problems_));
    if (problems_.size() != before) return false;
  }
  return true;
}

// -- addresses --------------------------------------------------------------------------------------------------------

/// As getaddrinfo() reads numbers: also 127.1, and ::ffff:10.0.0.1 stays an IPv6 address, which no client has.
std::optional<ip_address> numeric_address(const std::string& text) {
  ip_address out;
  in_addr v4{};
  if (text.find_first_of(" \t\n\v\f\r") != std::string::npos) return std::nullopt;
  if (::inet_aton(text.c_str(), &v4) != 0) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&v4.s_addr);
    std::copy_n(bytes, sizeof v4.s_addr, out.bytes.begin());
    return out;
  }
  out.v6 = true;
  if (::inet_pton(AF_INET6, text.substr(0, text.find('%')).c_str(), out.bytes.data()) != 1) return std::nullopt;
  return out;
}

/// strtol, as in Postgres: "+8" is a length.
std::optional<int> prefix_length(const std::string& text, int most) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 0 || value > most) return std::nullopt;
  return static_cast<int>(value);
}

bool rule_reader::read_address() {
  if (rule_.kind == hba_kind::local) return true;
  const auto* token = next_single("IP address specification", "host address: give one address range per line");
  if (token == nullptr) return false;
  if (token->is("all"))
    rule_.address = hba_address::all;
  else if (token->is("samehost"))
    rule_.address = hba_address::same_host;
  else if (token->is("samenet"))
    rule_.address = hba_address::same_net;
  else
    return read_range(token->text);
  return true;
}

bool rule_reader::read_range(const std::string& text) {
  rule_.address = hba_address::masked;
  const auto slash = text.find('/');
  const auto address = numeric_address(text.substr(0, slash));
  if (!address && slash != std::string::npos)
    return wrong("invalid IP address or network \"" + text + "\": a host name cannot have a mask");
  if (!address) {
    rule_.address = hba_address::name;
    rule_.host_name = text;
    return true;
  }
  rule_.range.address = *address;
  rule_.range.mask.v6 = address->v6;
  if (slash == std::string::npos) return read_mask();
  const auto length = prefix_length(text.substr(slash + 1), address->size_bits());
  if (!length) return wrong("invalid CIDR mask in address \"" + text + "\"");
  for (int bit = 0; bit < *length; ++bit)
    rule_.range.mask.bytes[static_cast<std::size_t>(bit / 8)] |= static_cast<std::uint8_t>(0x80U >> (bit % 8));
  return true;
}

bool rule_reader::read_mask() {
  const auto* token =
      next_single("netmask specification: give the range as address/length, or a netmask of its own", "netmask");
  if (token == nullptr) return false;
  const auto mask = numeric_address(token->text);
  if (!mask) return wrong("invalid IP mask \"" + token->text + "\"");
  if (mask->v6 != rule_.range.address.v6) return wrong("IP address and mask do not match");
  rule_.range.mask = *mask;
  return true;
}

// -- methods and options ----------------------------------------------------------------------------------------------

bool rule_reader::read_method() {
  const auto* token = next_single("authentication method", "authentication type: give exactly one per line");
  if (token == nullptr) return false;
  // Before Postgres 9.1 "ident" was how one said "peer".
  const bool means_peer = rule_.kind == hba_kind::local && token->text == "ident";
  const std::string name = means_peer ? "peer" : token->text;
  const auto* found =
      std::find_if(std::begin(methods), std::end(methods), [&](const auto& r) { return r.word == name; });
  if (found != std::end(methods)) {
    rule_.method = found->value;
    return check_method();
  }
  const bool known = std::find(std::begin(absent_methods), std::end(absent_methods), name) != std::end(absent_methods);
  return wrong("invalid authentication method \"" + token->text + "\"" + (known ? ": not supported by pg_edge" : "") +
               (name == "ldap" ? ", but pam is, which asks LDAP with its module pam_ldap" : ""));
}

bool rule_reader::check_method() {
  if (rule_.method == hba_method::peer && rule_.kind != hba_kind::local)
    return wrong("peer authentication is only supported on local sockets");
  if (rule_.method == hba_method::cert && rule_.kind != hba_kind::hostssl)
    return wrong("cert authentication is only supported on hostssl connections");
  if (rule_.method == hba_method::cert) rule_.clientcert = hba_certificate::verify_full;
  return true;
}

bool rule_reader::read_clientcert(const std::string& value) {
  if (rule_.kind != hba_kind::hostssl) return wrong("clientcert can only be configured for \"hostssl\" rows");
  if (value == "verify-full") {
    rule_.clientcert = hba_certificate::verify_full;
    return true;
  }
  if (value != "verify-ca") return wrong("invalid value for clientcert: \"" + value + "\"");
  if (rule_.method == hba_method::cert)
    return wrong("clientcert only accepts \"verify-full\" when using \"cert\" authentication");
  rule_.clientcert = hba_certificate::verify_ca;
  return true;
}

bool rule_reader::read_option(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) return wrong("authentication option not in name=value format: " + text);
  const std::string name = text.substr(0, equals), value = text.substr(equals + 1);
  if (name == "map") {
    if (rule_.method != hba_method::peer && rule_.method != hba_method::cert)
      return wrong("authentication option \"map\" is only valid for authentication methods peer and cert");
    rule_.map = value;
  } else if (name == "clientcert") {
    return read_clientcert(value);
  } else if (name == "clientname") {
    if (rule_.kind != hba_kind::hostssl) return wrong("clientname can only be configured for \"hostssl\" rows");
    if (value != "CN" && value != "DN") return wrong("invalid value for clientname: \"" + value + "\"");
    rule_.whole_name = value == "DN";
  } else if (name == "pamservice" || name == "pam_use_hostname") {
    if (rule_.method != hba_method::pam)
      return wrong("authentication option \"" + name + "\" is only valid for authentication methods pam");
    if (name == "pamservice")
      rule_.pam_service = value;
    else
      rule_.pam_use_hostname = value == "1"; // as in Postgres
  } else {
    return wrong("unrecognized authentication option name: \"" + name + "\"");
  }
  return true;
}

bool rule_reader::read_options() {
  while (const auto* field = next())
    for (const auto& token : *field)
      if (!read_option(token.text)) return false;
  return true;
}

bool rule_reader::read(hba_rule& out) {
  rule_.file = line_.file;
  rule_.line = line_.line;
  const auto* token = next_single("connection type", "connection type: give exactly one per line");
  if (token == nullptr) return false;
  const auto* found =
      std::find_if(std::begin(kinds), std::end(kinds), [&](const auto& r) { return r.word == token->text; });
  if (found == std::end(kinds)) return wrong("invalid connection type \"" + token->text + "\"");
  rule_.kind = found->value;
  if (!read_names("database", rule_.databases) || !read_names("role", rule_.users) || !read_address() ||
      !read_method() || !read_options())
    return false;
  out = std::move(rule_);
  return true;
}

/// A map that nobody wrote lets nobody in: Postgres says nothing, which costs people hours.
void check_maps(const hba_rules& all, std::vector<problem>& problems) {
  for (const auto& rule : all.rules) {
    const auto is_it = [&](const ident_line& line) { return line.map == rule.map; };
    if (!rule.map.empty() && std::none_of(all.maps.begin(), all.maps.end(), is_it))
      problems.push_back({rule.file, rule.line,
                          "map \"" + rule.map + "\" has no line in auth_ident_file: nobody gets in by this rule",
                          true});
  }
}

/// The lines in one spelling. Bytes that no line holds keep the parts apart.
void append_text(std::string& out, const std::vector<hba_line>& lines) {
  for (const auto& line : lines) {
    for (const auto& field : line.fields) {
      for (const auto& token : field)
        out += (token.quoted ? "\"" : "") + token.text + ',';
      out += '\t';
    }
    out += '\n';
  }
  out += '\0';
}

} // namespace

bool hba_rules::same(const hba_rules* one, const hba_rules* other) {
  return one == other || (one != nullptr && other != nullptr && one->text == other->text);
}

std::string_view to_string(hba_method method) {
  for (const auto& row : methods)
    if (row.value == method) return row.word;
  return "?";
}

std::shared_ptr<const hba_rules> read_hba(const std::string& file, const std::string& ident_file, const outside& world,
                                          std::vector<problem>& problems) {
  std::vector<problem> found;
  const auto out = std::make_shared<hba_rules>();
  const auto lines = read_hba_lines(file, world, found);
  append_text(out->text, lines);
  for (const auto& line : lines) {
    hba_rule rule;
    if (!rule_reader{line, found}.read(rule)) continue;
    out->asks_interfaces =
        out->asks_interfaces || rule.address == hba_address::same_host || rule.address == hba_address::same_net;
    out->rules.push_back(std::move(rule));
  }
  if (!ident_file.empty()) {
    const auto map_lines = read_hba_lines(ident_file, world, found);
    append_text(out->text, map_lines);
    out->maps = read_ident_map(map_lines, found);
  }
  const bool failed = !found.empty();
  if (!failed) {
    check_maps(*out, found);
    // Postgres does not start with such a file either: nobody could log in.
    if (out->rules.empty()) found.push_back({file, 0, "contains no rules: nobody could log in", false});
  }
  const bool useless = failed || out->rules.empty();
  problems.insert(problems.end(), found.begin(), found.end());
  return useless ? nullptr : out;
}

} // namespace pg_edge::config
