"""Ways from one image to another through their latents."""

import torch
from torch import Tensor


def ways(codes: Tensor) -> Tensor:
    """Straight ways between latents: the first and the last, the second and the last but one, …

    Args:
        codes: of N images, shape (N, ...).

    Returns:
        N // 2 ways one after the other, N latents on each with both ends, shape (N // 2 * N, ...).
    """
    count = len(codes)
    share = torch.linspace(0, 1, count, device=codes.device).view(-1, *(1,) * (codes.dim() - 1))
    return torch.cat([torch.lerp(codes[n], codes[-1 - n], share) for n in range(count // 2)])
