// What a stored secret is, told by its shape, as Postgres and pgbouncer tell it.
#pragma once

#include <string_view>

namespace pg_edge::config {

enum class secret_kind { none, plain, md5, scram };

/// md5: "md5" and 32 hex digits. scram: "SCRAM-SHA-256$iterations:salt$stored:server". Anything else is plain text.
secret_kind kind_of_secret(std::string_view secret);

/// Starts like a verifier but is none: most likely a slip, since it would be taken for a plain password.
bool looks_like_broken_verifier(std::string_view secret);

} // namespace pg_edge::config
