"""A monitor in a real fit by Lightning."""

import logging
import warnings

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import lightning.pytorch as pl
    from lightning.pytorch.loggers import CSVLogger

from repgeom.integrations.lightning import MonitorCallback
from repgeom.monitors import EmbeddingCollapse

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("_quiet")]


@pytest.fixture
def _quiet():
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Module(pl.LightningModule):
    def __init__(self, fails_at=None, collapsed=False):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        self.head = nn.Linear(8, 2)
        self.fails_at = fails_at
        if collapsed:
            self.encoder[2].requires_grad_(False).weight.zero_()

    def training_step(self, batch, batch_idx):
        loss = self.head(self.encoder(batch[0])).square().mean()
        if batch_idx == self.fails_at:
            raise RuntimeError("no memory")
        return loss

    def validation_step(self, batch, batch_idx):
        self.encoder(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(n=32 * 8):
    return DataLoader(TensorDataset(torch.randn(n, 8, generator=torch.Generator().manual_seed(0))), batch_size=32)


def fit(folder, callbacks, module=None, **options):
    trainer = pl.Trainer(
        default_root_dir=folder, max_epochs=2, accelerator="cpu", callbacks=callbacks, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, **options,
    )  # fmt: skip
    module = module or Module()
    trainer.fit(module, loader(), loader(64))
    return trainer, module


def hooks_on(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_readings_reach_loggers_whatever_their_interval(tmp_path):
    seen, got = [], []

    class Reads(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            seen.append(trainer.callback_metrics.get("geometry/encoder/effective_rank"))

    callback = MonitorCallback(layers=["encoder"], every=5, log=lambda *values: got.append(values))
    trainer, module = fit(tmp_path, [callback, Reads()], logger=CSVLogger(tmp_path), log_every_n_steps=50)
    assert hooks_on(module) == 0
    history = callback.monitor.history
    assert history["step"].unique().tolist() == [0, 5, 10, 15]
    assert set(history["n"]) == {32}  # validation in between does not count
    name = "geometry/encoder/effective_rank"
    values = history[history["measure"] == "effective_rank"]["value"]
    frame = pd.read_csv(f"{trainer.logger.log_dir}/metrics.csv").dropna(subset=[name])
    assert frame["step"].tolist() == [0, 5, 10, 15]
    assert frame[name].tolist() == pytest.approx(values.tolist())
    assert [numbers[name] for _, numbers in got] == values.tolist()
    assert float(seen[0]) == pytest.approx(values.iloc[0])


def test_the_fit_is_the_same(tmp_path):
    weights = []
    for callbacks in ([], [MonitorCallback(layers=["encoder"], every=2)]):
        _, module = fit(tmp_path, callbacks, logger=False)
        weights.append(module.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_accumulated_batches_are_one_step(tmp_path):
    callback = MonitorCallback(layers=["encoder"], every=2)
    fit(tmp_path, [callback], logger=False, accumulate_grad_batches=4)
    assert callback.monitor.history["step"].unique().tolist() == [0, 2]
    assert set(callback.monitor.history["n"]) == {32}


def test_an_error_in_a_step_leaves_no_hooks(tmp_path):
    callback, module = MonitorCallback(layers=["encoder"], every=1), Module(fails_at=1)
    with pytest.raises(RuntimeError, match="no memory"):
        fit(tmp_path, [callback], module, logger=False)
    assert hooks_on(module) == 0
    assert callback.monitor.history["step"].unique().tolist() == [0]


def test_a_collapse_ends_the_fit(tmp_path):
    callback = MonitorCallback(layers=["encoder"], every=1, on_collapse="raise", folder=tmp_path)
    module = Module(collapsed=True)
    with pytest.raises(EmbeddingCollapse, match="layer 'encoder' has collapsed at step 1"):
        fit(tmp_path, [callback], module, logger=False)
    assert hooks_on(module) == 0
