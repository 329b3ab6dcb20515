"""Whether translations hide what the way back needs, looked at after each stage.

Noise that is hardly seen is added to translations of some images before they go back. Where the way
back worsens by several times what such noise itself moves a pixel, it reads what nobody sees: a
message hidden in the translation (Chu, Zhmoginov and Sandler, 2017, arXiv:1712.02950), and the
cycle loss says little of what an image keeps. `naqsh evaluate` measures the same on many images.
"""

from collections.abc import Mapping
from typing import Any

import torch

from naqsh.core.abilities import Translates
from naqsh.core.noise import Noise, derive
from naqsh.core.thinning import evenly
from naqsh.data import DataSet, to_float
from naqsh.runs import records, translating
from naqsh.training.diagnosis import Said, say

LOOKED_AT = 10
"""Images of each domain."""


def look(
    method: Translates, data: DataSet, seed: int, device: torch.device
) -> dict[str, dict[str, float]]:
    """Errors of the way back in both domains; nothing where there is none.

    Args:
        method: in eval mode.
        data: images of both domains.
        seed: of the noise.
        device: where the method is.

    Returns:
        for ``stages.jsonl``: of each direction, by the domain translated to, the mean absolute
        difference in [0, 1] ``before`` noise is added and ``after``.
    """
    if data.second is None or {*method.directions} != {*translating.OTHER}:
        return {}
    found = {}
    for to in method.directions:
        images = data.second if to == "A" else data.images
        rows = evenly(len(images), LOOKED_AT)
        shown = to_float(torch.from_numpy(images[rows]).to(device), 0, 1)
        noise = Noise(derive(seed, "message", to), len(shown), device=device)
        errors = translating.there_and_back(method, shown, to, (0.0, records.NOTICED), noise)
        before, after = (round(float(error.mean()), 6) for error in errors)
        found[to] = {"before": before, "after": after}
    return found


def read(record: Mapping[str, Any]) -> list[Said]:
    """What to say of a stage, by its line of ``stages.jsonl``."""
    said = []
    for to, errors in record.get("message", {}).items():
        rise = records.rise(errors["before"], errors["after"])
        if rise > records.HIDDEN:
            said.append(say("hidden_message", f"message.to_{to.lower()}", rise))
    return said
