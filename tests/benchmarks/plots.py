"""This is the room for the pictures of docs/explanation/performance.md."""

import statistics
from pathlib import Path

from matplotlib import pyplot as plt

from tests.benchmarks.figures import Figures

_OURS, _OTHERS = "#1f6f8b", "#9aa5ab"


def draw(figures: Figures, folder: Path) -> None:
    """Draw what there is."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, title, stage, metric in (
        ("drain.png", "Jobs a second, one worker, 100,000 waiting", "drain", "jobs a second"),
        ("pickup.png", "Milliseconds from trigger to handler, median", "pickup", "p50 ms"),
        ("trigger.png", "Triggers a second, one by one", "trigger", "new a second"),
    ):
        bars = {
            key.contestant: values
            for key, values in figures.values.items()
            if (key.stage, key.metric) == (stage, metric)
        }
        if bars:
            _bars(folder / file, title, bars)


def _bars(file: Path, title: str, bars: dict[str, list[float]]) -> None:
    names = sorted(bars, key=lambda name: statistics.median(bars[name]))
    medians = [statistics.median(bars[name]) for name in names]
    spread = [
        [median - min(bars[name]) for name, median in zip(names, medians, strict=True)],
        [max(bars[name]) - median for name, median in zip(names, medians, strict=True)],
    ]
    figure, axes = plt.subplots(figsize=(7.5, 0.5 * len(names) + 1.2), layout="constrained")
    colours = [_OURS if name == "OwlRunner" else _OTHERS for name in names]
    axes.barh(names, medians, xerr=spread, color=colours, error_kw={"ecolor": "#444444", "capsize": 3})
    for name, median in zip(names, medians, strict=True):
        axes.annotate(
            f"{median:,.3g}" if median < 100 else f"{median:,.0f}",
            (median, name),
            xytext=(4, 7),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(file, dpi=130)
    plt.close(figure)
