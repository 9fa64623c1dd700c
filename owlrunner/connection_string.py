"""Check PostgreSQL connection strings without ever quoting them: any part of one may turn out to be the password.

libpq, PostgreSQL's client library, does the parsing, so what it accepts is accepted here. But libpq complains late (when it
connects) and quotes what it does not understand. A password that holds an ``@`` or a ``/`` moves every boundary in a URL, and
then a piece of it is taken for a host, a port or an option. So complaints name a part or a position, and no value.
"""

import difflib
import re

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

SCHEMES = ("postgresql", "postgres")
_SCHEME = re.compile(r"([^\s'\"=/:]*(?::[^\s'\"=/:]+)?)://")
_ENCODE = "in a user name or password write @ as %40, / as %2F, % as %25 and a space as %20"
_QUOTE = "a value with spaces must stand in single quotes"
_PARSE_ERRORS = (
    # What libpq says when it parses, and what is said instead.
    (r"unexpected spaces", f"has a space in it; {_ENCODE}"),
    (r"invalid percent-encoded token", f"has a % without two hexadecimal digits behind it; {_ENCODE}"),
    (r"forbidden value %00", "has a %00, which cannot be part of any value"),
    (
        r'matching "\]"|IPv6 host address may not be empty',
        "has an IPv6 address without its closing bracket or its digits",
    ),
    (r"unexpected character .* at position", "has something other than a port or a path behind an IPv6 address"),
    (
        r"missing key/value separator",
        "has an option without a value; options look like ?sslmode=require&application_name=x",
    ),
    (r"extra key/value separator", "has an option with a second =; in a value it must be written as %3D"),
    (r'missing "=" after', f"has a word without = in its key=value pairs; {_QUOTE}"),
    (r"unterminated quoted string", "has a single quote that is not closed"),
)
_UNKNOWN_OPTION = re.compile(r'invalid (?:URI query parameter:|connection option) "(.*)"', re.DOTALL)
_INTEGERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_NOWHERE = {"host": "/nonexistent", "hostaddr": "", "port": "5432", "passfile": "/nonexistent"}
"""Where libpq is sent to have its options checked: connecting there fails at once, without a network."""


def check_connection_string(text: str) -> None:
    """Check a URL or key=value pairs. Connects nowhere and looks up no name, but reads libpq's service file if one is named.

    Raises ValueError with a sentence that continues "url …".
    """
    _check_form(text)
    options = _parsed(text)
    _check_ambiguity(text)
    _check_hosts(options)
    _check_values(options)


def describe(text: str) -> str:
    """Where a valid connection string leads, without user names and passwords."""
    options = _parsed(text)
    if "service" in options:
        return f"PostgreSQL, service {options['service']}"
    hosts = [host or "local socket" for host in options.get("host", options.get("hostaddr", "")).split(",")]
    ports = options.get("port", "").split(",")
    places = [
        f"{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
        for host, port in zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True)
    ]
    return f"PostgreSQL at {', '.join(places)}, database {options.get('dbname') or 'by default'}"


def _check_form(text: str) -> None:
    """Check what libpq would not recognise as what it is meant to be."""
    for position, letter in enumerate(text, start=1):
        if not letter.isprintable():
            raise ValueError(f"has an unprintable character (a line break, for instance) at position {position}")
    if text[0] in "'\"`":
        raise ValueError("stands in quotes: remove them")
    scheme = _SCHEME.match(text)
    if scheme is not None and scheme[1] not in SCHEMES:
        hint = ""
        if scheme[1].lower().startswith(SCHEMES) or scheme[1].startswith("jdbc:"):
            hint = "; it must be in lower case, and name no driver (as SQLAlchemy's and JDBC's URLs do)"
        raise ValueError(f"must begin with postgresql:// or postgres://, and has another scheme{hint}")
    if scheme is None and "=" not in text:
        raise ValueError(
            "must be like postgresql://user:password@host:5432/database, or key=value pairs, and is neither"
        )


def _parsed(text: str) -> dict[str, str]:
    """The options that libpq finds in it."""
    try:
        found = pq.Conninfo.parse(text.encode())
    except psycopg.OperationalError as error:
        # Not as its cause either: a traceback would show what it quotes.
        raise ValueError(_reworded(str(error), text)) from None
    except UnicodeEncodeError as error:
        raise ValueError(f"has a character at position {error.start + 1} that is no valid Unicode") from None
    try:
        return {option.keyword.decode(): option.val.decode() for option in found if option.val is not None}
    except UnicodeDecodeError:
        raise ValueError("has percent-encoded bytes that are no UTF-8") from None


def _reworded(complaint: str, text: str) -> str:
    """What libpq says, without what it quotes."""
    hint = _QUOTE if _SCHEME.match(text) is None else _ENCODE
    unknown = _UNKNOWN_OPTION.search(complaint)
    if unknown is not None:
        names = [option.keyword.decode() for option in pq.Conninfo.get_defaults()]
        meant = difflib.get_close_matches(unknown[1], names, n=1, cutoff=0.75)
        position = text.find(unknown[1]) + 1
        where = f" at position {position}" if position else ""
        return f"has an unknown option{where}; {f'is {meant[0]} meant?' if meant else hint}"
    for pattern, sentence in _PARSE_ERRORS:
        if re.search(pattern, complaint):
            return sentence
    return f"cannot be parsed; {hint}"


def _check_ambiguity(text: str) -> None:
    """Refuse a URL with an ``@`` where libpq would see a host or a database: it ends a password that holds an ``@`` or a ``/``."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return
    authority, _, path = text[scheme.end() :].partition("/")
    if authority.count("@") > 1 or "@" in path.partition("?")[0]:
        raise ValueError(f"has an @ in its host or database name; {_ENCODE}")


def _check_hosts(options: dict[str, str]) -> None:
    """Check that hosts can be looked up and ports be opened, and that there are as many of each."""
    hosts, addresses, ports = (options.get(name, "").split(",") for name in ("host", "hostaddr", "port"))
    for host in hosts:
        if not (host.startswith(("/", "@")) or _is_host_name(host)):
            raise ValueError(f"has a host that cannot be a host name; {_ENCODE}")
    for port in ports:
        if port and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
            raise ValueError(f"has a port that is no number from 1 to 65535; {_ENCODE}")
    places = max(len(hosts), len(addresses))
    if options.get("host") and options.get("hostaddr") and len(hosts) != len(addresses):
        raise ValueError(f"has {len(hosts)} values of host and {len(addresses)} of hostaddr")
    if len(ports) > 1 and len(ports) != places:
        raise ValueError(f"has {len(ports)} ports for {places} hosts")


def _is_host_name(host: str) -> bool:
    try:
        host.encode("idna")  # as Python does when it looks up a name
    except UnicodeError:
        return False
    return not any(letter.isspace() or letter == "@" for letter in host)


def _check_values(options: dict[str, str]) -> None:
    """Check the values of all other options, by the rules of the libpq that is installed."""
    for name in _INTEGERS:
        if not re.fullmatch(r"\s*[+-]?\d{1,9}\s*", options.get(name, "0"), re.ASCII):
            raise ValueError(f"has a value of {name} that is no whole number")
    complaint = _refusal(options)
    if complaint.startswith("connection to server"):
        return
    for option in [] if "service" in complaint else pq.Conninfo.get_defaults():
        name = option.keyword.decode()
        if re.search(rf"\b{name}\b", complaint):
            # What the string leaves open comes from the environment.
            variable = option.envvar.decode() if option.envvar is not None and name not in options else ""
            raise ValueError(
                f"leaves {name} to {variable}, which libpq refuses"
                if variable
                else f"has a value of {name} that libpq refuses"
            )
    if "service" in complaint:
        raise ValueError("names a service (or PGSERVICE does) that libpq's service files do not define")
    raise ValueError("has a value of an option that libpq refuses")


def _refusal(options: dict[str, str]) -> str:
    """What libpq says when it is to connect to nowhere with these options."""
    connection = pq.PGconn.connect_start(make_conninfo("", **options | _NOWHERE).encode())
    try:
        return connection.get_error_message()
    finally:
        connection.finish()
