"""How the site is built: `python -m sphinx -W --keep-going -n docs docs/_build/html`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import repgeom as rg  # noqa: E402
from docs import docstrings, generate, hanging, site_checks  # noqa: E402

project = "repgeom"
author = "The repgeom engineers"
copyright = author
release = rg.__version__
version = release

extensions = ["myst_nb", "sphinx.ext.autodoc", "matplotlib.sphinxext.plot_directive"]
exclude_patterns = ["_build"]
templates_path: list[str] = []

html_theme = "furo"
html_title = "repgeom"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
# Two hyphens begin an option of the command line; they are no dash.
smartquotes_action = "qe"
pygments_style = "friendly"
pygments_dark_style = "monokai"

# Notebooks multiply small matrices, for which a second thread is a hindrance; the build runs two notebooks at once.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
# Commands in notebooks are those of this environment.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# Pages are Markdown; those with a kernel in their head are run, from scratch, at every build.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"
nb_merge_streams = True

# Pictures of docstrings: drawn by their code, which stands above them.
plot_include_source = True
plot_formats = [("png", 110)]
plot_html_show_formats = False
plot_html_show_source_link = False

autodoc_member_order = "bysource"
python_maximum_signature_line_length = 90

# Names of other projects, of which no inventory can be fetched while the build is without a network.
_OTHERS = "torch|np|numpy|pd|pandas|matplotlib|os|pathlib|collections|contextlib|types|typing|nn|pa|da|lightning|transformers|torchmetrics"
nitpick_ignore_regex = [
    ("py:.*", rf"({_OTHERS})\..*"),
    # Bare names in annotations: classes of other projects, and our own that a user does not make.
    ("py:class", r"[A-Z]\w*"),
]


def setup(app: object) -> None:
    site_checks.connect(app)
    hanging.connect(app)
    app.connect("source-read", generate.moved_links)  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", docstrings.process)  # type: ignore[attr-defined]
    app.connect("autodoc-process-signature", docstrings.signature)  # type: ignore[attr-defined]
    app.connect("autodoc-skip-member", docstrings.skip)  # type: ignore[attr-defined]
    app.connect("builder-inited", lambda app: generate.write())  # type: ignore[attr-defined]
