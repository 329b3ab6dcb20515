"""The named data sets: what they are, whose terms they are under, and where their files are.

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

from naqsh.data.entry import Entry, idx_files, points, two_domains
from naqsh.io.download import File

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
        files=idx_files(
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
        files=idx_files(
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
    two_domains(
        "horse2zebra",
        (1067, 120),
        (1334, 140),
        (
            "horse2zebra",
            "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1",
            116_867_962,
        ),
    ),
    two_domains(
        "apple2orange",
        (995, 266),
        (1019, 248),
        (
            "apple2orange",
            "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8",
            78_456_409,
        ),
    ),
    two_domains(
        "summer2winter",
        (1231, 309),
        (962, 238),
        (
            "summer2winter_yosemite",
            "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9",
            132_640_856,
        ),
    ),
    two_domains(
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
    points("ring", 1.5, "8 Gaussians on a circle, sigma 0.01", _DIGITS[:8]),
    points("grid", 6.0, "25 Gaussians on a square grid, sigma 0.05", tuple(map(str, range(25)))),
    points("swiss-roll", 2.0, "a spiral, sigma 0.05"),
    points("moons", 3.0, "two half circles, sigma 0.05", ("upper", "lower")),
)

CATALOG: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
