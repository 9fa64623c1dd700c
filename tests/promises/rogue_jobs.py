"""Job types that do what Python and Trio allow and nobody expects; a plugin like any other."""

import asyncio
import logging
import logging.config
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import msgspec
import trio

import owlrunner
from tests.hostile_errors import HOSTILE, BytesWhenCut, HostileRepr


@attrs.frozen
class Deed:
    """Which of the deeds."""

    name: str


class Panic(BaseException):
    """As extension modules raise it (PyO3's PanicException)."""


async def _numbers() -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        yield 1


async def _leave_a_generator_open() -> int:
    async for number in _numbers():
        return number
    return 0


async def _leave_a_scope_open() -> None:
    trio.CancelScope().__enter__()


async def _raise_a_kept_cancelled() -> None:
    kept: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            kept.append(cancelled)
            raise
    raise kept[0]


async def _raise_in_a_child(error: BaseException) -> None:
    async def child() -> None:
        raise error

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)


def _raising(error: BaseException) -> Callable[[owlrunner.JobContext], Any]:
    async def deed(_: owlrunner.JobContext) -> None:
        raise error

    return deed


def _raising_new(make: Callable[[], BaseException]) -> Callable[[owlrunner.JobContext], Any]:
    async def deed(_: owlrunner.JobContext) -> None:
        raise make()

    return deed


def _returning(value: object) -> Callable[[owlrunner.JobContext], Any]:
    async def deed(_: owlrunner.JobContext) -> object:
        return value

    return deed


async def _progress_in_bytes(ctx: owlrunner.JobContext) -> None:
    ctx.progress(1, 2, b"abc")  # type: ignore[arg-type]


async def _progress_in_a_list(ctx: owlrunner.JobContext) -> None:
    ctx.progress(1, 2, ["a"])  # type: ignore[arg-type]


async def _progress_in_a_hostile_text(ctx: owlrunner.JobContext) -> None:
    ctx.progress(1, 2, BytesWhenCut("abc"))


async def _become_another_attempt(ctx: owlrunner.JobContext) -> None:
    ctx.attempt += 1  # type: ignore[misc]


async def _odd_level(ctx: owlrunner.JobContext) -> None:
    logging.addLevelName(35, "odd \ud800")
    ctx.log.log(35, "at an odd level")


async def _nested() -> object:
    raw = b"[" * 100_000 + b"]" * 100_000
    return {"deep": msgspec.Raw(raw)}


RAISING: dict[str, Callable[[owlrunner.JobContext], Any]] = {
    "panic": _raising(Panic("out of luck")),
    "asyncio_cancelled": _raising(asyncio.CancelledError("not Trio's")),
    "generator_exit": _raising(GeneratorExit()),
    "keyboard_interrupt": _raising(KeyboardInterrupt()),
    "interrupt_in_a_group": _raising(BaseExceptionGroup("two", [KeyboardInterrupt(), ValueError("x")])),
    "memory_error": _raising(MemoryError()),
    "bad_repr_in_a_child": lambda _: _raise_in_a_child(HostileRepr()),
    "panic_in_a_child": lambda _: _raise_in_a_child(Panic("below")),
    "kept_cancelled": lambda _: _raise_a_kept_cancelled(),
    "open_scope": lambda _: _leave_a_scope_open(),
    "open_generator": lambda _: _leave_a_generator_open(),
    "progress_in_bytes": _progress_in_bytes,
    "progress_in_a_list": _progress_in_a_list,
    "another_attempt": _become_another_attempt,
}
"""Deeds that end their run as failed."""

UNSTORABLE: dict[str, Callable[[owlrunner.JobContext], Any]] = {
    "broken_raw": _returning({"x": msgspec.Raw(b'"\xff"')}),
    "half_an_object": _returning({"x": msgspec.Raw(b'1}, {"id": "00000000-0000-0000-0000-000000000000"')}),
    "not_a_number": _returning({"x": [float("nan")]}),
    "infinity_in_a_tuple": _returning({"x": (1.0, float("-inf"))}),
    "deep": lambda _: _nested(),
    "keys_that_become_one": _returning({"a\x00": 1, "a\N{REPLACEMENT CHARACTER}": 2}),
    "huge_number": _returning({"x": msgspec.Raw(b"1e400000")}),
}
"""Deeds that complete, with a result that cannot be kept."""

STORED: dict[str, tuple[Callable[[owlrunner.JobContext], Any], object]] = {
    "nul_in_a_tuple": (_returning({"x": ("a\x00b",)}), {"x": ["a\N{REPLACEMENT CHARACTER}b"]}),
    "null": (_returning({"x": None}), {"x": None}),
    "odd_level": (_odd_level, None),
    "hostile_progress": (_progress_in_a_hostile_text, None),
}
"""Deeds that complete, with what is stored of their result."""

RAISING_HOSTILE = {f"hostile: {way}": _raising_new(make) for way, make in HOSTILE.items()}
"""The same, with exceptions that fight back when they are looked at."""

DEEDS = RAISING | RAISING_HOSTILE | UNSTORABLE | {name: deed for name, (deed, _) in STORED.items()}


@owlrunner.job_type(scope="system", overlap="allow")
async def rogue(ctx: owlrunner.JobContext, params: Deed) -> object:
    """Do one of the deeds."""
    return await DEEDS[params.name](ctx)


@owlrunner.job_type(scope="system", overlap="allow")
async def endless(ctx: owlrunner.JobContext) -> None:
    """Go on beside others."""
    await trio.sleep_forever()


@owlrunner.job_type(scope="system", overlap="allow")
async def quiet(ctx: owlrunner.JobContext, params: Deed) -> None:
    """Throw the server's logging away in one of several ways, then log."""
    match params.name:
        case "dictConfig":
            logging.config.dictConfig({"version": 1, "disable_existing_loggers": True, "root": {"handlers": []}})
        case "basicConfig":
            logging.basicConfig(force=True, handlers=[logging.NullHandler()])
        case _:
            logging.disable(logging.CRITICAL)
    ctx.log.info("said all the same")


@owlrunner.job_type(scope="system", timeout=0.2, cancel_grace=0.0, on_restart="requeue")
async def overtime(ctx: owlrunner.JobContext) -> None:
    """Run past the timeout, and take long to clean up."""
    try:
        await trio.sleep_forever()
    finally:
        ctx.progress(0, 1, "cleaning up")
        with trio.CancelScope(shield=True):
            await trio.sleep(1.5)


@owlrunner.job_type(scope="system", overlap="allow")
async def two_connections(ctx: owlrunner.JobContext) -> None:
    """Open two connections side by side."""

    async def ask() -> None:
        async with ctx.connect() as connection:
            await connection.execute("select pg_sleep(0.05)")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)


@owlrunner.hookimpl
def owlrunner_job_types() -> list[owlrunner.AnyJobType]:
    """All of them."""
    return [value for value in globals().values() if isinstance(value, owlrunner.JobType)]
