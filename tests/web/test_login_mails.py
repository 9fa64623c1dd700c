"""Login codes are mailed after the answer: nothing of what becomes of a mail shows in it, and no mail outlives the server."""

import logging
import socket
from collections.abc import Iterator

import httpx
import pytest
import trio

from owlrunner.accounts import Accounts, Origin, RecentCallers, SignUp
from owlrunner.accounts.origin import LIMITS
from owlrunner.config import Config, DatabaseConfig, MailConfig, WebConfig
from owlrunner.jobs import Jobs
from owlrunner.mail import Mailer
from owlrunner.plugins import Catalog
from owlrunner.server import Started, run_server
from owlrunner.web import login_codes
from owlrunner.web.app import build_app
from owlrunner.web.login_codes import LoginMails, login_mails
from tests.mail_server import Serve, mail_config, mail_servers
from tests.storage.rows import PATIENCE
from tests.web.web_world import CATALOG, World, asgi_client

USER = "owner@acme.test"
STRANGER = "stranger@acme.test"
CLOSED = WebConfig(sign_up="closed")
ASKED = (200, {"message": "Verification code sent"})


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start mail servers."""
    with mail_servers() as start:
        yield start


@pytest.fixture
def silent() -> Iterator[MailConfig]:
    """A mail server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield mail_config(listening.getsockname()[1], timeout=60.0)


@pytest.fixture
def away() -> MailConfig:
    """A mail server that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return mail_config(closed.getsockname()[1])


def mails_of(world: World, mail: MailConfig, nursery: trio.Nursery) -> LoginMails:
    """Mails of a server to which only users may sign in."""
    return LoginMails(Accounts(world.db, RecentCallers(), SignUp.of(CLOSED)), Mailer(mail), nursery, longest_pause=0.0)


def client_of(world: World, mails: LoginMails) -> httpx.AsyncClient:
    """A client that waits for no mail."""
    app = build_app(Jobs(world.db, CATALOG), mails.accounts, mails, Config(web=CLOSED))
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def asked(client: httpx.AsyncClient, email: str) -> tuple[int, object]:
    """What is answered to who asks for a code."""
    response = await client.post("/v1/auth/send-code", json={"email": email})
    return response.status_code, response.json()


async def none_under_way(mails: LoginMails, but: int = 0) -> None:
    """Return as soon as every mail, ``but`` for so many, has been sent or given up."""
    with trio.fail_after(PATIENCE):
        while len(mails.nursery.child_tasks) > but:
            await trio.sleep(0.01)


async def test_a_code_is_mailed_after_the_answer(world: World, serve: Serve) -> None:
    """A user gets the code, by a real mail server, and it is good; an address that may not sign up gets none."""
    mailbox, port = serve()
    async with trio.open_nursery() as nursery:
        mails = mails_of(world, mail_config(port), nursery)
        async with client_of(world, mails) as client:
            assert [await asked(client, email) for email in (USER, STRANGER)] == [ASKED] * 2
            await none_under_way(mails)
            ((_, recipients, message, _),) = mailbox.got
            body = {"email": USER, "code": message["subject"].split()[0]}
            assert recipients == [USER]
            assert (await client.post("/v1/auth/verify-code", json=body)).status_code == 200


async def test_the_work_for_a_mail_begins_at_a_time_of_its_own(
    world: World, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between an answer and what is done for its mail lies a pause by chance, for users and for others."""
    pauses: list[tuple[float, float]] = []

    class Chance:
        def uniform(self, least: float, most: float) -> float:
            pauses.append((least, most))
            return 0.0

    monkeypatch.setattr("owlrunner.web.login_codes.secrets.SystemRandom", Chance)
    _, port = serve()
    accounts = Accounts(world.db, RecentCallers(), SignUp.of(CLOSED))
    async with login_mails(accounts, Mailer(mail_config(port))) as mails:
        for email in (USER, STRANGER):
            await mails.issue(email, Origin("192.0.2.7"))
    assert pauses == [(0, login_codes.LONGEST_PAUSE)] * 2


async def test_the_answer_waits_for_no_mail(world: World, silent: MailConfig) -> None:
    """While the mail server is silent everybody is answered, and the page is the same for a user and a stranger."""
    async with trio.open_nursery() as nursery:
        mails = mails_of(world, silent, nursery)
        async with client_of(world, mails) as client:
            with trio.fail_after(PATIENCE):
                assert [await asked(client, email) for email in (USER, STRANGER)] == [ASKED] * 2
                pages = [await client.post("/sign-in", data={"email": email}) for email in (USER, STRANGER)]
            # Those of the stranger's end by themselves.
            await none_under_way(mails, but=2)
            assert len(nursery.child_tasks) == 2
        texts = {page.text.replace(email, "") for page, email in zip(pages, (USER, STRANGER), strict=True)}
        assert (len(texts), "That can take a minute" in texts.pop()) == (1, True)
        nursery.cancel_scope.cancel()


async def test_a_mail_server_that_is_away_tells_nothing(
    world: World, away: MailConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """A user and a stranger get the same answers, as often; the codes end, and the log says why."""
    caplog.set_level(logging.WARNING, "owlrunner.web.login_codes")
    async with trio.open_nursery() as nursery:
        mails = mails_of(world, away, nursery)
        async with client_of(world, mails) as client:
            for email in (USER, STRANGER):
                told = []
                for _ in range(LIMITS.own + 1):
                    told.append((await asked(client, email))[0])
                    await none_under_way(mails)
                assert told == [200] * LIMITS.own + [429]
    live = await world.sql("select email from email_verification_codes where expires_at > now()")
    assert {email for (email,) in live} == {STRANGER}
    said = [one.message for one in caplog.records if one.name == "owlrunner.web.login_codes"]
    assert len(said) == LIMITS.own
    assert said[0].startswith(f"no login code was mailed to {USER}: mail server localhost:")


async def test_so_many_mails_are_under_way(
    world: World, silent: MailConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Past the limit a code is not mailed and ends, and everybody is answered as before."""
    monkeypatch.setattr(login_codes, "MOST_UNDER_WAY", 2)
    async with trio.open_nursery() as nursery:
        mails = mails_of(world, silent, nursery)
        async with client_of(world, mails) as client:
            emails = (USER, "admin@acme.test", "member@acme.test", STRANGER)
            assert [await asked(client, email) for email in emails] == [ASKED] * 4
            assert len(nursery.child_tasks) == 2
        nursery.cancel_scope.cancel()
    ended = await world.sql("select email from email_verification_codes where undelivered order by email")
    assert ended == [("member@acme.test",), (STRANGER,)]
    assert "no login code was mailed to member@acme.test: 2 other mails are on their way already" in caplog.messages


async def test_a_mail_that_crashes_harms_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody thought of is logged and ends the code, not the server."""
    world.outbox.fail_with(RuntimeError("a flaw"))
    async with asgi_client(world.app) as client:
        assert await asked(client, USER) == ASKED
        world.outbox.fail_with(None)
        assert await asked(client, USER) == ASKED
    assert f"mailing a login code to {USER} crashed" in caplog.messages
    assert len(world.outbox.letters) == 1


async def test_mails_under_way_get_a_moment(world: World, serve: Serve) -> None:
    """What is under way when the server stops is still mailed."""
    mailbox, port = serve()
    async with login_mails(world.mails.accounts, Mailer(mail_config(port))) as mails:
        await mails.issue(USER, Origin())
        assert mailbox.got == []
    assert len(mailbox.got) == 1


async def test_no_mail_outlives_the_server(
    database_url: str, world: World, silent: MailConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops while its mail server is silent ends in time."""
    monkeypatch.setattr(login_codes, "LAST_SECONDS", 0.1)
    config = Config(database=DatabaseConfig(url=database_url), web=WebConfig(port=0), mail=silent)
    stop = trio.Event()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def run(*, task_status: trio.TaskStatus[Started]) -> None:
                await run_server(config, Catalog(), stop, task_status=task_status)

            started = await nursery.start(run)
            async with httpx.AsyncClient(base_url=started.url, trust_env=False) as client:
                assert await asked(client, USER) == ASKED
            stop.set()
