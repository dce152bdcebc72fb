// The byte builders and readers of wire_client.hpp.
#include "tests/support/wire_client.hpp"

namespace pg_edge::test {

namespace {

// Reads a body from the front; what is missing at the end reads as zeros, so that a broken message shows in the
// comparison instead of crashing the test.
class body_reader {
public:
  explicit body_reader(std::string_view body) : body_(body) {}

  std::int32_t integer(int width) {
    std::uint32_t value = 0;
    for (int i = 0; i < width; ++i)
      value = value << 8 | static_cast<unsigned char>(at_ < body_.size() ? body_[at_++] : '\0');
    return width == 2 ? static_cast<std::int16_t>(value) : static_cast<std::int32_t>(value);
  }

  std::string text() {
    std::size_t end = body_.find('\0', at_);
    if (end == std::string_view::npos) end = body_.size();
    std::string value(body_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }

  std::string raw(std::size_t count) {
    std::string value(at_ < body_.size() ? body_.substr(at_, count) : std::string_view());
    at_ += count;
    return value;
  }

  bool at_end() const { return at_ >= body_.size(); }

private:
  std::string_view body_;
  std::size_t at_ = 0;
};

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts)
    text += (text.empty() ? "" : ",") + part;
  return text;
}

std::string column_names(const wire_message& message) {
  constexpr std::size_t fixed_part = 18; // table, column, type, size, modifier, format
  body_reader reader(message.body);
  std::vector<std::string> names;
  for (int count = reader.integer(2); count > 0 && !reader.at_end(); --count) {
    names.push_back(reader.text());
    reader.raw(fixed_part);
  }
  return joined(names);
}

std::string values_text(const wire_message& message) {
  std::string text;
  bool first = true;
  for (const auto& value : row_values(message)) {
    text += (first ? "" : ",") + value.value_or("NULL");
    first = false;
  }
  return text;
}

std::string notification_text(const wire_message& message) {
  body_reader reader(message.body);
  reader.integer(4);
  std::string channel = reader.text();
  return channel + ":" + reader.text();
}

std::string status_text(const wire_message& message) {
  body_reader reader(message.body);
  std::string name = reader.text();
  return name + "=" + reader.text();
}

} // namespace

// -- building ----------------------------------------------------------------------------------------------------

std::string int16_bytes(int value) {
  return {static_cast<char>(value >> 8 & 0xff), static_cast<char>(value & 0xff)};
}

std::string int32_bytes(std::int64_t value) {
  return int16_bytes(static_cast<int>(value >> 16 & 0xffff)) + int16_bytes(static_cast<int>(value & 0xffff));
}

std::string c_string(std::string_view text) {
  return std::string(text) + '\0';
}

std::string message_bytes(char type, std::string_view body) {
  return type + int32_bytes(static_cast<std::int64_t>(body.size()) + 4) + std::string(body);
}

std::string startup_bytes(const start_parameters& parameters, std::int32_t protocol) {
  std::string body = int32_bytes(protocol);
  for (const auto& [name, value] : parameters)
    body += c_string(name) + c_string(value);
  body += '\0';
  return int32_bytes(static_cast<std::int64_t>(body.size()) + 4) + body;
}

std::string ssl_request_bytes() {
  return int32_bytes(8) + int32_bytes(80877103);
}
std::string gssenc_request_bytes() {
  return int32_bytes(8) + int32_bytes(80877104);
}

std::string cancel_bytes(std::int32_t pid, std::string_view secret) {
  return int32_bytes(static_cast<std::int64_t>(secret.size()) + 12) + int32_bytes(80877102) + int32_bytes(pid) +
         std::string(secret);
}

std::string password_bytes(std::string_view password) {
  return message_bytes('p', c_string(password));
}
std::string query_bytes(std::string_view sql) {
  return message_bytes('Q', c_string(sql));
}

std::string parse_bytes(std::string_view name, std::string_view sql, const std::vector<std::int32_t>& type_oids) {
  std::string body = c_string(name) + c_string(sql) + int16_bytes(static_cast<int>(type_oids.size()));
  for (std::int32_t oid : type_oids)
    body += int32_bytes(oid);
  return message_bytes('P', body);
}

std::string bind_bytes(std::string_view portal, std::string_view statement, const bind_values& values,
                       const std::vector<int>& value_formats, const std::vector<int>& result_formats) {
  std::string body = c_string(portal) + c_string(statement) + int16_bytes(static_cast<int>(value_formats.size()));
  for (int format : value_formats)
    body += int16_bytes(format);
  body += int16_bytes(static_cast<int>(values.size()));
  for (const auto& value : values)
    body += value ? int32_bytes(static_cast<std::int64_t>(value->size())) + *value : int32_bytes(-1);
  body += int16_bytes(static_cast<int>(result_formats.size()));
  for (int format : result_formats)
    body += int16_bytes(format);
  return message_bytes('B', body);
}

std::string describe_bytes(char kind, std::string_view name) {
  return message_bytes('D', kind + c_string(name));
}
std::string close_bytes(char kind, std::string_view name) {
  return message_bytes('C', kind + c_string(name));
}

std::string execute_bytes(std::string_view portal, std::int32_t row_limit) {
  return message_bytes('E', c_string(portal) + int32_bytes(row_limit));
}

std::string sync_bytes() {
  return message_bytes('S', "");
}
std::string flush_bytes() {
  return message_bytes('H', "");
}
std::string terminate_bytes() {
  return message_bytes('X', "");
}
std::string copy_data_bytes(std::string_view data) {
  return message_bytes('d', data);
}
std::string copy_done_bytes() {
  return message_bytes('c', "");
}
std::string copy_fail_bytes(std::string_view reason) {
  return message_bytes('f', c_string(reason));
}

// -- reading -----------------------------------------------------------------------------------------------------

std::string error_field(const wire_message& message, char field) {
  body_reader reader(message.body);
  while (!reader.at_end()) {
    std::string code = reader.raw(1);
    std::string value = reader.text();
    if (code[0] == field) return value;
  }
  return "";
}

std::vector<std::optional<std::string>> row_values(const wire_message& message) {
  body_reader reader(message.body);
  std::vector<std::optional<std::string>> values;
  for (int count = reader.integer(2); count > 0 && !reader.at_end(); --count) {
    std::int32_t length = reader.integer(4);
    if (length < 0)
      values.push_back(std::nullopt);
    else
      values.push_back(reader.raw(static_cast<std::size_t>(length)));
  }
  return values;
}

std::string summary(const wire_message& message) {
  auto with = [&](const std::string& text) { return std::string(1, message.type) + "(" + text + ")"; };
  switch (message.type) {
  case 'Z':
    return with(message.body);
  case 'C':
    return with(body_reader(message.body).text());
  case 'E':
  case 'N':
    return with(error_field(message, 'C'));
  case 'S':
    return with(status_text(message));
  case 'D':
    return with(values_text(message));
  case 'R':
    return with(std::to_string(body_reader(message.body).integer(4)));
  case 'A':
    return with(notification_text(message));
  case 'T':
    return with(column_names(message));
  default:
    return std::string(1, message.type);
  }
}

std::string summary(const std::vector<wire_message>& messages) {
  std::string text;
  for (const wire_message& message : messages)
    text += (text.empty() ? "" : " ") + summary(message);
  return text;
}

} // namespace pg_edge::test
