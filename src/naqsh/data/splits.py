"""Which sub-folders are splits: `train`, `Val`, `TESTING`, `trainA` and their like.

Images for testing must never be trained on, so a name that is a split's is never a class, and a
folder in which some names only look like splits is refused rather than guessed at. With a training
and a test split at hand, a validation split is trained on; without a test split it is the test
split. Two domains as of CycleGAN (`trainA`, `trainB`) are a data set of their own kind, see
:mod:`naqsh.data.domain_folders`; where one alone is wanted (`data.good A`), or all images are
looked at, as in detection, they are two classes, A and B.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from naqsh.core.errors import NaqshError

_NAMES = {
    "train": ("train", "training", "trn", "آموزش"),
    "val": ("val", "valid", "validation", "validate", "dev", "development", "اعتبارسنجی"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout", "heldout", "آزمون", "تست"),
}
_ROLE_OF = {name: role for role, names in _NAMES.items() for name in names}
# Places with these in their names hold masks, not images; they lie beside splits.
_TRUTH = re.compile(r"truth|(^|[\W_])(gts?|masks?|labels?|annot[a-z]*|seg[a-z]*)([\W_\d]|$)")


def role(name: str) -> tuple[str, str] | None:
    """The split that a folder's name stands for and its domain, ``"A"``, ``"B"`` or ``""``."""
    plain = _plain(name)
    if plain in _ROLE_OF:
        return _ROLE_OF[plain], ""
    if plain[-1:] in ("a", "b") and plain[:-1] in _ROLE_OF:
        return _ROLE_OF[plain[:-1]], plain[-1].upper()
    # In front, only what is set off: `B_test` and `A train`, but no `atrain`.
    if re.match(r"[ab][\W_]", name, re.IGNORECASE) and plain[1:] in _ROLE_OF:
        return _ROLE_OF[plain[1:]], plain[0].upper()
    return None


def _plain(name: str) -> str:
    """A name in lower case, without what only sets words off."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def letter(name: str) -> str | None:
    """The domain that a folder's name stands for: `A`, `domain_b`; `a` alone is a class."""
    found = re.fullmatch(r"domain[\W_]*([ab])", name, re.IGNORECASE)
    return found[1].upper() if found else name if name in ("A", "B") else None


def two_domains(names: Iterable[str]) -> dict[str, str] | None:
    """The letters of the folders of two domains, by their names; None where these are others.

    Folders of masks, and one named AB for images of both side by side, may lie beside them.
    """
    found = {name: own for name in names if (own := letter(name))}
    rest = (n for n in names if n not in found and not holds_truth(n) and _plain(n) != "ab")
    return found if sorted(found.values()) == ["A", "B"] and not any(rest) else None


def holds_truth(name: str) -> bool:
    """Whether a folder's name is one for masks: `ground_truth`, `GT`, `masks`, `labels`…"""
    return bool(_TRUTH.search(name.casefold()))


def almost(name: str) -> str | None:
    """The split that a name looks like without being one: `train2017`, `test_images`, `traning`."""
    if role(name):
        return None
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", unicodedata.normalize("NFKC", name)).casefold()
    words = re.findall(r"[^\W\d_]+", spaced)
    for word in words:
        for one in (word, word.removesuffix("s")):
            if one in _ROLE_OF:
                return _ROLE_OF[one]
    for word in words:
        same = (known for known in _ROLE_OF if len(known) > 3 and sorted(known) == sorted(word))
        near = difflib.get_close_matches(word, [k for k in _ROLE_OF if len(k) > 4], 1, 0.85)
        for known in (*same, *near):
            return _ROLE_OF[known]
    return None


@dataclass(frozen=True)
class Splits:
    """The sub-folders of a folder that are splits.

    Attributes:
        train: names of those that are trained on; empty where there are none.
        test: names of those that are not.
        domains: whether the letters A and B at their ends are the classes.
        left: names of further sub-folders, which are neither.
        note: what is taken for what, where the names do not say it plainly.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    domains: bool
    left: tuple[str, ...]
    note: str | None

    def of(self, split: str) -> tuple[str, ...]:
        """The names of one split's sub-folders."""
        return self.train if split == "train" else self.test


def find(folder: Path, names: Iterable[str]) -> Splits | None:
    """Tell splits from classes.

    Args:
        folder: that holds them, for messages.
        names: its sub-folders with images.

    Returns:
        the splits; None where no sub-folder is one, and so all are classes.

    Raises:
        NaqshError: some look like splits and others do not, or only almost.
    """
    names = sorted(names)
    roles = {name: found for name in names if (found := role(name))}
    others = [name for name in names if name not in roles and not holds_truth(name)]
    nearly = {name: like for name in others if (like := almost(name))}
    if not roles:
        if len(set(nearly.values())) > 1:
            raise NaqshError(
                f"{folder} has sub-folders that look almost like splits ({_list(nearly)}); name "
                "them train, val and test, or rename what are classes"
            )
        return None
    kinds = {kind for kind, _ in roles.values()}
    if nearly or (others and len(kinds) < 2):
        what = "looks almost like one" if nearly else "is none"
        raise NaqshError(
            f"{folder} has sub-folders with the names of splits ({_list(roles)}) beside "
            f"{_list(nearly or others)}, which {what}; name splits train, val and test, rename "
            "what are classes, and move the rest away"
        )
    domains = {domain for _, domain in roles.values()}
    if "" in domains and len(domains) > 1:
        raise NaqshError(
            f"{folder} has splits with and without a domain A or B ({_list(roles)}); keep one kind"
        )
    by_role = {kind: tuple(n for n in names if roles.get(n, ("",))[0] == kind) for kind in _NAMES}
    if by_role["test"]:
        train, test = by_role["train"] + by_role["val"], by_role["test"]
    else:
        train, test = by_role["train"], by_role["val"]
    left = tuple(name for name in names if name not in roles)
    return Splits(train, test, domains != {""}, left, _note(folder, train, test))


def _note(folder: Path, train: tuple[str, ...], test: tuple[str, ...]) -> str | None:
    if {*train, *test} <= {"train", "test", "trainA", "trainB", "testA", "testB"}:
        return None
    told = [f"the training split is {_list(train)}"] if train else ["there is no training split"]
    told += [f"the test split {_list(test)}"] if test else ["there is no test split"]
    return f"{folder.resolve().name}: {', '.join(told)}"


def _list(names: Iterable[str]) -> str:
    """Names for a line, the first few of many."""
    shown = list(names)
    more = f" and {len(shown) - 5} more" if len(shown) > 6 else ""
    return ", ".join(shown[:5] if more else shown) + more or "none"
