"""Which array of a file is read: lists of batches joined on request, and the only matrix among vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch as safetensors_torch
import torch
from stored_files import rows, whole

import repgeom as rg
from repgeom.data.files import open_source, read_labels

Save = Callable[[Path, dict[str, np.ndarray]], None]


def save_h5(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with pytest.importorskip("h5py").File(path, "w") as file:
        for name, x in arrays.items():
            file[name] = x


def save_zarr(path: Path, arrays: dict[str, np.ndarray]) -> None:
    group = pytest.importorskip("zarr").create_group(path)
    for name, x in arrays.items():
        group.create_array(name, data=x)


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(x) for name, x in arrays.items()}


KINDS: dict[str, Save] = {
    "x.npz": lambda path, arrays: np.savez(path, **arrays),
    "compressed.npz": lambda path, arrays: np.savez_compressed(path, **arrays),
    "x.pt": lambda path, arrays: torch.save(tensors(arrays), path),
    "x.safetensors": lambda path, arrays: safetensors_torch.save_file(tensors(arrays), path),
    "x.h5": save_h5,
    "x.zarr": save_zarr,
}
by_kind = pytest.mark.parametrize("kind", KINDS)


def batches(n: int = 12) -> list[np.ndarray]:
    """Batches of different length, more than ten of them."""
    return [rows(n=3 + i % 2, seed=i) for i in range(n)]


@by_kind
def test_batches_are_joined_on_request(tmp_path: Path, kind: str) -> None:
    parts = batches()
    KINDS[kind](tmp_path / kind, {f"arr_{i}": x for i, x in enumerate(parts)} | {"y": np.arange(5)})
    with pytest.raises(ValueError, match=r"several arrays: arr_0 .*or join them, row after row, with `--key '\*'`"):
        open_source(tmp_path / kind)
    source = open_source(tmp_path / kind, key="*")
    np.testing.assert_array_equal(whole(source), np.concatenate(parts))
    np.testing.assert_array_equal(source.read(5, 20).numpy(), np.concatenate(parts)[5:20])
    assert source.notes == ("joined 12 arrays: arr_0, arr_1, arr_2, arr_3 and 8 more; left out y ((5,), int64)",)
    np.testing.assert_array_equal(
        whole(open_source(tmp_path / kind, key="arr_1*")), np.concatenate([parts[1], *parts[10:]])
    )


@pytest.mark.parametrize("as_kind", [list, tuple])
def test_a_list_of_tensors_is_joined_on_request(tmp_path: Path, as_kind: type) -> None:
    parts = batches()
    torch.save(as_kind(map(torch.from_numpy, parts)), tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"several arrays: 0 .*`--key '\*'`"):
        open_source(tmp_path / "x.pt")
    np.testing.assert_array_equal(whole(open_source(tmp_path / "x.pt", key="*")), np.concatenate(parts))


@by_kind
def test_arrays_of_other_widths_are_not_joined(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / kind, {"a0": rows(d=3), "a1": rows(d=4), "b": rows(d=3), "n": np.arange(3)})
    with pytest.raises(ValueError, match=r"different width that match '\*': a0 \(\(11, 3\), float32\), a1 \(\(11, 4\)"):
        open_source(tmp_path / kind, key="*")
    with pytest.raises(ValueError, match=r"several arrays") as error:
        open_source(tmp_path / kind)
    assert "join them" not in str(error.value)
    with pytest.raises(ValueError, match=r"no array of n_samples x n_features that matches 'n\*'\. It holds a0"):
        open_source(tmp_path / kind, key="n*")


def test_joining_is_not_offered_where_names_mean_different_things(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", teacher=rows(), student=rows(seed=1))
    with pytest.raises(ValueError, match="several arrays") as error:
        open_source(tmp_path / "x.npz")
    assert "join them" not in str(error.value)


@pytest.mark.parametrize("kinds", [("float16", "float32"), ("float32", "int64")])
def test_batches_of_several_dtypes_are_promoted(tmp_path: Path, kinds: tuple[str, str]) -> None:
    parts = [np.ones((2, 2), kind) for kind in kinds]
    np.savez(tmp_path / "x.npz", *parts)
    source = open_source(tmp_path / "x.npz", key="*")
    assert {source.read(i, i + 1).dtype for i in range(4)} == {source.dtype}


@by_kind
def test_the_only_matrix_among_vectors_is_read(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / kind, {"emb": rows(), "y": np.arange(11), "step": np.array(3)})
    source = open_source(tmp_path / kind)
    np.testing.assert_array_equal(whole(source), rows())
    (note,) = source.notes
    assert note.startswith("read emb; left out ")
    assert "y ((11,), int64)" in note
    assert open_source(tmp_path / kind, key="emb").notes == ()
    report = rg.audit(str(tmp_path / kind))
    assert "read emb; left out" in report.to_json()


@by_kind
def test_beside_another_matrix_or_a_stack_it_is_asked(tmp_path: Path, kind: str) -> None:
    for i, other in enumerate((rows(d=5), np.zeros((2, 3, 4), "float32"))):
        path = tmp_path / f"{i}{kind}"
        KINDS[kind](path, {"emb": rows(), "other": other})
        with pytest.raises(ValueError, match="several arrays"):
            open_source(path)


def test_labels_are_never_guessed(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", emb=rows(), y=np.arange(11))
    with pytest.raises(ValueError, match=r"several arrays.*--labels-key NAME"):
        read_labels(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", *[np.arange(i, i + 2) for i in range(11)])
    assert read_labels(tmp_path / "y.npz", key="*").tolist() == [j for i in range(11) for j in (i, i + 1)]


def test_a_file_of_many_tensors_is_loaded_once_a_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save([torch.from_numpy(x) for x in batches(100)], tmp_path / "x.pt")
    source = open_source(tmp_path / "x.pt", key="*")
    plain, loads = torch.load, []
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: loads.append(1) or plain(*args, **kwargs))
    for _ in range(2):
        whole(source)
    assert len(loads) <= 1
