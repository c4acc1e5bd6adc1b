"""The CIFAR-C / ImageNet-C corruptions in torch, and noise at a level of one's own."""

from repgeom.corruptions.family import apply, corrupt, draw, names, strength
from repgeom.corruptions.levels import CLIP_STD, IMAGENET_STD, add_noise, noise_rms
from repgeom.corruptions.seeds import Draws

__all__ = [
    "CLIP_STD",
    "IMAGENET_STD",
    "Draws",
    "add_noise",
    "apply",
    "corrupt",
    "draw",
    "names",
    "noise_rms",
    "strength",
]
