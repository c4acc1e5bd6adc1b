"""Ways to add rows up, from cheap to exact, and how far each can be trusted.

The first rows decide which one is used for all; the end checks it (see `SpectrumTally`):

1. half (GPU, half-precision rows): multiplied on the matrix units, added up in float32. Products of half-precision numbers
   are exact in float32. Only where the mean is not large, since it is taken off afterwards.
2. float32: rows times rows in float32, each piece added up in float64. Half the cost of 4 on a CPU and most GPUs; only for
   many rows whose spectrum is not steep.
3. deflated: the same for steep spectra, after leading directions were taken out of the rows; a fifth more work.
4. float64: a product squares the condition number, so singular values below about 3e-6 of the largest are not exact to
   1e-6. That is enough for every measure of the variances.
5. QR: nothing is squared.

GPUs of `FAST_FLOAT64` begin with 4: their matrix units multiply float64 as fast as other units multiply float32.
"""

from __future__ import annotations

import torch

METHODS = ("half", "float32", "deflated", "float64", "qr")

# Smallest over largest variance down to which a method is exact to 1e-6, with a margin of ten: first for measures of
# the variances, then for those that rest on the smallest singular values. Seen over flat, power-law, geometric and
# low-rank spectra with 8 million values and more: float32 products were off by 2e-7 at 1e-8 and by 1e-7 at 1e-4,
# float64 products by 1e-14 anywhere and by 1e-11 at 1e-11.
STEEPEST = {"half": (1e-3, 1e-3), "float32": (1e-8, 1e-4), "float64": (0.0, 1e-11), "qr": (0.0, 0.0)}

# Taking leading directions out of float32 rows leaves rounding of 1e-14 of the largest variance along every direction.
STEEPEST_DEFLATED = 1e-8

# Beyond this mean square over variance, float32 values lie on a grid so coarse that rounding in the sum is biased; half
# products are of rows that still have their mean.
LARGEST_MEAN = {"half": 0.5, "float32": 1e4}

# From so many features on it pays to take leading directions out, and float32 pays at all.
WIDE = 128

# Fewer values than this are added up in float64 at once: the time is short in any case.
FEW_VALUES = 1 << 23


# Compute capabilities of NVIDIA's A100 and H100 (with H200). On an H200 the product of 50,000 x 1,024 with itself took 1.8 ms
# in float64, 2.0 in float32, and 6 as exact sums of bfloat16. Other GPUs multiply float64 at half to a sixty-fourth the rate.
FAST_FLOAT64 = {(8, 0), (9, 0)}


def cheapest(n_values: int, n_features: int, dtype: torch.dtype, device: str = "cpu") -> str:
    """The first of `METHODS` that is worth a try for these rows."""
    narrow = n_features < WIDE and device == "cpu"
    # BLAS adds up narrow products one row after the other, whose rounding in float32 reached 6e-6 where values repeat.
    if n_values < FEW_VALUES or narrow or not multiplies_float32_whole(device):
        return "float64"
    if multiplies_float64_as_fast(device):
        return "float64"
    if device == "cuda" and dtype.itemsize == 2:
        return "half"
    return "float32" if dtype == torch.float32 else "float64"


def next_method(method: str, n_features: int) -> str | None:
    """The next more exact method that makes sense for these rows; None after the last."""
    for name in METHODS[METHODS.index(method) + 1 :]:
        if name != "deflated" or n_features >= WIDE:
            return name
    return None


def n_deflated(n_features: int) -> int:
    """How many directions are taken out of a steep spectrum: fewer would leave too many spectra steep."""
    return max(16, round(n_features / 64))


def multiplies_float32_whole(device: str = "cpu") -> bool:
    """Whether torch multiplies float32 in float32, and not in TF32 or bfloat16 as its user may have set."""
    try:
        whole = torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # the user has set it through the newer interface, and reading the old one is refused
        return False
    # On a CPU it is oneDNN that may multiply float32 in bfloat16. Older versions of torch have no such setting.
    backend = torch.backends.cuda if device == "cuda" else torch.backends.mkldnn
    newer = getattr(backend, "matmul", None)
    return whole and getattr(newer, "fp32_precision", "none") in ("none", "ieee")


def multiplies_float64_as_fast(device: str = "cpu") -> bool:
    """Whether torch's current GPU multiplies float64 about as fast as float32."""
    return device == "cuda" and torch.cuda.get_device_capability() in FAST_FLOAT64
