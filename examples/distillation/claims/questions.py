"""Our own questions, beside the paper's claims: does the expansion recover the teacher, and what causes the collapse?

Each is put as a sentence that the tests bear out or deny.
"""

from __future__ import annotations

import math

from ..settings.configs import Config, Setting
from .effects import ALIKE, KEPT, RANK, beside, collapsed, expanded, gain, over_widths, share, within
from .reader import Models
from .uncertainty import Measured
from .verdicts import Claim, Statistic, Test

# Teachers that have never been trained.
UNTRAINED = ("random-relu",)
PREDICTABLE, EXPLAINED = "log_predictable_rank", "log_explained"


def _only_widens(config: Config, setting: Setting) -> list[Test]:
    """The rank grows by more than what of the teacher can be predicted from the student.

    Beside it, the changes of that and of two measures of likeness to the teacher.
    """
    names = {PREDICTABLE: "predictable rank", EXPLAINED: "the teacher's explained variance"}

    def excess(key: str) -> Statistic:
        return over_widths(lambda m, width: gain(m, width, RANK) - gain(m, width, key))

    def change(key: str) -> Statistic:
        return over_widths(lambda m, width: gain(m, width, key))

    given = (expanded(),)
    tests = [
        Test(
            f"growth of effective rank over growth of {name}, mean of widths", excess(key), ALIKE[1], math.inf,
            ratio=True, given=given,
        )
        for key, name in names.items()
    ]  # fmt: skip
    tests += [
        Test(f"{name} with InfoNCE over without", change(key), 1, math.inf, ratio=True, beside=True)
        for key, name in names.items()
    ]
    return tests + [
        Test(f"{name} with the teacher, with InfoNCE minus without", change(key), 0, math.inf, beside=True)
        for key, name in {"linear_cka": "CKA", "mutual_knn": "mutual nearest neighbours"}.items()
    ]


def _untrained(config: Config, setting: Setting) -> list[Test]:
    """Students of a teacher that was never trained collapse and expand too."""
    if setting.teacher not in UNTRAINED or setting.teacher_transform != "none":
        return []
    trained = beside(config, setting, lambda other: other.teacher not in UNTRAINED)
    if trained is None:
        return []
    smallest = min(config.widths_of(setting))

    def kept(m: Models) -> Measured:
        return share(m, smallest)

    def expansion(m: Models) -> Measured:
        return gain(m, smallest, RANK)

    given = (collapsed(config, trained),)
    numbers = {
        "cosine student's effective rank over the teacher's": (kept, 0.0, KEPT),
        "effective rank with InfoNCE over without": (expansion, ALIKE[1], math.inf),
    }
    tests = []
    for name, (statistic, low, high) in numbers.items():
        tests.append(Test(f"{name}, width {smallest}", statistic, low, high, ratio=True, given=given))

        def compared(m: Models, statistic: Statistic = statistic) -> Measured:
            return statistic(m) - within(trained, statistic)(m)

        text = f"the same over that of {trained.name}"
        tests.append(Test(text, compared, *ALIKE, ratio=True, beside=True))
    return tests


def _without_cone(config: Config, setting: Setting) -> list[Test]:
    """Where the teacher's common mean is taken off, students keep most of its rank: then the cone was the cause."""
    plain = _plain(config, setting)
    if plain is None or setting.teacher_transform != "center":
        return []
    smallest = min(config.widths_of(setting))
    text = f"cosine student's effective rank over the centred teacher's, width {smallest}"
    given = (collapsed(config, plain), _moved_cone(plain, -math.inf, 0))
    return [Test(text, lambda m: share(m, smallest), KEPT, math.inf, ratio=True, given=given)]


def _deeper_in_a_cone(config: Config, setting: Setting) -> list[Test]:
    """Without a common mean students keep more of the teacher's rank, in a narrower cone less."""
    plain = _plain(config, setting)
    kind = setting.teacher_transform.partition("=")[0]
    if plain is None or kind not in ("center", "cone"):
        return []
    smallest = min(config.widths_of(setting))

    def changed(m: Models) -> Measured:
        return share(m, smallest) - within(plain, lambda other: share(other, smallest))(m)

    span, cone = (ALIKE[1], math.inf), _moved_cone(plain, -math.inf, 0)
    if kind == "cone":
        span, cone = (0, ALIKE[0]), _moved_cone(plain, 0, math.inf)
    text = f"share of the teacher's rank that the cosine student keeps, over that of {plain.name}, width {smallest}"
    return [Test(text, changed, *span, ratio=True, given=(collapsed(config, plain), cone))]


def _plain(config: Config, setting: Setting) -> Setting | None:
    """The setting of the same teacher as it is, on the same images."""
    if setting.teacher_transform == "none":
        return None
    return beside(config, setting, lambda other: other.teacher == setting.teacher)


def _moved_cone(plain: Setting, low: float, high: float) -> Test:
    """The transform did to the cone what it should."""

    def moved(m: Models) -> Measured:
        return m.teacher("mean_cosine") - within(plain, lambda other: other.teacher("mean_cosine"))(m)

    return Test(f"mean cosine of the teacher's features minus that of {plain.name}'s", moved, low, high)


def _longer(config: Config, setting: Setting) -> list[Test]:
    """Students that are trained for longer have collapsed all the same."""
    smallest = min(config.widths_of(setting))
    at_first = config.training.epochs

    def kept(objective: str) -> Statistic:
        return lambda m: share(m, smallest, objective)

    def grown(objective: str, key: str) -> Statistic:
        return lambda m: m.student(key, smallest, objective=objective) - m.student(key, smallest)

    def expansion(objective: str) -> Statistic:
        def statistic(m: Models) -> Measured:
            wider = m.student(RANK, smallest, objective=f"{m.contrastive}@{objective.partition('@')[2]}")
            return wider - m.student(RANK, smallest, objective=objective)

        return statistic

    given = (collapsed(config, setting),)
    tests = []
    for objective in (name for name in setting.variants if name.startswith("cosine@epochs=")):
        epochs = objective.partition("=")[2]
        tests += [
            Test(f"effective rank over the teacher's after {epochs} epochs", kept(objective), 0, KEPT, ratio=True, given=given),
            Test(f"effective rank after {epochs} epochs over that after {at_first}", grown(objective, RANK), *ALIKE, ratio=True, beside=True),
            Test(f"predictable rank after {epochs} epochs over that after {at_first}", grown(objective, PREDICTABLE), *ALIKE, ratio=True, beside=True),
            Test(f"with InfoNCE over without, both after {epochs} epochs", expansion(objective), ALIKE[1], math.inf, ratio=True, beside=True),
        ]  # fmt: skip
    return tests


QUESTIONS = (
    Claim(9, "InfoNCE widens the student by more than it recovers of the teacher.", _only_widens, ours=True, short="widens more than it recovers"),
    Claim(10, "Students of an untrained teacher collapse and expand too.", _untrained, "untrained teacher beside a trained one", ours=True, short="an untrained teacher does it too"),
    Claim(11, "Without the teacher's common mean, its cone, students do not collapse.", _without_cone, "centred teacher beside the same as it is", ours=True, short="no cone, no collapse"),
    Claim(12, "A narrower cone of the teacher deepens the collapse.", _deeper_in_a_cone, "transformed teacher beside the same as it is", ours=True, short="a cone deepens it"),
    Claim(13, "Students have collapsed and are not just trained too little.", _longer, "cosine student of other epochs", ours=True, short="collapsed, not untrained"),
)  # fmt: skip
