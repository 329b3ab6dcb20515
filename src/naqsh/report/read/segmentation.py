"""What ``segmentation.json`` holds: how well a run's features segment, a result a study."""

from collections.abc import Sequence

from naqsh.report.read.study import Study, require_beside
from naqsh.runs import records
from naqsh.runs.results import Result

SHARED = ("n", "levels")
"""What mostly does not tell two studies apart."""

Segmented = Study[records.SegmentationOf, records.Segmentation]


def parse(found: Sequence[Result]) -> list[Segmented]:
    """The studies in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_study(result) for result in found]


def _study(result: Result) -> Segmented:
    study = Segmented.read(result, records.SegmentationOf, records.Segmentation, SHARED)
    require_beside(study.found.picture)
    return study
