"""What a run was run on: versions and hardware, without a word that names a person or a machine."""

import os
import platform
from importlib import metadata
from pathlib import Path

import torch

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "safetensors", "pillow")


def describe(device: torch.device, ranks: int) -> dict[str, str | int]:
    """Versions of the libraries, the processor, its threads, the device and the number of ranks."""
    about: dict[str, str | int] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "ranks": ranks,
    }
    return about | {name: metadata.version(name) for name in LIBRARIES}


def memory(device: torch.device) -> int | None:
    """Bytes of memory that a device has in all; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
