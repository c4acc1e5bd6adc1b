"""A small vision transformer (Dosovitskiy et al. 2021) on PyTorch's own attention kernel.

Images enter by a convolutional stem instead of one patch projection (Xiao et al. 2021): with it a small ViT learns in
minutes what would else take it hours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Pixels per side that become one token: the strides 1, 2, 2, 2 of the stem multiplied.
PATCH = 8


class Block(nn.Module):
    """Attention and an MLP, each on normalised tokens and added to them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(b, t, width) to the same."""
        b, t, width = tokens.shape
        split = self.qkv(self.attention_norm(tokens)).reshape(b, t, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v)
        tokens = tokens + self.out(seen.transpose(1, 2).reshape(b, t, width))
        return tokens + self.mlp(self.mlp_norm(tokens))


class VisionTransformer(nn.Module):
    """Normalised images (b, 3, h, w) to tokens (b, h w / 64, width), in reading order, after the last norm.

    h and w are multiples of 8; another size than `size` takes interpolated positions, as in multi-crop.
    """

    def __init__(self, *, size: int, width: int, depth: int, heads: int = 4) -> None:
        super().__init__()
        channels = (
            (3, width // 4, 1),
            (width // 4, width // 4, 2),
            (width // 4, width // 2, 2),
            (width // 2, width, 2),
        )
        layers: list[nn.Module] = []
        for before, after, stride in channels:
            # No bias: the norm that follows would subtract it.
            layers += [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.stem = nn.Sequential(*layers, nn.Conv2d(width, width, 1))
        self.positions = nn.Parameter(0.02 * torch.randn(1, width, size // PATCH, size // PATCH))
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        # Convolutions run faster with channels last in memory.
        patches = self.stem(images.contiguous(memory_format=torch.channels_last))
        tokens = (patches + self._positions(patches.shape[-2:])).flatten(2).mT
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def _positions(self, grid: torch.Size) -> Tensor:
        if grid == self.positions.shape[-2:]:
            return self.positions
        return F.interpolate(self.positions, size=tuple(grid), mode="bilinear", align_corners=False)
