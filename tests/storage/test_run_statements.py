"""The statements on single runs: cancel requests, news for who holds them, progress, log lines, and what nobody can execute."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import sql

from owlrunner.actor import OperatorActor
from owlrunner.job_run import Progress, RunStatus
from owlrunner.run_log import LogLine
from owlrunner.storage import attempts, job_runs
from owlrunner.storage.attempts import News
from owlrunner.storage.postgres import Database, Session
from tests.storage.rows import look, now, put, put_held, put_run, put_server, rings, runs, value

ENDED = {"status": "failed", "error": "x", "completed_at": now()}
OPERATOR = OperatorActor()


async def test_a_cancel_request_ends_what_waits_and_marks_what_runs(db: Database) -> None:
    """Of one run, and only the first request counts; an ended run gets no answer."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        waiting, running, other = await put_run(session), await put_held(session, server_id), await put_run(session)
        asked = await put_held(session, server_id, cancel_requested_at=now(-9), cancelled_by="somebody")
        ended = await put_run(session, **ENDED)
        before = await runs(session)
        answers = {
            one: await job_runs.request_cancel(session, one, OPERATOR)
            for one in (waiting, running, asked, ended, uuid4())
        }
        assert list(answers.values()) == [RunStatus.CANCELLED, RunStatus.RUNNING, RunStatus.RUNNING, None, None]
        after, at = await runs(session), await value(session, now())
        marks = ("status", "cancel_requested_at", "cancelled_by", "completed_at")
        assert [after[waiting][mark] for mark in marks] == ["cancelled", at, "operator", at]
        assert [after[running][mark] for mark in marks] == ["running", at, "operator", None]
        assert [after[asked][mark] for mark in marks] == [
            "running",
            before[asked]["cancel_requested_at"],
            "somebody",
            None,
        ]
        assert {one for one in after if after[one] != before[one]} == {waiting, running}
        assert other not in {one for one in after if after[one]["cancelled_by"]}


async def test_a_cancel_request_rings_for_who_holds_the_run(db: Database) -> None:
    """Nobody is woken where the run only waited."""
    async with db.session() as session:
        waiting, running = await put_run(session), await put_held(session, await put_server(session))
        async with rings(db, "owlrunner_held") as heard:
            await job_runs.request_cancel(session, waiting, OPERATOR)
        assert heard == []
        async with rings(db, "owlrunner_held") as heard:
            await job_runs.request_cancel(session, running, OPERATOR)
        assert heard == ["owlrunner_held"]


async def test_a_server_hears_what_happened_to_the_runs_it_holds(db: Database) -> None:
    """Those that are lost, and those whose cancel was requested while they run; no word of the others."""
    async with db.session() as session:
        ours, theirs = await put_server(session), await put_server(session)
        fine, cancelled = (
            await put_held(session, ours),
            await put_held(session, ours, cancel_requested_at=now(), cancelled_by="me"),
        )
        taken, later = await put_held(session, theirs), await put_held(session, ours, attempt=2)
        await put_held(session, ours, cancel_requested_at=now(), cancelled_by="unheld")
        over = await put_held(session, ours, **ENDED, cancel_requested_at=now(), cancelled_by="me")
        gone = uuid4()
        news = await attempts.held_news(
            session, ours, [(one, 1) for one in (fine, cancelled, taken, later, over, gone)]
        )
    lost = {News(one, 1, lost=True, cancelled_by=None) for one in (taken, later, gone)}
    assert set(news) == lost | {News(cancelled, 1, lost=False, cancelled_by="me")}
    assert len(news) == 4


async def test_progress_and_lines_are_kept_of_runs_that_are_held(db: Database) -> None:
    """Neither of runs of others, nor of other attempts, nor of those that have ended; and no other run gets them."""
    async with db.session() as session:
        ours, theirs = await put_server(session), await put_server(session)
        held, quiet, unasked = (
            await put_held(session, ours),
            await put_held(session, ours),
            await put_held(session, ours),
        )
        others = [
            await put_held(session, theirs),
            await put_held(session, ours, attempt=2),
            await put_held(session, ours, **ENDED),
        ]
        told = [
            (held, 1, Progress(1, 2), True),
            (quiet, 1, Progress(3, 4), False),
            *((one, 1, Progress(5, 6), True) for one in others),
        ]
        for _ in range(2):
            async with session.transaction():
                await attempts.save_progress(session, ours, told)
                # A second time within one moment.
                await attempts.save_progress(session, ours, told)
            await attempts.append_logs(
                session, ours, [(one, 1, LogLine(7, 0.0, "info", "x", "y")) for one, *_ in told], 0.0
            )
        progress = {one: row["progress"] for one, row in (await runs(session)).items() if row["progress"]}
        assert progress == {held: {"processed": 1, "total": 2}, quiet: {"processed": 3, "total": 4}}
        kept = await look(session, "select run_id, attempt, processed, total from job_run_progress")
        assert kept == [{"run_id": held, "attempt": 1, "processed": 1, "total": 2}] * 2
        lines = await look(session, "select run_id, attempt, seq from job_run_logs")
        assert {(line["run_id"], line["attempt"], line["seq"]) for line in lines} == {(held, 1, 7), (quiet, 1, 7)}
        assert unasked not in progress


async def test_a_line_has_the_time_at_which_it_was_written(db: Database) -> None:
    """Its age is counted back from the database's time."""
    async with db.session() as session:
        run_id = await put_held(session, server_id := await put_server(session))
        await attempts.append_logs(session, server_id, [(run_id, 1, LogLine(1, 100.0, "info", "x", "y"))], 160.0)
        (line,) = await look(session, "select extract(epoch from now() - at)::float8 as age from job_run_logs")
    assert 59.0 < line["age"] < 90.0


async def test_a_line_is_neither_older_nor_younger_than_it_can_be(db: Database) -> None:
    """One that is stored at once has the time of that moment, and one from a clock that is ahead has it, too."""
    async with db.session() as session:
        run_id = await put_held(session, server_id := await put_server(session))
        clock = sql.SQL("clock_timestamp()")
        before = await value(session, clock)
        lines = [(run_id, 1, LogLine(seq, at, "info", "x", "y")) for seq, at in ((1, 160.0), (2, 220.0))]
        await attempts.append_logs(session, server_id, lines, 160.0)
        after = await value(session, clock)
        stored = await look(session, "select at from job_run_logs")
    assert [before <= line["at"] <= after for line in stored] == [True, True]


async def put_lines(session: Session, run_id: UUID, *lines: tuple[int, int, str, str]) -> None:
    """Insert log lines: attempt, number, level, message."""
    for attempt, seq, level, message in lines:
        line = {"run_id": run_id, "attempt": attempt, "seq": seq, "at": now(attempt * 100 + seq), "level": level}
        await put(session, "job_run_logs", **line, logger="x", message=message)


async def test_a_log_is_read_in_order_from_where_one_was(db: Database) -> None:
    """Page by page over all attempts, or the newest lines that fit, by level and by text; of this run alone."""
    async with db.session() as session:
        run_id, other = await put_run(session), await put_run(session)
        await put_lines(session, other, (1, 1, "info", "other"), (9, 9, "info", "other"))
        await put_lines(
            session,
            run_id,
            (2, 1, "error", "Four"),
            (1, 2, "info", "two"),
            (1, 1, "info", "one"),
            (1, 9, "error", "three"),
        )

        async def page(after: tuple[int, int], limit: int) -> list[str]:
            return [line.message for line in await job_runs.log_page(session, run_id, after, limit)]

        assert await page((0, 0), 9) == ["one", "two", "three", "Four"]
        assert await page((1, 1), 2) == ["two", "three"]
        assert await page((1, 9), 2) == ["Four"]

        async def newest(
            after: tuple[int, int],
            limit: int,
            levels: list[str] | None = None,
            text: str | None = None,
            searched: int = 9,
        ) -> list[str]:
            params = {
                "run_id": run_id,
                "after_attempt": after[0],
                "after_seq": after[1],
                "levels": levels,
                "text": text,
                "searched": searched,
                "limit": limit,
            }
            return [row[5] for row in await session.rows("logs/newest", params)]

        assert await newest((0, 0), 3) == ["two", "three", "Four"]
        assert await newest((1, 1), 9) == ["two", "three", "Four"]
        assert await newest((1, 9), 9) == ["Four"]
        assert await newest((0, 0), 9, ["error"]) == ["three", "Four"]
        assert await newest((0, 0), 9, None, "fOUR") == ["Four"]
        assert await newest((0, 0), 9, ["info"], "o") == ["one", "two"]
        assert await newest((0, 0), 9, ["info"], "o", searched=3) == ["two"]
        assert await newest((1, 1), 9, ["info"], "o", searched=2) == []


async def test_earlier_attempts_are_told_by_their_last_words(db: Database) -> None:
    """All but the one that is under way or was the last; of those that left a word, the latest twenty."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session)
        waiting, running = await put_run(session, attempt=2), await put_held(session, server_id, attempt=3)
        ended, long = (
            await put_held(session, server_id, **ENDED, attempt=2),
            await put_held(session, server_id, attempt=30),
        )
        for run_id in (waiting, running, ended):
            await put_lines(
                session, run_id, *((attempt, seq, "info", "x") for attempt in (1, 2, 3) for seq in (1, 5, 3))
            )
        await put_lines(session, long, *((attempt, 1, "info", "x") for attempt in range(1, 31) if attempt != 20))

        async def told(run_id: UUID) -> list[tuple[int, Any]]:
            return [(one[0], one[1]) for one in await job_runs.earlier_attempts(session, run_id)]

        first, second = await value(session, now(105)), await value(session, now(205))
        assert await told(waiting) == [(1, first), (2, second)]
        assert await told(running) == [(1, first), (2, second)]
        assert await told(ended) == [(1, first)]
        assert [number for number, _ in await told(long)] == [number for number in range(10, 30) if number != 20]


async def test_the_progress_of_the_last_attempt_is_told_in_order(db: Database) -> None:
    """What earlier attempts and other runs told is left out."""
    async with db.session() as session:
        run_id, other = await put_run(session, attempt=2), await put_run(session, attempt=2)
        for owner, attempt, seconds, processed in (
            (run_id, 2, 3, 30),
            (run_id, 2, 1, 10),
            (run_id, 1, 0, 5),
            (other, 2, 2, 20),
        ):
            about = {"run_id": owner, "attempt": attempt, "at": now(seconds), "processed": processed, "total": 99}
            await put(session, "job_run_progress", **about)
        assert [one[1] for one in await job_runs.progress_of(session, run_id)] == [10, 30]


async def stranded(session: Session) -> set[tuple[str, UUID, bool]]:
    """What is reported now, each of it once."""
    told = await job_runs.strand(session, 60.0)
    assert len(told) == len(set(told))
    return set(told)


@pytest.mark.parametrize("server", [None, {"job_types": ["b"]}, {"buried_at": now()}, {"lease_expires_at": now()}])
async def test_what_nobody_can_execute_is_told_once(db: Database, server: dict[str, Any] | None) -> None:
    """By the run that has waited longest, over all priorities, and again when that is over and begins anew."""
    async with db.session() as session, session.transaction():
        if server is not None:
            await put_server(session, **server)
        ranks = [(9, -50), (5, -70), (5, -90), (0, -65), (-3, -60)]
        oldest = [await put_run(session, priority=priority, run_at=now(seconds)) for priority, seconds in ranks][2]
        assert await stranded(session) == {("a", oldest, False)}
        assert await stranded(session) == set()
        living = await put_server(session)
        assert await stranded(session) == set()
        await session.connection.execute(b"update servers set buried_at = owl_now() where id = %s", [living])
        assert await stranded(session) == {("a", oldest, False)}


async def test_only_what_waits_is_told_of(db: Database) -> None:
    """Runs that have ended, or that were set aside, are not the oldest that waits, however long ago they were due."""
    async with db.session() as session, session.transaction():
        await put_run(session, run_at=now(-65))
        oldest = await put_run(session, run_at=now(-70))
        for priority in (99, 0, -99):
            await put_run(session, priority=priority, run_at=now(-99), set_aside=True, unreadable_by=["f"])
            await put_run(session, priority=priority, run_at=now(-99), **ENDED)
        assert await stranded(session) == {("a", oldest, False)}


async def test_what_waits_for_less_or_can_be_executed_is_not_told(db: Database) -> None:
    """Runs of offered job types, of a minute less a moment, that run, that have ended."""
    async with db.session() as session, session.transaction():
        server_id = await put_server(session, job_types=["z", "a"], fingerprints=["f", "f"])
        await put_run(session, run_at=now(-90))
        await put_run(session, job_type="b", run_at=now(-59))
        await put_held(session, server_id, job_type="c", run_at=now(-90))
        await put_run(session, job_type="d", run_at=now(-90), **ENDED)
        assert await stranded(session) == set()
        exactly = await put_run(session, job_type="b", priority=-1, run_at=now(-60))
        others = {(name, await put_run(session, job_type=name, run_at=now(-90)), False) for name in ("e", "f")}
        assert await stranded(session) == others | {("b", exactly, False)}


async def test_what_nobody_can_read_is_told_as_such(db: Database) -> None:
    """A run that was set aside is told of where a living server offers its job type; where none does it is not due for anybody."""
    async with db.session() as session, session.transaction():
        await put_server(session, job_types=["a", "c"], fingerprints=["f", "f"])
        aside = {"set_aside": True, "unreadable_by": ["f"]}
        first, third = await put_run(session, **aside), await put_run(session, job_type="c", **aside)
        await put_run(session, job_type="b", **aside)
        for job_type in ("a", "b", "c", "d"):
            await put_run(session, job_type=job_type, **ENDED, **aside)
        await put_run(session, job_type="0")
        await put_server(session, job_types=["0", "d"], fingerprints=["f", "f"])
        assert await stranded(session) == {("a", first, True), ("c", third, True)}
        # It is claimed again: should it be set aside once more, that is news.
        await session.connection.execute(b"update job_runs set set_aside = false where id = %s", [first])
        assert await stranded(session) == set()
        await session.connection.execute(b"update job_runs set set_aside = true where id = %s", [first])
        assert await stranded(session) == {("a", first, True)}
