"""Reading the words of a command: what argparse knows, and the numbers of a recipe."""

import argparse
from pathlib import Path
from typing import Any, NoReturn

from naqsh.errors import NaqshError, one_of


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, as all of ours are."""

    def error(self, message: str) -> NoReturn:
        """Raise the complaint; :func:`main` prints it."""
        raise NaqshError(f"{message}; see `{self.prog} --help`")


def verb(verbs: Any, name: str, does: str, examples: str) -> argparse.ArgumentParser:
    """A verb's parser, with its help."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=does[0].lower() + does[1:].rstrip("."),
        description=does,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def apart(arguments: list[str]) -> tuple[list[str], list[str]]:
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


def named(rest: list[str]) -> dict[str, str]:
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


def add_run(parser: argparse.ArgumentParser, what: str = "a run folder") -> None:
    """The run that a verb opens, and with which weights."""
    parser.add_argument("run", type=Path, help=what)
    parser.add_argument(
        "--weights",
        choices=["last", "best"],
        default="last",
        help="the last, or those that did best on held-out pictures (default last)",
    )


def none_left(named: dict[str, str], known: str) -> None:
    """Refuse options that a verb without a recipe does not know."""
    if named:
        raise one_of("option", f"--{next(iter(named))}", known.split())
