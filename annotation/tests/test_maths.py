"""Formulas are set, prices are not, and whatever cannot be read stays as it was written."""

from __future__ import annotations

import re

import pytest

from annotation import maths
from annotation.maths import DEPTH_LIMIT, TEX_BUDGET, TEX_LIMIT, UnreadableError, mathml
from annotation.rendering import render_markdown


def shown(html: str) -> str:
    return re.sub("<[^>]*>", "", html).strip()


@pytest.mark.parametrize(
    "text",
    [
        "Let $x^2$ be.",
        "Let $n$ be.",
        "($n$)",
        "Let \\(x^2\\) be.",
        "Let \\( n \\) be.",
        "so $a<b$.",
        "*so $a*b$ it is*",
        "| $x$ |\n|---|\n| y |",
        "- $2x$",
        "是$x$的",
    ],
)
def test_a_formula_in_a_line_is_set(text: str) -> None:
    text = text.replace("是$x$的", "是 $x$ 的")
    assert render_markdown(text).count('<math display="inline">') == 1


@pytest.mark.parametrize(
    "text",
    [
        "$$x^2$$",
        "$$\nx^2\n$$",
        "\\[ x \\]",
        "\\[\nx^2\n\\]",
        "Text before:\n\\[\na = b\n- c\n\\]\nand after.",
        "Text before:\n$$\na\n= b\n$$\nand after.",
        "1. Item\n   \\[ x^2 \\]\n   more\n2. Item",
        "> $$\n> x^2\n> $$",
        "It is $$x^2$$, as said.",
        "It is \\[x^2\\].",
    ],
)
def test_a_formula_on_display_is_set_in_a_box_that_can_be_scrolled_to(text: str) -> None:
    html = render_markdown(text)
    assert re.findall(r'<(?:div|span) class="maths" tabindex="0"><math display="block">', html) != []
    assert "\\" not in shown(html)
    assert "$" not in shown(html)
    assert "<li" not in html or text.startswith("1.")


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $10.",
        "US$ 3, US$5/US$6, R$ 4,00 and A$AP",
        "between $5-$10 (or $6/$7)",
        "5$, 6$ or 7$/8$",
        "I have $5 or so, and 10$.",
        "$5 (or 5 euros, 6$)",
        "$$ is cheap, $$$ is dear, $$$$ absurd",
        "the $/€ rate and the $/£ rate",
        "$HOME/$PATH and $_GET",
        "see [1] and (see above)",
    ],
)
def test_a_price_is_no_formula(text: str) -> None:
    assert shown(render_markdown(text)) == text


@pytest.mark.parametrize(
    "text", ["\\[1\\]", "\\(see above\\)", "\\$5 and \\$6", "$ x$", "$x $", "$$", "$$$$", "\\[\\]"]
)
def test_an_escape_is_no_formula(text: str) -> None:
    assert "<math" not in render_markdown(text)


@pytest.mark.parametrize(
    "text", ["`$x^2$`", "```\n$$\nx^2\n$$\n```", "    $$x^2$$", "a `\\(x\\)`", "$5 `a$`", "`` `$x^2$` ``"]
)
def test_code_is_no_formula(text: str) -> None:
    assert "<math" not in render_markdown(text)


@pytest.mark.parametrize(
    "tex",
    [
        "\\nosuchcommand{x}",
        "\\begin{aligned} a",
        "\\begin{nosuch} a & b \\end{nosuch}",
        "\\left( a",
        "a_b_c",
        "\\frac{a}",
        "{" * 300,
        "{" * 300 + "x" + "}" * 300,
        "\\sqrt{" * (DEPTH_LIMIT // 2) + "x" + "}" * (DEPTH_LIMIT // 2),
        "x" * (TEX_LIMIT + 1),
        "\\def\\a{\\b\\b}\\def\\b{\\c\\c}\\a",
        "\\newcommand{\\x}{y}\\x",
        "\\DeclareMathOperator{\\x}{y}\\x",
        "\\newenvironment{a}{b}{c}",
    ],
)
def test_what_cannot_be_read_is_shown_as_its_source(tex: str) -> None:
    with pytest.raises(UnreadableError):
        mathml(tex, display=False)
    assert f'<code dir="ltr">\\({tex}\\)</code>'.replace("&", "&amp;") in render_markdown(f"So \\({tex}\\).")
    assert f'<pre class="code" dir="ltr" tabindex="0"><code>$${tex}$$' in render_markdown(
        f"$${tex}$$"
    ).replace("&amp;", "&")


def test_a_text_is_set_up_to_a_budget_and_the_rest_is_shown_as_source() -> None:
    formula = "$" + "x+" * 49 + "1$"
    html = render_markdown(f"{formula} " * 120)
    assert html.count("<math") == TEX_BUDGET // (len(formula) - 2)
    assert html.count("<math") + html.count("<code") == 120


@pytest.mark.parametrize("environment", ["aligned", "align", "align*", "eqnarray", "split"])
def test_equations_stand_below_one_another(environment: str) -> None:
    html = mathml(f"\\begin{{{environment}}}a &= b \\\\ c &= d\\end{{{environment}}}", display=True)
    assert html.count("<mtr>") == 2
    assert "&amp;" not in html


def test_lines_without_an_environment_stand_below_one_another() -> None:
    assert mathml("a = b \\\\ c = d", display=True).count("<mtr>") == 2


@pytest.mark.parametrize("environment", ["pmatrix", "bmatrix", "cases", "dcases", "array"])
def test_matrices_and_cases_have_rows(environment: str) -> None:
    columns = "{cc}" if environment == "array" else ""
    tex = f"\\begin{{{environment}}}{columns}a & b \\\\ c & d\\end{{{environment}}}"
    assert mathml(tex, display=True).count("<mtd") == 4


@pytest.mark.parametrize("length", ["99em", "-99em", "10cm", "1000px", "1e9em", "100%", "calc(1em)"])
def test_nothing_reaches_beyond_its_line(length: str) -> None:
    assert "width=" not in mathml(f"x\\hspace{{{length}}}y", display=False)


def test_colours_cannot_hide_text() -> None:
    html = mathml("\\color{white}{x} \\colorbox{black}{y} \\textcolor{#fff}{z}", display=False)
    assert not re.search("color|background|white|#fff", html)


@pytest.mark.parametrize("tex", ["\\unicode{x202E}", "\\text{&#x202E;}", "\\text{&#8238;}"])
def test_a_formula_turns_no_text_round(tex: str) -> None:
    assert "⟨U+202E⟩" in render_markdown(f"${tex}$")


def test_every_tag_and_attribute_is_on_the_closed_list() -> None:
    tex = "\\boxed{\\hat x \\sqrt[3]{y}} \\overbrace{a}^{b} \\cancel{x} \\phantom{x} \\text{ if } \\bigl( \\binom{n}{k}"
    html = mathml(
        f"{tex} \\quad \\xrightarrow{{f}} \\not= \\sideset{{_a}}{{^b}}\\sum \\mathbf{{xy}} 1.5", display=True
    )
    assert set(re.findall(r"</?([a-z]+)", html)) <= maths.TAGS
    assert set(re.findall(r'\s([a-z]+)="', html)) <= maths.ATTRIBUTES
