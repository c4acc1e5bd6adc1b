"""Pages of every kind and of awkward sizes, made from a few small audits."""

import dataclasses

import numpy as np

import repgeom as rg
from repgeom.models.profile import LayerProfile
from repgeom.presenting.page import html
from repgeom.presenting.profile_page import profile_page

LONG = "a_name_of_two_hundred_signs_without_a_space_" * 4
NAMES = [
    LONG + "ends_in_1",
    "runs/seed-1/features.npy",
    LONG + "ends_in_2",
    "שם ארוך של קובץ בעברית 12.npy",
    "<script>alert(1)</script> &lt;b&gt;",
    "👩‍🔬👩🏽‍🚀" * 20,
    "a",
    "w" * 200,
    "features",
    "features",
    "$\\frac{a}{b}$",
    "日本語の名前" * 10,
]


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def audits():
    """Good, collapsed, and with all that can stand beside the rows."""
    x = normal(160, 24)
    labels = [f"class {LONG}{i}" if i == 3 else f"class {i}" for i in np.arange(160) % 8]
    good = rg.audit(x, labels=labels)
    collapsed = rg.audit(x * 10.0 ** -np.arange(24), labels=labels)
    beside = rg.audit(x, labels=labels, reference=x + normal(160, 24, 1), corrupted=x + 0.1, name="beside")
    return [good, collapsed, beside]


def named(reports, names):
    return [dataclasses.replace(reports[i % len(reports)], name=name) for i, name in enumerate(names)]


def profile(reports, n):
    layers = {f"encoder.layers.{i}.{LONG if i % 20 == 1 else 'mlp'}": reports[i % 2] for i in range(n)}
    return LayerProfile(layers, dict.fromkeys(layers, "Linear"), name=LONG, notes=("a note",), unmeasured={LONG: "no"})


def all_pages():
    """{name: page}."""
    reports = audits()
    many_classes = rg.audit(normal(2000, 12), labels=np.arange(2000) % 1000, name="1,000 classes")
    wide = [rg.audit(normal(60, 700, seed), name=f"wide {seed}") for seed in (0, 1)]
    distilled = rg.audit(normal(160, 24), labels=np.arange(160) % 2, name="two classes")
    return {
        "one": html(named(reports[2:], NAMES[:1])),
        "two": html(named(reports[:2], NAMES[:2])),
        "wide": html(wide),
        "twelve": html(named(reports, NAMES)),
        "classes": html([many_classes]),
        "two classes": html([distilled]),
        "layer": profile_page(profile(reports, 1)),
        "layers": profile_page(profile(reports, 80)),
    }
