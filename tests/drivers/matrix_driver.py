"""The loop of the matrix's scripts in Python: a case a line on standard input, its result a line on standard output.
A case is, between tabs: number, port, database, user, password, "tls" or "plain", "bound" or "unbound", and the path of
a client certificate without its ending or "-". A result is the number, "answer" or "error", then the answer's values
with | between them, or the SQLSTATE (empty where the driver hides it) and the message. What a result must be is known
to tests/drivers/matrix only."""

import collections
import os
import sys

case = collections.namedtuple("case", "number port database user password tls bound certificate")
host = "127.0.0.1"
authority = os.environ["MATRIX_CA"]
who_query = ("select current_user::text, (40 + 2)::text,"
             " (select ssl::text from pg_stat_ssl where pid = pg_backend_pid())")
next_number = "select ({} + 1)::text"  # the driver's own placeholder goes in
parameters = [7, 8]


class refused(Exception):
    """The login or a query failed: SQLSTATE and message."""

    def __init__(self, state, message):
        super().__init__(message)
        self.state, self.message = state or "", message


def conninfo(one):
    """For libpq and what is made of it."""
    parts = {"host": host, "port": one.port, "dbname": one.database, "user": one.user, "password": one.password,
             "gssencmode": "disable", "connect_timeout": "20",
             "channel_binding": "require" if one.bound == "bound" else "disable",
             "sslmode": "verify-full" if one.tls == "tls" else "disable", "sslrootcert": authority}
    if one.certificate != "-":
        parts |= {"sslcert": one.certificate + ".crt", "sslkey": one.certificate + ".key"}
    return " ".join(f"{name}='{value}'" for name, value in parts.items())


def run(answer):
    """`answer` takes a case and returns the values it got or raises `refused`."""
    for line in sys.stdin:
        one = case(*line.rstrip("\n").split("\t"))
        try:
            result = ["answer", "|".join(answer(one))]
        except refused as error:
            result = ["error", error.state, " ".join(error.message.split())]
        except Exception as error:  # another kind than the driver's own is a failure, which the message shows
            result = ["error", "", f"{type(error).__name__}: {error}".replace("\n", " ")]
        print(one.number, *result, sep="\t", flush=True)
