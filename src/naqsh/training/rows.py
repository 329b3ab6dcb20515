"""Which pictures and which noise an update sees: a function of the seed and the step alone."""

from naqsh.core.batch import Batch
from naqsh.core.noise import Noise, derive
from naqsh.core.world import World
from naqsh.data import DataSet, Loader, to_float
from naqsh.recipes.recipe import Recipe


class Batches:
    """This rank's part of every batch of a run.

    Args:
        recipe: what is trained.
        data: the training pictures.
        value_range: that the method takes them in.
        repeats: batches that a step sees.
        world: this process among its ranks.

    Attributes:
        local: pictures of a batch that this rank sees.
        per_step: pictures that all ranks see in a step.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: DataSet,
        value_range: tuple[float, float],
        repeats: int,
        world: World,
    ) -> None:
        training = recipe.training
        self.training, self.value_range, self.world = training, value_range, world
        self.local = world.share(training.batch, training.accumulate)
        self.per_step = training.batch * repeats
        self._loader = Loader(
            data.images,
            data.labels,
            seed=derive(training.seed, "order"),
            device=world.device,
            flip=recipe.data.flip,
        )

    def take(self, phase: str, step: int, repeat: int, part: int) -> Batch:
        """Pictures and noise for one part of one update."""
        micro = self.local // self.training.accumulate
        # The ranks share each part, so that batch normalisation sees what one rank would show it.
        first = (part * self.world.size + self.world.rank) * micro
        position = step * self.per_step + repeat * self.training.batch + first
        images, labels = self._loader.take(position, micro)
        seed = derive(self.training.seed, "train", phase, step, repeat)
        noise = Noise(seed, micro, first, self.world.device)
        return Batch(to_float(images, *self.value_range), labels, noise)
