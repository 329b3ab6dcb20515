"""What ``editing.json`` holds: edits by one run, each with its grid."""

from collections.abc import Sequence

from naqsh.report.read.study import Study, require_beside
from naqsh.runs import records
from naqsh.runs.results import Result


class Edited(Study[records.EditOf, records.Edit]):
    """One edit."""

    @property
    def sampling(self) -> str | None:
        """Its options of sampling in words, if there were any."""
        named = self.about.sampling.items()
        return ", ".join(f"{name} {value}" for name, value in named) or None


def parse(found: Sequence[Result]) -> list[Edited]:
    """The edits in a file's results, the latest last.

    Raises NaqshError or ValueError where they do not fit.
    """
    return [_edit(result) for result in found]


def _edit(result: Result) -> Edited:
    edit = Edited.read(result, records.EditOf, records.Edit)
    require_beside(edit.found.picture)
    return edit
