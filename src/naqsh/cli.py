"""The command line: verbs and nothing else. What a verb does lives in the library.

PyTorch is imported by the verbs that need it, when they run: ``naqsh --help`` and ``naqsh list``
answer at once.
"""

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from naqsh import __version__
from naqsh.errors import Interrupted, NaqshError, one_of

UNWRITABLE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, as all of ours are."""

    def error(self, message: str) -> NoReturn:
        """Raise the complaint; :func:`main` prints it."""
        raise NaqshError(f"{message}; see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 done; 2 what was asked cannot be, said in one line; 130 or 143 stopped by Ctrl-C or
        SIGTERM with the run saved. A fault of ours is not caught: Python prints it and leaves
        with 1.
    """
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except NaqshError as error:
        return _complain(str(error), 2)
    except Interrupted as stop:
        return _complain(str(stop), 128 + stop.number)
    except KeyboardInterrupt:
        return _complain("stopped", 130)
    except BrokenPipeError:
        # Whoever read our output has left; nothing more can be said to them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        return _complain(f"cannot write {error.filename or 'the output'}: {error.strerror}", 2)


def _complain(words: str, code: int) -> int:
    print(f"naqsh: {' '.join(words.split())}", file=sys.stderr)
    return code


def _run(arguments: list[str]) -> int:
    parser = Parser(
        prog="naqsh",
        description="Train, sample, measure, explain and compare deep generative models.",
        epilog="examples:\n"
        "  naqsh list                                 what there is\n"
        "  naqsh train gan-digits                     needs no download\n"
        "  naqsh sample runs/gan-digits --out grid.png\n"
        "  naqsh report runs/gan-digits               one page, runs/gan-digits/report.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"naqsh {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        _add_list,
        _add_train,
        _add_sample,
        _add_evaluate,
        _add_measure,
        _add_report,
        _add_tune,
    ):
        add(verbs)
    words, dotted = _apart(arguments)
    if words[:1] == ["train"] and _asks_help(words):
        return _train_help(parser, words)
    options, rest = parser.parse_known_args(words)
    do: Callable[[argparse.Namespace, dict[str, str]], int] = options.do
    return do(options, _named(dotted + rest))


def _apart(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The words that argparse knows, and a recipe's numbers: ``--method.latent 32``.

    Without this, argparse would take a number that stands before the recipe for the recipe.
    """
    words: list[str] = []
    dotted: list[str] = []
    value_follows = False
    for word in arguments:
        name, equals, _ = word.partition("=")
        if name.startswith("--") and "." in name:
            dotted.append(word)
            value_follows = not equals
        else:
            (dotted if value_follows and not word.startswith("--") else words).append(word)
            value_follows = False
    return words, dotted


def _named(rest: list[str]) -> dict[str, str]:
    """The options that belong to a recipe or a sampler: ``--method.latent 32`` or ``…=32``."""
    named: dict[str, str] = {}
    words = iter(rest)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            raise NaqshError(f"what is {word!r}? Options are written --name value")
        if not equals:
            following = next(words, None)
            if following is None or following.startswith("--"):
                raise NaqshError(f"--{name} needs a value")
            value = following
        named[name] = value
    return named


def _none_left(named: dict[str, str], known: str) -> None:
    if named:
        raise one_of("option", f"--{next(iter(named))}", known.split())


def _verb(verbs: Any, name: str, does: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=does[0].lower() + does[1:].rstrip("."),
        description=does,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def _add_list(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "list",
        "Show the recipes, the data sets, the features, or all of them.",
        "  naqsh list\n  naqsh list data",
    )
    parser.add_argument(
        "what", nargs="?", choices=["recipes", "data", "features"], help="one of them"
    )
    parser.set_defaults(do=_list)


def _list(options: argparse.Namespace, named: dict[str, str]) -> int:
    _none_left(named, "--help")
    if options.what in (None, "recipes"):
        from naqsh.recipes import all_recipes

        print("Recipes, for `naqsh train`:")
        for name, function in all_recipes().items():
            print(f"  {name:<18} {(function.__doc__ or '').splitlines()[0]}")
    if options.what in (None, "data"):
        from naqsh.data import CATALOG

        print("Data sets, for `--data`, besides any folder of pictures, .npz or .npy file:")
        for entry in CATALOG.values():
            channels, height, width = entry.shape
            size = f"{entry.train:,} + {entry.test:,} of {height}x{width}x{channels}"
            print(f"  {entry.name:<18} {size}, {len(entry.classes)} classes, {entry.licence}")
            print(f"  {'':<18} {entry.how}")
    if options.what in (None, "features"):
        print("Features, for `--features`:")
        for name, words in FEATURES.items():
            print(f"  {name:<18} {words}")
    return 0


def _add_train(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "train",
        "Train a recipe into a run folder; an unfinished one of the same recipe is resumed.",
        "  naqsh train gan-digits --epochs 100\n"
        "  naqsh train gan-mnist --data photos/ --data.size 32 --data.channels 3\n"
        "  naqsh train wgan-mnist --method.n_critic 3 --method.critic.lr 1e-4 --out runs/mine\n"
        "  naqsh train runs/mine/recipe.yaml --out runs/again\n"
        "  torchrun --nproc-per-node 2 -m naqsh train gan-mnist\n"
        "every number of a recipe is an option: `naqsh train gan-mnist --help` lists them",
    )
    parser.add_argument("recipe", help="a name from `naqsh list`, or a recipe.yaml")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/RECIPE)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", help="how often each picture is seen")
    length.add_argument("--steps", help="optimiser steps instead of epochs")
    parser.add_argument("--data", help="another data set: a name, a folder, a .npz or .npy file")
    parser.add_argument("--data-home", type=Path, help="where data sets are looked for first")
    parser.add_argument("--seed", help="the seed of all randomness")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--precision", help="auto, float32 or bfloat16")
    parser.add_argument("--tracking", help="copy the curves to tensorboard or wandb as well")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.set_defaults(do=_train)


SHORT = {
    "epochs": "training.epochs",
    "steps": "training.steps",
    "seed": "training.seed",
    "precision": "training.precision",
    "data": "data.name",
}
"""Options of `train` that stand for a number of the recipe."""


def _overrides(options: argparse.Namespace, named: dict[str, str]) -> dict[str, Any]:
    from naqsh.codec import Text

    for name in named:
        if "." not in name:
            raise one_of("option", f"--{name}", [f"--{word}" for word in (*SHORT, "out", "device")])
    changes: dict[str, Any] = {name: Text(value) for name, value in named.items()}
    for option, name in SHORT.items():
        if getattr(options, option, None) is not None:
            changes[name] = Text(getattr(options, option))
    if "training.epochs" in changes:
        changes.setdefault("training.steps", None)
    return changes


def _train(options: argparse.Namespace, named: dict[str, str]) -> int:
    changes = _overrides(options, named)
    from naqsh import run

    run.train(
        options.recipe,
        out=options.out,
        overrides=changes,
        device=options.device,
        data_home=options.data_home,
        tracking=options.tracking,
        quiet=options.quiet,
    )
    return 0


def _asks_help(arguments: list[str]) -> bool:
    names = [word for word in arguments[1:] if not word.startswith("-")]
    return bool(names) and bool({"-h", "--help"} & set(arguments))


def _train_help(parser: argparse.ArgumentParser, arguments: list[str]) -> int:
    """The help of `train` and every number of the recipe that was named."""
    from naqsh.run import resolve
    from naqsh.runfolder import flat

    recipe = resolve(next(word for word in arguments[1:] if not word.startswith("-")))
    try:
        parser.parse_args(["train", "--help"])
    except SystemExit:
        print(f"\nthe numbers of {recipe.name}:")
    for name, value in flat(recipe.to_dict()).items():
        if name != "name":
            print(f"  --{name} {'none' if value is None else value}")
    return 0


def _add_sample(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "sample",
        "Draw pictures from a trained run, as one grid or as a folder of PNGs.",
        "  naqsh sample runs/gan-digits --n 64 --seed 3 --out grid.png\n"
        "  naqsh sample runs/gan-digits --n 10000 --folder fakes/",
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--n", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="which pictures (default 0)")
    parser.add_argument("--columns", type=int, help="pictures in a row of the grid")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--out", type=Path, help="the grid's file (default: RUN/samples.png)")
    target.add_argument("--folder", type=Path, help="write each picture as a PNG of its own")
    parser.set_defaults(do=_sample)


def _sample(options: argparse.Namespace, named: dict[str, str]) -> int:
    from naqsh import run

    trained = run.open(options.run)
    path = trained.save_samples(
        options.n,
        seed=options.seed,
        device=options.device,
        columns=options.columns,
        out=options.out,
        folder=options.folder,
        options=named,
    )
    print(path)
    return 0


def _add_evaluate(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "evaluate",
        "Measure a run's samples against real pictures, and the speed of sampling.",
        "  naqsh evaluate runs/gan-digits\n"
        "  naqsh evaluate runs/gan-mnist --metrics fid kid --n 10000 --features mnist",
    )
    parser.add_argument("run", type=Path, help="a run folder; RUN/evaluation.json is written")
    parser.add_argument("--metrics", nargs="+", default=["all"], help="out of fid kid pr dc all")
    parser.add_argument("--n", type=int, default=5000, help="pictures drawn (default 5000)")
    parser.add_argument(
        "--reference",
        choices=["test", "train"],
        default="test",
        help="real pictures (default test)",
    )
    _add_measuring(parser)
    parser.set_defaults(do=_evaluate)


FEATURES = {
    "digits": "a small classifier of the digits set; weights come with the package",
    "mnist": "a small classifier of MNIST; weights come with the package",
    "inception": "Inception-v3 as in pytorch-fid; weights are downloaded at first use, 92 MB",
    "pixels": "the pixels themselves; a baseline",
    "classifier:RUN": "a classifier of yours, from `naqsh train classifier-mnist --data …`",
}


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    """The options that evaluate and measure share."""
    parser.add_argument("--features", help="one of `naqsh list features`")
    parser.add_argument("--seed", type=int, default=0, help="of samples and choices (default 0)")
    parser.add_argument("--batch", type=int, default=100, help="pictures at a time (default 100)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.add_argument("--data-home", type=Path, help="where data sets are looked for first")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def _evaluate(options: argparse.Namespace, named: dict[str, str]) -> int:
    _none_left(named, "--metrics --n --reference --features --seed --batch --device --json")
    from naqsh import evaluation, run
    from naqsh.training.distributed import join
    from naqsh.training.log import Counter

    trained = run.open(options.run)
    with join(options.device) as world, Counter() as counter:
        result = evaluation.evaluate(
            trained,
            options.metrics,
            features=options.features,
            n=options.n,
            seed=options.seed,
            reference=options.reference,
            batch=options.batch,
            device=str(world.device),
            data_home=options.data_home,
            progress=counter.update,
        )
    if options.json:
        print(json.dumps(result.to_dict(), indent=1))
        return 0
    print(evaluation.table(result.measures))
    print(result.speed)
    return 0


def _add_measure(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "measure",
        "Measure pictures against real ones: folders, .npz or .npy files, or data sets.",
        "  naqsh measure fid mnist:test fakes/ --features mnist\n"
        "  naqsh measure all real.npz fakes.npz --features pixels --n 2000",
    )
    parser.add_argument("metric", help="fid, kid, pr, dc or all")
    parser.add_argument("real", help="the reference")
    parser.add_argument("generated", help="what is measured")
    parser.add_argument("--n", type=int, help="take so many of each, at random (default: all)")
    parser.add_argument("--size", type=int, help="resize both to SIZE x SIZE")
    _add_measuring(parser)
    parser.set_defaults(do=_measure)


def _measure(options: argparse.Namespace, named: dict[str, str]) -> int:
    _none_left(named, "--n --size --features --seed --batch --device --json --data-home")
    from naqsh import evaluation
    from naqsh.training.distributed import join
    from naqsh.training.log import Counter

    with join(options.device) as world, Counter() as counter:
        results = evaluation.measure(
            [options.metric],
            options.real,
            options.generated,
            features=options.features,
            n=options.n,
            size=options.size,
            seed=options.seed,
            batch=options.batch,
            device=str(world.device),
            data_home=options.data_home,
            progress=counter.update,
        )
    if options.json:
        print(json.dumps([measure.to_dict() for measure in results], indent=1))
        return 0
    print(evaluation.table(results))
    return 0


def _add_report(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "report",
        "Write one self-contained page about a run, or about several side by side.",
        "  naqsh report runs/gan-digits\n"
        "  naqsh report runs/wgan-mnist runs/wgan-gp-mnist --out compare.html",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    parser.add_argument("--out", type=Path, help="the page (default: report.html in the first run)")
    parser.set_defaults(do=_report)


def _report(options: argparse.Namespace, named: dict[str, str]) -> int:
    _none_left(named, "--out --help")
    from naqsh import report

    print(report.write(options.runs, options.out or options.runs[0] / "report.html"))
    return 0


def _add_tune(verbs: Any) -> None:
    parser = _verb(
        verbs,
        "tune",
        "Search for better numbers of a recipe; several processes may search one folder at once.",
        "  naqsh tune gan-digits --trials 20\n"
        "  naqsh tune gan-mnist --trials 30 --epochs 2 \\\n"
        "      --search method.critic.lr=1e-4:1e-2:log --search training.batch=32,64,128",
    )
    parser.add_argument("recipe", help="a name from `naqsh list`, or a recipe.yaml")
    parser.add_argument("--trials", type=int, default=20, help="trials to add (default 20)")
    parser.add_argument("--out", type=Path, help="folder of the search (default: runs/tune-RECIPE)")
    parser.add_argument(
        "--search",
        action="append",
        metavar="NAME=LOW:HIGH[:log] | NAME=A,B,C",
        help="a number to search over; may be given several times",
    )
    parser.add_argument("--epochs", help="how often each picture is seen in a trial")
    parser.add_argument("--data", help="another data set: a name, a folder, a .npz or .npy file")
    parser.add_argument("--data-home", type=Path, help="where data sets are looked for first")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search and the trials")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")
    parser.set_defaults(do=_tune)


def _tune(options: argparse.Namespace, named: dict[str, str]) -> int:
    seed, options.seed = options.seed, None
    changes = _overrides(options, named)
    from naqsh import tune

    best = tune.search(
        options.recipe,
        trials=options.trials,
        space=options.search,
        out=options.out,
        overrides=changes,
        seed=seed,
        device=options.device,
        data_home=options.data_home,
    )
    print(best)
    return 0
