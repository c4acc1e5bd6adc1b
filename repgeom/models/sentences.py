"""A sentence-transformers folder: its transformer, its own pooling, dense layers and normalisation, in its own order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repgeom.models.checkpoints import Checkpoint, check_model_folder, tokenizing, transformers_of, whole_model

_MODES = ("cls", "lasttoken", "max", "mean", "mean_sqrt_len")


class SentenceModel(nn.Module):
    """Tokens to one vector per text. Layers: `transformer...`, then each further module of the folder under its number and kind."""

    def __init__(self, transformer: nn.Module, parts: dict[str, nn.Module], truncate: int | None) -> None:
        super().__init__()
        self.transformer = transformer
        self.parts = nn.ModuleDict(parts)
        self.truncate = truncate

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **others: Tensor) -> Tensor:
        """Vectors (n, d) of texts."""
        tokens = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **others).last_hidden_state
        x: Any = tokens
        for part in self.parts.values():
            x = part(x, attention_mask) if isinstance(part, Pooling) else part(x)
        return x if self.truncate is None else x[..., : self.truncate]


class Pooling(nn.Module):
    """The pooling modes of a folder, side by side where there are several."""

    def __init__(self, modes: list[str]) -> None:
        super().__init__()
        self.modes = modes

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(n, d) for each mode from tokens (n, t, d), over what is not padding."""
        return torch.cat([_POOL[mode](tokens, mask.bool()) for mode in self.modes], 1)


def _sum(tokens: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask[..., None], tokens, tokens.new_zeros(())).sum(1)


def _first(tokens: Tensor, mask: Tensor) -> Tensor:
    return tokens[torch.arange(len(tokens), device=tokens.device), mask.to(torch.uint8).argmax(1)]


def _last(tokens: Tensor, mask: Tensor) -> Tensor:
    last = mask.shape[1] - 1 - mask.flip(1).to(torch.uint8).argmax(1)
    return tokens[torch.arange(len(tokens), device=tokens.device), last]


_POOL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "lasttoken": _last,
    "max": lambda tokens, mask: tokens.masked_fill(~mask[..., None], -torch.inf).amax(1),
    "mean": lambda tokens, mask: _sum(tokens, mask) / mask.sum(1, keepdim=True),
    "mean_sqrt_len": lambda tokens, mask: _sum(tokens, mask) / mask.sum(1, keepdim=True).to(tokens.dtype).sqrt(),
}


class Normalize(nn.Module):
    """Vectors to unit length."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, d) to (n, d)."""
        return F.normalize(x, dim=-1)


def load_sentence_model(folder: Path, dtype: torch.dtype) -> Checkpoint:
    """The model of a folder with `modules.json`. Raises ValueError for modules that are not supported, and as `load_checkpoint`."""
    transformers = transformers_of(str(folder))
    parts: dict[str, nn.Module] = {}
    transformer_folder = None
    for i, entry in enumerate(_read(folder / "modules.json")):
        kind, path = str(entry["type"]).rpartition(".")[2], folder / str(entry.get("path", ""))
        _check_inside(folder, path)
        if kind == "Transformer" and transformer_folder is None:
            transformer_folder = path
        elif kind == "Pooling":
            parts[f"{i}_pooling"] = Pooling(_modes(path))
        elif kind == "Dense":
            parts[f"{i}_dense"] = _dense(path, dtype)
        elif kind == "Normalize":
            parts[f"{i}_normalize"] = Normalize()
        else:
            raise ValueError(
                f"{folder} has a module of the kind {kind}, which is not supported (Transformer, Pooling, Dense, Normalize are)."
            )
    if transformer_folder is None or not any(isinstance(part, Pooling) for part in parts.values()):
        raise ValueError(f"{folder} has no Transformer followed by a Pooling in its modules.json.")
    check_model_folder(transformer_folder)
    settings = _settings(folder / "config_sentence_transformers.json")
    length = _settings(transformer_folder / "sentence_bert_config.json").get("max_seq_length")
    transformer: Any = whole_model(transformers, str(transformer_folder), dtype)
    if getattr(transformer.config, "is_encoder_decoder", False):
        transformer = transformer.get_encoder()
    model = SentenceModel(transformer, parts, settings.get("truncate_dim"))
    how = " → ".join(name.partition("_")[2] for name in parts)
    modes = ", ".join(mode for part in parts.values() if isinstance(part, Pooling) for mode in part.modes)
    return Checkpoint(
        model,
        folder.resolve().name,
        tokenizing(transformers, str(transformer_folder), length),
        "texts",
        (f"The model's own output: {how} (pooling: {modes}).",),
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}).") from None


def _settings(path: Path) -> dict[str, Any]:
    return dict(_read(path)) if path.is_file() else {}


def _check_inside(folder: Path, path: Path) -> None:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{folder / 'modules.json'} names {path}, which lies outside the folder.")


def _modes(path: Path) -> list[str]:
    settings = _settings(path / "config.json")
    if isinstance(settings.get("pooling_mode"), str):
        given = [settings["pooling_mode"].removesuffix("_tokens")]
    else:
        names = {
            f"pooling_mode_{mode}_token" if mode == "cls" else f"pooling_mode_{mode}_tokens": mode for mode in _MODES
        }
        names |= {"pooling_mode_lasttoken": "lasttoken", "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len"}
        given = [mode for mode in _MODES if any(settings.get(name) for name, its in names.items() if its == mode)]
    if not given or set(given) - set(_MODES):
        raise ValueError(
            f"{path / 'config.json'} asks for a pooling that is not supported; these are: {', '.join(_MODES)}."
        )
    return given


def _dense(path: Path, dtype: torch.dtype) -> nn.Module:
    from safetensors.torch import load_file

    settings = _settings(path / "config.json")
    layer = nn.Linear(settings["in_features"], settings["out_features"], bias=settings.get("bias", True))
    file = path / "model.safetensors"
    weights = load_file(file) if file.is_file() else torch.load(path / "pytorch_model.bin", weights_only=True)
    layer.load_state_dict({name.removeprefix("linear."): value for name, value in weights.items()})
    name = str(settings.get("activation_function", "Identity")).rpartition(".")[2]
    activation = getattr(nn, name, None)
    if activation is None:
        raise ValueError(f"{path / 'config.json'} asks for the activation {name}, which torch.nn does not have.")
    return nn.Sequential(layer, activation()).to(dtype)
