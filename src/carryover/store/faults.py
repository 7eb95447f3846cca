"""Errors of the database's driver, told in our words with what to do about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import exc

from carryover.core.errors import Invalid, StoreUnavailable

# SQLSTATEs after which the same transaction may simply be run again: the database says that it did nothing.
# (PostgreSQL, appendix A.) 40001 serialization_failure, 40P01 deadlock_detected, 55P03 lock_not_available.
_AGAIN = ("40001", "40P01", "55P03")
_AWAY = ("08", "57P", "53300", "25006", "58")  # connections that broke, servers that stop, standbys

_REMEDIES = {
    "canceling statement due to lock timeout": "another process changes the schema; retry",
    "permission denied": "grant the role what it lacks, or use the role that owns the database",
    "too many connections": "raise the limit of the role or database, lower database_pool, or put PgBouncer between",
    "Servname not supported": "check the port in database_url",
    "connection option": "correct it in database_url",
    "pg_hba.conf rejects": "let this machine in, in the server's pg_hba.conf",
    "SSL": "correct sslmode in database_url: the server has it otherwise",
    "on socket": "write host and port into database_url, or check that PostgreSQL runs on this machine",
    "password authentication failed": "correct the user or the password in database_url",
    "no password supplied": "write the password into database_url, or into ~/.pgpass",
    "no pg_hba.conf entry": "let this machine in, in the server's pg_hba.conf",
    'role "': "make the role, or correct the user in database_url",
    'database "': "create the database, or correct its name in database_url",
    "session is read-only": "this server is a standby; name the primary, or all hosts, in database_url",
    "read-only transaction": "this server is a standby now; name all hosts in database_url and retry",
    "too many clients": "raise max_connections of the server, lower database_pool, or put PgBouncer between",
    "remaining connection slots": "raise max_connections of the server, lower database_pool, or put PgBouncer between",
    "QueuePool limit": "too much at once for database_pool connections; retry, or raise it",
    "connection refused": "check that PostgreSQL runs there and that database_url names its host and port",
    "failed to resolve host": "check the host in database_url",
    "translate host name": "check the host in database_url",
    "connection timeout expired": "check the host and port in database_url, and what lies between",
    "No space left": "free some disk space on the database's server and retry",
    "could not extend file": "free some disk space on the database's server and retry",
    "full": "free some disk space and retry",
    "disk I/O error": "check that the disk is neither full nor failing, and retry",  # SQLite says so of both
    "locked": "another process is writing; retry",
    "unable to open": "check that the folder exists and can be written",
    "readonly": "check the permissions of the file and its folder",
    "malformed": "restore the file from a backup, or run `carryover db check`",
    "not a database": "choose another path: this file is not a carryover database",
}


# What SQLite's drivers raise where SQLAlchemy is not asked.
DRIVERS: set[type[Exception]] = {sqlite3.Error}


@contextmanager
def guarded() -> Generator[None]:
    """Errors of the database's driver leave as StoreUnavailable, with what to do about them.

    The fact `again` is true where the transaction was undone for a reason that passes by itself. What a correct
    program never meets (a broken constraint, a statement that is wrong) is raised as it is.
    """
    try:
        yield
    except exc.IntegrityError:
        raise
    except (exc.DBAPIError, exc.TimeoutError) as cause:
        state = _sqlstate(cause)
        if isinstance(cause, exc.DataError) and "NUL" in str(cause.orig):
            raise Invalid("a text holds the character NUL, which no name and no id here can; leave it out") from cause
        if isinstance(cause, (exc.ProgrammingError, exc.DataError)) and state != "42501":
            raise
        raise _refusal(str(getattr(cause, "orig", None) or cause), state, broken=_broken(cause)) from cause
    except tuple(DRIVERS) as cause:
        raise _refusal(str(cause), None, broken=False) from cause


def is_passing(failure: BaseException) -> bool:
    """Whether the transaction that raised this was undone, and may do better when it is run again.

    A broken constraint is such a failure: where several processes write, two may have begun the same session.
    """
    if isinstance(failure, exc.IntegrityError):
        return True
    return isinstance(failure, StoreUnavailable) and bool(failure.facts.get("again"))


def is_unknown(failure: BaseException) -> bool:
    """Whether a commit that raised this may have happened all the same: no answer came, or none of the server's own."""
    if not isinstance(failure, exc.DBAPIError):
        return False
    state = _sqlstate(failure)
    return state is None or state.startswith(_AWAY)


def unknown(cause: BaseException) -> StoreUnavailable:
    """A commit was sent and not answered. It is never run again here: only its sender knows how to ask for it."""
    told = " ".join(str(getattr(cause, "orig", None) or cause).split())
    return StoreUnavailable(
        f"the database did not say whether it saved this ({told}); retry with the same idempotency key, "
        "which saves it once",
        retry_after=1,
        unknown=True,
    )


def _refusal(reason: str, state: str | None, *, broken: bool) -> StoreUnavailable:
    told = " ".join(reason.split())
    again = broken or (state is not None and state.startswith((*_AGAIN, *_AWAY)))
    said = f"the database could not do it ({told}); nothing was saved, {remedy(reason)}"
    return StoreUnavailable(said, retry_after=1, **({"again": True} if again else {}))


def remedy(reason: str) -> str:
    lowered = reason.lower()
    return next((remedy for sign, remedy in _REMEDIES.items() if sign.lower() in lowered), "retry")


def _sqlstate(cause: BaseException) -> str | None:
    return getattr(getattr(cause, "orig", None), "sqlstate", None)


def _broken(cause: BaseException) -> bool:
    return isinstance(cause, exc.DBAPIError) and cause.connection_invalidated
