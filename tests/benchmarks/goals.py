"""The goals, each a figure or a ratio of two of the same round. docs/explanation/performance.md says what became of them."""

from tests.benchmarks.figures import Goal, Key

_RATE = "jobs a second"


def _ours(stage: str, metric: str) -> Key:
    return Key(stage, "OwlRunner", metric)


_DRAIN = _ours("drain", _RATE)
_GUARDED = _ours("drain with the guard", _RATE)
_CEILING = Key("drain", "ceiling", _RATE)
_NEW = "new a second"

GOALS = [
    Goal("drain: of the ceiling", _DRAIN, at_least=0.5, over=_CEILING),
    Goal("drain: PgQueuer's best", _DRAIN, at_least=1.5, over=Key("drain", "PgQueuer best", _RATE)),
    Goal("drain: PgQueuer's default", _DRAIN, at_least=3.0, over=Key("drain", "PgQueuer", _RATE)),
    Goal("drain: procrastinate's best", _DRAIN, at_least=3.0, over=Key("drain", "procrastinate best", _RATE)),
    Goal("drain with the guard: of the ceiling", _GUARDED, at_least=0.5, over=_CEILING),
    Goal("drain with the guard: PgQueuer's best", _GUARDED, at_least=1.5, over=Key("drain", "PgQueuer best", _RATE)),
    Goal("drain: two servers to one", _ours("drain, 2 workers", _RATE), at_least=1.25, over=_DRAIN),
    Goal("drain: RSS MB", _ours("drain", "RSS MB"), at_most=110.0),
    Goal("drain: WAL bytes a run", _ours("drain", "WAL bytes a job"), at_most=1500.0),
    Goal("drain: statements a run", _ours("statements", "per_run"), at_most=0.05),
    Goal("pickup p50: of the ceiling", _ours("pickup", "p50 ms"), at_most=1.3, over=Key("pickup", "ceiling", "p50 ms")),
    Goal("pickup p99: of the ceiling", _ours("pickup", "p99 ms"), at_most=2.0, over=Key("pickup", "ceiling", "p99 ms")),
    Goal("pickup p50: PgQueuer's", _ours("pickup", "p50 ms"), at_most=1.0, over=Key("pickup", "PgQueuer", "p50 ms")),
    Goal(
        "pickup p50: procrastinate's",
        _ours("pickup", "p50 ms"),
        at_most=1.0,
        over=Key("pickup", "procrastinate", "p50 ms"),
    ),
    Goal("cancel on another server: p95 ms", _ours("cancel", "p95 ms"), at_most=50.0),
    Goal("trigger: of the ceiling", _ours("trigger", _NEW), at_least=0.8, over=Key("trigger", "ceiling", _NEW)),
    Goal("duplicates: of new ones", _ours("trigger", "duplicates a second"), at_least=1.5, over=_ours("trigger", _NEW)),
    Goal("trigger_many: a second", _ours("trigger", "in batches of 1,000 a second"), at_least=40_000.0),
    Goal(
        "trigger_many: PgQueuer's bulk",
        _ours("trigger", "in batches of 1,000 a second"),
        at_least=1.0,
        over=Key("trigger", "PgQueuer", "in batches of 1,000 a second"),
    ),
    Goal(
        "HTTP triggers: of a bare route",
        _ours("http", "triggers a second"),
        at_least=0.6,
        over=Key("http", "bare route", "triggers a second"),
    ),
    Goal(
        "page with 1 M runs: of 50 runs",
        _ours("page, history", "page of 50 ms"),
        at_most=1.2,
        over=_ours("page, empty", "page of 50 ms"),
    ),
    Goal("dashboard with 1 M runs: slowest ms", _ours("dashboard, history", "slowest ms"), at_most=200.0),
    Goal("beside 200 hostile clients: p99 ms", _ours("crowd", "p99 ms"), at_most=1000.0),
    Goal("beside a greedy tenant: /health, p99 ms", _ours("tenant", "health p99 ms"), at_most=50.0),
    Goal("beside a greedy tenant: a trigger, p99 ms", _ours("tenant", "trigger p99 ms"), at_most=1000.0),
    Goal("connections that 200 hostile clients leave", _ours("crowd", "left open"), at_most=0.0),
    Goal("dashboard with 1 M runs: KB", _ours("dashboard, history", "KB"), at_most=60.0),
    Goal(
        "drain with 1 M runs: of empty", _ours("drain, history", _RATE), at_least=0.9, over=_ours("drain, empty", _RATE)
    ),
    Goal(
        "trigger with 1 M runs: of empty",
        _ours("trigger, history", _NEW),
        at_least=0.9,
        over=_ours("trigger, empty", _NEW),
    ),
    Goal(
        "drain: costs beside an open transaction",
        _ours("drain, empty", _RATE),
        at_most=2.0,
        over=_ours("drain, held", _RATE),
    ),
    Goal(
        "drain: costs beside run_retention",
        _ours("drain, history", _RATE),
        at_most=1.3,
        over=_ours("drain, retention", _RATE),
    ),
    Goal("idle: statements a minute", _ours("idle", "statements a minute"), at_most=30.0),
    Goal("idle: RSS MB", _ours("idle", "RSS MB"), at_most=80.0),
    Goal("10,000 sleepers: RSS MB", _ours("sleepers", "RSS MB"), at_most=250.0),
    Goal("10,000 sleepers: all ended, seconds", _ours("sleepers", "all ended s"), at_most=2.0),
    Goal("10,000 sleepers: oldest heartbeat, seconds", _ours("sleepers", "oldest heartbeat s"), at_most=12.0),
    Goal("progress: µs a call", _ours("progress", "µs a call"), at_most=3.0),
    Goal("progress: writes a second of one run", _ours("progress", "writes a second"), at_most=4.0),
    Goal(
        "progress: statements a second of 1,000 runs",
        _ours("progress", "statements of 1,000 talkers a second"),
        at_most=4.0,
    ),
    Goal("progress: HOT share", _ours("progress", "HOT share"), at_least=0.9),
    Goal("cron, one server: latest start ms", Key("cron", "1 servers", "latest start ms"), at_most=100.0),
    Goal("cron, four servers: latest start ms", Key("cron", "4 servers", "latest start ms"), at_most=100.0),
]
