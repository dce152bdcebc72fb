"""asyncpg in the matrix of logins. It knows no channel binding."""

import asyncio
import ssl

import asyncpg

from matrix_driver import authority, host, next_number, parameters, refused, run, who_query


def tls_context(one):
    if one.tls != "tls":
        return False
    context = ssl.create_default_context(cafile=authority)
    if one.certificate != "-":
        context.load_cert_chain(one.certificate + ".crt", one.certificate + ".key")
    return context


async def talk(one):
    try:
        connection = await asyncpg.connect(host=host, port=int(one.port), database=one.database, user=one.user,
                                           password=one.password or None, ssl=tls_context(one), timeout=20)
        try:
            got = list(await connection.fetchrow(who_query))
            for number in parameters:
                got.append(await connection.fetchval(next_number.format("$1::int"), number))
            return got
        finally:
            await connection.close()
    except asyncpg.PostgresError as error:
        raise refused(error.sqlstate, str(error)) from None


run(lambda one: asyncio.run(talk(one)))
