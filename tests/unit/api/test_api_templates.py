"""Templates reach only what they are given, and cannot be made to grow or run without bound."""

import time
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.api.templates import (
    FUEL,
    MAX_RENDERED,
    OutOfFuel,
    TemplateError,
    fuel_for,
    is_template,
    references,
    render,
)
from tradewind.api.variables import Variables

pytestmark = pytest.mark.unit

VALUES: dict[str, Any] = {
    "logicalDate": "2026-01-31T05:00:00Z",
    "ds": "2026-01-31",
    "params": {"region": "eu", "rows": [1, 2, 3], "text": "x" * 1000, "many": list(range(1000))},
    "tasks": {"extract": {"output": {"rows": 5, "paths": ["a", "b"]}}},
    "run": {"name": "sales-1"},
    "vars": Variables({"a": {"b": "c"}}),
}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("{{ ds | date('%Y/%m/%d, %A%%') }} {{ ds | date }}", "2026/01/31, Saturday% 2026-01-31"),
        ("{{ ds | add('-31d') }} {{ ds | add(\"24h\") }}", "2025-12-31 2026-02-01"),
        ("{{ '2026-03-29T00:30:00Z' | tz('Europe/Berlin') | add('1h') }}", "2026-03-29T02:30:00+01:00"),
        ("{{ '2026-03-29T00:30:00Z' | add('1h') | tz('Europe/Berlin') }}", "2026-03-29T03:30:00+02:00"),
        ("{{ '2026-01-31T05:00:00.250+01:00' | tz('UTC') | date('%H:%M:%S.%f') }}", "04:00:00.250000"),
        ("{% for x in '[1, {\"a\": null}]' | fromjson %}{{ x }};{% endfor %}", "1;{'a': None};"),
        ("{{ 'é' | b64encode }} {{ 'w6k=' | b64decode }}", "w6k= é"),
        ("{{ ds }}", "2026-01-31"),
        ("a{{ params.region }}b", "aeub"),
        ("{{ tasks.extract.output.rows }}", "5"),
        ("{{ tasks['extract'].output.paths[1] }}", "b"),
        ("{{ params.rows | tojson }}", "[1, 2, 3]"),
        ("{{ 'é' | tojson }}", '"é"'),
        ("{{ params.rows | join('-') }}", "1-2-3"),
        ("{{ params.region | upper }}", "EU"),
        ("{{ ds | replace('-', '') }}", "20260131"),
        ("{{ params.missing | default('none') }}", "none"),
        ("{% if params.region == 'eu' %}yes{% else %}no{% endif %}", "yes"),
        ("{% for row in params.rows %}{{ row }},{% endfor %}", "1,2,3,"),
        ("{{ 7 + 1 }}", "8"),
        ("{# a note #}x", "x"),
        ("line\n", "line\n"),
        ("${HOME} $(date) %s {x} }}", "${HOME} $(date) %s {x} }}"),
        ("{{ '*' }} {{ \"a|b\" }}", "* a|b"),
        ("<b>{{ '<&>' }}</b>", "<b><&></b>"),
    ],
)
def test_render(text: str, rendered: str) -> None:
    assert render(text, VALUES) == rendered


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ ds }}", {"ds"}),
        ("{{ params.region }} {{ params['rows'] }}", {"params", "params.region", "params.rows"}),
        ("{{ tasks.extract.output.rows }}", {"tasks.extract.output.rows"}),
        ("{% for x in params.rows %}{{ x }}{% endfor %}", {"params.rows"}),
        ("nothing", set()),
    ],
)
def test_references(text: str, names: set[str]) -> None:
    assert references(text) >= names - {"params"}
    assert not {name for name in references(text) if name.split(".")[0] not in {n.split(".")[0] for n in names}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ ds", "unexpected end"),
        ("{{ }}", "unexpected"),
        ("{% if ds %}x", "unexpected end"),
        ("{{ dss }}", "undefined"),
        ("{{ params.nothing.at.all }}", "undefined"),
        ("{{ ds | strftime }}", "filter 'strftime' is unknown"),
        ("{{ ds | date('%Y%999999999d') }}", "%9 is unknown"),
        ("{{ ds | date('%') }}", "% is unknown"),
        ("{{ ds | date('') }}", "1 to 256 characters"),
        ("{{ ds | date(params.region) }}{{ 'x' | date }}", "'x' is not a date"),
        ("{{ '2026-01-31T05:00:00' | date }}", "has no offset"),
        ("{{ ds | add('1h') }}", "is not a number of days"),
        ("{{ ds | add(1) }}", "1 is not an offset"),
        ("{{ '9999-12-31' | add('1d') }}", "beyond the years 1 to 9999"),
        ("{{ '9999-12-31T23:00:00Z' | tz('Asia/Tokyo') }}", "beyond the years 1 to 9999"),
        ("{{ ds | tz('UTC') }}", "a day without a time"),
        ("{{ logicalDate | tz(params.region) }}", "is not an IANA time zone"),
        ("{{ '{' | fromjson }}", "fromjson: "),
        ("{{ 'NaN' | fromjson }}", "NaN is not JSON"),
        ("{{ 'x' | b64decode }}", "b64decode: "),
        ("{{ '/w==' | b64decode }}", "b64decode: "),
        ("{{ params.rows | join(5) }}", "has no len"),
        ("{{ ds | replace(1, 2) }}", "must be str"),
        ("{{ params.text | replace('x', params.text) }}", "more than 131072 characters"),
        ("a\nb\n{{ ds | }}", "line 3"),
    ],
)
def test_errors_say_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(TemplateError, match=says):
        render(text, VALUES)


DOUBLING = "{% set x = 'aaaaaaaaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}"

ATTACKS = {
    "repeat": "{{ 'a' * 1000000000 }}",
    "repeat-in-condition": "{% if 'a' * 1000000000 %}x{% endif %}",
    "repeat-hidden-in-a-string-with-braces": "{{ '}}' * 1000000000 }}",
    "doubling": DOUBLING,
    "range": "{% for i in range(100000000) %}x{% endfor %}",
    "nested-loops": "{% for a in params.text %}" * 6 + "x" + "{% endfor %}" * 6,
    "replace": "{{ params.text | replace('x', params.text) | replace('x', params.text) }}",
    "replace-nothing": "{{ params.text | replace('', params.text) | replace('', params.text) }}",
    "join": "{{ params.text | list | join(params.text) }}",
    "indent": "{{ params.text | indent(100000000) }}",
    "center": "{{ 'a' | center(1000000000) }}",
    "format": "{{ '%1000000000d' | format(1) }}",
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "block": "{% block a %}{{ self.a() }}{% endblock %}",
    "include": "{% include 'etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "extends": "{% extends 'x' %}",
    "call": "{% call x() %}{% endcall %}",
    "filter-block": "{% filter upper %}x{% endfilter %}",
    "dunder": "{{ ds.__class__.__mro__ }}",
    "method": "{{ ds.upper() }}",
    "namespace": "{% set ns = namespace(x='a') %}",
    "power": "{{ 10 ** 100000 }}",
    "deep": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "whitespace-control": "{%- set x = 1 -%}",
    "plus-control": "{%+ set x = 1 +%}",
    "raw": "{% raw %}{{ ds }}{% endraw %}{% set x = 1 %}",
    "autoescape": "{% autoescape true %}x{% endautoescape %}",
    "with": "{% with x = 1 %}{{ x }}{% endwith %}",
    "do": "{% do ds %}",
    "change": "{{ tasks.clear() }}",
    "change-spaced": "{{ tasks . extract ['output'] . clear () }}",
    "change-by-subscript": "{{ tasks['clear']() }}",
    "change-by-another-name": "{% for f in [tasks.clear] %}{{ f() }}{% endfor %}",
    "change-in-parentheses": "{{ (tasks.clear)() }}",
    "change-after-a-filter": "{{ (tasks | default).clear() }}",
    "change-in-a-test": "{{ ds is tasks.clear() }}",
    "change-in-a-loop": "{% for x in params.rows.extend(params.rows) %}x{% endfor %}",
    "function": "{% for i in range(3) %}x{% endfor %}",
    "debug": "{{ debug() }}",
    "read-a-method": "{{ params.clear }}",
    "repeat-after-braces-in-an-object": "{{ {'a': {'b': 'x'}}.a.b * 1000000000 }}",
    "repeat-after-braces-in-a-condition": "{% if {'a': '%}'}.a * 1000000000 %}x{% endif %}",
    "base64-of-base64": "{{ params.text" + " | b64encode" * 40 + " }}",
    "json-in-a-loop": "{% for a in params.many %}{{ params.many | tojson | fromjson | length }}{% endfor %}",
    "deep-json": "{{ '" + "[" * 100_000 + "' | fromjson }}",
    "long-number": "{{ '" + "9" * 100_000 + "' | fromjson }}",
    "wide-date": "{{ ds | date('%999999999d') }}",
    "text-in-a-loop": "{% for a in params.text %}" + "y" * 100_000 + "{% endfor %}",
    "printed-in-a-loop": "{% for a in params.text %}{{ params.text }}{% endfor %}",
    "unique-in-a-loop": "{% for a in params.text %}{% if params.many | unique %}{% endif %}{% endfor %}",
    "quotes-without-end": "{{ " + "'a' " * 20_000,
    "quotes-in-what-is-not-closed": "{{ x " + "\\'" * 200_000,
    "variables-as-a-list": "{{ vars[::-1][0] }}",
    "braces-without-end": "{{ " + "{" * 100_000,
    "half-a-character": "{{ ds }}\ud800",
}
STACK = {
    # Each once crashed the process by overflowing its stack.
    "not": "{{ " + "not " * 100_000 + "1 }}",
    "minus": "{{ " + "-" * 100_000 + "1 }}",
    "concatenation": "{{ 1" + "~1" * 100_000 + " }}",
    "power": "{{ 1" + "**1" * 100_000 + " }}",
    "and": "{{ 1" + " and 1" * 100_000 + " }}",
    "filters": "{{ 'a'" + "|upper" * 100_000 + " }}",
    "attributes": "{{ ds" + ".b" * 100_000 + " }}",
    "subscripts": "{{ ds" + "[0]" * 100_000 + " }}",
    "conditions": "{{ " + "1 if 1 else " * 100_000 + "1 }}",
    "tests": "{{ 1" + " is defined" * 100_000 + " }}",
    "blocks": "{% if ds %}" * 20_000 + "{% endif %}" * 20_000,
    "elif": "{% if ds %}" + "{% elif ds %}" * 50_000 + "{% endif %}",
}


@pytest.mark.parametrize("text", (ATTACKS | STACK).values(), ids=(ATTACKS | STACK).keys())
def test_cannot_be_blown_up(text: str) -> None:
    started = time.process_time()
    with pytest.raises(TemplateError) as caught:
        render(text, VALUES)
    assert time.process_time() - started < 1
    assert len(str(caught.value)) < 1000


def test_values_are_never_changed() -> None:
    values = {"tasks": {"extract": {"output": {"rows": [1]}}}}
    for text in ATTACKS.values():
        with suppress(TemplateError):
            render(text, values)
    assert values == {"tasks": {"extract": {"output": {"rows": [1]}}}}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{% if not (ds) or (ds) and (ds) %}y{% endif %}", "y"),
        ("{% if(ds) %}y{% elif (ds) %}n{% endif %}", "y"),
        ("{{ (1) + (2) }}{{ 3 in(1, 3) }}{{ 'a' if(ds)else('b') }}", "3Truea"),
        ("{{ 9 is divisibleby(3) }}{{ 9 is not divisibleby (2) }}", "TrueTrue"),
        ("{% for i in (4, 5) %}{{ i }}{% endfor %}", "45"),
        ("{{ params.rows | join (',') }}", "1,2,3"),
    ],
)
def test_parentheses_that_call_nothing_are_fine(text: str, rendered: str) -> None:
    assert render(text, VALUES) == rendered


def test_concatenation_in_a_loop_is_bounded() -> None:
    with pytest.raises(TemplateError):
        render("{% for a in params.text %}{{ params.text }}" + "{% endfor %}", {"params": {"text": "x" * 1000}})


def test_what_is_rendered_fits_into_one_argument() -> None:
    assert render("{{ text }}", {"text": "x" * MAX_RENDERED}) == "x" * MAX_RENDERED
    with pytest.raises(TemplateError, match="more than"):
        render("{{ text }}", {"text": "é" * (MAX_RENDERED // 2 + 1)})


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{ {'a': {'b': 1} }.a.b }}", "1"),
        ("{{ '}}' }}{% if '%}' == '%}' %}y{% endif %}", "}}y"),
        ("{{ 'it\\'s' }}", "it's"),
        ("{# {{ 'a }} #}x", "x"),
        ("{{ params.rows | unique | length }}{{ ['a', 'A', 'b', 1, 1] | unique }}", "3['a', 'b', 1]"),
        ("{%- if ds -%} x {%- endif +%} {{- ds -}} ", "x2026-01-31"),
        ("x" * 100_000 + "{% for r in params.rows %}{{ r }}{% endfor %}", "x" * 100_000 + "123"),
    ],
)
def test_what_looks_like_an_attack_and_is_none(text: str, rendered: str) -> None:
    assert render(text, VALUES) == rendered


def test_long_templates_do_not_stay_in_memory() -> None:
    """The same 900 KB script, changed a bit each time, would otherwise be kept thousands of times."""
    tracemalloc.start()
    try:
        for number in range(30):
            references("x" * 500_000 + f"{{{{ ds }}}}{number}")
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()


def test_values_are_not_templates() -> None:
    assert render("{{ text }}", {"text": "{{ ds }}"}) == "{{ ds }}"


@given(st.text(max_size=200))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    try:
        rendered = render(text, VALUES)
    except TemplateError as error:
        assert str(error)
    else:
        assert is_template(text) or rendered == text


@given(st.text(alphabet="{}%#|'\"*~()[]. adsetforinx0123456789\\-+\n", max_size=60))
def test_any_soup_of_tags_is_rendered_or_refused(text: str) -> None:
    try:
        rendered = render("{{" + text + "}}{%" + text + "%}", VALUES)
    except TemplateError:
        return
    assert len(rendered.encode()) <= MAX_RENDERED


def test_what_only_names_values_needs_no_fuel() -> None:
    values = {"ds": "2026-01-01", "params": {"rows": list(range(30_000)), "x": {"a-b": [5]}}}
    easy = "{{ ds }} {{ params.x['a-b'][0] }} {{ params.rows[-1] }}"
    assert fuel_for([easy], values) == FUEL
    assert render(easy, values, 1) == "2026-01-01 5 29999"
    hard = "{{ params.rows | sort | length }}"
    assert fuel_for([easy, hard], values) < 20
    assert fuel_for([hard] * 1000, values) == 0
    assert fuel_for([hard], {"params": {"rows": [1]}}) == FUEL
    with pytest.raises(OutOfFuel):
        render("{% for row in params.rows %}{% endfor %}", values, fuel_for([hard], values))
    assert fuel_for(["{{ not a tag"], values) < FUEL


def _loops(number: int, made: str) -> str:
    """Loops inside each other, each over what it makes of the variable of the one around it."""
    begin = "".join(f"{{% for t{n + 1} in {made.replace('LAST', f't{n}' if n else 'ds')} %}}" for n in range(number))
    return begin + f"{{{{ t{number} | length }}}}" + "{% endfor %}" * number


@pytest.mark.parametrize(
    "text",
    [
        _loops(9, f"[{' ~ '.join(['LAST'] * 10)}]"),
        _loops(9, f"[[{', '.join(['LAST'] * 10)}] | string]"),
        _loops(30, "[LAST + LAST]"),
        "{{ " + "(" * 30 + "ds" + " ~ ds | list ~ '')" * 30 + " | length }}",
        "{{ ds" + " | list | string" * 20 + " | length }}",
        "{{ " + "([" * 20 + "ds" + "] ~ '')" * 20 + " | length }}",
    ],
)
def test_what_grows_with_each_step_is_not_rendered_where_others_wait(text: str) -> None:
    with pytest.raises(OutOfFuel):
        render(text, VALUES, fuel_for([text], VALUES))


@pytest.mark.parametrize(
    "text",
    [
        "{{ (ds ~ '-' ~ dag.name) | upper }}",
        "{% for zone in ['a', 'b', 'c'] %}{{ ds ~ '+' ~ zone }} {% endfor %}",
        "{% for key, value in params.more | dictsort %}{{ key ~ '=' ~ value }}{% endfor %}",
        "{{ ((params.n + 1) + 2) | string }}",
    ],
)
def test_what_people_write_is_rendered_at_once(text: str) -> None:
    values = {"ds": "2026-01-01", "dag": {"name": "etl"}, "params": {"n": 1, "more": {"a": 1, "b": 2}}}
    assert render(text, values, fuel_for([text], values)) == render(text, values)


def test_no_nul() -> None:
    with pytest.raises(TemplateError, match="NUL"):
        render("{{ params.x }}", {"params": {"x": "a\0b"}})
