"""From a model to numbers: which layers it has, what they give for a loader, and the audit of each in one pass."""

from repgeom.models.checkpoints import Checkpoint, load_checkpoint
from repgeom.models.extract import extract_features
from repgeom.models.layers import layers
from repgeom.models.preprocessing import Preprocessing, center_cropped, preprocessing_of, resized
from repgeom.models.profile import LayerProfile, audit, layer_profile
from repgeom.models.weight_files import check_weight_files, quiet_transformers

__all__ = [
    "Checkpoint",
    "LayerProfile",
    "Preprocessing",
    "audit",
    "center_cropped",
    "check_weight_files",
    "extract_features",
    "layer_profile",
    "layers",
    "load_checkpoint",
    "preprocessing_of",
    "quiet_transformers",
    "resized",
]
