"""Where and how something is computed: the options that verbs share, and what they come to."""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naqsh.core.machine import Machine


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where it is computed."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")


def add_data_home(parser: argparse.ArgumentParser) -> None:
    """Where named data sets are."""
    parser.add_argument("--data-home", type=Path, help="where data sets are looked for first")


def add_machine(parser: argparse.ArgumentParser, seed: str, batch: int = 100) -> None:
    """The options of where and how it is computed.

    Args:
        parser: of the verb.
        seed: what the seed is of.
        batch: images at a time unless it is said otherwise.
    """
    parser.add_argument("--seed", type=int, default=0, help=f"{seed} (default 0)")
    words = f"images at a time (default {batch})"
    parser.add_argument("--batch", type=int, default=batch, help=words)
    add_device(parser)
    add_data_home(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def add_own_data(parser: argparse.ArgumentParser) -> None:
    """Where the images of the run are."""
    parser.add_argument("--data", help="where the run's data set is now, if it has moved")


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """The options that verbs which measure by features share."""
    parser.add_argument("--features", help="one of `naqsh list features`")
    add_machine(parser, "of samples and choices")


@contextlib.contextmanager
def counting() -> Iterator[Any]:
    """Progress on the terminal: a function called with what is done, how much, and of how much."""
    from naqsh.training.log import Counter

    with Counter() as counter:
        yield counter.update


@contextlib.contextmanager
def at_work(options: argparse.Namespace) -> Iterator["Machine"]:
    """What the studies take of these options, with progress shown meanwhile."""
    from naqsh.core.machine import Machine
    from naqsh.core.world import join

    with join(options.device) as world, counting() as progress:
        place = str(world.device)
        yield Machine(place, options.batch, options.seed, options.data_home, progress)
