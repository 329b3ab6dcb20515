"""The named data sets: what they are, whose terms they are under, and where their files are.

Plain records, imported without NumPy or PyTorch, because ``naqsh list data`` should answer at once.
The checksums are the ones the authors (CIFAR-10, Fashion-MNIST) publish or, for MNIST, whose first
home no longer serves the files, the ones every mirror is checked against.

References:
    CUB-200-2011: The Caltech-UCSD Birds-200-2011 Dataset (Wah et al., 2011), CNS-TR-2011-001; its
    captions: Learning Deep Representations of Fine-Grained Visual Descriptions (Reed et al., 2016),
    arXiv:1605.05395.
    MNIST: LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/
    Fashion-MNIST (Xiao et al., 2017), arXiv:1708.07747.
    CIFAR-10: Learning Multiple Layers of Features from Tiny Images (Krizhevsky, 2009),
    https://www.cs.toronto.edu/~kriz/cifar.html
    dSprites (Matthey et al., 2017), https://github.com/google-deepmind/dsprites-dataset
    Digits: Alpaydin and Kaynak, UCI Machine Learning Repository, 1998.
    Capsule: MVTec AD, A Comprehensive Real-World Dataset for Unsupervised Anomaly Detection
    (Bergmann et al., 2019), CVPR, https://www.mvtec.com/company/research/datasets/mvtec-ad
    Horses and zebras, and the other sets of two domains: Unpaired Image-to-Image Translation using
    Cycle-Consistent Adversarial Networks (Zhu et al., 2017), ICCV, arXiv:1703.10593. Their authors
    publish no checksums; these and the counts are those of TensorFlow Datasets (`cycle_gan`).
    Points: the sets of PacGAN and VEEGAN, see :mod:`naqsh.data.points`.
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


def _idx_files(
    bases: tuple[str, ...], checksums: tuple[str, str, str, str], sizes: tuple[int, int, int, int]
) -> tuple[File, ...]:
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


def _two_domains(
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


def _points(name: str, extent: float, what: str, classes: tuple[str, ...] = ()) -> Entry:
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


_DIGITS = tuple("0123456789")

_ENTRIES = (
    Entry(
        name="digits",
        reader="digits",
        shape=(1, 16, 16),
        train=1500,
        test=297,
        classes=_DIGITS,
        licence="CC BY 4.0",
        how="comes with scikit-learn: no download (real 8x8 digits, enlarged to 16x16)",
    ),
    Entry(
        name="mnist",
        reader="mnist",
        shape=(1, 28, 28),
        train=60_000,
        test=10_000,
        classes=_DIGITS,
        licence="CC BY-SA 3.0",
        how="downloaded at first use, 12 MB",
        files=_idx_files(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
            (9_912_422, 28_881, 1_648_877, 4_542),
        ),
    ),
    Entry(
        name="fashion-mnist",
        reader="mnist",
        shape=(1, 28, 28),
        train=60_000,
        test=10_000,
        classes=(
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        licence="MIT",
        how="downloaded at first use, 31 MB",
        files=_idx_files(
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
            (26_421_880, 29_515, 4_422_102, 5_148),
        ),
    ),
    Entry(
        name="cifar10",
        reader="cifar10",
        shape=(3, 32, 32),
        train=50_000,
        test=10_000,
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        licence="for research; no licence is stated by its authors",
        how="downloaded at first use, 170 MB",
        files=(
            File(
                "cifar-10-binary.tar.gz",
                (
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
                ),
                "md5:c32a1d4ab5d03f1284b67883e8d87530",
                170_052_171,
            ),
            File(
                "cifar-10-python.tar.gz",
                (
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                    "https://cave.cs.toronto.edu/kriz/cifar-10-python.tar.gz",
                ),
                "md5:c58f30108f718f92721af3b95e74349a",
                170_498_071,
            ),
        ),
    ),
    Entry(
        name="dsprites",
        reader="dsprites",
        shape=(1, 64, 64),
        train=13_432,
        test=5000,
        classes=("square", "ellipse", "heart"),
        licence="rendered images: none needed; published file: Apache 2.0",
        how="orientation 0, 18,432 images in all; rendered unless the published file is there; the "
        "set has no test images of its own: 5,000 are drawn with a fixed seed and not trained on",
    ),
    Entry(
        name="dsprites-full",
        reader="dsprites",
        shape=(1, 64, 64),
        train=732_280,
        test=5000,
        classes=("square", "ellipse", "heart"),
        licence="rendered images: none needed; published file: Apache 2.0",
        how="all 40 orientations, 737,280 images in all, likewise; takes 3 GB of the cache's disk",
    ),
    Entry(
        name="capsule",
        reader="mvtec",
        shape=(3, 1000, 1000),
        train=219,
        test=132,
        classes=("good", "crack", "faulty_imprint", "poke", "scratch", "squeeze"),
        licence="CC BY-NC-SA 4.0",
        how="MVTec AD, for `naqsh detect`: trained on good ones alone; not downloaded, since its "
        "authors ask for a form: put the folder `capsule` into NAQSH_DATA_HOME",
    ),
    Entry(
        name="shapes",
        reader="shapes",
        shape=(3, 32, 32),
        train=20_000,
        test=2000,
        classes=(),
        licence="rendered images: none needed",
        how="rendered scenes of one or two coloured shapes with captions in English and Persian; "
        "five pairs of a colour and a shape are in test images alone",
        captions=4,
    ),
    Entry(
        name="textured-shapes",
        reader="textured",
        shape=(3, 32, 32),
        train=10_000,
        test=1000,
        classes=(),
        licence="rendered images: none needed",
        how="rendered scenes of two to four textured shapes, for `naqsh segment`: the mask of "
        "every object is known",
    ),
    Entry(
        name="cub",
        reader="cub",
        shape=(3, 64, 64),
        train=5994,
        test=5788,
        classes=(),
        licence="for non-commercial research and education",
        how="CUB-200-2011, birds of 200 species cut out by their boxes, ten captions each; not "
        "downloaded: put the folder `CUB_200_2011` and, beside it, the captions' folder `text` "
        "into NAQSH_DATA_HOME",
        captions=10,
        cut=(76, 64),
    ),
    _two_domains(
        "horse2zebra",
        (1067, 120),
        (1334, 140),
        (
            "horse2zebra",
            "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1",
            116_867_962,
        ),
    ),
    _two_domains(
        "apple2orange",
        (995, 266),
        (1019, 248),
        (
            "apple2orange",
            "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8",
            78_456_409,
        ),
    ),
    _two_domains(
        "summer2winter",
        (1231, 309),
        (962, 238),
        (
            "summer2winter_yosemite",
            "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9",
            132_640_856,
        ),
    ),
    _two_domains(
        "monet2photo",
        (1072, 121),
        (6287, 751),
        (
            "monet2photo",
            "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04",
            305_231_073,
        ),
    ),
    Entry(
        name="stacked-mnist",
        reader="stacked",
        shape=(3, 28, 28),
        train=60_000,
        test=10_000,
        classes=tuple(f"{label:03d}" for label in range(1000)),
        licence="CC BY-SA 3.0",
        how="three digits of MNIST as channels, 1,000 modes; made of its files from a fixed seed",
    ),
    _points("ring", 1.5, "8 Gaussians on a circle, sigma 0.01", _DIGITS[:8]),
    _points("grid", 6.0, "25 Gaussians on a square grid, sigma 0.05", tuple(map(str, range(25)))),
    _points("swiss-roll", 2.0, "a spiral, sigma 0.05"),
    _points("moons", 3.0, "two half circles, sigma 0.05", ("upper", "lower")),
)

CATALOG: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
