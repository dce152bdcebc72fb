"""Which logins the matrix tries and what must come of each: pure tables, no process is started here.
A case is one of client_methods x server_methods x tls_sides x pool_modes, with a driver of `drivers`."""

import collections
import itertools

pool_modes = ["session", "transaction", "statement"]
tls_sides = ["none", "client", "server", "both"]

# listener: whose auth_type asks. stored: what pg_edge has of the user ("role": nothing, Postgres is asked; then it is
# of the kind that `encryption` says). asked: what the client must be asked for on the wire.
client_method = collections.namedtuple("client_method", "name listener stored asked encryption",
                                       defaults=["scram-sha-256"])
client_methods = [
    client_method("trust", "trust", "plain", "nothing"),
    client_method("password", "plain", "plain", "password"),
    client_method("md5", "md5", "md5", "md5"),
    client_method("scram-sha-256", "scram-sha-256", "plain", "SCRAM-SHA-256"),
    client_method("scram-sha-256-plus", "scram-sha-256", "plain", "SCRAM-SHA-256-PLUS"),
    client_method("cert", "cert", "plain", "certificate"),
    client_method("hba-trust", "hba", "plain", "nothing"),
    client_method("hba-password", "hba", "plain", "password"),
    client_method("hba-md5", "hba", "md5", "md5"),
    client_method("hba-scram-sha-256", "hba", "plain", "SCRAM-SHA-256"),
    client_method("hba-cert", "hba", "plain", "certificate"),
    client_method("auth_query", "scram-sha-256", "role", "SCRAM-SHA-256"),
    client_method("auth_query-md5", "md5", "role", "md5", encryption="md5"),
]
methods_by_name = {method.name: method for method in client_methods}

# How Postgres lets pg_edge in. All but pass-through have a server user of their own, forced by the database's entry;
# for pass-through the client's user goes on to Postgres, and pg_edge has what Postgres has: a verifier, no password.
forced_methods = ["trust", "password", "md5", "scram-sha-256", "cert"]
server_methods = [*forced_methods, "pass-through"]

# What each driver cannot do or show. Neither asyncpg 0.27 nor JDBC 42.5 can bind channels; psql and psycopg do not show
# the SQLSTATE of a failed login.
driver = collections.namedtuple("driver", "name command binds shows_state", defaults=[True, True])
drivers = [
    driver("libpq", ["/usr/bin/python3", "matrix_libpq.py"]),
    driver("jdbc", ["java", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/postgresql.jar", "MatrixJdbc.java"],
           binds=False),
    driver("psql", ["/usr/bin/python3", "matrix_psql.py"], shows_state=False),
    driver("psycopg", ["/usr/bin/python3", "matrix_psycopg.py"], shows_state=False),
    driver("asyncpg", ["/usr/bin/python3", "matrix_asyncpg.py"], binds=False),
    driver("node_postgres", ["node", "matrix_node_postgres.mjs"]),
]
thorough_driver = "libpq"  # tries every case; the others every pair of parts, and each kind of error

case = collections.namedtuple("case", "client server tls mode wrong", defaults=[False])
outcome = collections.namedtuple("outcome", "kind state text")


def client_tls(one):
    return one.tls in ("client", "both")


def server_tls(one):
    return one.tls in ("server", "both")


def underscored(text):
    return text.replace("-", "_")


def user_of(one):
    return underscored(one.client) + ("_through" if one.server == "pass-through" else "")


def server_user(method):
    return "server_" + underscored(method)


def database_of(one):
    return underscored(one.server) + ("_tls" if server_tls(one) else "_plain")


def password_of(user):
    return "secret of " + user


def secret_kind(one):
    return methods_by_name[one.client].stored


def is_md5(one):
    method = methods_by_name[one.client]
    return method.stored == "md5" or method.encryption == "md5"


def proof(one):
    asked = methods_by_name[one.client].asked
    return asked if asked in ("nothing", "certificate") else "password"


def is_bound(one):
    return methods_by_name[one.client].asked == "SCRAM-SHA-256-PLUS"


# What cannot work, why, and the error a person gets: (reason, which cases, SQLSTATE, words of the message). The first
# row that fits decides: what is wrong with the client shows before what is wrong with the server. Everything that no
# row names must work.
impossible = [
    ("a certificate is shown in TLS only, so the listener of cert requires TLS",
     lambda one: one.client == "cert" and not client_tls(one), "28000", "SSL required"),
    ("a rule with cert is a hostssl rule, so no rule fits without TLS",
     lambda one: one.client == "hba-cert" and not client_tls(one), "28000", "no pg_hba.conf entry"),
    ("without TLS there is no channel to bind to; libpq itself gives up, so there is no SQLSTATE",
     lambda one: one.client == "scram-sha-256-plus" and not client_tls(one), "", "channel binding"),
    ("pg_edge sends no password in clear to a server without TLS (server_allow_cleartext is off)",
     lambda one: one.server == "password" and not server_tls(one), "28000", "in clear, over a connection without TLS"),
    ("Postgres has no rule for a user of cert without TLS",
     lambda one: one.server == "cert" and not server_tls(one), "28000", "no pg_hba.conf entry"),
    ("an md5 secret cannot answer SCRAM, and Postgres asks for SCRAM",
     lambda one: one.server == "pass-through" and is_md5(one), "28000", "only an md5 secret is known"),
    ("pass-through needs a login that shows the keys behind the verifier; trust and cert show none",
     lambda one: one.server == "pass-through" and proof(one) != "password", "28000", "only a SCRAM verifier"),
]


def request(one):
    """What node-postgres sees of how pg_edge asks; a certificate is asked for by TLS."""
    return "nothing" if proof(one) == "certificate" else methods_by_name[one.client].asked


def expected(one):
    """The outcome a case must have; of a wrong proof too."""
    for _, fits, state, text in impossible:
        if fits(one):
            return outcome("error", state, text)
    if one.wrong:
        if proof(one) == "certificate":
            return outcome("error", "28000", "certificate authentication failed")
        return outcome("error", "28P01", "password authentication failed")
    user = user_of(one) if one.server == "pass-through" else server_user(one.server)
    return outcome("answer", "", f"{user}|42|{str(server_tls(one)).lower()}|8|9")


def is_possible(one):
    return expected(one).kind == "answer"


every_case = [case(method.name, *rest)
              for method, *rest in itertools.product(client_methods, server_methods, tls_sides, pool_modes)]
wrong_proofs = [one for one in (case(method.name, "trust", tls, mode, True)
                                for method, tls, mode in itertools.product(client_methods, tls_sides[:2], pool_modes))
                if proof(one) != "nothing" and is_possible(one._replace(wrong=False))]


def traits(one):
    """What a case covers: each pair of its parts, and its client method with or without TLS in its pool mode."""
    parts = list(enumerate((one.client, one.server, one.tls, one.mode)))
    return {*itertools.combinations(parts, 2), ("in mode", one.client, client_tls(one), one.mode)}


def pairwise(cases):
    """Few of the cases that cover every trait any of them has, the same at each run."""
    missing = set().union(*map(traits, cases))
    chosen = []
    while missing:
        best = max(cases, key=lambda one: len(traits(one) & missing))
        chosen.append(best)
        missing -= traits(best)
    return chosen


def cases_of(which, everything=False):
    """All that this driver tries."""
    able = [one for one in every_case + wrong_proofs if which.binds or not is_bound(one)]
    if everything or which.name == thorough_driver:
        return able
    refusals = [next(one for one in able if fits(one)) for _, fits, _, _ in impossible if any(map(fits, able))]
    return (pairwise([one for one in able if is_possible(one)]) + refusals +
            [one for one in able if one.wrong and one.mode == "transaction"])
