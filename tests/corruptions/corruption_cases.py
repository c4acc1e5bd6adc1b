"""Names of the corruptions, and a comparison of a sampled number with its expectation, for all tests of them."""

from repgeom import corruptions

NAMES = list(corruptions.names())
# Those that draw nothing.
STILL = [
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
    "saturate",
]


def within(value, mean, error, times=4):
    assert abs(value - mean) <= times * error, f"{value} is not within {times} x {error} of {mean}"
