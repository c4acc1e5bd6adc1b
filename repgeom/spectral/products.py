"""The arithmetic of sums of squares and products: in which precision, and what its rounding does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from repgeom.reading.tally import State

_FEWEST_IN_THREADS, _WIDEST_IN_THREADS = 8, 128  # matrices of a stack, and their columns


def largest_eigenvalue(matrix: Tensor) -> Tensor:
    """A lower bound, within some ten percent, by power iteration."""
    vector = _fixed_gaussian(matrix.shape[-1], 1, matrix)[:, 0]
    for _ in range(10):
        # A matrix of zeros leaves a vector of zeros, which must not become NaN.
        vector = vector / torch.linalg.vector_norm(vector).clamp(min=torch.finfo(matrix.dtype).tiny)
        vector = matrix @ vector
    return torch.linalg.vector_norm(vector)


def _fixed_gaussian(rows: int, columns: int, like: Tensor) -> Tensor:
    """Fixed Gaussian numbers."""
    # Its own generator leaves the user's random state alone. Drawn on the CPU, numbers are the same on all devices.
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(like)


def leading_directions(matrix: Tensor, count: int) -> Tensor:
    """Close to the leading eigenvectors (d, count), by subspace iteration."""
    vectors = _fixed_gaussian(len(matrix), count, matrix)
    # A few steps will do: what `Deflation` takes out it puts back, whatever the directions are.
    for _ in range(4):
        vectors = torch.linalg.qr(matrix @ vectors).Q
    return vectors


def mirrored(upper: Tensor) -> Tensor:
    """The symmetric matrix with this upper half, as a copy."""
    full = upper.clone()
    # Below the diagonal, `add_product` fills a part only; that is overwritten, not added to.
    for start in range(0, upper.shape[-1], 128):
        block, right = slice(start, start + 128), slice(start + 128, None)
        full[..., right, block] = upper[..., block, right].mT
        corner = upper[..., block, block].triu()
        full[..., block, block] = corner + corner.triu(1).mT
    return full


class Deflation:
    """Leading directions taken out of float32 rows: a float32 product of the rest then keeps a steep spectrum's tail.

    With rows X = Y + A Vᵀ, XᵀX = YᵀY + V AᵀY + (V AᵀY)ᵀ + V AᵀA Vᵀ, whatever the directions V are. Their own part AᵀA is
    multiplied in float64.

    Args:
        directions: V, (n_features, count).
    """

    def __init__(self, directions: Tensor) -> None:
        self.directions = directions.float()
        n_features, count = directions.shape
        # In float64 whatever the directions came in: a plan that another process follows holds them in float32.
        self.cross = directions.new_zeros(count, n_features, dtype=torch.float64)  # AᵀY
        self.core = directions.new_zeros(count, count, dtype=torch.float64)  # AᵀA

    def remove_from(self, rows: Tensor) -> None:
        """Leave Y where X was, in place, and add up what was taken out."""
        with torch.autocast(rows.device.type, enabled=False):
            along = rows @ self.directions
            rows.addmm_(along, self.directions.mT, alpha=-1)
            # Of the rows as they are now, without their leading part.
            self.cross += along.mT @ rows
            wide = along.double()
            self.core += wide.mT @ wide

    def restore(self, scatter: Tensor) -> None:
        """Make XᵀX of YᵀY, in place."""
        directions = self.directions.double()
        # V AᵀA Vᵀ is its own transpose, so half of it stands in either half.
        half = directions @ (self.cross + self.core @ directions.mT / 2)
        scatter += half
        scatter += half.mT

    def merge(self, other: Deflation) -> None:
        """Add what another one of the same directions took out."""
        self.cross += other.cross
        self.core += other.core

    def state(self) -> State:
        return {"directions": self.directions, "cross": self.cross, "core": self.core}

    @classmethod
    def from_state(cls, state: State) -> Deflation:
        made = cls(state["directions"])
        made.cross, made.core = state["cross"], state["core"]
        return made


def half_product(rows: Tensor) -> Tensor:
    """rowsᵀ rows of half-precision rows, exact products added up in float32: on a GPU by its matrix units.

    Such numbers lie on a coarse grid, on which rounding does not average out; 128 rows at a time keep it below 1e-6.
    """
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64, device=rows.device)
    with torch.autocast(rows.device.type, enabled=False):
        for block in rows.split(128):
            if rows.is_cuda and "dtype" in torch.ops.aten.mm.overloads():  # torch 2.8 and newer
                total += torch.mm(block.mT, block, out_dtype=torch.float32)
            else:
                total += block.float().mT @ block.float()
    total.diagonal().copy_(_sums_of_squares(rows))
    return total


def add_product(total: Tensor, rows: Tensor) -> None:
    """Adds rowsᵀ rows, multiplied in the rows' own precision, to float64 `total`, on and above its diagonal blocks.

    Sums of squares do not change sign, so their rounding in float32 does not average out where values repeat (signs, whole
    numbers, zeros of a ReLU): up to 5e-6 in a rank. They are therefore added up in float64, which costs a tenth.
    """
    d = rows.shape[-1]
    step = max(128, -(-d // 8))  # narrow enough to leave out most of the lower half, wide enough for full speed
    squares = _sums_of_squares(rows) if rows.dtype == torch.float32 else None
    with torch.autocast(rows.device.type, enabled=False):  # which would multiply float32 in half precision, unasked
        for start in range(0, d, step):
            block = slice(start, start + step)
            product = rows[..., block].mT @ rows[..., start:]
            total[..., block, start:] += product
            if squares is not None:
                total.diagonal()[block] += squares[block] - product.diagonal()


def _sums_of_squares(rows: Tensor) -> Tensor:
    """Sums of squares of columns, float64, in blocks that stay in the cache."""
    step = 128 if rows.device.type == "cpu" else len(rows)
    return torch.stack([block.double().square_().sum(0) for block in rows.split(step)]).sum(0)


def triangular_root(rows: Tensor) -> Tensor:
    """The triangular R with RᵀR = rowsᵀ rows, without the cascade of ever smaller rounding that low rank leaves in it.

    That runs into denormal numbers, on which a 2,048-wide SVD takes a minute; 1e-30 of the largest entry is far below
    what float64 can tell from zero.
    """
    root = torch.linalg.qr(rows, mode="r").R
    least = 1e-30 * root.abs().amax((-2, -1), keepdim=True)
    return torch.where(root.abs() < least, 0, root)


def eigenvalues(scatter: Tensor) -> Tensor:
    """Eigenvalues, descending, not below zero."""
    # Only the upper half is filled. An eigenvalue that is zero may come out a little below.
    solve = eigvalsh_in_threads if _is_stack_of_small(scatter) else torch.linalg.eigvalsh
    return solve(scatter, UPLO="U").flip(-1).clamp(min=0)


def _is_stack_of_small(scatter: Tensor) -> bool:
    """Whether a GPU would take longer than the CPU: it decomposes small matrices one after the other.

    On an H200 that takes 0.33 ms for 64 x 64, and on one core of a CPU 0.13 ms. From some hundred columns on the GPU is faster.
    """
    many = scatter.shape[:-2].numel() >= _FEWEST_IN_THREADS and scatter.shape[-1] <= _WIDEST_IN_THREADS
    return scatter.is_cuda and many and not scatter.requires_grad


def eigvalsh_in_threads(stack: Tensor, UPLO: Literal["L", "U"] = "L") -> Tensor:
    """`torch.linalg.eigvalsh` of a stack on a GPU, by all cores of the CPU."""
    # By NumPy: torch's own threads would stand in each other's way at this size.
    matrices = stack.flatten(0, -3).cpu().numpy()
    threads = min(torch.get_num_threads(), len(matrices))
    with ThreadPoolExecutor(threads) as pool:
        parts = pool.map(lambda part: np.linalg.eigvalsh(part, UPLO=UPLO), np.array_split(matrices, 4 * threads))
        found = np.concatenate([part for part in parts if len(part)])
    return torch.from_numpy(found).to(stack.device).unflatten(0, stack.shape[:-2])


def eigenvectors(scatter: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, descending, not below zero, and their directions as columns."""
    # In units of the largest entry, so that no square inside the solver leaves the range of floats.
    largest = scatter.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
    unit = torch.where(largest > 0, largest, 1)
    squares, vectors = torch.linalg.eigh(scatter / unit, UPLO="U")
    return squares.flip(-1).clamp(min=0) * unit[..., 0], vectors.flip(-1)


def known_zeros(squares: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """Sets what must be zero (beyond `rank`) to zero; smallest over largest of the rest, 1 where nothing varies."""
    squares = torch.where(torch.arange(squares.shape[-1], device=squares.device) < rank[..., None], squares, 0)
    last = squares.gather(-1, (rank[..., None] - 1).clamp(min=0))[..., 0]
    first = squares[..., 0]
    # The inner `where` matters for gradients: that of a division by zero is NaN, also in the branch that is not taken.
    return squares, torch.where(first > 0, last / torch.where(first > 0, first, 1), 1.0)


def in_range(largest: Tensor, method: str) -> Tensor:
    """Whether the squares neither over- nor underflowed."""
    # Float32 ends near 1e-38 and 3e38, float64 near 1e-308 and 1e308; the margin is for smaller variances and for sums.
    least, most = (1e-20, 1e30) if method in ("float32", "half") else (1e-250, 1e300)
    return (largest > least) & (largest < most)


def resized(values: Tensor, length: int) -> Tensor:
    """Cut, or filled up with zeros: a triangular root may have fewer rows than there are singular values, or more."""
    return torch.nn.functional.pad(values[..., :length], (0, max(0, length - values.shape[-1])))
