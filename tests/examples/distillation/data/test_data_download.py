"""Downloading by torchvision, where it works and where it does not."""

import sys
import types
from urllib.error import URLError

import pytest

from repgeom_examples.distillation.data.cifar import download
from repgeom_examples.distillation.data.load import load_dataset
from repgeom_examples.distillation.settings.configs import Setting

from ..cifar_files import cifar_files, read_is, write_folder


def fake_torchvision(monkeypatch, **sets):
    datasets = types.SimpleNamespace(**({"CIFAR10": None, "CIFAR100": None} | sets))
    package = types.ModuleType("torchvision")
    package.datasets = datasets
    monkeypatch.setitem(sys.modules, "torchvision", package)


def needs_torchvision(tmp_path):
    with pytest.raises(ModuleNotFoundError, match="needs a working torchvision") as caught:
        download("cifar10", tmp_path)
    assert f"curl --create-dirs -o {tmp_path}/cifar-10-python.tar.gz https://" in str(caught.value)
    return str(caught.value)


def test_download_without_torchvision(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    needs_torchvision(tmp_path)


@pytest.mark.parametrize("error", ["RuntimeError", "OSError", "ImportError", "AttributeError"])
def test_download_with_a_torchvision_of_another_torch(error, tmp_path, monkeypatch):
    """RuntimeError at the first import; AttributeError is what a torchvision that is half imported raises."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(f"raise {error}('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "operator torchvision::nms does not exist" in needs_torchvision(tmp_path)


def test_download_without_a_network(tmp_path, monkeypatch):
    def fail(root, *, download):
        raise URLError("no route")

    fake_torchvision(monkeypatch, CIFAR100=fail)
    with pytest.raises(OSError, match=r"cifar100 could not be downloaded \(.*no route.*curl .*cifar-100-python.tar.gz"):
        download("cifar100", tmp_path)


@pytest.mark.parametrize("place", ["data", "~/data"])
def test_what_was_downloaded_is_what_is_read(place, rng, tmp_path, monkeypatch):
    files, expected = cifar_files("cifar10", False, rng)

    def fetch(root, *, download):
        assert download
        write_folder(type(tmp_path)(root) / "cifar-10-batches-py", files)

    fake_torchvision(monkeypatch, CIFAR10=fetch)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    read_is(load_dataset(Setting("clip", "cifar10", data_path=place), downloading=True), "cifar10", expected)
