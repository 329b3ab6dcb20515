"""Classifiers, by whose features the others are measured."""

from naqsh.recipes.recipe import Data, Recipe, Training, recipe


@recipe
def classifier_mnist() -> Recipe:
    """Classifier whose features are `--features mnist`; its weights come with the package."""
    from naqsh.methods import classifier

    training = Training(epochs=8, batch=128, schedule="cosine", warmup=200, ema=0.999)
    return Recipe("", Data("mnist"), classifier.Spec(), training)


@recipe
def classifier_digits() -> Recipe:
    """Classifier whose features are `--features digits`; its weights come with the package."""
    from naqsh.methods import classifier

    training = Training(epochs=100, batch=64, schedule="cosine", warmup=100, ema=0.99)
    return Recipe("", Data("digits"), classifier.Spec(shift=1), training)
