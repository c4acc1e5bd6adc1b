"""The CIFAR-C / ImageNet-C corruptions in torch, and white noise of any standard deviation."""

from repgeom.corruptions.corrupting import apply, corrupt, draw
from repgeom.corruptions.registry import names, strength
from repgeom.corruptions.seeds import Draws
from repgeom.corruptions.white_noise import CLIP_STD, IMAGENET_STD, add_noise, noise_rms

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
