"""The documentation site: what is generated of the code is whole, docstrings read as meant, and broken links are found."""

import inspect
import re

import pytest

import repgeom as rg
from docs import catalogue, docstrings, generate, hanging, site_checks
from repgeom.auditing.rules import RULES
from repgeom.data.kinds import KINDS
from repgeom.measures.measure import every_record

API = generate.api_pages()
# What has no name of its own: a stream, a state, and options that another function takes.
UNSAID = {"stream", "state", "calls", "persistent", "options", "audit_options"}


def test_every_public_name_is_in_the_reference_once():
    shown = re.findall(r"^\.\. auto\w+:: (repgeom\.[\w.]+)$", "\n".join(API.values()), re.MULTILINE)
    assert len(shown) == len(set(shown))
    documented = {id(value) for name, value in generate.documented_names().items() if name in shown}
    missing = [name for name, value in generate.public_names().items() if id(value) not in documented]
    assert missing == []


def test_names_for_what_is_taken_are_public_and_described():
    assert set(KINDS) <= set(rg.types.__all__)
    for name in KINDS:
        assert f"py:data:: repgeom.types.{name}\n" in API["api_types"]


@pytest.mark.parametrize("name", [name for name, value in generate.documented_names().items() if callable(value)])
def test_no_argument_is_any_where_a_name_says_more(name):
    value = generate.documented_names()[name]
    if inspect.isclass(value) and hasattr(value, "__dataclass_fields__"):
        return
    for parameter in inspect.signature(value).parameters.values():
        said = parameter.annotation != "Any" or parameter.name in UNSAID
        assert said, f"annotate `{parameter.name}` of {name} with a name of repgeom/data/kinds.py, not with Any"


@pytest.mark.parametrize("name", ["measures", "findings"])
def test_pages_that_are_kept_are_those_of_the_code(name):
    text = (generate.DOCS / f"{name}.md").read_text()
    assert text == catalogue.with_part(text, catalogue.part_of(name)), "run `python -m docs.catalogue`"
    assert "{include}" not in text


def test_every_measure_and_every_rule_is_on_its_page():
    page = (generate.DOCS / "measures.md").read_text()
    for m in every_record():
        assert f"### {m.name}\n" in page
        assert f"| {m.question} | [{m.label.strip()}](#{m.name}) |" in page
    page = (generate.DOCS / "findings.md").read_text()
    for rule in RULES:
        assert f"## {rule.name}\n" in page


def test_the_page_promises_an_interval_where_an_estimate_has_one():
    rows = rg.testing.features_with_spectrum([4, 3, 2, 1], n_samples=2000)
    page = (generate.DOCS / "measures.md").read_text()
    for m in (m for m in every_record() if m.functional is not None):
        section = page.split(f"### {m.name}\n")[1].split("\n### ")[0]
        promised = "| Interval | yes, also by `rg.estimate` |" in section
        assert promised == (rg.estimate(rows, m.name).low is not None), m.name


@pytest.mark.parametrize("page", sorted(generate.DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_links_inside_a_page_lead_to_one_of_its_headings(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", page.read_text())) <= anchors


def test_names_in_tables_of_functions_become_links_in_the_site():
    page = ["| `effective_rank` `probes.knn_accuracy` `rg.audit` | `report[0]` `nothing` |\nand `audit`"]
    generate.moved_links(None, "measures", page)
    assert page == [
        "| {py:obj}`effective_rank <repgeom.effective_rank>` `probes.knn_accuracy` {py:obj}`rg.audit <repgeom.audit>` "
        "| `report[0]` `nothing` |\nand `audit`"
    ]


@pytest.mark.parametrize(
    ("line", "rst"),
    [
        ("|N_k(x) ∩ N_k(y)| / k", r"\|N_k(x) ∩ N_k(y)\| / k"),
        ("2 * b, and x_ ends", r"2 \* b, and x\_ ends"),
        ("* a point", "* a point"),
        ("see `audit`", "see :py:obj:`audit <repgeom.audit>`"),
        ("see `rg.audit()`", "see :py:obj:`rg.audit() <repgeom.audit>`"),
        ("a `Spectrum` of `x`", "a :py:obj:`Spectrum <repgeom.Spectrum>` of ``x``"),
        ("a `LayerProfile`", "a :py:obj:`LayerProfile <repgeom.models.LayerProfile>`"),
    ],
)
def test_prose_of_a_docstring_is_plain(line, rst):
    assert docstrings.as_rst([line]) == [rst]


def test_sections_of_a_docstring_become_fields():
    lines = ["Args:", "    a, b: two things,", "        on two lines.", "", "Returns:", "    In [0, 1]: a share."]
    fields = [":Arguments:", "    ``a``, ``b``", "        two things,", "        on two lines.", "", "",
              ":Returns:", "    In [0, 1]: a share.", ""]  # fmt: skip
    assert [line.rstrip() for line in docstrings.as_rst(lines)] == fields


def test_an_example_is_left_as_it_is():
    lines = [">>> f(2 ** 3) | g", "8", "", "2 ** 3"]
    assert docstrings.as_rst(lines) == [*lines[:3], r"2 \*\* 3"]
    picture = [".. plot::", "", "    x = 2 ** 3", ""]
    assert docstrings.as_rst([*picture, "2 ** 3"]) == [*picture, r"2 \*\* 3"]
    docstrings.process(None, "function", "repgeom.plot_spectrum", rg.plot_spectrum, None, picture)
    assert picture[:3] == [".. plot::", "    :filename-prefix: plot_spectrum", ""]


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text('<a href="sub/b.html#here">x</a><a href="https://x.org/y">x</a><img src="no.png">')
    (tmp_path / "sub" / "b.html").write_text(
        '<p id="here"></p><a href="../a.html#gone">x</a><a href="../c.html">x</a><a href="#here">x</a>'
    )
    assert site_checks.broken_links(tmp_path) == [
        "a.html: no.png", "sub/b.html: ../a.html#gone (no such anchor)", "sub/b.html: ../c.html",
    ]  # fmt: skip


def test_links_out_of_the_site_are_changed():
    page = ["[real](../studies/real.md#sets), [code](../repgeom/demo.py), [page](files.md), [web](https://x.org)"]
    generate.moved_links(None, "verdict", page)
    assert page == [
        "[real](generated/study_real.md#sets), code (`repgeom/demo.py`), [page](files.md), [web](https://x.org)"
    ]
    assert "[estimates](study_estimates.md)" in generate.brought_page("studies/README.md")


def test_lines_that_wrap_hang_below_their_own_beginning():
    block = "<pre><span></span>FAIL &lt;a&gt;\n  <b>try</b> this\n\n</pre>"
    assert hanging.hung(f"<p>x</p>{block}") == (
        '<p>x</p><pre><span class="hanging" style="--indent: 0ch"><span></span>FAIL &lt;a&gt;\n</span>'
        '<span class="hanging" style="--indent: 2ch">  <b>try</b> this\n</span>'
        '<span class="hanging" style="--indent: 0ch">\n</span></pre>'
    )


def test_a_block_with_a_span_over_two_lines_is_left_as_it_is():
    block = '<pre><span class="s">"""a\nb"""</span>\n</pre>'
    assert hanging.hung(block) == block
