"""A search over a recipe's numbers: which of them make the best pictures within a short training.

Each trial trains the recipe with numbers that Optuna's tree-structured Parzen estimator proposes
(Bergstra et al., 2011) and scores it: by the validation loss of a method that has one, else by the
Frechet distance of its samples to held-out pictures. Trials are kept in an SQLite file, so a search
can be stopped, continued, and shared by several processes on one machine.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naqsh import codec
from naqsh.core import Samples
from naqsh.errors import NaqshError
from naqsh.evaluation import distance
from naqsh.launch import resolve, train
from naqsh.measuring import features_for
from naqsh.recipe import Recipe
from naqsh.run import Run
from naqsh.runfolder import flat, make_folder, write_bytes, write_json, write_text

if TYPE_CHECKING:
    from optuna import Study, Trial

SAMPLES = 2000
"""Pictures a trial is judged by."""


@dataclass(frozen=True)
class Range:
    """One number to search over: between two bounds, or out of a list.

    Attributes:
        name: the dotted name of a recipe's number.
        low: smallest value.
        high: largest value.
        log: search evenly in the logarithm.
        choices: the values themselves, instead of bounds.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def least(self, whole: bool) -> codec.Text:
        """The first value, as it would be typed."""
        low = round(self.low) if whole else self.low
        return codec.Text(self.choices[0] if self.choices else repr(low))

    def propose(self, trial: "Trial", whole: bool) -> codec.Text:
        """A value for this trial, as it would be typed."""
        if self.choices:
            return codec.Text(trial.suggest_categorical(self.name, self.choices))
        if whole:
            low, high = round(self.low), round(self.high)
            return codec.Text(str(trial.suggest_int(self.name, low, high, log=self.log)))
        return codec.Text(repr(trial.suggest_float(self.name, self.low, self.high, log=self.log)))


def parse(text: str) -> Range:
    """A range as typed: ``NAME=LOW:HIGH``, ``NAME=LOW:HIGH:log`` or ``NAME=A,B,C``.

    Raises:
        NaqshError: the text is none of these.
    """
    name, _, values = text.partition("=")
    wrong = NaqshError(f"--search {text}: write NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C")
    if not name or not values:
        raise wrong
    if ":" not in values:
        return Range(name, choices=tuple(values.split(",")))
    low, high, *log = values.split(":")
    try:
        found = Range(name, float(low), float(high), log=log == ["log"])
    except ValueError:
        raise wrong from None
    if log not in ([], ["log"]) or not found.low < found.high or (found.log and found.low <= 0):
        raise wrong
    return found


def default_space(recipe: Recipe) -> list[Range]:
    """Every learning rate of the method, a decade down and up, and the batch."""
    rates = [
        Range(f"method.{name}.lr", value["lr"] / 10, value["lr"] * 10, log=True)
        for name, value in recipe.to_dict()["method"].items()
        if isinstance(value, Mapping) and "lr" in value
    ]
    return [*rates, Range("training.batch", choices=("32", "64", "128"))]


@dataclass(frozen=True)
class Best:
    """What a search found.

    Attributes:
        folder: of the search; the best run's folder is ``trial-N`` in it.
        metric: what was minimised.
        value: its least value.
        numbers: the values that gave it, by dotted name.
        trials: how many have ended until now.
    """

    folder: Path
    metric: str
    value: float
    numbers: dict[str, Any]
    trials: int

    def __str__(self) -> str:
        numbers = "  ".join(f"--{name} {value}" for name, value in self.numbers.items())
        return (
            f"best of {self.trials} trials: {self.metric} {self.value:.4g} with {numbers}\n"
            f"see {self.folder / 'search.png'} and {self.folder / 'best.yaml'}"
        )


def search(
    recipe: str | Recipe,
    *,
    trials: int = 20,
    space: Sequence[str] | None = None,
    out: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    data_home: Path | str | None = None,
) -> Best:
    """Add trials to a search, then report the best of all.

    Args:
        recipe: a recipe's name, the path of its YAML file, or a recipe.
        trials: how many to add.
        space: what to search over, as :func:`parse` reads it; by default learning rates and batch.
        out: the folder of the search; ``runs/tune-<recipe>`` by default.
        overrides: numbers that all trials share, for example ``{"training.epochs": 2}``.
        seed: of the proposals; every trial trains with the recipe's own seed.
        device: where trials train.
        data_home: where data sets are looked for first.

    Raises:
        NaqshError: Optuna is missing, a number or range does not fit, or every trial failed.
    """
    optuna = _optuna()
    if trials < 1:
        raise NaqshError(f"a search needs at least 1 trial, got {trials}")
    base = resolve(recipe).override(overrides or {})
    ranges = [parse(text) for text in space] if space else default_space(base)
    folder = Path(out) if out else Path("runs") / f"tune-{base.name}"
    make_folder(folder)
    whole = {bound.name for bound in ranges if _is_whole(base, bound.name)}
    for bound in ranges:  # what does not fit is refused before anything is trained
        base.override({bound.name: bound.least(bound.name in whole)})
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'search.db'}",
        study_name=f"{base.name}-{base.fingerprint()}",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    metric = ""

    def objective(trial: "Trial") -> float:
        nonlocal metric
        numbers = {bound.name: bound.propose(trial, bound.name in whole) for bound in ranges}
        place = folder / f"trial-{trial.number:04d}"
        try:
            run = train(
                base.override(numbers), out=place, device=device, data_home=data_home, quiet=True
            )
        except NaqshError as error:  # a loss that is not finite is a bad trial, not the end
            print(f"trial {trial.number}: {error}")
            raise optuna.TrialPruned from error
        metric, value = score(run, data_home)
        print(f"trial {trial.number}: {metric} {value:.4g}  {dict(trial.params)}", flush=True)
        return value

    study.optimize(objective, n_trials=trials)
    return _report(study, folder, base, metric)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise NaqshError("tuning needs Optuna: pip install 'naqsh[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _is_whole(recipe: Recipe, name: str) -> bool:
    value = flat(recipe.to_dict()).get(name)
    return isinstance(value, int) and not isinstance(value, bool)


def score(run: Run, data_home: Path | str | None) -> tuple[str, float]:
    """What a trial is judged by, and its value: less is better."""
    best = run.best_validation()
    if best is not None:
        return "validation loss", best
    if not isinstance(run.method, Samples):
        raise NaqshError(
            f"{run.recipe.name} cannot be judged: hold out pictures by --training.validation 0.1"
        )
    features = features_for(run.recipe.data.name)
    # Inception's weights are a download, and far too slow for many short trials.
    features = "pixels" if features == "inception" else features
    return f"fid ({features}, n {SAMPLES:,})", distance(run, features, SAMPLES, data_home)


def _report(study: "Study", folder: Path, base: Recipe, metric: str) -> Best:
    """Write the best recipe, all trials and the plot; name the best."""
    done = [trial for trial in study.trials if trial.value is not None]
    if not done:
        raise NaqshError(f"every trial in {folder} failed; search narrower ranges")
    best = study.best_trial
    numbers = {name: codec.Text(value) for name, value in best.params.items()}
    write_text(folder / "best.yaml", base.override(numbers).to_yaml())
    table = [{"trial": t.number, "value": t.value, **t.params} for t in done]
    write_json(folder / "trials.json", table)
    write_bytes(folder / "search.png", _plot(table, best.number, metric))
    return Best(folder, metric, float(best.value or 0.0), dict(best.params), len(done))


def _plot(table: list[dict[str, Any]], best: int, metric: str) -> bytes:
    """The best value until each trial, and the value against each number searched."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

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
        _scatter(axis, [row[name] for row in table], values, name)
        for row in table:
            if row["trial"] == best:
                axis.plot(_number(row[name]), row["value"], "*", markersize=14, color="C1")
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return buffer.getvalue()


def _number(value: Any) -> Any:
    """A number where a choice is one, so that choices stand in their order."""
    try:
        return float(value)
    except ValueError:
        return str(value)


def _scatter(axis: Any, xs: list[Any], ys: list[float], name: str) -> None:
    points = [_number(x) for x in xs]
    axis.plot(points, ys, "o", color="C0")
    axis.set(xlabel=name)
    if all(isinstance(point, float) and point > 0 for point in points):
        axis.set_xscale("log")
