"""An audit that is killed in the middle of a piece goes on where it was, with everything that stands beside the rows."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import repgeom as rg

N, WIDTH, STEP = 5000, 16, 400

DRIVER = f"""
import os, signal, sys
import numpy as np
import repgeom as rg
from repgeom.auditing.audit_tally import AuditTally
from repgeom.data import arrays
from repgeom.reading import checkpoint

arrays.CHUNK_VALUES, checkpoint.SAVE_SECONDS = {STEP * WIDTH}, 0
whole, seen = AuditTally.update, 0

def update(self, piece):
    global seen
    seen += len(piece)
    if seen > int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    whole(self, piece)

AuditTally.update = update
report = rg.audit("x.npy", reference="y.npy", corrupted="z.npy", labels="labels.npy", groups="groups.npy", checkpoint="kept")
report.to_json("report.json")
print(seen)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, WIDTH)) * np.arange(1, WIDTH + 1.0) ** -0.5 + 2
    np.save("x.npy", x)
    np.save("y.npy", x[:, :6] + rng.standard_normal((N, 6)))
    np.save("z.npy", x + 0.1 * rng.standard_normal(x.shape))
    np.save("labels.npy", rng.integers(0, 4, N))
    np.save("groups.npy", np.arange(N) // 4)
    return tmp_path


def run(rows):
    return subprocess.run(
        [sys.executable, "-c", DRIVER, str(rows)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_a_killed_audit_goes_on_and_ends_with_the_same_report(folder, monkeypatch):
    killed = run(3000)
    assert killed.returncode == -signal.SIGKILL
    assert list((folder / "kept").glob("*.checkpoint"))
    again = run(1 << 40)
    assert again.returncode == 0, again.stderr
    assert int(again.stdout) == N - 2800  # seven pieces of 400 rows had been kept
    assert not (folder / "kept").exists()
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", STEP * WIDTH)
    whole = rg.audit("x.npy", reference="y.npy", corrupted="z.npy", labels="labels.npy", groups="groups.npy")
    found = json.loads((folder / "report.json").read_text())["measures"]
    for name, measure in json.loads(whole.to_json())["measures"].items():
        if isinstance(measure["value"], float):
            assert found[name]["value"] == pytest.approx(measure["value"], rel=1e-12, abs=1e-12), name
        else:
            assert found[name]["value"] == measure["value"], name
