"""What a distance is called: FID and KID are names of Inception's features alone.

A Frechet distance depends on its features as much as on the images: by those of an MNIST classifier
it is 0.25 where by Inception it is 4. So only by Inception, exactly as in pytorch-fid, is it called
FID (Heusel et al., 2017, arXiv:1706.08500), and the kernel distance, a squared maximum mean
discrepancy, KID (Binkowski et al., 2018, arXiv:1801.01401); by any other features both are called
by what they are, with the features beside them.
"""

INCEPTION = "inception"
"""The features by which the published names hold."""

PUBLISHED = {"frechet": "fid", "frechet_infinity": "fid_infinity", "kernel": "kid"}
"""What each distance is called by Inception's features, in files and commands."""

TITLES = {
    "frechet": "Fréchet distance",
    "frechet_infinity": "Fréchet distance, n → ∞",
    "kernel": "kernel distance",
    "fid": "FID",
    "fid_infinity": "FID, n → ∞",
    "kid": "KID",
}
"""In words."""

_KINDS = {published: kind for kind, published in PUBLISHED.items()}


def kind(name: str) -> str:
    """What a metric is, whatever the features: ``frechet`` for ``fid``, other names as they are."""
    return _KINDS.get(name, name)


def called(name: str, features: str) -> str:
    """What a metric is called by these features: ``fid`` by Inception's, else ``frechet``."""
    plain = kind(name)
    return PUBLISHED.get(plain, plain) if features == INCEPTION else plain


def title(name: str, features: str | None = None) -> str:
    """A metric in words, with the features that are part of what a distance is.

    Args:
        name: as :func:`called` gives it.
        features: None where they stand beside it anyway.
    """
    words = TITLES.get(name, name)
    return words if features is None or name not in PUBLISHED else f"{words} (features {features})"
