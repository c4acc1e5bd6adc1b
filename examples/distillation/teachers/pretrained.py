"""CLIP and DINOv2 by transformers, from the hub or from a folder that holds a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repgeom.corruptions import CLIP_STD, IMAGENET_STD
from repgeom.models import check_weight_files, preprocessing_of, quiet_transformers

from .teacher import Preprocessing, Teacher, frozen, weights_digest

CLIP = "openai/clip-vit-base-patch32"
DINOV2 = "facebook/dinov2-small"  # S/14; facebook/dinov2-base is B/14
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def load_clip(path: str | None, device: torch.device | str) -> Teacher:
    """CLIP's image tower with its projection; any ViT. `path` is a folder or a name on the hub.

    Raises:
        ModuleNotFoundError: transformers is not installed.
        FileNotFoundError, OSError: no checkpoint in the folder; no such name, or no network; each says the way out.
    """
    name = path or CLIP
    model = _loaded("CLIPVisionModelWithProjection", name)
    size = model.config.image_size
    usual = Preprocessing(size, size, CLIP_MEAN, CLIP_STD)

    def encode(pixels: Tensor) -> Tensor:
        features: Tensor = model(pixel_values=pixels).image_embeds
        return features

    return _teacher("clip", name, model, encode, model.config.projection_dim, usual, device)


def load_dinov2(path: str | None, device: torch.device | str) -> Teacher:
    """DINOv2's class token after the last norm; S/14 by default. Arguments and errors as `load_clip`."""
    name = path or DINOV2
    model = _loaded("Dinov2Model", name)
    small = model.config.image_size < 224
    resize, crop = (model.config.image_size,) * 2 if small else (256, 224)
    usual = Preprocessing(resize, crop, IMAGENET_MEAN, IMAGENET_STD)

    def encode(pixels: Tensor) -> Tensor:
        features: Tensor = model(pixel_values=pixels).pooler_output
        return features

    return _teacher("dinov2", name, model, encode, model.config.hidden_size, usual, device)


def _teacher(
    kind: str, name: str, model: Any, encode: Any, width: int, usual: Preprocessing, device: torch.device | str
) -> Teacher:
    frozen(model, device)
    recipe = {"teacher": kind, "checkpoint": Path(name).name, "weights": weights_digest(model)}
    return Teacher(kind, encode, width, preprocessing_of(name, usual) or usual, pretrained=True, recipe=recipe)


def _loaded(kind: str, name: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ModuleNotFoundError(
            f"CLIP and DINOv2 need transformers, which is not installed ({error}): pip install 'repgeom[distill]'"
        ) from None
    folder = Path(name).expanduser()
    is_folder = folder.is_dir()
    if is_folder:
        missing = [what for what, there in _needed(folder) if not there]
        if missing:
            raise FileNotFoundError(
                f"{folder} is not a checkpoint: it has no {' and no '.join(missing)}. Save one there with "
                f"`python -c \"from transformers import {kind} as M; M.from_pretrained('NAME').save_pretrained('{folder}')\"`."
            )
        check_weight_files(folder)
    elif name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise FileNotFoundError(f"{name} is no folder, and no name on the hub either (those look like {CLIP}).")
    try:
        with quiet_transformers():
            # float32, whatever the checkpoint was saved in: rounding in half precision would end in every target.
            model, info = getattr(transformers, kind).from_pretrained(
                str(folder) if is_folder else name, dtype=torch.float32, output_loading_info=True
            )
        _check_whole(model, info, kind)
        return model
    # transformers and the hub raise many kinds.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        way_out = (
            "Is it a checkpoint of another kind of model?"
            if is_folder
            else f"Without a network, download it elsewhere (`hf download {name} --local-dir DIR`) and give --teacher-path DIR."
        )
        raise OSError(f"{name} could not be loaded as {kind} ({reason}). {way_out}") from None


def _check_whole(model: Any, info: dict[str, Any], kind: str) -> None:
    """What a checkpoint lacks, transformers draws at random: a teacher of noise, and another one each time."""
    missing = sorted(info["missing_keys"])
    # A whole CLIP also holds a text tower and a scale, which are not needed here.
    extra = [key for key in info["unexpected_keys"] if not key.startswith(("text_", "logit_scale"))]
    if missing or info.get("mismatched_keys"):
        raise ValueError(f"it lacks {len(missing) or 'some'} weights, such as {(missing or ['of another shape'])[0]}")
    if any("register" in key for key in extra):
        raise ValueError("it has register tokens, which this class would leave out")


def _needed(folder: Path) -> list[tuple[str, bool]]:
    weights = any((folder / file).is_file() for file in WEIGHTS)
    return [("config.json", (folder / "config.json").is_file()), ("weights (model.safetensors)", weights)]
