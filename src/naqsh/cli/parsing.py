"""Reading the words of a command: what argparse knows, and the hyperparameters of a recipe."""

import argparse
import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from naqsh.core.errors import NaqshError, one_of
from naqsh.core.printable import short, shown


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, as all of ours are."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._negative_number_matcher = re.compile(r"-\.?\d")  # "-1,1" is no option either

    def error(self, message: str) -> NoReturn:
        """Raise the complaint; :func:`main` prints it."""
        raise NaqshError(f"{message}; see `{self.prog} --help`")

    def known(self) -> list[str]:
        """Every option that this parser takes, as it is typed: ``--seed``."""
        return [name for name in self._option_string_actions if name.startswith("--")]

    def _match_arguments_partial(
        self, actions: Sequence[argparse.Action], arg_strings_pattern: str
    ) -> list[int]:
        """How many words each argument takes; one that may be left out waits until options end.

        Without this, older versions of argparse hold it for left out where an option comes first.
        """
        counts = super()._match_arguments_partial(actions, arg_strings_pattern)
        while counts and not counts[-1] and "O" in arg_strings_pattern:
            counts.pop()
        return counts

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Argparse's check of a choice, with our hint: the nearest name instead of them all."""
        if action.choices is not None and value not in action.choices:
            what = "command" if isinstance(action.choices, dict) else f"{_called(action)}"
            raise one_of(what, str(value), map(str, action.choices))

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """A word read as its type, or one line that says which type."""
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            due = {
                int: "a whole number",
                float: "a number",
                whole_numbers: "whole numbers",
                numbers: "numbers",
                black_and_white: "black, then white, for example 0,1",
            }
            if action.type not in due:
                raise
            needs = f"{_called(action)} needs {due[action.type]}"
            raise NaqshError(f"{needs}, got {short(arg_string)}") from None


def _called(action: argparse.Action) -> str:
    """What an argument is called on the command line."""
    return action.option_strings[0] if action.option_strings else action.dest


def names(text: str) -> list[str]:
    """One name, or several with commas between; a path that exists is one, whatever is in it."""
    return [text] if Path(text).exists() else [part for part in text.split(",") if part.strip()]


def whole_numbers(text: str) -> list[int]:
    """One whole number, or several with commas between."""
    return [int(part) for part in text.split(",")]


def numbers(text: str) -> list[float]:
    """One number, or several with commas between."""
    return [float(part) for part in text.split(",")]


def black_and_white(text: str) -> tuple[float, float]:
    """Two numbers with a comma between, the lesser one first."""
    low, high = (float(part) for part in text.split(","))
    if not -math.inf < low < high < math.inf:
        raise ValueError(text)
    return low, high


class Several(argparse.Action):
    """Values of an option with ``nargs="+"`` whose type gives a list of each word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Keep all of them in one list, in their order."""
        setattr(namespace, self.dest, [value for several in values for value in several])


def verb(verbs: Any, name: str, does: str, examples: str) -> argparse.ArgumentParser:
    """A verb's parser, with its help.

    Args:
        verbs: argparse's sub-parsers.
        name: the verb.
        does: a sentence.
        examples: commands, a line each, indented by two; other lines are notes, which are filled.
    """
    parser: Parser = verbs.add_parser(
        name,
        help=does[0].lower() + does[1:].rstrip("."),
        description=textwrap.fill(does, 80),
        epilog=f"examples:\n{_noted(examples)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(known=parser.known)
    return parser


def _noted(examples: str) -> str:
    runs = itertools.groupby(examples.split("\n"), lambda line: line[:2] in ("", "  "))
    return "\n".join(
        "\n".join(lines) if kept else "\n" + textwrap.fill(" ".join(lines), 80)
        for kept, lines in runs
    )


def refuse_empty(arguments: list[str]) -> None:
    """Refuse a word without letters, such as ``--data "$UNSET"`` gives.

    As a path it would mean the working folder, as the name of a file nothing at all.
    """
    before = ""
    for word in arguments:
        name, equals, value = word.partition("=")
        given_here = bool(equals) and name.startswith("--")
        if not (value if given_here else word).strip():
            what = name if given_here else before
            what = what if what.startswith("--") else f"the word after {shown(before) or 'naqsh'}"
            raise NaqshError(f"{what} is empty; give a value, or leave it out (an unset variable?)")
        before = word


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


RUN = "a run folder, or a zip of one, or a weights file"
"""What a verb takes for a run."""


def add_run(parser: argparse.ArgumentParser, more: str = "") -> None:
    """The run that a verb opens, and with which weights; `more` is said of it in its help."""
    parser.add_argument("run", type=Path, help=RUN + more)
    parser.add_argument(
        "--weights",
        choices=["last", "best"],
        default="last",
        help="the last, or those that did best on held-out images (default last)",
    )


def add_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """The option without which a verb replaces nothing that is not its own."""
    parser.add_argument("--overwrite", action="store_true", help=f"replace {what}")


def add_skip_broken(parser: argparse.ArgumentParser) -> None:
    """The option of verbs that read folders of images which belong to no recipe."""
    parser.add_argument(
        "--skip-broken", action="store_true", help="leave out images that cannot be read"
    )


def add_skip_broken_of_recipe(parser: argparse.ArgumentParser) -> None:
    """The same option where it stands for the recipe's ``data.skip_broken``."""
    parser.add_argument(
        "--skip-broken",
        action="store_const",
        const="true",
        help="leave out images of a folder that cannot be read",
    )


def add_reading(parser: argparse.ArgumentParser, *of: str) -> None:
    """How files are read which belong to no recipe.

    Args:
        parser: of the verb.
        of: what the verb takes such files for, one or two.
    """
    twice = f"; twice where they differ: of {of[0]}, then of {of[1]}" if of[1:] else ""
    parser.add_argument(
        "--range",
        nargs="+",
        type=black_and_white,
        default=[],
        metavar="BLACK,WHITE",
        help=f"the values in files and folders ({' and '.join(of)}) that are black and white, as "
        f"0,1 or -1,1{twice} (default: those of the type)",
    )
    key = f"the array of an .npz that holds the images{twice}"
    parser.add_argument("--key", nargs="+", default=[], help=key)
    add_skip_broken(parser)


def in_short(
    words: list[str], dotted: list[str], known: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Where a verb knows ``--range``, ``--data.range`` is the same, as messages about data say it.

    Args:
        words: of the command, without what `dotted` holds.
        dotted: options with a dot in their names, and their values.
        known: the verb's own options.

    Returns:
        both, with such options moved from the latter to the former.
    """
    moved: list[str] = []
    left: list[str] = []
    into = left
    for word in dotted:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            own = "--" + name.removeprefix("--data.").replace("_", "-")
            into = moved if name.startswith("--data.") and own in known else left
            word = f"{own}{equals}{value}" if into is moved else word
        elif into[-1:] == ["--skip-broken"] and word.lower() == "true":
            continue  # a recipe's option has a value, ours is there or not
        into.append(word)
    return words + moved, left


def none_left(named: Mapping[str, str], options: argparse.Namespace) -> None:
    """Refuse options that a verb which takes none but its own does not know."""
    only(named, (), options)


def only(named: Mapping[str, str], taken: Iterable[str], options: argparse.Namespace) -> None:
    """Refuse an option that is neither one of `taken` nor the verb's own.

    Args:
        named: what :func:`named` read.
        taken: names that the verb takes besides its own options, without dashes.
        options: of the verb, as argparse read them.
    """
    taken = list(taken)
    for name in named:
        if name not in taken:
            raise one_of("option", f"--{name}", [*options.known(), *(f"--{t}" for t in taken)])
