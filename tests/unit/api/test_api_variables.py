"""Variables: how templates read ConfigMaps, the spellings, and the errors for missing ones."""

import pytest

from tradewind.api.templates import TemplateError, references, render
from tradewind.api.variables import MAX_BYTES, Variables, VariableUse, explain_missing, variable_uses

pytestmark = pytest.mark.unit

CONFIG_MAPS = {
    "settings": {"region": "eu", "log.level": "info", "log_level": "exact", "a-b": "1", "a.b": "2", "keys": "k"},
    "my-settings.v2": {"x": "y"},
    "huge": None,
}


def rendered(text: str, namespace: str | None = "ns") -> str:
    variables = Variables(CONFIG_MAPS, namespace)
    try:
        return render(text, {"vars": variables, "params": {"which": "settings", "other": "absent"}})
    except TemplateError as error:
        raise TemplateError(f"{error}{explain_missing(variables, str(error))}") from error


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ vars.settings.region }}", "eu"),
        ("{{ vars['settings']['log.level'] }}", "info"),
        ("{{ vars.settings.log_level }}", "exact"),
        ("{{ vars.settings.a_b }}", "1"),
        ("{{ vars.my_settings_v2.x }}{{ vars['my-settings.v2'].x }}", "yy"),
        ("{{ vars [ 'settings' ] . region | upper }}", "EU"),
        ("{{ vars[params.which].region }}{{ vars[params['which']]['region'] }}", "eueu"),
        ("{{ vars.settings.keys }}", "k"),
        ("{{ vars.settings.absent | default('d') }}{{ vars.absent.x | d('e') }}", "de"),
        ("{% if vars.absent.x is defined %}yes{% else %}no{% endif %}", "no"),
        ("{% for c in vars.settings.region | list %}{{ c }},{% endfor %}", "e,u,"),
        ("{{ params.which }} 'vars' {{ 'vars' }}", "settings 'vars' vars"),
    ],
)
def test_what_is_read(text: str, value: str) -> None:
    assert rendered(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "{{ vars.settings.regoin }}",
            "`vars.settings.regoin` is undefined: .* has no key 'regoin'; did you mean 'reg",
        ),
        ("{{ vars.settings.zzz }}", "the ConfigMap 'settings' has no key 'zzz'; its keys: a-b, a.b, keys"),
        ("{{ vars.settings.items }}", "'settings' has no key 'items'"),
        ("{{ vars.settings._variables }}", "has no key '_variables'"),
        ("{{ vars.settings.__class__ }}", "has no key '__class__'"),
        ("{{ vars._config_maps.x }}", "'-config-maps' cannot be the name of a ConfigMap"),
        ("{{ vars['$(reboot)'].x }}", "cannot be the name of a ConfigMap"),
        ("{{ vars.absent['`reboot`'] }}", "cannot be a key of a ConfigMap"),
        ("{{ vars[params.other].x }}", "namespace 'ns' has no ConfigMap 'absent'"),
        ("{{ vars.my_absent.x }}", "kubectl -n ns create configmap my-absent --from-literal=x=VALUE"),
        ("{{ vars.my_absent.x }}", "kubectl -n ns label configmap my-absent tradewind.dev/variables=true"),
        ("{% for x in vars.absent.x | split(',') %}{% endfor %}", "namespace 'ns' has no ConfigMap 'absent'"),
        ("{{ vars.huge.x }}", f"'huge' exceeds {MAX_BYTES} bytes"),
    ],
)
def test_what_is_not_there(text: str, says: str) -> None:
    with pytest.raises(TemplateError, match=says.replace("$", r"\$").replace("(", r"\(").replace(")", r"\)")):
        rendered(text)


def test_without_a_cluster_the_fix_is_another() -> None:
    with pytest.raises(TemplateError, match=r"pass its file, or --var absent\.x=VALUE"):
        rendered("{{ vars.absent.x }}", namespace=None)


def test_a_default_that_was_used_is_not_blamed_for_another_mistake() -> None:
    with pytest.raises(TemplateError, match=r"^`params.nope` is undefined$"):
        rendered("{{ vars.absent.x | default('') }}{{ params.nope }}")


@pytest.mark.parametrize(
    "text",
    [
        "{{ vars }}",
        "{{ vars | tojson }}",
        "{{ vars.settings }}",
        "{{ vars['settings'] | items }}",
        "{% for name in vars %}{{ name }}{% endfor %}",
        "{{ [vars][0].settings.region }}",
        "{{ vars[params.which] }}",
    ],
)
def test_a_variable_has_two_names(text: str) -> None:
    for check in (rendered, references):
        with pytest.raises(TemplateError, match="`vars` must be followed by a ConfigMap and a key"):
            check(text)


def test_uses_are_found_where_they_are_named_outright() -> None:
    text = (
        "vars.no.no {{ vars.a.b }} {{ 'vars.no.no' }} {{ vars['a-b'][\"c.d\"] | upper }} {# {{ vars.no.no }} #}"
        "{% if vars.e.f is not defined or vars.g.h | default(1) %}{{ params.vars.no }}{% endif %}"
        "{{ vars[params.x].no }}"
    )
    assert list(variable_uses(text)) == [
        VariableUse("a", "b", optional=False),
        VariableUse("a-b", "c.d", optional=False),
        VariableUse("e", "f", optional=True),
        VariableUse("g", "h", optional=True),
    ]
    assert [str(use) for use in variable_uses(text)][:2] == ["vars.a.b", "vars['a-b']['c.d']"]
