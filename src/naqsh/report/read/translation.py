"""What ``translation.json`` holds: a run's translations, a study a direction."""

from collections.abc import Sequence

from naqsh.report.read.study import Study
from naqsh.runs import records
from naqsh.runs.results import Result

SHARED = ("n", "n_real", "source", "reference")
"""What follows from the direction, and so does not tell two studies apart."""


class Translated(Study[records.TranslationOf, records.Translation]):
    """One measured direction."""

    @property
    def covered(self) -> float | None:
        """How much of the way from the source as it is to real images the translations went.

        By the first measure; None where these two are not apart.
        """
        own, copy = self.found.measures[0].value, self.found.copies[0].value
        real = self.found.floor.measures[0].value if self.found.floor else 0.0
        return (copy - own) / (copy - real) if copy > real else None

    @property
    def disturbed(self) -> tuple[float, float, float] | None:
        """Errors of the way back without noise and with that of `NOTICED`, and the rise.

        None where that was not taken.
        """
        errors = {level.sigma: level.cycle.value for level in self.found.disturbed}
        if not {0.0, records.NOTICED} <= errors.keys():
            return None
        before, after = errors[0.0], errors[records.NOTICED]
        return before, after, records.rise(before, after)


def parse(found: Sequence[Result]) -> list[Translated]:
    """The studies in a file's results, the latest last; raises NaqshError where they do not fit."""
    return [_study(result) for result in found]


def _study(result: Result) -> Translated:
    study = Translated.read(result, records.TranslationOf, records.Translation, SHARED)
    if study.found.floor and not study.found.floor.measures:
        raise ValueError("a floor needs measures")
    return study
