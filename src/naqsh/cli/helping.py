"""Help that depends on what was named: the options of a recipe, of a run's sampler; the lists."""

import argparse
import dataclasses
import shutil
import textwrap
from collections.abc import Container, Iterable, Mapping

from naqsh.io import options
from naqsh.io.options import Option

WIDEST = 100
"""Letters in a line at most; longer ones are tiring to read."""


def width() -> int:
    """Letters in a line of the terminal, or of a usual one where there is none."""
    return max(40, min(WIDEST, shutil.get_terminal_size().columns))


def optioned(found: Iterable[Option]) -> str:
    """Options as text: each with its default, what it does and what it may be."""
    return "\n".join(
        f"  --{option.name} {option.spelled()}\n{_filled(_about(option), ' ' * 6)}"
        for option in found
    )


def _about(option: Option) -> str:
    """What an option does, and what it may be where its default does not show that."""
    if option.choices:
        return f"{option.about}; one of {', '.join(option.choices)}"
    shows = isinstance(option.default, bool | int | float | str)
    return option.about if shows else f"{option.about}; {option.takes}"


def aligned(rows: Mapping[str, str], column: int) -> str:
    """Names with a description each as text, the descriptions in one column.

    Args:
        rows: names and descriptions.
        column: letters that the longest name of all such lists takes.
    """
    return "\n".join(
        _filled(words, " " * (column + 4), f"  {name:<{column}}  ") for name, words in rows.items()
    )


def _filled(text: str, indent: str, first: str | None = None) -> str:
    return textwrap.fill(
        text,
        width(),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def of_recipe(given: argparse.Namespace, named: Mapping[str, str]) -> str:
    """Every option of the recipe that was named, by what it belongs to.

    Args:
        given: what argparse read.
        named: options of the recipe; a ``kind`` among them brings the options of that kind.
    """
    from naqsh import methods
    from naqsh.training.asked import resolve

    kinds = {name: value for name, value in named.items() if name.endswith(".kind")}
    recipe = resolve(given.recipe).override(kinds)
    groups: dict[str, list[Option]] = {
        "Data": [],
        "Method": [],
        "Optimizer": [],
        "Training": [],
    }
    found = options.of(recipe)
    optimizers = tuple(
        option.name.removesuffix("kind")
        for option in found
        if option.name.endswith(".kind") and "adam" in option.choices
    )
    for option in found:
        if option.name == "method.kind":
            option = dataclasses.replace(option, choices=tuple(methods.names()))
        part = option.name.partition(".")[0].capitalize()
        if part in groups:
            title = "Optimizer" if option.name.startswith(optimizers) else part
            groups[title].append(option)
    body = "".join(f"\n{title}:\n{optioned(rows)}\n" for title, rows in groups.items() if rows)
    return f"\nThe options of {recipe.name}, each with its value in the recipe:\n{body}"


def of_sampling(given: argparse.Namespace, named: Mapping[str, str]) -> str:
    """What the method of the run that was named takes for sampling."""
    from naqsh import api as run
    from naqsh.runs import sampling

    trained = run.open(given.run, given.weights)
    # What the verb sets itself.
    own = ("sampler", "steps", "guidance") if "--samplers" in given.known() else ()
    found = [option for option in sampling.described(trained.method) if option.name not in own]
    if not found:
        return f"\n{trained.recipe.name} takes no further options for sampling."
    title = f"{trained.recipe.name} takes for sampling, each with its default:"
    return f"\nWhat {title}\n{optioned(found)}{_of_samplers(trained.method, own)}"


def _of_samplers(method: object, but: Container[str]) -> str:
    """What all samplers of a method take, and what each takes besides; without those named."""
    from naqsh.core.abilities import HasSamplers

    if not isinstance(method, HasSamplers):
        return ""
    takes = {
        name: [option for option in options.of(sampler) if option.name not in but]
        for name, sampler in method.samplers.items()
    }
    first, *others = takes.values()
    shared = [option for option in first if all(option in other for other in others)]
    text = f"\n\nEvery sampler takes:\n{optioned(shared)}" if shared else ""
    for name, found in takes.items():
        own = [option for option in found if option not in shared]
        cost = f"{method.samplers[name].evaluations} evaluations of the network an image"
        more = f"; besides it takes:\n{optioned(own)}" if own else ""
        text += f"\n\n{name}: {cost}{more}"
    return text
