"""Bars over time."""

from datetime import UTC, datetime, timedelta

from owlrunner.job_run import RunStatus
from owlrunner.run_reports import LookBack
from owlrunner.storage.overview import Activity
from owlrunner.web.dashboard.charts import HEIGHT, WIDTH, BarChart, step_words

NOW = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def test_bars_stand_where_they_belong() -> None:
    """The latest step is on the right; the highest bar is as high as the chart, and its parts stand on each other."""
    activity = [
        Activity(0, RunStatus.COMPLETED, 3),
        Activity(0, RunStatus.FAILED, 1),
        Activity(23, RunStatus.COMPLETED, 2),
        # Created just at the border, while it was looked at.
        Activity(24, RunStatus.COMPLETED, 7),
    ]
    chart = BarChart.of(LookBack(DAY, 24, activity, []), NOW)
    first, *_, last = chart.bars
    assert (len(chart.bars), chart.highest) == (24, 4)
    assert (first.x, first.begin, first.words) == (0, NOW - DAY, "2 completed")
    assert (last.x + last.width, last.begin) == (WIDTH, NOW - timedelta(hours=1))
    assert last.words == "1 failed, 3 completed"
    done, failed = last.blocks
    assert (done.status, done.y, done.height) == (RunStatus.COMPLETED, HEIGHT / 4, HEIGHT * 3 / 4)
    assert (failed.status, failed.y, failed.height) == (RunStatus.FAILED, 0, HEIGHT / 4)


def test_what_is_rare_can_be_seen() -> None:
    """One failure among ten thousand is still drawn."""
    activity = [Activity(0, RunStatus.COMPLETED, 9_999), Activity(0, RunStatus.FAILED, 1)]
    *_, failed = BarChart.of(LookBack(DAY, 24, activity, []), NOW).bars[-1].blocks
    assert failed.status is RunStatus.FAILED
    assert failed.height >= 2


def test_an_empty_chart() -> None:
    """Where nothing ran there are no bars, and nothing is divided by it."""
    chart = BarChart.of(LookBack(DAY, 24, [], []), NOW)
    assert [bar for bar in chart.bars if bar.blocks] == []


def test_steps_in_words() -> None:
    """What one bar stands for."""
    assert [step_words(timedelta(hours=hours)) for hours in (1, 6)] == ["hour", "6 hours"]
