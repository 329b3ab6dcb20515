"""What is tried against the failures of GANs, each as changes of one recipe.

The base is the same for all: a plain GAN, whose networks, batches, steps and learning rates they
share. So a row of the study is what `naqsh train` gives with the changes that stand beside it.
"""

from collections.abc import Sequence
from dataclasses import replace

from naqsh.core.errors import one_of
from naqsh.io.codec import Text
from naqsh.recipes import by_name
from naqsh.recipes.recipe import Recipe
from naqsh.runs.records import Trial

Job = tuple[Trial, str, str]
"""One remedy on one set: all that is to be done, the set's name, the remedy's."""

PLAIN = "plain"

COMMON = {"training.batch": "128", "training.precision": "float32"}
"""What all of them have in place of the recipe's own."""

REMEDIES: dict[str, dict[str, str]] = {
    PLAIN: {},
    "minimax": {"method.objective": "minimax"},
    "least-squares": {"method.objective": "least-squares"},
    "clipped": {
        "method.objective": "wasserstein",
        "method.clip": "0.1",
    },
    "gradient-penalty": {
        "method.objective": "wasserstein",
        "method.gradient_penalty": "1",
    },
    "spectral-norm": {"method.objective": "hinge", "method.spectral_norm": "true"},
    "averaged": {"training.ema": "0.99"},
}
"""Names and changes, in the order in which they are shown; the first is the plain GAN."""

ALONE = {"spectral-norm"}
"""Those whose networks cannot be stacked: buffers, or losses that are no means over images."""


def recipes(data: str, remedy: str, seeds: Sequence[int], steps: int) -> list[Recipe]:
    """The recipe of a remedy for each of some seeds.

    Raises:
        NaqshError: no such remedy.
    """
    if remedy not in REMEDIES:
        raise one_of("remedy", remedy, REMEDIES)
    base = replace(by_name(f"gan-{data}"), name=f"{data}-{remedy}")
    changes = {name: Text(value) for name, value in (COMMON | REMEDIES[remedy]).items()}
    whole = base.override(changes | {"training.steps": steps})
    return [whole.override({"training.seed": seed}) for seed in seeds]
