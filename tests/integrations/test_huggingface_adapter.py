"""A monitor in a real training by the `Trainer` of transformers."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
import transformers
from transformers import Trainer, TrainerCallback, TrainingArguments

from repgeom.integrations.huggingface import MonitorCallback
from repgeom.monitors import EmbeddingCollapse

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def bert():
    torch.manual_seed(0)
    config = transformers.BertConfig(**SIZES, vocab_size=50, num_labels=2)
    return transformers.BertForSequenceClassification(config)


def data(n=96):
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 50, (n, 6), generator=random)
    lengths = torch.randint(2, 7, (n, 1), generator=random)
    mask = (torch.arange(6) < lengths).long()
    return [
        {"input_ids": i * m, "attention_mask": m, "labels": torch.tensor(k % 2)}
        for k, (i, m) in enumerate(zip(ids, mask, strict=True))
    ]


def trainer(folder, model=None, rows=None, callbacks=(), **options):
    arguments = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=8, max_steps=6, logging_steps=2, report_to=[], use_cpu=True,
        save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False, **options,
    )  # fmt: skip
    return Trainer(model=model or bert(), args=arguments, train_dataset=rows or data(), callbacks=list(callbacks))


def hooks_on(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


class Seen(TrainerCallback):
    """What any logger is told."""

    def __init__(self):
        self.logs = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logs.append((state.global_step, dict(logs)))


LAYERS = ["bert.encoder.layer.*", "bert.pooler"]


@pytest.mark.parametrize("accumulated", [1, 2])
def test_readings_reach_the_history_and_every_logger(tmp_path, accumulated):
    seen, got = Seen(), []
    it = trainer(tmp_path, callbacks=[seen], gradient_accumulation_steps=accumulated)
    callback = MonitorCallback(it, layers=LAYERS, every=3, log=lambda *values: got.append(values))
    it.add_callback(callback)
    before = hooks_on(it.model)
    it.train()
    assert hooks_on(it.model) == before
    history = callback.monitor.history
    assert history["step"].unique().tolist() == [0, 3]
    assert history["layer"].unique().tolist() == ["bert.encoder.layer.0", "bert.encoder.layer.1", "bert.pooler"]
    assert set(history["n"]) == {8 * accumulated}
    name = "geometry/bert.pooler/effective_rank"
    values = history[(history["layer"] == "bert.pooler") & (history["measure"] == "effective_rank")]["value"].tolist()
    assert [entry[name] for entry in it.state.log_history if name in entry] == values
    assert [logs[name] for _, logs in seen.logs if name in logs] == values
    assert [numbers[name] for _, numbers in got] == values
    # The training's own logs are still there, each at its step.
    assert [entry["step"] for entry in it.state.log_history if "loss" in entry] == [2, 4, 6]


def test_the_training_is_the_same(tmp_path):
    weights = []
    for watched in (False, True):
        it = trainer(tmp_path)
        if watched:
            it.add_callback(MonitorCallback(it, layers=LAYERS, every=2))
        it.train()
        weights.append(it.model.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_an_error_in_a_step_leaves_no_hooks(tmp_path):
    it = trainer(tmp_path)

    class Failing(TrainerCallback):
        fails = True

    def fail(*_):
        if Failing.fails:
            raise RuntimeError("no memory")

    callback = MonitorCallback(it, layers=LAYERS, every=1)
    it.add_callback(callback)
    handle = it.model.classifier.register_forward_hook(fail)
    before = hooks_on(it.model)
    with pytest.raises(RuntimeError, match="no memory"):
        it.train()
    assert hooks_on(it.model) == before
    assert "training_step" not in vars(it)
    assert callback.monitor.history.empty
    handle.remove()
    it.train()  # taken up again
    assert callback.monitor.history["step"].max() == 5


def test_a_collapse_ends_the_training(tmp_path):
    model = bert()
    with torch.no_grad():
        model.bert.pooler.dense.weight.zero_()
    model.bert.pooler.requires_grad_(False)
    it = trainer(tmp_path, model)
    it.add_callback(MonitorCallback(it, layers=LAYERS, every=1, on_collapse="raise", folder=tmp_path))
    with pytest.raises(EmbeddingCollapse, match=r"layer 'bert\.pooler' has collapsed at step 1"):
        it.train()
    assert it.state.global_step <= 2
    assert hooks_on(it.model) == 0
