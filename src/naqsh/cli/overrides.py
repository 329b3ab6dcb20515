"""What train and tune change of a recipe: its options, and short names for some of them."""

import argparse
from typing import Any

from naqsh.cli.parsing import only

SHORT = {
    "epochs": "training.epochs",
    "steps": "training.steps",
    "seed": "training.seed",
    "precision": "training.precision",
    "data": "data.name",
    "init_from": "training.init_from",
    "skip_broken": "data.skip_broken",
}
"""Options of `train` that stand for a number of the recipe."""


def overrides(options: argparse.Namespace, named: dict[str, str]) -> dict[str, Any]:
    """The changes by dotted name, as they were typed."""
    from naqsh.io.codec import Text

    if undotted := {name: value for name, value in named.items() if "." not in name}:
        from naqsh.io.files import flat
        from naqsh.training.asked import resolve

        only(undotted, flat(resolve(options.recipe).to_dict()), options)
    changes: dict[str, Any] = {name: Text(value) for name, value in named.items()}
    for option, name in SHORT.items():
        if getattr(options, option, None) is not None:
            changes[name] = Text(getattr(options, option))
    if "training.epochs" in changes:
        changes.setdefault("training.steps", None)
    return changes
