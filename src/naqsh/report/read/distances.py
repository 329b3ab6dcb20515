"""What Frechet distances are called: FID is a name of Inception's features alone."""

from collections.abc import Collection

from naqsh.runs import records

GENERAL = "frechet"
NAMES = {"fid", GENERAL}


def called(measure: records.Measure) -> str:
    """The name of a Frechet distance; the general one where its file says none that we know."""
    return measure.name if measure.name in NAMES else GENERAL


def column(names: Collection[str]) -> tuple[str, set[str]]:
    """The column that distances of these names stand in, and those that a table leaves out."""
    alike = set(names)
    own = alike.pop() if len(alike) == 1 else GENERAL
    return own, NAMES - {own}
