"""What features are for: a verdict speaks of one purpose."""

from __future__ import annotations

TRANSFER, CLASSIFY, RETRIEVE, GENERATE = "transfer", "classify", "retrieve", "generate"
PURPOSES = {
    TRANSFER: "other models or probes will be built on them",
    CLASSIFY: "they tell the classes that they were trained on, for which K classes need K − 1 dimensions",
    RETRIEVE: "their nearest neighbours are looked up",
    GENERATE: "a decoder or sampler reads them",
}
EVERY = tuple(PURPOSES)
BROAD = (TRANSFER, RETRIEVE, GENERATE)  # those that live on many dimensions


def check_purpose(purpose: str) -> str:
    """Return the purpose. Raises ValueError for one that there is not."""
    if purpose not in PURPOSES:
        known = ", ".join(f"{name!r} ({meaning})" for name, meaning in PURPOSES.items())
        raise ValueError(f"`purpose` must be one of {known}; got {purpose!r}.")
    return purpose
