"""How strong a generator's gradient stays while its discriminator becomes perfect.

The generator keeps its first weights and the discriminator alone is trained, as in the experiment
of Arjovsky and Bottou. The better it tells fakes, the weaker is the gradient that the minimax loss
gives: that loss is flat where the discriminator is sure. The non-saturating loss was made against
it, and a Wasserstein critic whose weights or gradients are bounded gives a gradient everywhere.

References:
    Towards Principled Methods for Training Generative Adversarial Networks (Arjovsky and Bottou,
    2017), arXiv:1701.04862, section 2 and figure 2.
"""

from collections.abc import Callable

from naqsh import data as sets
from naqsh.runs.records import Vanishing
from naqsh.studies.failures.remedies import Job, recipes
from naqsh.studies.failures.side_by_side import SideBySide

OBJECTIVES = ("minimax", "plain", "least-squares", "clipped", "gradient-penalty")
"""The remedies whose losses are compared; the plain GAN's is non-saturating."""

DATA = "ring"
"""In whose middle, where a fresh generator's samples lie, there are no points: of the grid's mode
there no discriminator can tell them for sure, and the gradient does not vanish."""

STEPS = (0, 10, 30, 100, 300, 1000)
"""Of the discriminator, after which the gradient is measured; no more than a training has."""


def measured(job: Job, tell: Callable[[float], None]) -> Vanishing:
    """The gradient's norm by one remedy's losses, on the data and networks of the study."""
    trial, data, remedy = job
    steps = tuple(step for step in STEPS if step <= trial.steps)
    made = recipes(data, remedy, trial.seeds, steps[-1])
    trained = SideBySide(made, sets.load(data), only="critic")
    norms = []
    for step in steps:
        trained.advance(step)
        norms.append(tuple(trained.gradient_norms("generator")))
        tell(step / steps[-1])
    return Vanishing(remedy, steps, tuple(norms))
