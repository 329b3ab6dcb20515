"""The sets of CycleGAN's paper: two domains each, in folders trainA, trainB, testA and testB."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

from naqsh.core.errors import NaqshError
from naqsh.data import archives, decoding, domain_folders, domains, folders
from naqsh.data.dataset import DataSet
from naqsh.data.domain_folders import Domains
from naqsh.data.entry import Entry
from naqsh.data.finding import Wanted, homes
from naqsh.io import aside

_PARTS = ("trainA", "trainB", "testA", "testB")


def read(wanted: Wanted) -> DataSet:
    """Both domains of a split, from a folder that is there or the published archive."""
    entry, split = wanted.entry, wanted.split
    found = _there(wanted) or _unpacked(wanted)
    data = domains.read(found, split, folders.Options(wanted.size, wanted.channels), entry.domains)
    published = (wanted.count, entry.second[split == "test"])
    assert data.second is not None
    side = decoding.header(found.of(split)[0][0]).width
    apart = ["another split"] if (len(data), len(data.second)) != published else []
    apart += [] if side == entry.shape[2] else [f"of {side} px"]
    name = f"{entry.name} ({', '.join(apart)})" if apart else entry.name
    return replace(data, name=name)


def _there(wanted: Wanted) -> Domains | None:
    """The set's folder in the first home that has one."""
    archive = Path(wanted.entry.files[0].name).stem
    for base in homes(wanted.home):
        for name in (wanted.entry.name, archive, f"{wanted.entry.name}/{archive}"):
            if all((base / name / part).is_dir() for part in _PARTS):
                return domain_folders.find(base / name)
    return None


def _unpacked(wanted: Wanted) -> Domains:
    """The folder that the archive holds, unpacked whole or not at all."""
    file = wanted.entry.files[0]
    archive = wanted.file(file.name)
    target = wanted.folder / Path(file.name).stem
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with aside.folder(target) as own:
            _unpack(archive, own / "new", wanted.entry, 2 * file.size)
            if not target.exists():  # another process may have been first
                (own / "new").rename(target)
    except OSError as error:
        raise NaqshError(
            f"{archive} cannot be unpacked into {target} ({error.strerror or error}); unpack it "
            "yourself and set NAQSH_DATA_HOME to the folder that holds its folder"
        ) from error
    found = domain_folders.find(target)
    assert found is not None
    return found


def _unpack(archive: Path, target: Path, entry: Entry, limit: int) -> None:
    counts = dict.fromkeys(_PARTS, 0)
    for part in _PARTS:
        (target / part).mkdir(parents=True)
    for name, content in archives.members(archive, _is_of_set, limit):
        path = PurePosixPath(name)
        (target / path.parent.name / path.name).write_bytes(content)
        counts[path.parent.name] += 1
    if not all(counts.values()):
        raise NaqshError(
            f"{archive} is no archive of {entry.name}: it has {counts['trainA']} images in trainA, "
            f"{counts['trainB']} in trainB, {counts['testA']} in testA and {counts['testB']} in "
            "testB; remove it and fetch it again"
        )


def _is_of_set(name: str) -> bool:
    """Whether a member of the archive is an image of the set."""
    path = PurePosixPath(name)
    is_image = path.suffix.lower() in decoding.SUFFIXES and not path.name.startswith(".")
    return is_image and path.parent.name in _PARTS
