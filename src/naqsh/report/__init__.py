"""One self-contained HTML page about a run, or about several side by side.

=============  ===================================================================================
``gather``     reads run folders into :class:`~naqsh.report.gather.Facts`; says what is missing
``curves``     running means and thinning of long series
``figures``    series and histograms to inline SVG
``images``     grids of pictures to data URIs
``words``      the texts of a language, and how it writes numbers
``document``   sections, figures and tables, numbered in the order they are made
``plots``      the figures of the page
``tables``     the tables of the page
``page``       which sections there are, and in what order
``html``       the page from the document, by the templates
=============  ===================================================================================

A page depends on the bytes of its run folders alone: no clock, no path of the machine, no network.
"""

from collections.abc import Sequence
from pathlib import Path

from naqsh.errors import NaqshError
from naqsh.runfolder import make_folder, write_text


def write(folder: Path | Sequence[Path], out: Path, language: str = "en") -> Path:
    """Write the report of one run folder, or of several side by side.

    Args:
        folder: a run folder or several.
        out: the HTML file; its folder is made where it is missing.
        language: ``en`` or ``fa``.

    Returns:
        `out`.

    Raises:
        NaqshError: a folder holds no run, a recipe is damaged, or `out` is a folder.
    """
    # Imported here, so that `import naqsh.report` costs nothing.
    from naqsh.report import gather, html, page
    from naqsh.report.words import Words

    _require_file(out, "an HTML")
    text = html.render(page.build(gather.read(_several(folder)), Words(language)))
    return _save(out, text)


def write_comparison(folders: Path | Sequence[Path], out: Path, language: str = "en") -> Path:
    """Write the page that ranks runs by quality, diversity and speed.

    Args:
        folders: a folder with ``comparison.json``, which names the runs, the budget and what
            failed, or run folders.
        out: the HTML file; its folder is made where it is missing.
        language: ``en`` or ``fa``.

    Returns:
        `out`.

    Raises:
        NaqshError: there is no run to show, a file is damaged, or `out` is a folder.
    """
    from naqsh.report import comparison, html
    from naqsh.report.words import Words

    _require_file(out, "an HTML")
    found = comparison.read(folders if isinstance(folders, Path) else _several(folders))
    return _save(out, html.render(comparison.build(found, Words(language))))


def _several(folder: Path | Sequence[Path]) -> list[Path]:
    folders = [folder] if isinstance(folder, Path) else list(folder)
    if not folders:
        raise NaqshError("a report needs at least one run folder")
    return folders


def _require_file(out: Path, kind: str) -> None:
    if out.is_dir():
        raise NaqshError(f"{out} is a folder; give the name of {kind} file")


def _save(out: Path, text: str) -> Path:
    make_folder(out.absolute().parent)
    write_text(out, text)
    return out
