"""Inception features: the 2048 numbers on which published FIDs are defined.

Weights are pytorch-fid's file, 96 MB. It is looked for under ``NAQSH_DATA_HOME/inception``, then in
the cache folder, and else downloaded; whatever its way, it must have the published checksum, since
a FID from other weights would be a number of its own.
"""

from pathlib import Path

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.io import foreign, places
from naqsh.io.download import DownloadError, File, fetch
from naqsh.metrics.features import network_fingerprint
from naqsh.networks.inception import Inception

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
PUBLISHED = File(FILE, (URL,), f"sha256:{SHA256}", size=96 << 20)
"""The file is of 95.6 MB; its exact size is not published."""


class InceptionFeatures:
    """The last pool of FID's Inception, as a feature extractor.

    Grey images are repeated over three channels, as pytorch-fid's conversion to RGB does.

    Args:
        network: with the published weights, as :func:`load_inception` returns it.
        device: where to compute.
    """

    name = "inception"
    dimension = Inception.dimension

    def __init__(self, network: Inception, device: str = "cpu") -> None:
        self.fingerprint = network_fingerprint(network, "bilinear 299", "[-1, 1]")
        self._device = torch.device(device)
        self._network = network.eval().to(self._device)

    def __call__(self, images: Tensor) -> Tensor:
        """Features of uint8 images (N, 1 or 3, H, W), float32 (N, 2048)."""
        channels = images.shape[1]
        if channels not in (1, 3):
            raise NaqshError(
                f"features 'inception' are of grey or RGB images, got {channels} channels; "
                "take --features pixels"
            )
        pictures = images.to(self._device).float() / 255
        features: Tensor = self._network(pictures.expand(-1, 3, -1, -1))
        return features


def load_inception() -> Inception:
    """FID's network with the published weights.

    Raises:
        NaqshError: the weights are neither here nor to be had, or are not the published ones.
    """
    path = _find() or _download()  # a user may have linked it to wherever it lies
    if foreign.sha256(path, within=path.resolve().parent) != SHA256:
        raise NaqshError(
            f"{path} is not the published file (its sha256 differs); delete it to download anew, "
            "or take --features mnist, digits or pixels"
        )
    network = Inception()
    # The file holds tensors alone; anything else in it is refused rather than executed.
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False)


def _find() -> Path | None:
    def found(home: Path) -> Path | None:
        path = home / "inception" / FILE
        return path if path.is_file() else None

    at_home = next(filter(None, map(found, places.data_homes(None))), None)
    return at_home or found(places.cache())


def _download() -> Path:
    folder = places.cache() / "inception"
    try:
        return fetch(PUBLISHED, folder)
    except DownloadError as error:
        raise NaqshError(
            f"cannot download the weights of features 'inception' ({error}); put {FILE} into "
            f"{folder}, or take other --features"
        ) from error
