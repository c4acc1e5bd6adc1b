"""The published strengths of the nineteen corruptions, transcribed a second time, by hand, for the reference."""


def _zoom_factors(step: float, count: int) -> tuple[float, ...]:
    # The lists were made by np.arange(1, stop, step), whose increment is (1 + step) - 1. The last bits matter:
    # 50 * 1.01 is the tie 50.5, which rounds to even, whereas arange's factor gives a little more and rounds to 51.
    increment = (1 + step) - 1
    return tuple(1 + i * increment for i in range(count))


_ZOOM_SMALL: list = [_zoom_factors(0.01, count) for count in (7, 12, 16, 21, 26)]
_ZOOM_LARGE: list = [_zoom_factors(*row) for row in ((0.01, 12), (0.01, 16), (0.02, 11), (0.02, 13), (0.03, 11))]
_BRIGHTNESS_LARGE: list = [(0.1,), (0.2,), (0.3,), (0.4,), (0.5,)]
_CONTRAST_LARGE: list = [(0.4,), (0.3,), (0.2,), (0.1,), (0.05,)]
_FROST_LARGE: list = [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)]
_SATURATE_LARGE: list = [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)]
_SNOW_LARGE: list = [
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
]
_ELASTIC_LARGE: list = [(2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)]

# TABLES[strengths][corruption][severity - 1] holds the parameters of that severity.
TABLES: dict[str, dict[str, list]] = {
    "cifar": {
        "gaussian_noise": [(0.04,), (0.06,), (0.08,), (0.09,), (0.10,)],
        "shot_noise": [(500,), (250,), (100,), (75,), (50,)],
        "impulse_noise": [(0.01,), (0.02,), (0.03,), (0.05,), (0.07,)],
        "speckle_noise": [(0.06,), (0.10,), (0.12,), (0.16,), (0.20,)],
        "gaussian_blur": [(0.4,), (0.6,), (0.7,), (0.8,), (1,)],
        "defocus_blur": [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
        "glass_blur": [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
        "motion_blur": [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
        "zoom_blur": _ZOOM_SMALL,
        "snow": [
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ],
        "frost": [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)],
        "fog": [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
        "brightness": [(0.05,), (0.10,), (0.15,), (0.20,), (0.30,)],
        "contrast": [(0.75,), (0.5,), (0.4,), (0.3,), (0.15,)],
        "elastic_transform": [
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ],
        "pixelate": [(0.95,), (0.9,), (0.85,), (0.75,), (0.65,)],
        "jpeg_compression": [(80,), (65,), (58,), (50,), (40,)],
        "spatter": [
            (0.62, 0.1, 0.7, 0.7, 0.5, "water"),
            (0.65, 0.1, 0.8, 0.7, 0.5, "water"),
            (0.65, 0.3, 1, 0.69, 0.5, "water"),
            (0.65, 0.1, 0.7, 0.69, 0.6, "mud"),
            (0.65, 0.1, 0.5, 0.68, 0.6, "mud"),
        ],
        "saturate": [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)],
    },
    "imagenet": {
        "gaussian_noise": [(0.08,), (0.12,), (0.18,), (0.26,), (0.38,)],
        "shot_noise": [(60,), (25,), (12,), (5,), (3,)],
        "impulse_noise": [(0.03,), (0.06,), (0.09,), (0.17,), (0.27,)],
        "speckle_noise": [(0.15,), (0.20,), (0.35,), (0.45,), (0.60,)],
        "gaussian_blur": [(1,), (2,), (3,), (4,), (6,)],
        "defocus_blur": [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
        "glass_blur": [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
        "motion_blur": [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)],
        "zoom_blur": _ZOOM_LARGE,
        "snow": _SNOW_LARGE,
        "frost": _FROST_LARGE,
        "fog": [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)],
        "brightness": _BRIGHTNESS_LARGE,
        "contrast": _CONTRAST_LARGE,
        "elastic_transform": _ELASTIC_LARGE,
        "pixelate": [(0.6,), (0.5,), (0.4,), (0.3,), (0.25,)],
        "jpeg_compression": [(25,), (18,), (15,), (10,), (7,)],
        "spatter": [
            (0.65, 0.3, 4, 0.69, 0.6, "water"),
            (0.65, 0.3, 3, 0.68, 0.6, "water"),
            (0.65, 0.3, 2, 0.68, 0.5, "water"),
            (0.65, 0.3, 1, 0.65, 1.5, "mud"),
            (0.67, 0.4, 1, 0.65, 1.5, "mud"),
        ],
        "saturate": _SATURATE_LARGE,
    },
    "tiny": {
        "gaussian_noise": [(0.04,), (0.08,), (0.12,), (0.15,), (0.18,)],
        "shot_noise": [(250,), (100,), (50,), (30,), (15,)],
        "impulse_noise": [(0.01,), (0.02,), (0.05,), (0.08,), (0.14,)],
        "speckle_noise": [(0.15,), (0.20,), (0.25,), (0.30,), (0.35,)],
        "gaussian_blur": [(0.5,), (0.75,), (1,), (1.25,), (1.5,)],
        "defocus_blur": [(0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)],
        "glass_blur": [(0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)],
        "motion_blur": [(10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)],
        "zoom_blur": _ZOOM_SMALL,
        "snow": [
            (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
        ],
        "frost": [(1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)],
        "fog": [(0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)],
        "brightness": _BRIGHTNESS_LARGE,
        "contrast": _CONTRAST_LARGE,
        "elastic_transform": [
            (0, 0, 0.08),
            (0.05, 0.3, 0.06),
            (0.1, 0.08, 0.06),
            (0.1, 0.03, 0.03),
            (0.16, 0.03, 0.02),
        ],
        "pixelate": [(0.9,), (0.8,), (0.7,), (0.6,), (0.5,)],
        "jpeg_compression": [(65,), (58,), (50,), (40,), (25,)],
        "spatter": [
            (0.62, 0.1, 0.7, 0.7, 0.6, "water"),
            (0.65, 0.1, 0.8, 0.7, 0.6, "water"),
            (0.65, 0.3, 1, 0.69, 0.6, "water"),
            (0.65, 0.1, 0.7, 0.68, 0.6, "mud"),
            (0.65, 0.1, 0.5, 0.67, 0.6, "mud"),
        ],
        "saturate": [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)],
    },
    "inception": {
        "gaussian_noise": [(0.09,), (0.13,), (0.19,), (0.27,), (0.40,)],
        "shot_noise": [(50,), (20,), (10,), (5,), (3,)],
        "impulse_noise": [(0.04,), (0.07,), (0.10,), (0.18,), (0.28,)],
        "speckle_noise": [(0.16,), (0.21,), (0.36,), (0.46,), (0.61,)],
        "gaussian_blur": [(1.5,), (2.5,), (3.5,), (4.5,), (6.5,)],
        "defocus_blur": [(4, 0.1), (5, 0.5), (7, 0.5), (10, 0.5), (12, 0.5)],
        "glass_blur": [(0.8, 1, 3), (1, 3, 1), (1.1, 2, 4), (1.2, 4, 2), (1.6, 5, 2)],
        "motion_blur": [(12, 4), (17, 6), (17, 9), (17, 13), (22, 16)],
        "zoom_blur": _ZOOM_LARGE,
        "snow": _SNOW_LARGE,
        "frost": _FROST_LARGE,
        "fog": [(1.5, 2), (2, 2), (2.5, 1.8), (2.5, 1.6), (3, 1.5)],
        "brightness": _BRIGHTNESS_LARGE,
        "contrast": _CONTRAST_LARGE,
        "elastic_transform": _ELASTIC_LARGE,
        "pixelate": [(0.5,), (0.4,), (0.3,), (0.25,), (0.2,)],
        "jpeg_compression": [(23,), (16,), (13,), (8,), (5,)],
        "spatter": [
            (0.65, 0.3, 4, 0.69, 0.9, "water"),
            (0.65, 0.3, 3.5, 0.68, 0.9, "water"),
            (0.65, 0.3, 3, 0.68, 0.8, "water"),
            (0.65, 0.3, 1.2, 0.65, 1.8, "mud"),
            (0.67, 0.4, 1.2, 0.65, 1.8, "mud"),
        ],
        "saturate": _SATURATE_LARGE,
    },
}

# The elastic multipliers are fractions of these sizes, whatever the size of the image (244 is no slip of this file).
ELASTIC_SIZE = {"cifar": 32, "tiny": 64, "imagenet": 244, "inception": 360}
