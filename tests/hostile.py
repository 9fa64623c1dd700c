"""A database whose settings change what values mean and which statements fail, for every session that does not say otherwise."""

import psycopg
from psycopg import sql

HOSTILE = {
    "datestyle": "German, DMY",
    "intervalstyle": "iso_8601",
    "timezone": "Pacific/Auckland",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-5",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": "777",
    "lock_timeout": "777",
    "idle_in_transaction_session_timeout": "777",
    "idle_session_timeout": "777",
    "enable_indexscan": "on",
}
"""Every setting that our statements rely on, set to something else."""


def make_hostile(database_url: str) -> None:
    """Let the settings hold for every session that begins from now on."""
    with psycopg.connect(database_url, autocommit=True, options="-c default_transaction_read_only=off") as connection:
        name = connection.info.dbname
        for setting, value in HOSTILE.items():
            connection.execute(
                sql.SQL("alter database {} set {} = {}").format(*map(sql.Identifier, (name, setting)), value)
            )
