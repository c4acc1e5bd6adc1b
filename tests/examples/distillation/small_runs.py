"""A small grid on a planted teacher, run from the command line, and how two runs are compared."""

import json
import os

import torch

from repgeom_examples.distillation import cli, stored
from repgeom_examples.distillation.settings import configs
from repgeom_examples.distillation.students import terms

SMALL = configs.Training(epochs=2, batch_size=8)


PLANTED = '''
import dataclasses, os, time
import torch
from repgeom_examples.distillation import stored
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher

def make(path, device, scale=1.0):
    weight = torch.randn(24, 768, generator=torch.Generator().manual_seed(0)).to(device) / 16
    encode = lambda x: scale * torch.tanh(x.flatten(1) @ weight.T)
    sizes = Preprocessing(16, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Teacher("planted", encode, 24, sizes, pretrained=False, recipe={"planted": scale})

def other(path, device):
    return torch.zeros(3)

def narrow(path, device):
    return dataclasses.replace(make(path, device), encode=lambda x: x.mean((1, 2, 3))[:, None], recipe={})

def single(path, device):
    return dataclasses.replace(make(path, device), encode=lambda x: 2 + x.mean((1, 2, 3))[:, None], width=1, recipe={})

def infinite(path, device):
    return make(path, device, float("inf"))

def together(path, device):
    """Waits for a second process, and notes who writes which cell."""
    folder, save = os.environ["MEETING"], stored.save
    open(os.path.join(folder, f"here-{os.getpid()}"), "w").close()
    end = time.monotonic() + 200
    while sum(name.startswith("here") for name in os.listdir(folder)) < 2 and time.monotonic() < end:
        time.sleep(0.01)

    def noted(path, *record):
        with open(os.path.join(folder, f"saves-{os.getpid()}"), "a") as file:
            print(path.name, file=file)
        save(path, *record)

    stored.save = noted
    return make(path, device)
'''


GRID = "--data digits --widths 1 2 --objectives cosine cosine+infonce --seeds 1 2 --n-train 70 --n-test 64 --epochs 2"


GRID = [*GRID.split(), "--architectures", "global-pool", "--augmented", "--batch-size", "32", "--device", "cpu"]
GRID += ["--variants", "cosine+infonce@temperature=0.05", "--more-seeds", "3"]


# The teacher; for two seeds the grid, an architecture, a variant and the augmented; for one more the two widths and the augmented.
N_CELLS = 1 + 2 * (4 + 2 + 1 + 1) + 3

# Without what stands beside the grid.
BARE = ["--no-augmented", "--architectures", "--variants", "--more-seeds"]


def arguments(out, *more, teacher="make"):
    """Of a small run with its own cache; the folders' last name is the run's, so that it can be compared."""
    ours = ["run", "--teacher", f"planted_teachers:{teacher}", *GRID, "--quiet"]
    return [*ours, "--out", str(out), "--cache", str(out.parent / "cache"), *map(str, more)]


def contents(out):
    """Every cell's record, but for how long it took, and its arrays."""
    found = {}
    for path in sorted((out / "cells").glob("[!.]*.json")):
        record, arrays = loaded(path)
        found[path.name.removesuffix(".json")] = {k: v for k, v in record.items() if k != "seconds"}, arrays
    return found


def loaded(path):
    return stored.load(path.with_name(path.name.removesuffix(".json")))


def assert_same(out, other):
    """Bit for bit."""
    one, two = contents(out), contents(other)
    assert one.keys() == two.keys()
    for name in one:
        assert json.dumps(one[name][0], sort_keys=True) == json.dumps(two[name][0], sort_keys=True), name
        assert one[name][1].keys() == two[name][1].keys()
        for key, value in one[name][1].items():
            assert torch.equal(value, two[name][1][key]), (name, key)


def flip(file, at=0.5):
    data = bytearray(file.read_bytes())
    data[int(at * len(data))] ^= 1
    file.write_bytes(bytes(data))


def one_line(capsys):
    """What standard error holds, which must be one line of ours."""
    out, err = capsys.readouterr()
    assert err.startswith("repgeom-distill: "), err
    assert err.count("\n") == 1, err
    assert out == ""
    return err


def configured(*args):
    return cli.configured(cli.parser().parse_args(["run", *args]))


def numbered(n, size=8):
    """Images that say which they are: pixel (0, 0, 0) is the number."""
    pixels = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels[:, 0, 0, 0] = torch.arange(n)
    return pixels


def elsewhere(planted):
    """The environment of another process: one thread, and our teachers importable."""
    paths = [str(planted), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}


def batch_of(student, bank, rows, second_view=None, training=SMALL):
    """What an objective sees of images that are these rows of all."""
    return terms.Batch(
        student, bank[rows], second_view, training, rows, terms.Bank(bank), torch.Generator().manual_seed(0)
    )
