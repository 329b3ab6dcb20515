"""The image of a search: how it went, and what each number had to do with it."""

import io
from typing import Any


def plot(table: list[dict[str, Any]], best: int, metric: str) -> bytes:
    """The best value until each trial, and the value against each number searched."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    at = [row["trial"] for row in table].index(best)
    names = [name for name in table[0] if name not in ("trial", "value")]
    figure, axes = pyplot.subplots(1, 1 + len(names), figsize=(4 * (1 + len(names)), 3.5))
    values = [row["value"] for row in table]
    least = [min(values[: end + 1]) for end in range(len(values))]
    first = axes[0] if names else axes
    first.plot([row["trial"] for row in table], values, "o", color="0.7", label="trial")
    first.step([row["trial"] for row in table], least, where="post", label="best until then")
    first.set(xlabel="trial", ylabel=metric)
    first.legend()
    for axis, name in zip(axes[1:], names, strict=True):
        points = _numbers([row[name] for row in table])
        axis.plot(points, values, "o", color="C0")
        axis.plot(points[at], values[at], "*", markersize=14, color="C1")
        axis.set(xlabel=name)
        if all(isinstance(point, float) and point > 0 for point in points):
            axis.set_xscale("log")
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return buffer.getvalue()


def _numbers(values: list[Any]) -> list[Any]:
    """Numbers where all are, so that choices stand in their order; else the words."""
    try:
        return [float(value) for value in values]
    except ValueError:
        return [str(value) for value in values]
