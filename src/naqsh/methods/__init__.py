"""The methods, one module each: networks, an objective and a way to sample.

A module defines ``Spec`` (its hyperparameters, a :class:`naqsh.core.spec.MethodSpec`) and the
method itself. Its name is the ``kind`` in a recipe. Modules are found by name, so a new method is
one new file.
"""

import importlib
import pkgutil

from naqsh.core.errors import one_of
from naqsh.core.spec import MethodSpec


def names() -> list[str]:
    """The names of all methods."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def spec_class(kind: str) -> type[MethodSpec]:
    """The Spec of the method `kind`; raises NaqshError with the nearest name."""
    if kind not in names():
        raise one_of("method", kind, names())
    spec: type[MethodSpec] = importlib.import_module(f"{__name__}.{kind}").Spec
    return spec
