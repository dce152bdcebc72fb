"""psycopg 3 in the matrix of logins. It does not show the SQLSTATE of a failed login."""

import psycopg

from matrix_driver import conninfo, next_number, parameters, refused, run, who_query


def answer(one):
    try:
        # From the first use on a statement is prepared; no transaction, which statement mode would refuse.
        connection = psycopg.connect(conninfo(one), autocommit=True, prepare_threshold=0)
        try:
            got = list(connection.execute(who_query).fetchone())
            for number in parameters:
                got += connection.execute(next_number.format("%s::int"), [number]).fetchone()
            return got
        finally:
            connection.close()
    except psycopg.Error as error:
        raise refused(error.sqlstate, str(error)) from None


run(answer)
