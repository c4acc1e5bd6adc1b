"""How many dimensions does each layer use? One pass over the data, batch by batch, with O(width²) memory per layer.

python -m repgeom_examples.layers_of_a_network
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

import repgeom as rg


def layer_spectra(network: nn.Sequential, batches: Iterable[Tensor]) -> dict[str, rg.Spectrum]:
    """The spectrum of every layer's output, by the layer's name."""
    names = [f"{i} {type(layer).__name__}" for i, layer in enumerate(network)]
    # "qr" because many directions of a wide layer can be near zero, and the σ-entropy below feels them.
    seen = {name: rg.SpectrumAccumulator(method="qr") for name in names}
    with torch.no_grad():
        for x in batches:
            for name, layer in zip(names, network, strict=True):
                x = layer(x)
                seen[name].update(x)
    return {name: accumulator.spectrum() for name, accumulator in seen.items()}


def main(steps: int = 300) -> None:
    """Prints the effective rank of each layer of the demo's encoder, trained for so many steps."""
    train, held_out, _, _ = rg.demo.digit_halves()
    network = rg.demo.train_encoder(train, rg.demo.info_nce, steps=steps)
    assert isinstance(network, nn.Sequential)
    for name, s in layer_spectra(network, held_out.split(128)).items():
        ranks = f"{float(rg.effective_rank(s)):6.2f} {float(rg.effective_rank(s, of='singular_values')):6.2f}"
        print(f"{name:12s} width {s.n_features:3d}  effective rank (σ², σ) {ranks}")


if __name__ == "__main__":
    main()
