"""The methods, one module each: networks, an objective and a way to sample.

A module defines ``Spec`` (its hyperparameters, a :class:`naqsh.core.spec.MethodSpec`) and the
method itself. Its name is the ``kind`` in a recipe. Modules are found by name, so a new method is
one new file; modules of other packages are found too, see :mod:`naqsh.core.plugins`.
"""

import pkgutil

from naqsh.core import plugins
from naqsh.core.errors import one_of
from naqsh.core.spec import MethodSpec


def names() -> list[str]:
    """The names of all methods."""
    return sorted(_modules())


def spec_class(kind: str) -> type[MethodSpec]:
    """The Spec of the method `kind`; raises NaqshError with the nearest name."""
    known = _modules()
    if kind not in known:
        raise one_of("method", kind, sorted(known))
    spec: type[MethodSpec] = plugins.load(known[kind]).Spec
    return spec


def _modules() -> dict[str, str]:
    """Every method's module by the method's name; those of Naqsh come first."""
    others = {module.rpartition(".")[2]: module for module in plugins.modules("naqsh.methods")}
    own = {module.name: f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)}
    return others | own
