"""Inverse autoregressive flow: samples in one pass, densities in degree order.

The blocks of :mod:`naqsh.methods.maf` turned round. It learns by likelihood too: the inversion that
gives the density of an image has a gradient (:mod:`naqsh.flows.inversion`).

References:
    Improved Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
    arXiv:1606.04934.
    Masked Autoregressive Flow for Density Estimation (Papamakarios et al., 2017),
    arXiv:1705.07057, section 3.4: how the two are related.
"""

from dataclasses import dataclass

from naqsh.core.method import Method
from naqsh.core.spec import Layout
from naqsh.flows.method import FlowMethod
from naqsh.methods.maf import Common


@dataclass(frozen=True)
class Spec(Common):
    """Hyperparameters of an inverse autoregressive flow."""

    def build(self, layout: Layout) -> Method:
        """The method with fresh networks; labels are not used."""
        layers = self.layers(layout.shape, True)
        return FlowMethod(layout.shape, layers, self.logit, self.optimizer, layout.extent)
