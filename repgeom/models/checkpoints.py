"""From a folder, a name or a function to a model that is ready for texts or images."""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from repgeom.models.preprocessing import Preprocessing, preprocessing_of
from repgeom.models.weight_files import CONFIG, check_weight_files, quiet_transformers

__all__ = ["Checkpoint", "load_checkpoint"]

MODULES = "modules.json"  # what marks a folder of sentence-transformers
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A model with what turns its raw input into batches.

    Attributes:
        model: the module.
        name: for titles.
        collate: a list of texts, or of uint8 images (3, h, w), to what the model takes.
        takes: "texts", "images", or "anything" for a model of the user's own.
        notes: what a reader of a report should know about how it was loaded.
    """

    model: nn.Module
    name: str
    collate: Callable[[Sequence[Any]], Any]
    takes: str
    notes: tuple[str, ...] = ()


def load_checkpoint(
    spec: str, *, device: str = "auto", dtype: torch.dtype = torch.float32, takes: str | None = None
) -> Checkpoint:
    """A model from a transformers folder, a sentence-transformers folder, a name on the hub, or a function.

    No code of a checkpoint is run: only classes that transformers has itself, and weights from safetensors or loaded as weights only.

    Args:
        spec: the folder; a name such as "org/model" where there is a network; or "package.module:function" of a function that takes
            no argument and gives an `nn.Module`, or the module and a collate function (a list of texts or images to a batch).
        device: "auto" (a GPU where there is one), or a name that torch knows.
        dtype: of the weights, and of the images. float32 by default, whatever they were saved in.
        takes: "texts" or "images", where a model takes either, such as CLIP: the tower for it, with its projection.

    Raises:
        FileNotFoundError: no such folder; a folder without a configuration or weights.
        ValueError: weights that the model needs are missing or of another shape; a kind that is not supported.
        ImportError: transformers is not installed; no such module or function.
        OSError: a name that cannot be fetched.

    >>> load_checkpoint("torch.nn:Flatten", device="cpu").model
    Flatten(start_dim=1, end_dim=-1)
    """
    where = _device(device)
    if ":" in spec and not os.path.exists(spec):
        found = _from_function(spec)
    else:
        folder = Path(spec).expanduser()
        if folder.is_dir() and (folder / MODULES).is_file():
            from repgeom.models.sentences import load_sentence_model

            found = load_sentence_model(folder, dtype)
        else:
            found = _from_transformers(spec, dtype, takes)
    found.model.eval().to(where)
    if dtype == torch.float32:
        return found
    found.model.to(dtype)
    return dataclasses.replace(found, collate=_in_type(found.collate, dtype))


def _in_type(collate: Callable[[Sequence[Any]], Any], dtype: torch.dtype) -> Callable[[Sequence[Any]], Any]:
    """The same with its floats in this type, as weights of this type need them."""

    def cast(content: Any) -> Any:
        if isinstance(content, Tensor):
            return content.to(dtype) if content.is_floating_point() else content
        if isinstance(content, Mapping):
            return {key: cast(value) for key, value in content.items()}
        if isinstance(content, (tuple, list)) and not hasattr(content, "_fields"):
            return type(content)(cast(value) for value in content)
        return content

    return lambda items: cast(collate(items))


def _is_weights(name: str) -> bool:
    return name.startswith(("model", "pytorch_model")) and name.endswith((".safetensors", ".bin", ".index.json"))


def _device(name: str) -> torch.device:
    if name != "auto":
        try:
            torch.empty(1, device=name)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ValueError(f"the device {name!r} cannot be used: {_first_line(error)}") from None
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


# A function of the user's own -------------------------------------------------------------------------------------


def _from_function(spec: str) -> Checkpoint:
    module_name, _, function_name = spec.partition(":")
    sys.path.insert(0, os.getcwd())  # where the user's own module lies
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ImportError(f"{spec}: {module_name} cannot be imported ({error}).") from None
    finally:
        sys.path.pop(0)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ImportError(f"{spec}: {module_name} has no function {function_name!r}.")
    try:
        given = function()
    except Exception as error:  # of the user's own code
        raise ValueError(f"{spec} failed: {type(error).__name__}: {_first_line(error)}") from error
    model, collate = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"{spec} gave a {type(model).__name__}; it must give an `nn.Module`, or the module and a collate function."
        )
    return Checkpoint(model, spec, collate or _stacked, "anything")


def _stacked(items: Sequence[Any]) -> Tensor:
    """Images of one size as a batch of floats in [0, 1]."""
    if not all(isinstance(item, Tensor) for item in items):
        raise ValueError("the function gave no collate function, and these are texts: return `(model, collate)`.")
    sizes = sorted({tuple(item.shape[1:]) for item in items})
    if len(sizes) > 1:
        raise ValueError(
            f"the function gave no collate function, and images differ in size ({sizes[0]}, {sizes[1]}): return `(model, collate)`, "
            "where collate brings a list of them to one size."
        )
    return torch.stack([item.float() / 255 for item in items])


# transformers -----------------------------------------------------------------------------------------------------


def transformers_of(what: str) -> Any:
    """The package, or an ImportError that says how to install it."""
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise ImportError(f"{what} needs transformers ({error}): `pip install 'repgeom[models]'`.") from None


def _from_transformers(spec: str, dtype: torch.dtype, takes: str | None) -> Checkpoint:
    transformers = transformers_of(spec)
    folder = Path(spec).expanduser()
    if not folder.is_dir() and (spec.startswith((".", "/", "~")) or spec.count("/") != 1):
        raise FileNotFoundError(
            f"{spec} is no folder, no name on the hub (such as org/model) and no package.module:function."
        )
    if folder.is_dir():
        check_model_folder(folder)
    model: Any = whole_model(transformers, spec, dtype)
    name = folder.resolve().name if folder.is_dir() else spec
    notes: tuple[str, ...] = ()
    if hasattr(model, "get_text_features") and hasattr(model, "get_image_features"):
        takes = takes or "texts"
        model = Tower(model, "get_text_features" if takes == "texts" else "get_image_features")
        notes = (f"The tower for {takes}, with its projection.",)
    elif getattr(model.config, "is_encoder_decoder", False) and _is_text(model):
        # A decoder needs a text of its own.
        model = model.get_encoder()
        notes = ("The encoder, without the decoder.",)
    if _is_text(model) and (_has_tokenizer(folder) or not folder.is_dir()):
        return Checkpoint(model, name, tokenizing(transformers, spec, None), "texts", notes)
    preprocessing = preprocessing_of(folder, _usual(model)) if folder.is_dir() else _usual(model)
    if preprocessing is not None and _is_image(model):
        return Checkpoint(model, name, _preprocessing(preprocessing), "images", notes)
    kind = type(model).__name__
    if not _is_text(model) and not _is_image(model):
        raise ValueError(
            f"{spec} holds a {kind}, which takes {model.main_input_name}; texts and images can be given. Write a function that "
            "gives `(model, collate)`, and name it as package.module:function."
        )
    needed = "tokenizer.json" if _is_text(model) else "preprocessor_config.json"
    raise FileNotFoundError(
        f"{spec} holds a {kind} and no {needed}: its input cannot be made. Save that beside the model."
    )


class Tower(nn.Module):
    """One side of a model of texts and images: what it gives for its input, projected into the common space.

    Args:
        model: with both sides.
        method: of the model, which takes the input of this side.
    """

    def __init__(self, model: Any, method: str) -> None:
        super().__init__()
        self.model = model
        self.config = model.config.vision_config if "image" in method else model.config.text_config
        self.main_input_name = "pixel_values" if "image" in method else "input_ids"
        self._method = method

    def forward(self, **batch: Tensor) -> Tensor:
        """(n, d) of texts or images."""
        given = getattr(self.model, self._method)(**batch)
        found: Tensor = given if isinstance(given, Tensor) else given.pooler_output
        return found


def check_model_folder(folder: Path) -> None:
    """Raises FileNotFoundError where a folder holds no configuration or no weights, and as `check_weight_files`."""
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"{folder} has no {CONFIG}: it holds no transformers model.")
    weights = [entry.name for entry in folder.iterdir() if _is_weights(entry.name)]
    if not weights:
        raise FileNotFoundError(
            f"{folder} has no weights (model.safetensors): save the model there with `save_pretrained`."
        )
    check_weight_files(folder)


def whole_model(transformers: Any, spec: str, dtype: torch.dtype) -> nn.Module:
    """The base model of a checkpoint, with all its weights.

    Raises ValueError where weights are missing: transformers would draw them at random and say so in its log alone.
    """
    options: dict[str, Any] = {"dtype": dtype, "output_loading_info": True, "trust_remote_code": False}
    with quiet_transformers():
        try:
            model, info = transformers.AutoModel.from_pretrained(spec, **options)
            missing = sorted(info["missing_keys"])
            if missing and all(key.startswith("pooler.") for key in missing):
                # A model that was trained to fill in words has no pooler, and its base class would make one up.
                model, info = transformers.AutoModel.from_pretrained(spec, add_pooling_layer=False, **options)
                missing = sorted(info["missing_keys"])
        except Exception as error:  # safetensors, tokenizers and transformers raise many kinds of their own
            raise OSError(f"{spec} cannot be loaded: {_first_line(error)}") from None
    wrong = [str(key) for key in info.get("mismatched_keys", ())]
    if missing or wrong:
        first = (missing or wrong)[0]
        raise ValueError(
            f"{spec} lacks {len(missing) or len(wrong)} weights that its {type(model).__name__} needs, such as {first}: they would be "
            "random. Save the whole model."
        )
    found: nn.Module = model
    return found


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _TOKENIZER)


def _is_text(model: nn.Module) -> bool:
    return getattr(model, "main_input_name", "") == "input_ids"


def _is_image(model: nn.Module) -> bool:
    return getattr(model, "main_input_name", "") == "pixel_values"


def _usual(model: nn.Module) -> Preprocessing | None:
    """The square that the configuration names, scaled as ImageNet is."""
    size = getattr(getattr(model, "config", None), "image_size", None)
    if not isinstance(size, int):
        return None
    return Preprocessing(size, size, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def tokenizing(transformers: Any, spec: str, max_length: int | None) -> Callable[[Sequence[str]], Any]:
    """A function from texts to a padded batch with its mask."""
    with quiet_transformers():
        tokenizer = transformers.AutoTokenizer.from_pretrained(spec, trust_remote_code=False)
    if tokenizer.pad_token is None:
        # Models that only continue texts have none; what stands there is masked.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    most = max_length or min(int(tokenizer.model_max_length), 1 << 20)

    def collate(texts: Sequence[str]) -> dict[str, Tensor]:
        made = tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt")
        return {key: value for key, value in made.items() if isinstance(value, Tensor)}

    return collate


def _preprocessing(preprocessing: Preprocessing) -> Callable[[Sequence[Tensor]], dict[str, Tensor]]:
    def collate(images: Sequence[Tensor]) -> dict[str, Tensor]:
        # Images differ in size until each has been cropped.
        sized = torch.cat([preprocessing.sized(image[None]) for image in images])
        return {"pixel_values": preprocessing.normalized(sized)}

    return collate
