"""What would stop a long work at its end, found out before its first step.

A comparison or a search trains for minutes or hours before it measures. Whether its images have a
test split, whether the weights of the features can be had and fit the images, whether a recipe fits
the memory: all of that costs seconds to know beforehand.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from naqsh import data
from naqsh.core.errors import NaqshError
from naqsh.data.holdout import NoTestSplit
from naqsh.metrics import FeatureExtractor
from naqsh.recipes.recipe import Recipe
from naqsh.runs.origin import load as load_data
from naqsh.studies.beforehand import require_fit
from naqsh.studies.measure import extractor, features_for

HOLDOUT = 0.1
"""Share of the images that is held out as test split where a set has none of its own."""


def with_test_split(recipe: Recipe, home: Path | str | None) -> Recipe:
    """The recipe, with images held out by seed for the test where its set has no test split.

    How many are held out is logged by the reader of the set.

    Raises:
        NaqshError: there are no images to be had, or none can be held out.
    """
    load_data(recipe, "train", home)
    try:
        load_data(recipe, "test", home)
    except NoTestSplit:
        pass
    else:
        return recipe
    divided = recipe.override({"data.holdout": HOLDOUT})
    held = load_data(divided, "test", home)
    if len(held) < 2:
        raise NaqshError(
            f"{held.name} has no test split, and a tenth of its images is only {len(held)}, "
            "too few to measure against: give more images or a larger share (--data.holdout 0.3)"
        )
    return divided


def features(
    asked: str | None, images: "data.DataSet", device: str, say: Callable[[str], None]
) -> FeatureExtractor:
    """The features to measure by: those asked for, else the set's own, else at hand.

    Args:
        asked: a name; None leaves the choice to the data set.
        images: of the set, on which the features are tried.
        device: where they are computed.
        say: told in one line where the set's own cannot be had.

    Raises:
        NaqshError: what was asked for cannot be had, or takes no such images.
    """
    wanted = asked or features_for(images.name)
    try:
        found = extractor(wanted, device)
        require_fit(found, images.shape)
    except NaqshError as error:
        if asked:
            raise
        say(f"measured by the pixels themselves, as features {wanted!r} are not to be had: {error}")
        found = extractor("pixels", device)
    return found


def say(line: str) -> None:
    """A line about how a long work goes on."""
    print(line, file=sys.stderr, flush=True)
