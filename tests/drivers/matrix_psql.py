"""psql in the matrix of logins: a process a case. It does not show the SQLSTATE of a failed login."""

import subprocess

from matrix_driver import conninfo, next_number, parameters, refused, run, who_query


def answer(one):
    script = who_query + ";\nprepare next(int) as " + next_number.format("$1") + ";\n"
    script += "".join(f"execute next({number});\n" for number in parameters)
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", conninfo(one)], input=script, text=True,
                          capture_output=True, timeout=30)
    if done.returncode != 0:
        raise refused("", done.stderr)
    return done.stdout.split()


run(answer)
