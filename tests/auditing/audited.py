"""Features that are audited in several tests."""

import numpy as np

import repgeom as rg


def healthy(n=600, d=24, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def finding(report, name):
    return next(f for f in report.findings if f.name == name)


def student_teacher_and_labels():
    """600 rows of 24 features, those of a teacher with the same samples, and four classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 600)
    teacher = rng.standard_normal((600, 24)) + 3 * np.eye(24)[labels]
    student = teacher @ np.diag(np.arange(24, 0, -1) ** 0.5) + 0.5 * rng.standard_normal((600, 24)) + 1
    return student, teacher, labels


def audited_student():
    """The three and their audit."""
    student, teacher, labels = student_teacher_and_labels()
    return student, teacher, labels, rg.audit(student, reference=teacher, labels=labels)
