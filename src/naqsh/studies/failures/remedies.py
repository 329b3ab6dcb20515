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

_RELATIVISTIC = {
    "method.objective": "relativistic",
    "method.r1": "0.002",
    "method.r2": "0.002",
}
_SEVERAL = {"method.generators": "8", "method.diversity": "0.125"}
MODES = {"ring": "8", "grid": "25"}
"""What stands for ``{modes}`` in the changes, which know how many there are."""

_A_MODE_EACH = {"method.generators": "{modes}", "method.diversity": "0.5"}
_NO_MOMENTUM = {"method.generator.betas": "0,0.99", "method.critic.betas": "0,0.99"}
_FALLING = {"training.schedule": "linear"}
_AVERAGED = {"training.ema": "0.99"}


def _rates(rate: str) -> dict[str, str]:
    return {"method.generator.lr": rate, "method.critic.lr": rate}


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
    "r1": {"method.r1": "0.002"},
    "relativistic": _RELATIVISTIC,
    "minibatch": {"method.minibatch": "2"},
    "feature-matching": {"method.feature_matching": "true"},
    "packing": {"method.packing": "2"},
    "unrolled": {"method.unroll": "3"},
    "mgan": _SEVERAL,
    "mad-gan": {
        "method.generators": "8",
        "method.several": "mad-gan",
        "method.diversity": "0",
    },
    "averaged": _AVERAGED,
    "r3gan": _RELATIVISTIC | _NO_MOMENTUM | _FALLING | _AVERAGED,
    "mgan-falling": _A_MODE_EACH | _rates("2e-3") | _FALLING | _AVERAGED,
    "together": _RELATIVISTIC
    | _A_MODE_EACH
    | {"method.diversity": "1"}
    | _NO_MOMENTUM
    | _rates("3e-3")
    | _FALLING
    | _AVERAGED,
}
"""Names and changes, in the order in which they are shown; the first is the plain GAN."""

ALONE = {
    *("spectral-norm", "minibatch", "feature-matching", "packing", "unrolled"),
    *("mgan", "mad-gan", "mgan-falling", "together"),
}
"""Those whose seeds are trained one after another.

Spectral normalisation keeps buffers; feature matching, packs, unrolled steps and heads that tell
who made an image look beyond single scores of single images. Minibatch discrimination takes as long
either way: its differences of all pairs are large operations by themselves.
"""


def changed(data: str, remedy: str) -> dict[str, str]:
    """What a remedy changes on a set, by dotted name; raises NaqshError where there is no such."""
    if remedy not in REMEDIES:
        raise one_of("remedy", remedy, REMEDIES)
    return {n: value.format(modes=MODES[data]) for n, value in REMEDIES[remedy].items()}


def recipes(data: str, remedy: str, seeds: Sequence[int], steps: int) -> list[Recipe]:
    """The recipe of a remedy for each of some seeds.

    Raises:
        NaqshError: no such remedy.
    """
    base = replace(by_name(f"gan-{data}"), name=f"{data}-{remedy}")
    changes = {name: Text(value) for name, value in (COMMON | changed(data, remedy)).items()}
    whole = base.override(changes | {"training.steps": steps})
    return [whole.override({"training.seed": seed}) for seed in seeds]
