"""libpq itself in the matrix of logins. Step by step rather than with PQconnectdb, because only so it can be told to
write the SQLSTATE into the message of a failed login."""

import ctypes
import re
import select

from matrix_driver import conninfo, next_number, parameters, refused, run, who_query

libpq = ctypes.CDLL("libpq.so.5")
connection_ok, polling_failed, polling_reading, polling_writing, polling_done = 0, 0, 1, 2, 3
result_with_rows = 2
verbose_errors = 2
patience = 20  # seconds

text_list = ctypes.POINTER(ctypes.c_char_p)
for name, returns, takes in [
        ("PQconnectStart", ctypes.c_void_p, [ctypes.c_char_p]), ("PQconnectPoll", ctypes.c_int, [ctypes.c_void_p]),
        ("PQsetErrorVerbosity", ctypes.c_int, [ctypes.c_void_p, ctypes.c_int]),
        ("PQsocket", ctypes.c_int, [ctypes.c_void_p]), ("PQstatus", ctypes.c_int, [ctypes.c_void_p]),
        ("PQerrorMessage", ctypes.c_char_p, [ctypes.c_void_p]), ("PQfinish", None, [ctypes.c_void_p]),
        ("PQexec", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]),
        ("PQprepare", ctypes.c_void_p, [ctypes.c_void_p] + [ctypes.c_char_p] * 2 + [ctypes.c_int, ctypes.c_void_p]),
        ("PQexecPrepared", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, text_list,
                                             ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]),
        ("PQresultStatus", ctypes.c_int, [ctypes.c_void_p]), ("PQnfields", ctypes.c_int, [ctypes.c_void_p]),
        ("PQgetvalue", ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]),
        ("PQclear", None, [ctypes.c_void_p])]:
    getattr(libpq, name).restype = returns
    getattr(libpq, name).argtypes = takes


def fail(connection):
    message = libpq.PQerrorMessage(connection).decode()
    state = re.search(r"(?:FATAL|ERROR):\s+([0-9A-Z]{5}):", message)
    raise refused(state and state.group(1), message)


def connect(connection):
    libpq.PQsetErrorVerbosity(connection, verbose_errors)
    waits_for = polling_writing
    while waits_for != polling_done:
        if waits_for == polling_failed:
            fail(connection)
        socket = [libpq.PQsocket(connection)]
        if not any(select.select(socket if waits_for == polling_reading else [],
                                 socket if waits_for == polling_writing else [], [], patience)):
            raise refused("", "libpq waits in vain")
        waits_for = libpq.PQconnectPoll(connection)


def values(connection, result):
    if libpq.PQresultStatus(result) != result_with_rows:
        libpq.PQclear(result)
        fail(connection)
    row = [libpq.PQgetvalue(result, 0, column).decode() for column in range(libpq.PQnfields(result))]
    libpq.PQclear(result)
    return row


def answer(one):
    connection = libpq.PQconnectStart(conninfo(one).encode())
    try:
        if libpq.PQstatus(connection) == 1:  # bad before it began
            fail(connection)
        connect(connection)
        got = values(connection, libpq.PQexec(connection, who_query.encode()))
        libpq.PQclear(libpq.PQprepare(connection, b"next", next_number.format("$1::int").encode(), 0, None))
        for number in parameters:
            given = (ctypes.c_char_p * 1)(str(number).encode())
            got += values(connection, libpq.PQexecPrepared(connection, b"next", 1, given, None, None, 0))
        return got
    finally:
        libpq.PQfinish(connection)


run(answer)
