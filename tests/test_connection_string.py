"""Connection strings: what libpq accepts is accepted, and what is refused is never quoted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from owlrunner.config import load_config
from owlrunner.connection_string import check_connection_string, describe
from owlrunner.errors import ConfigError, DatabaseUnavailable
from owlrunner.storage.postgres import Database


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("postgresql://", "local socket, database by default"),
        ("postgres://u:hunter2@db.example.com:6432/owl", "db.example.com:6432, database owl"),
        ("postgresql://u:hunter2@h1:1,h2:2/d?target_session_attrs=read-write", "h1:1, h2:2, database d"),
        ("postgresql://h1,h2/d", "h1, h2, database d"),
        ("host=h1,h2 port=5433", "h1:5433, h2:5433, database by default"),
        ("postgresql://u:hunter2@[::1]:5432/d", "[::1]:5432, database d"),
        ("postgresql://u@%2Fvar%2Frun%2Fpostgresql/d", "/var/run/postgresql, database d"),
        ("postgresql:///d?host=/pg&port=5433", "/pg:5433, database d"),
        ("postgresql:///d?host=@abstract", "@abstract, database d"),
        ("host=/pg dbname=d password='hun ter2'", "/pg, database d"),
        ("hostaddr=127.0.0.1 dbname=d", "127.0.0.1, database d"),
        ("postgresql://u:hun%40ter%2F2@h/d", "h, database d"),
        ("postgresql://u:hun#ter?2:@h/d", "h, database d"),
        ("postgresql://u:hünter2@bücher.example/d?sslmode=verify-full&connect_timeout=3", "bücher.example, database d"),
        ("postgresql://h/d?options=-c%20search_path%3Downer", "h, database d"),
    ],
)
def test_what_libpq_accepts_is_accepted(text: str, told: str) -> None:
    """A valid URL or key=value string passes, and where it leads can be told without user name and password."""
    check_connection_string(text)
    assert describe(text) == f"PostgreSQL at {told}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("postgresql+psycopg://u:hunter2@h/d", "must begin with postgresql:// or postgres://.*name no driver"),
        ("postgres+asyncpg://u:hunter2@h/d", "must begin with postgresql:// or postgres://.*name no driver"),
        ("jdbc:postgresql://h/d?password=hunter2", "must begin with postgresql:// or postgres://.*name no driver"),
        ("POSTGRESQL://u:hunter2@h/d", "must begin with postgresql:// or postgres://.*in lower case"),
        ("mysql://u:hunter2@h/d", "must begin with postgresql:// or postgres://"),
        ("hunter2://u@h/d", "must begin with postgresql:// or postgres://"),
        ("'postgresql://u:hunter2@h/d'", "stands in quotes: remove them"),
        ('"postgresql://u:hunter2@h/d"', "stands in quotes: remove them"),
        ("postgresql:/u:hunter2@h/d", "must be like postgresql://user:password@host:5432/database"),
        ("hunter2", "must be like postgresql://user:password@host:5432/database"),
        ("h:5432/hunter2", "must be like postgresql://user:password@host:5432/database"),
        ("DATABASE_URL=postgresql://u:hunter2@h/d", "unknown option at position 1"),
        ("postgresql://u:hunter2\n@h/d", "unprintable character .* at position 23"),
        ("postgresql://u:hunter2\0@h/d", "unprintable character .* at position 23"),
        ("postgresql://u:hunter2\ud800@h/d", "unprintable character .* at position 23"),
        ("postgresql://u:hun ter2@h/d", "has a space in it"),
        ("postgresql://u:hun/ter2@h/d", "has an @ in its host or database name; .* / as %2F"),
        ("postgresql://u:12/hunter2@h/d", "has an @ in its host or database name"),
        ("postgresql://u:hun@ter2@h/d", "has an @ in its host or database name; .*@ as %40"),
        ("postgresql://u:hunter2@@h/d", "has an @ in its host or database name"),
        ("postgresql://u:hun%ter2@h/d", "has a % without two hexadecimal digits"),
        ("postgresql://u:hunter2%00@h/d", "has a %00"),
        ("postgresql://u:hunter2%ff@h/d", "percent-encoded bytes that are no UTF-8"),
        ("postgresql://u:hunter2@[::1/d", "IPv6 address without its closing bracket"),
        ("postgresql://u:hunter2@[]/d", "IPv6 address without its closing bracket or its digits"),
        ("postgresql://u:hunter2@[::1]x/d", "behind an IPv6 address"),
        ("postgresql://u:hunter2@h:hunter2/d", "has a port that is no number from 1 to 65535"),
        ("postgresql://u:hunter2/d", "has a port that is no number from 1 to 65535; .*/ as %2F"),
        ("postgresql://u:hunter2@h:0/d", "has a port that is no number from 1 to 65535"),
        ("postgresql://u:hunter2@h:99999/d", "has a port that is no number from 1 to 65535"),
        ("host=a,b port=1,2,3 password=hunter2", "has 3 ports for 2 hosts"),
        ("host=a,b hostaddr=127.0.0.1 password=hunter2", "has 2 values of host and 1 of hostaddr"),
        ("host=hunter2..x", "has a host that cannot be a host name"),
        ("postgresql://u:hunter2@h/d?sslmod=require", r"unknown option at position 28; is sslmode meant\?"),
        ("postgresql://u:hunter2@h/d?hunter2=x", "unknown option at position 16"),
        ("postgresql://u@h/d?sslmode=hunter2", "has a value of sslmode that libpq refuses"),
        ("postgresql://u@h/d?ssl_min_protocol_version=hunter2", "has a value of ssl_min_protocol_version that libpq"),
        ("postgresql://u@h/d?connect_timeout=hunter2", "has a value of connect_timeout that is no whole number"),
        ("postgresql://u@h/d?keepalives_idle=hunter2", "has a value of keepalives_idle that is no whole number"),
        ("postgresql://u@h/d?hunter2", "has an option without a value"),
        ("postgresql://u@h/d?sslmode=hun=ter2", "has an option with a second ="),
        ("host=h password=hun ter2", "has a word without = in its key=value pairs; a value with spaces"),
        ("host=h password='hunter2", "has a single quote that is not closed"),
        ("host=h passwrd=hunter2", r"unknown option at position 8; is password meant\?"),
        ("service=hunter2", r"names a service \(or PGSERVICE does\) that libpq's service files do not define"),
    ],
)
def test_what_cannot_be_used_is_refused_without_a_quote(text: str, complaint: str) -> None:
    """The error names variable, key and part or position, and neither it nor its causes hold a piece of the value."""
    with pytest.raises(ConfigError, match=f"^environment variable DATABASE_URL: database: url .*{complaint}") as told:
        load_config(environ={"DATABASE_URL": text})
    assert not any(piece in str(told.value) for piece in ("hun", "ter2"))
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


@given(st.text(st.characters(codec="utf-8", exclude_categories=()), min_size=1))
def test_no_password_gets_into_an_error(text: str) -> None:
    """Whatever stands where the password belongs, encoded or not: it passes, or it is refused with a sentence of ours."""
    sentences = set()
    for password in (f"hunter2{text}", f"{text}hunter2"):
        try:
            check_connection_string(f"postgresql://u:{password}@h/d")
        except ValueError as refused:
            sentences.add(str(refused))
    assert not any("hunter" in sentence for sentence in sentences)


def test_a_mistake_in_the_file_names_the_file(tmp_path: Path) -> None:
    """A connection string in the configuration file is checked when the file is read."""
    file = tmp_path / "owlrunner.toml"
    file.write_text('[database]\nurl = "mysql://u:hunter2@h/d"')
    with pytest.raises(ConfigError, match=f"^{file}: database: url must begin with postgresql://"):
        load_config(file, environ={})


@pytest.mark.parametrize("text", ["postgresql://u:p@h/d\n", " postgresql://u:p@h/d\r\n"])
def test_white_space_around_is_dropped(tmp_path: Path, text: str) -> None:
    """A secret that was read from a file ends with a line break, which is no part of the database's name."""
    file = tmp_path / "owlrunner.toml"
    file.write_text(f'[database]\nurl = """{text}"""')
    assert load_config(file, environ={}).database.url == "postgresql://u:p@h/d"
    assert load_config(environ={"OWLRUNNER_DATABASE__URL": text}).database.url == "postgresql://u:p@h/d"


def test_a_service_file_and_variables_of_libpq_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is defined passes, and what is left to a PG variable is checked and told by its name."""
    services = tmp_path / "services.conf"
    services.write_text("[owl]\nhost=h1,h2\nport=1,2\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    check_connection_string("service=owl")
    assert describe("service=owl") == "PostgreSQL, service owl"
    monkeypatch.setenv("PGSSLMODE", "hunter2")
    with pytest.raises(ValueError, match=r"^leaves sslmode to PGSSLMODE, which libpq refuses$"):
        check_connection_string("postgresql://h/d")


@pytest.mark.parametrize(
    "place",
    [
        {"host": "127.0.0.1", "port": "1"},
        {"host": "name.invalid"},
        {"host": "/no-such-folder"},
        {"dbname": "no_such_database"},
        {"user": "nobody"},
        {"options": "-c no_such_setting=1"},
    ],
)
async def test_a_failed_connection_is_told_without_the_password(place: dict[str, str], postgres_url: str) -> None:
    """Errors of a connection attempt hold no password, whatever is wrong."""
    async with Database(make_conninfo(postgres_url, **{"password": "hunter2"} | place), connect_timeout=5) as db:
        with pytest.raises(DatabaseUnavailable) as told:
            await db.connect()
    assert "hunter2" not in f"{told.value} {told.value.__cause__!r}"
