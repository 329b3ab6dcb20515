"""What is known of a named data set before any of it is read, and how sets of one kind say it.

Plain records, imported without NumPy or PyTorch, because ``naqsh list data`` should answer at once.
"""

from dataclasses import dataclass

from naqsh.io.download import File


@dataclass(frozen=True)
class Entry:
    """One named data set.

    Attributes:
        name: what the user types.
        shape: (C, H, W) of an image when no other size is asked for.
        train: number of training images.
        test: number of test images, none of which is a training image.
        classes: names of the labels, in their order.
        licence: the terms of use, in a few words.
        how: how it is had, in one line.
        reader: the module of `naqsh.data.sets` that reads it.
        files: what is downloaded; empty where nothing is.
        domains: the names of its two domains; empty where it has one. Then `train` and `test` are
            of the first.
        second: training and test images of the second.
        extent: of points, see :class:`naqsh.data.DataSet`; 0 for images.
        captions: sentences of each image; 0 where there are none.
        cut: with `data.crop`, the side of the images that training images are cut out of, and
            theirs, as the literature on the set has it; None is as for any set.
    """

    name: str
    shape: tuple[int, int, int]
    train: int
    test: int
    classes: tuple[str, ...]
    licence: str
    how: str
    reader: str
    files: tuple[File, ...] = ()
    domains: tuple[str, ...] = ()
    second: tuple[int, int] = (0, 0)
    extent: float = 0.0
    captions: int = 0
    cut: tuple[int, int] | None = None


def idx_files(
    bases: tuple[str, ...], checksums: tuple[str, str, str, str], sizes: tuple[int, int, int, int]
) -> tuple[File, ...]:
    """The four files of a set in MNIST's format: under which addresses, MD5 sums and sizes."""
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    return tuple(
        File(name, tuple(base + name for base in bases), "md5:" + checksum, size)
        for name, checksum, size in zip(names, checksums, sizes, strict=True)
    )


def two_domains(
    name: str,
    first: tuple[int, int],
    second: tuple[int, int],
    file: tuple[str, str, int],
) -> Entry:
    """An entry for a set of CycleGAN's paper; `file` is its archive: stem, SHA-256 and size."""
    stem, checksum, size = file
    bases = (
        "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/",
        "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/",
    )
    urls = tuple(f"{base}{stem}.zip" for base in bases)
    return Entry(
        name=name,
        reader="cyclegan",
        shape=(3, 256, 256),
        train=first[0],
        test=first[1],
        classes=(),
        licence="for research; no licence is stated by its authors",
        how=f"downloaded at first use, {size / 1e6:.0f} MB",
        files=(File(f"{stem}.zip", urls, f"sha256:{checksum}", size),),
        domains=tuple(name.split("2")),
        second=second,
    )


def points(name: str, extent: float, what: str, classes: tuple[str, ...] = ()) -> Entry:
    """An entry for points in the plane."""
    return Entry(
        name=name,
        reader="points",
        shape=(2, 1, 1),
        train=100_000,
        test=10_000,
        classes=classes,
        licence="made by Naqsh: none needed",
        how=f"{what}; made from a fixed seed, no download",
        extent=extent,
    )
