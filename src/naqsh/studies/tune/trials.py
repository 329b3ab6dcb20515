"""A search over a recipe's numbers: which of them make the best images within a short training.

Each trial trains the recipe with numbers that Optuna's tree-structured Parzen estimator proposes
(Bergstra et al., 2011) and is judged by images of the training split that it did not train on
(``training.validation`` of them, by the recipe's seed): by the validation loss of a method that has
one, else by the Frechet distance of its samples to these images. The test split has no part in the
search. The best trial alone is measured against it, once, at the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from naqsh import data
from naqsh.core.abilities import Samples, Validates
from naqsh.core.errors import Interrupted, NaqshError
from naqsh.io.files import make_folder, write_bytes, write_json, write_text
from naqsh.io.foreign import plain_name
from naqsh.metrics.registry import called, title
from naqsh.recipes.recipe import Recipe
from naqsh.runs.origin import load as load_data
from naqsh.runs.trained import Trained, open_trained
from naqsh.studies import ready
from naqsh.studies.evaluation import distance
from naqsh.studies.measure import features_for
from naqsh.studies.tune.plot import plot
from naqsh.studies.tune.ranges import Range, default_space, is_whole, parse, typed
from naqsh.studies.tune.study import Study, Taken, optuna, require_same
from naqsh.training.asked import resolve
from naqsh.training.building import check
from naqsh.training.launch import train

SAMPLES = 2000
"""Images a trial is judged by."""

VALIDATION = 0.1
"""Share of the training images that trials are judged by, where the recipe holds none out."""


@dataclass(frozen=True)
class Best:
    """What a search found.

    Attributes:
        folder: of the search; the best run's folder is ``trial-N`` in it.
        trial: its number N.
        metric: what was minimised, on images held out of the training split.
        value: its least value.
        numbers: the values that gave it, by dotted name.
        trials: how many have ended until now.
        test: the distance of the best run's samples to the test images, which had no part in the
            search; None where the method makes no images.
        test_metric: which distance that is.
    """

    folder: Path
    trial: int
    metric: str
    value: float
    numbers: dict[str, Any]
    trials: int
    test: float | None = None
    test_metric: str = ""

    def __str__(self) -> str:
        numbers = _typed(self.numbers)
        lines = [f"best of {self.trials} trials: {self.metric} {self.value:.4g} with {numbers}"]
        if self.test is not None:
            lines.append(f"test images, unseen until now: {self.test_metric} {self.test:.4g}")
        lines.append(f"see {self.folder / 'search.png'} and {self.folder / 'best.yaml'}")
        return "\n".join(lines)


def search(
    recipe: str | Recipe,
    *,
    trials: int = 20,
    space: Sequence[str] | None = None,
    out: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
    device: str = "auto",
    data_home: Path | str | None = None,
) -> Best:
    """Add trials to a search, then report the best of all.

    A trial that was stopped is gone on with before new ones are begun, and counts as one.

    Args:
        recipe: a recipe's name, the path of its YAML file, or a recipe.
        trials: how many to add.
        space: what to search over, as :func:`parse` reads it; by default learning rates and batch.
        out: the folder of the search; ``runs/tune-<recipe>`` by default.
        overrides: numbers that all trials share, for example ``{"training.epochs": 2}``.
        seed: of the proposals, by default that of the search in the folder, or 0; every trial
            trains with the recipe's own seed.
        device: where trials train.
        data_home: where data sets are looked for first.

    Raises:
        NaqshError: Optuna is missing, a number or range does not fit, the folder holds another
            search, or every trial failed.
        naqsh.core.errors.Interrupted: a signal came; the same call goes on with the trial.
    """
    optuna()
    if trials < 1:
        raise NaqshError(f"a search needs at least 1 trial, got {trials}")
    base = resolve(recipe).override(overrides or {})
    ranges = _fitting(base, [parse(text) for text in space] if space else default_space(base))
    folder = Path(out) if out else Path("runs") / f"tune-{plain_name(base.name, 'the recipe')}"
    require_same(folder, base, ranges, seed, but=_settled(base))  # before images are fetched
    base = ready.with_test_split(base, data_home)
    if not base.training.validation:
        base = base.override({"training.validation": VALIDATION})
    images = _judged(base, device, data_home)
    make_folder(folder)
    study = Study(folder, base, ranges, images.fingerprint, seed)
    for _ in range(trials):
        with study.trial() as taken:
            _attempt(study, taken, base, device, data_home)
    return _report(study, base, data_home)


def _settled(base: Recipe) -> list[str]:
    """The numbers of a recipe that :func:`search` may change once it knows the images."""
    asked = {"data.holdout": base.data.holdout, "training.validation": base.training.validation}
    return [name for name, value in asked.items() if not value]


def _attempt(
    study: Study, taken: Taken, base: Recipe, device: str, home: Path | str | None
) -> None:
    """Train and judge one trial; one that is interrupted stays as it is, to be gone on with."""
    place, recipe = study.place(taken.number), base.override(taken.numbers)
    try:
        run = train(recipe, out=place, device=device, data_home=home, quiet=True)
        value = score(run, home)
    except Interrupted:
        raise
    except Exception as error:
        study.tell(taken, None)
        if not isinstance(error, NaqshError):
            raise
        # A loss that is not finite is a bad trial, not the end.
        ready.say(f"trial {taken.number}: {error}")
        return
    study.tell(taken, value)
    ready.say(f"trial {taken.number}: {metric(run)} {value:.4g}  {_typed(taken.numbers)}")


def _fitting(base: Recipe, ranges: Sequence[Range]) -> list[Range]:
    """The ranges, each value of which the recipe takes; NaqshError names what does not fit."""
    names = [bound.name for bound in ranges]
    for bound in ranges:
        if names.count(bound.name) > 1:
            raise NaqshError(f"--search names {bound.name} twice; name each number once")
        for value in bound.ends(is_whole(base, bound.name)):
            base.override({bound.name: value})
    return list(ranges)


def _judged(base: Recipe, device: str, home: Path | str | None) -> "data.DataSet":
    """The training images, once it is known that a trial can be trained and judged."""
    method = check(base, device=device, data_home=home)
    if not isinstance(method, Samples | Validates):
        raise NaqshError(f"{base.name} cannot be judged: it has no validation loss and no samples")
    images = load_data(base, "train", home)
    if isinstance(method, Samples):
        features = ready.features(_features(base), images, "cpu", ready.say)
        if features.name != features_for(base.data.name):
            ready.say(
                "samples are measured by the pixels themselves: Inception's features are too slow "
                "for many short trials"
            )
    return images


def score(run: Trained, home: Path | str | None) -> float:
    """What a trial is judged by, on training images that were held out: less is better."""
    best = run.best_validation()
    if best is not None:
        return best
    training = run.recipe.training
    whole = load_data(run.recipe, "train", home)
    _, held_out = whole.hold_out(training.validation, training.seed)
    return distance(run, held_out, _features(run.recipe), SAMPLES)


def metric(run: Trained) -> str:
    """What :func:`score` is, in words."""
    if run.best_validation() is not None:
        return "validation loss"
    return f"{_distance(run.recipe)} to held-out training images"


def _distance(recipe: Recipe) -> str:
    features = _features(recipe)
    return title(called("frechet", features), features)


def _typed(numbers: Mapping[str, Any]) -> str:
    return "  ".join(f"--{name} {value}" for name, value in numbers.items())


def _features(recipe: Recipe) -> str:
    """Inception's weights are a download, and far too slow for many short trials."""
    features = features_for(recipe.data.name)
    return "pixels" if features == "inception" else features


def _report(study: Study, base: Recipe, home: Path | str | None) -> Best:
    """Measure the best trial against the test images; write it, all trials and the plot."""
    table = study.done()
    if not table:
        raise NaqshError(f"every trial in {study.folder} failed; search narrower ranges")
    best = min(table, key=lambda row: row["value"])
    run = open_trained(study.place(best["trial"]))
    numbers = {name: value for name, value in best.items() if name not in ("trial", "value")}
    folder = study.folder
    found = Best(folder, best["trial"], metric(run), best["value"], numbers, len(table))
    if isinstance(run.method, Samples):
        features = _features(run.recipe)
        test = distance(run, load_data(run.recipe, "test", home), features, SAMPLES)
        found = replace(found, test=test, test_metric=_distance(run.recipe))
    chosen = base.override({name: typed(value) for name, value in numbers.items()})
    write_text(folder / "best.yaml", chosen.to_yaml())
    write_json(folder / "trials.json", table)
    write_json(folder / "best.json", asdict(found) | {"folder": f"trial-{best['trial']:04d}"})
    write_bytes(folder / "search.png", plot(table, best["trial"], found.metric))
    return found
