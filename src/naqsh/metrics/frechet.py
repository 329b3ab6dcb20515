r"""The Frechet distance between two Gaussians, the heart of FID.

.. math:: d^2 = \lVert \mu_a - \mu_b \rVert^2 + \operatorname{tr} S_a + \operatorname{tr} S_b
          - 2 \operatorname{tr} (S_a S_b)^{1/2}.

The last term needs no matrix root. With any factors :math:`S_a = A A^T` and :math:`S_b = B B^T`,
the eigenvalues of :math:`S_a S_b` are the squared singular values of :math:`A^T B`, so that

.. math:: \operatorname{tr} (S_a S_b)^{1/2} = \lVert A^T B \rVert_* =
          \sum_i \sqrt{\lambda_i(A^T S_b A)}.

*From covariances*, A is the Cholesky factor and the eigenvalues are those of one symmetric matrix:
about a third of the work of two eigendecompositions and a twentieth of that of a general matrix
root. Squaring costs digits where eigenvalues are small: an error :math:`\delta` in :math:`\lambda`
is one of :math:`\delta / 2\sqrt\lambda`, at worst :math:`\sqrt\delta`, in its root. That sum is
computed beside the value, and where it is not negligible (near-singular covariances) the singular
values of :math:`A^T B` are taken from truncated eigendecompositions instead, which square nothing.

*From features*, with fewer images than features, the centred tables themselves are the factors:
:math:`\lVert X_c Y_c^T \rVert_* / \sqrt{(n-1)(m-1)}`, an n x m matrix instead of a d x d one,
without any rank-deficient covariance.

All of it is in float64: in float32 the distance is wrong in the third digit.

References:
    The Frechet distance between multivariate normal distributions (Dowson and Landau, 1982),
    Journal of Multivariate Analysis 12, equation 4.
    GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium (Heusel et
    al., 2017), arXiv:1706.08500, equation 6.
"""

import torch
from torch import Tensor

from naqsh.core.errors import NaqshError
from naqsh.metrics._arrays import Array, as_pair, as_tensor
from naqsh.metrics.moments import Moments

EPSILON = torch.finfo(torch.float64).eps
# The largest error, in parts of the sum of both traces, that the fast way may leave if all of its
# rounding errors conspire; they do not, and what is left is below a thousandth of this.
TOLERANCE = 1e-8


def frechet_distance(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """Squared Frechet distance between two Gaussians given by their moments; FID on features.

    Args:
        mean_a: shape (d,).
        cov_a: shape (d, d), symmetric and without negative eigenvalues.
        mean_b: shape (d,).
        cov_b: shape (d, d), as `cov_a`.

    Returns:
        a number >= 0; between equal moments zero to about 1e-11 of the traces.

    Raises:
        NaqshError: shapes that do not fit, numbers that are not finite, or a matrix that is no
            covariance.

    Example:
        >>> one, four = torch.tensor([[1.0]]), torch.tensor([[4.0]])
        >>> frechet_distance(torch.tensor([0.0]), one, torch.tensor([3.0]), four)
        10.0
    """
    m_a, s_a = _checked(mean_a, cov_a, "first")
    m_b, s_b = _checked(mean_b, cov_b, "second")
    if m_a.shape != m_b.shape:
        raise NaqshError(
            f"the first moments are of {len(m_a)} features, the second of {len(m_b)}; take both "
            "from the same feature extractor"
        )
    m_b, s_b = m_b.to(m_a.device), s_b.to(m_a.device)
    return _combine(m_a - m_b, s_a.trace(), s_b.trace(), _trace_of_root(s_a, s_b))


def frechet_distance_features(a: Array, b: Array) -> float:
    """Squared Frechet distance between Gaussians fitted to two tables of features.

    With fewer rows than columns in either table the singular values of the product of the centred
    tables are taken (0.2 s for 1,000 rows of 2,048 on two cores); otherwise the covariances.

    Args:
        a: features with shape (n, d), n >= 2.
        b: features with shape (m, d), m >= 2.

    Returns:
        a number >= 0.

    Raises:
        NaqshError: too few rows, different columns, or numbers that are not finite.
    """
    first, second = as_pair(a, b, names=("first features", "second features"))
    if min(len(first), len(second)) >= first.shape[1]:
        moments_a, moments_b = Moments.of(first), Moments.of(second)
        return frechet_distance(
            moments_a.mean, moments_a.covariance, moments_b.mean, moments_b.covariance
        )
    mean_a, factor_a = centred_factor(first)
    mean_b, factor_b = centred_factor(second)
    root = float(torch.linalg.svdvals(factor_a @ factor_b.T).sum())
    return _combine(mean_a - mean_b, factor_a.square().sum(), factor_b.square().sum(), root)


def centred_factor(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and a factor F of the covariance, F^T F = S, with at most d rows, in float64.

    The triangle of a QR decomposition replaces the table where it is smaller: it has the same
    singular values and, unlike the covariance, does not square them.
    """
    table = features.double()
    mean = table.mean(dim=0)
    factor = (table - mean) / (len(table) - 1) ** 0.5
    if len(factor) > factor.shape[1]:
        factor = torch.linalg.qr(factor, mode="r").R
    return mean, factor


def _combine(difference: Tensor, trace_a: Tensor, trace_b: Tensor, root: float) -> float:
    # Rounding may leave a hair below zero where both are equal; the distance is never negative.
    return max(0.0, float(difference.square().sum() + trace_a + trace_b) - 2 * root)


def _trace_of_root(s_a: Tensor, s_b: Tensor) -> float:
    factor, failed = torch.linalg.cholesky_ex(s_a)
    if not failed:
        squares = torch.linalg.eigvalsh(factor.T @ s_b @ factor)
        roots = squares.clamp(min=0).sqrt()
        # What eigvalsh may be off by (its backward error), carried through the square root.
        off = len(squares) ** 0.5 * EPSILON * squares.abs().max()
        error = torch.minimum(off / (2 * roots), off.sqrt()).sum()
        if error <= TOLERANCE * (s_a.trace() + s_b.trace()):
            return float(roots.sum())
    return float(torch.linalg.svdvals(_root(s_a).T @ _root(s_b)).sum())


def _root(covariance: Tensor) -> Tensor:
    """A factor A with A A^T = S from the eigenvalues that can be told from zero, shape (d, r)."""
    values, vectors = torch.linalg.eigh(covariance)
    noise = len(values) * EPSILON * values.abs().max()
    # Rounding in sums over images leaves eigenvalues a little below zero, never far below.
    if values[0] < -1e-6 * values.abs().max():
        raise NaqshError(
            f"a covariance has the eigenvalue {float(values[0]):.3g} beside "
            f"{float(values[-1]):.3g}; it must have none below zero: compute it in float64"
        )
    kept = values > noise
    root: Tensor = vectors[:, kept] * values[kept].sqrt()
    return root


def _checked(mean: Array, covariance: Array, which: str) -> tuple[Tensor, Tensor]:
    m, s = as_tensor(mean).double(), as_tensor(covariance).double()
    if m.ndim != 1 or s.shape != (len(m), len(m)) or len(m) == 0:
        raise NaqshError(
            f"the {which} mean has shape {tuple(m.shape)} and covariance {tuple(s.shape)}; "
            "they must be (d,) and (d, d)"
        )
    if not (torch.isfinite(m).all() and torch.isfinite(s).all()):
        raise NaqshError(f"the {which} mean or covariance holds NaN or infinity; see its features")
    if (s - s.T).abs().max() > 1e-6 * s.abs().max():
        raise NaqshError(f"the {which} covariance is not symmetric; is it a covariance?")
    return m, (s + s.T) / 2
