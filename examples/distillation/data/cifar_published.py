"""Are these the published files of CIFAR? Their MD5 sums, from the page of the data sets and from the archives' content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

ARCHIVE_SUMS = {
    "cifar10": ("c58f30108f718f92721af3b95e74349a", "c32a1d4ab5d03f1284b67883e8d87530"),  # python, binary
    "cifar100": ("eb9058c3a382ffc7106e4002c42a8d85", "03b5dce01913d631647c71ecec9e9cb8"),
}
FILE_SUMS = {
    "cifar10": {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
    "cifar100": {
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
}


def md5(content: bytes) -> str:
    """The sum by which the files were published; it guards against mistakes, not against attackers."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def is_published(name: str, archive_sum: str | None, read: Callable[[str], bytes], files: Sequence[str]) -> bool:
    """Whether the archive, or else each of the files that were read, is as published.

    Of the binary version only the archive has a published sum: its files alone cannot be told.
    """
    if archive_sum in ARCHIVE_SUMS[name]:
        return True
    return all(md5(read(file)) == FILE_SUMS[name].get(file) for file in files)
