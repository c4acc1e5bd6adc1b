"""One call of every public function and class, on rows that a test chooses. A name that is public and missing here fails."""

import copy
import dataclasses
import functools
import inspect
import pickle
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

import repgeom as rg
from repgeom import corruptions, demo, probes, robustness

PLACES = {
    "": rg,
    "corruptions": rg.corruptions,
    "demo": rg.demo,
    "probes": rg.probes,
    "repair": rg.repair,
    "robustness": rg.robustness,
    "testing": rg.testing,
    "types": rg.types,
}


def public() -> dict[str, Any]:
    """{name: function or class} of everything that a user may call, each once."""
    found: dict[Any, str] = {}
    for place, module in PLACES.items():
        for name in module.__all__:
            member = getattr(module, name)
            # Names for annotations stand for `Any`, which is a class.
            if inspect.isfunction(member) or (inspect.isclass(member) and member is not Any):
                found.setdefault(member, f"{place}.{name}".strip("."))
    return {name: member for member, name in found.items()}


def of_few_rows(measure: Callable[..., Any], r: "Rows") -> Any:
    """SVCCA or PWCCA, which say that these rows are few."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(SVCCA|PWCCA) of")
        return measure(r.x, r.y)


@dataclasses.dataclass(frozen=True)
class Rows:
    """What the calls are given: features, the same samples of another model, and labels."""

    x: Any
    y: Any
    labels: Any

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def k(self) -> int:
        return max(1, min(10, self.n - 2))

    @functools.cached_property
    def queries(self) -> Any:
        return self.x[: max(1, self.n // 2)]


@functools.cache
def images(n=8, side=16) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float32)


def tensor(rows) -> torch.Tensor:
    return torch.from_numpy(np.asarray(rows))


def pixels(batch):
    """An encoder of ours: it makes no tensor and multiplies nothing that a setting could change."""
    return batch[:, :, ::6, ::6].flatten(1)


@functools.cache
def table() -> pd.DataFrame:
    """A whole table of robustness, as a run over all corruptions would give it."""
    names = [name for name, kind in corruptions.names().items() if kind == "mCE"]
    cells = [("clean", 0.0), *((name, float(severity)) for name in names for severity in range(1, 6))]
    rows = [(name, severity, "accuracy", 0.9 - 0.1 * severity) for name, severity in cells]
    return pd.DataFrame(rows, columns=["corruption", "severity", "measure", "value"])


def _opened(rows):
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", np.asarray(rows.x))
        source = rg.open_source(f"{folder}/x.npy")
        return source.n_samples, source.n_features, source.read(0, source.n_samples).clone()


def _every_corruption(rows):
    families = [corruptions.names(family) for family in ("imagenet-c", "imagenet-c-bar", "imagenet-3dcc")]
    return {name: corruptions.corrupt(images(2, 32), name, 2) for names in families for name in names}


def _replayed(rows):
    params = corruptions.draw("snow", (32, 32), indices=[0, 1])
    return params, corruptions.apply(images(2, 32), "snow", params)


def _draws(rows):
    random = corruptions.Draws(0, torch.arange(3, device="cpu"), "test")
    return random.uniform(4), random.uniform64(4), random.symmetric(4), random.normal(4), random.below(7, 4)


def _accumulated(rows):
    half = max(1, rows.n // 2)
    acc = rg.AuditAccumulator().update(rows.x[:half], labels=rows.labels[:half], start=0)
    rest = rg.AuditAccumulator().update(rows.x[half:], labels=rows.labels[half:], start=half)
    acc.merge(rg.AuditAccumulator.from_bytes(rest.to_bytes()))
    return acc.n_samples, acc.report(k=rows.k).to_dict()


def _spectrum_accumulated(rows):
    half = max(1, rows.n // 2)
    acc = rg.SpectrumAccumulator(method="qr").update(rows.x[:half])
    acc.merge(rg.SpectrumAccumulator(method="qr").update(rows.x[half:]))
    return acc.n_samples, acc.mean, acc.normalize, acc.method, acc.spectrum()


def _report(rows):
    report = rg.audit(rows.x, labels=rows.labels, reference=rows.y, corrupted=rows.x, k=rows.k)
    again = rg.Report.from_json(report.to_json())
    shown = report.headline, str(again), report.to_markdown(), report.verdict_text
    return shown, report.to_dict(), report.to_frame(), report.compare(report)


def _spectrum(rows):
    s = rg.spectrum(rows.x)
    known = rg.Spectrum.from_singular_values(s.singular_values), rg.Spectrum.from_variances([4.0, 1.0])
    return s, known, s.variances, s.variance_ratio


def _linear_probe(rows):
    probe = probes.fit_linear_probe(rows.x, rows.labels, C=1.0)
    found = probe.logits(rows.x), probe.predict(rows.x), probe.correct(rows.x, rows.labels), probe.row_space
    return found, probe.accuracy(rows.x, rows.labels)


def _knn_probe(rows):
    probe = probes.fit_knn_probe(rows.x, rows.labels, k=min(3, rows.n), temperature=0.1)
    return probe.predict(rows.x), probe.correct(rows.x, rows.labels), probe.accuracy(rows.x, rows.labels)


def _transformed(transformer, rows):
    """A transformer runs in the settings of its host: scikit-learn's own check of sizes overflows."""
    with np.errstate(all="ignore"):
        return transformer.fit_transform(rows.x)


def _repaired(rows):
    x, labels = rows.x, rows.labels
    if rows.n < 20:
        x, labels = (np.concatenate([np.asarray(v)] * (1 + 20 // rows.n)) for v in (x, labels))
    proof = rg.repair.compare_repairs(x, labels, k=2)
    return proof.table, proof.best, proof.sentence


def _heatmap(rows):
    return robustness.fourier_heatmap(pixels, images(), n_frequencies=5)


def _published(rows):
    """A set in the layout of CIFAR-10-C, compared with our own corruption of its images and encoded."""
    clean = (images(8, 32) * 255).to(torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        here = clean.cpu()
        stacked = torch.cat([corruptions.corrupt(here, "fog", severity, seed=1) for severity in range(1, 6)])
        np.save(f"{folder}/fog.npy", stacked.permute(0, 2, 3, 1).numpy())
        np.save(f"{folder}/labels.npy", np.tile(np.arange(8), 5))
        found = robustness.published("CIFAR-10-C", folder, clean=clean, corruptions="fog", n_images=8)
        table = robustness.corruption_robustness(pixels, "published", published=found, severities=2, k=2)
        return table, robustness.compare_published(found), found.fingerprint(), found.images("fog", 3)[:].clone()


def _robust(rows):
    return robustness.feature_robustness(rows.x, {("a", 1): rows.y}, rows.labels, k=max(1, min(3, rows.n - 2)))


def _ours(function, *arguments, **options):
    """A plot of these in axes of our own, as what it drew."""
    from matplotlib.figure import Figure

    return drawn(function(*arguments, ax=Figure().subplots(), **options))


def _curve(rows):
    return rg.sample_size_curve(rows.x, sizes=[max(4, rows.n // 2), rows.n], draws=2)


def _trained(rows):
    train = demo.digit_halves()[0][:300]
    return demo.encode(demo.train_encoder(train, demo.info_nce, steps=3), train[:9])


# {name: what is called}. Classes: each public method and property must be named in the call.
CALLS: dict[str, Callable[[Rows], Any]] = {
    "AuditAccumulator": _accumulated,
    "Report": _report,
    "Spectrum": _spectrum,
    "SpectrumAccumulator": _spectrum_accumulated,
    "alignment": lambda r: rg.alignment(r.x, r.y),
    "angular_cka": lambda r: [rg.angular_cka(r.x, other, debiased=d) for other in (r.x, r.y) for d in (True, False)],
    "audit": lambda r: rg.audit(r.x, labels=r.labels, reference=r.y, k=r.k).to_dict(),
    "between_class_variance": lambda r: rg.between_class_variance(r.x, r.labels),
    "captured_variance": lambda r: rg.captured_variance(r.x, r.y),
    "centered_svd": lambda r: rg.centered_svd(r.x),
    "cka_map": lambda r: [
        rg.cka_map({"x": r.x, "y": r.y}, measure=m, k=max(1, min(10, r.n - 1))).to_dict()
        for m in ("linear_cka", "mutual_knn")
    ],
    "class_effective_rank": lambda r: rg.class_effective_rank(r.x, r.labels),
    "compare": lambda r: rg.compare(r.x, r.y, paired=True),
    "compare_reports": lambda r: rg.compare_reports(rg.audit(r.x, k=r.k), rg.audit(r.y, k=r.k)).changes,
    "condition_number": lambda r: rg.condition_number(r.x),
    "cosine_dot_overlap": lambda r: rg.cosine_dot_overlap(r.x, k=max(1, min(3, r.n - 1))),
    "cosine_alignment": lambda r: rg.cosine_alignment(r.x, r.y),
    "distance_concentration": lambda r: rg.distance_concentration(
        r.x if r.n > 2 else np.vstack([np.asarray(r.x), np.eye(2, np.shape(r.x)[1])])
    ),
    "effective_rank": lambda r: rg.effective_rank(r.x),
    "estimate": lambda r: [rg.estimate(r.x, m) for m in ("effective_rank", "participation_ratio", "stable_rank")],
    "feature_std": lambda r: rg.feature_std(r.x),
    "health": lambda r: rg.health(r.x),
    "hill_number": lambda r: [rg.hill_number(r.x, order=q) for q in (0, 1, 2, np.inf)],
    "hubness": lambda r: [rg.hubness(r.x, k=max(1, min(3, r.n - 1)), metric=m) for m in ("cosine", "euclidean", "dot")],
    "influence": lambda r: [rg.influence(r.x, m) for m in ("effective_rank", "participation_ratio", "stable_rank")],
    "intrinsic_dimension": lambda r: [
        rg.intrinsic_dimension(r.x, method=m, k=k)
        for m, k in (("twonn", None), ("twonn_regression", None), ("mle", 2), ("gride", 1))
    ],
    "intrinsic_dimension_curve": lambda r: rg.intrinsic_dimension_curve(r.x),
    "isotropic_baseline": lambda r: rg.isotropic_baseline(r.x),
    "knn_accuracy": lambda r: rg.knn_accuracy(r.x, r.labels, k=max(1, min(3, r.n - 1))),
    "lidar": lambda r: rg.lidar(r.x, np.arange(r.n) % max(2, r.n // 2)),
    "linear_cka": lambda r: [rg.linear_cka(r.x, other, debiased=d) for other in (r.x, r.y) for d in (True, False)],
    "mean_cosine": lambda r: [rg.mean_cosine(r.x, center=c) for c in (False, True)],
    "modality_gap": lambda r: [
        rg.modality_gap(r.x, r.y, paired=p, normalize=n) for p in (True, False) for n in ("l2", None)
    ],
    "mutual_knn": lambda r: rg.mutual_knn(r.x, r.y, k=max(1, min(10, r.n - 1))),
    "n_components": lambda r: rg.n_components(r.x),
    "near_duplicates": lambda r: rg.near_duplicates(r.x if r.n > 8 else np.vstack([np.asarray(r.x)] * 5)),
    "neural_collapse": lambda r: rg.neural_collapse(r.x, r.labels),
    "norms": lambda r: rg.norms(r.x),
    "numerical_rank": lambda r: rg.numerical_rank(r.x),
    "open_source": _opened,
    "participation_ratio": lambda r: rg.participation_ratio(r.x),
    "plot_captured_variance": lambda r: _ours(rg.plot_captured_variance, rg.captured_variance(r.x, r.y)),
    "plot_class_ranks": lambda r: _ours(rg.plot_class_ranks, rg.class_effective_rank(r.x, r.labels)),
    "plot_cumulative_variance": lambda r: _ours(rg.plot_cumulative_variance, r.x),
    "plot_fourier_heatmap": lambda r: _ours(rg.plot_fourier_heatmap, _heatmap(r)),
    "plot_reports": lambda r: [drawn(ax) for ax in rg.plot_reports(rg.audit(r.x)).axes],
    "plot_robustness": lambda r: _ours(rg.plot_robustness, _robust(r)),
    "plot_sample_size_curve": lambda r: _ours(rg.plot_sample_size_curve, _curve(r)),
    "plot_spectrum": lambda r: _ours(rg.plot_spectrum, r.x),
    "power_law": lambda r: rg.power_law(r.x, first=1),
    "predictable_rank": lambda r: [
        rg.predictable_rank(
            *([r.x, r.y] if r.n > 9 else [np.vstack([np.asarray(z)] * 5) for z in (r.x, r.y)]), normalize=n
        )
        for n in ("l2", None)
    ],
    "principal_angles": lambda r: rg.principal_angles(r.x, r.y, k=max(1, min(2, r.n - 1, r.x.shape[1]))),
    "procrustes_distance": lambda r: rg.procrustes_distance(r.x, r.y),
    "pwcca": lambda r: of_few_rows(rg.pwcca, r),
    "rankme": lambda r: rg.rankme(r.x),
    "rbf_cka": lambda r: [rg.rbf_cka(r.x, other, debiased=d) for other in (r.x, r.y) for d in (True, False)],
    "rsa": lambda r: [rg.rsa(r.x, r.y, distance=d) for d in ("correlation", "cosine", "euclidean")],
    "rsa_noise_ceiling": lambda r: rg.rsa_noise_ceiling([r.x, r.y], distance="euclidean"),
    "sample_size_curve": _curve,
    "spectrum": lambda r: [rg.spectrum(r.x, center=c, normalize=n) for c in (True, False) for n in (None, "l2")],
    "stable_rank": lambda r: rg.stable_rank(r.x),
    "token_geometry": lambda r: rg.token_geometry(r.x, np.arange(r.n) % max(2, r.n // 4)),
    "token_geometry_by_layer": lambda r: rg.token_geometry_by_layer({"a": r.x, "b": r.x}, np.arange(r.n) % 2),
    "truncation_curve": lambda r: rg.truncation_curve(r.x, r.labels, k=max(1, min(3, r.n - 1)), principal=r.n >= 20),
    "svcca": lambda r: of_few_rows(rg.svcca, r),
    "uniformity": lambda r: rg.uniformity(r.x),
    "corruptions.Draws": _draws,
    "corruptions.add_noise": lambda r: corruptions.add_noise(images(), 0.1),
    "corruptions.apply": _replayed,
    "corruptions.corrupt": _every_corruption,
    "corruptions.draw": lambda r: [corruptions.draw(name, (32, 32), 2) for name in corruptions.names()],
    "corruptions.names": lambda r: corruptions.names(),
    "corruptions.noise_rms": lambda r: corruptions.noise_rms(0.2, space="normalized", std=corruptions.CLIP_STD),
    "corruptions.strength": lambda r: corruptions.strength("fog", 2.5, "cifar"),
    "demo.digit_features": lambda r: demo.digit_features(steps=2),
    "demo.digit_halves": lambda r: demo.digit_halves(),
    "demo.encode": _trained,
    "demo.info_nce": lambda r: demo.info_nce(tensor(r.x), tensor(r.y)),
    "demo.pull_together": lambda r: demo.pull_together(tensor(r.x), tensor(r.y)),
    "demo.train_encoder": _trained,
    "probes.KNNProbe": _knn_probe,
    "probes.LinearProbe": _linear_probe,
    "probes.fit_knn_probe": _knn_probe,
    "probes.fit_linear_probe": lambda r: probes.fit_linear_probe(r.x, r.labels, validation=0.3),
    "repair.RepairProof": _repaired,
    "repair.compare_repairs": _repaired,
    "repair.remove_top": lambda r: _transformed(rg.repair.remove_top(1), r),
    "repair.standardize": lambda r: _transformed(rg.repair.standardize(), r),
    "repair.whiten": lambda r: _transformed(rg.repair.whiten(), r),
    "robustness.CorruptionError": lambda r: robustness.mean_corruption_error(table(), table()),
    "robustness.FourierHeatmap": _heatmap,
    "robustness.PublishedImages": _published,
    "robustness.band_noise": lambda r: robustness.band_noise(images(), 0, 0.5),
    "robustness.compare_published": _published,
    "robustness.compare_robustness": lambda r: robustness.compare_robustness(
        pixels, lambda x: pixels(x)[:, ::2], images(), corruptions="contrast", severities=[1], k=2
    ),
    "robustness.corruption_robustness": lambda r: robustness.corruption_robustness(
        pixels, images(), corruptions=["contrast", "spatter"], severities=[1], k=2
    ),
    "robustness.feature_robustness": _robust,
    "robustness.fourier_heatmap": _heatmap,
    "robustness.mean_corruption_accuracy": lambda r: robustness.mean_corruption_accuracy(table()),
    "robustness.mean_corruption_error": lambda r: robustness.mean_corruption_error(table(), table()),
    "robustness.noise_robustness": lambda r: robustness.noise_robustness(pixels, images(), sigmas=[0.1], k=2),
    "robustness.published": _published,
    "robustness.severity_auc": lambda r: robustness.severity_auc(table()),
    "testing.assert_healthy": lambda r: rg.testing.assert_healthy(r.x),
    "testing.features_with_spectrum": lambda r: rg.testing.features_with_spectrum([3.0, 1.0], 10, mean=7.0),
}
# Records without arithmetic of their own come with the answers of the functions above.
RECORDS = {
    name
    for name, member in public().items()
    if inspect.isclass(member) and (dataclasses.is_dataclass(member) or issubclass(member, tuple))
}
# They need a file or other processes, or write a page: tests of their own have them.
ELSEWHERE = {"SpectrumAccumulator.all_reduce", "Report.of", "Report.to_html", "Report.plot", "Report.to_json"}


def plain(answer: Any) -> Any:
    """An answer as plain values, equal only where every bit, type, shape and device is."""
    if isinstance(answer, torch.Tensor):
        bits = answer.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return "tensor", str(answer.dtype), str(answer.device), tuple(answer.shape), bits.numpy().tobytes()
    if isinstance(answer, np.ndarray):
        return "array", str(answer.dtype), answer.shape, answer.tolist() if answer.dtype == object else answer.tobytes()
    if isinstance(answer, pd.DataFrame):
        return plain({column: answer[column].tolist() for column in answer}), answer.index.tolist()
    if isinstance(answer, dict):
        return {key: plain(value) for key, value in answer.items()}
    if isinstance(answer, (list, tuple)):
        return [plain(value) for value in answer]
    if dataclasses.is_dataclass(answer):
        return type(answer).__name__, plain(vars(answer))
    return repr(answer)


def drawn(ax: Any) -> Any:
    """What a plot shows: its lines, bars and images, and its words."""
    lines = [np.asarray(line.get_xydata()).tolist() for line in ax.lines]
    bars = [bar.get_height() for bar in ax.patches]
    pictures = [np.asarray(image.get_array()).tolist() for image in ax.images]
    words = [ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), *(text.get_text() for text in ax.texts)]
    return lines, bars, pictures, words


def copies(made: Any) -> list[Any]:
    """The three kinds of copies of an object."""
    return [copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))]
