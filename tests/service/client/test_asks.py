"""The client and the API's own description say the same."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints
from urllib.parse import unquote

import pytest

from service.app import create_app
from service.client import AsyncClient, Client, answers, asks
from service.client.asks import Ask
from service.client.uploads import Form, Upload
from service.settings import Settings

LITERALS = (asks.Format, asks.AlbumFormat, asks.Way)
SENT = {"picture": b"a picture", "from_": b"one", "to": b"another", "name": "{name}"}
ANSWERS = {
    "ModelSummary": answers.Model,
    "ModelDetails": answers.ModelDetails,
    "Encoded": answers.Encoded,
    "Drawn": answers.Drawn,
    "Fitted": answers.Fitted,
    "Health": answers.Health,
}
"""What JSON is called there, and here."""


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return create_app(Settings()).openapi()


def methods() -> Iterator[str]:
    return (name for name, value in vars(Client).items() if hasattr(value, "__wrapped__"))


def asked(name: str) -> Ask[Any]:
    """What a method asks when all of its parameters are given, each a value of its own."""
    ask = getattr(asks, name)
    names = list(inspect.signature(ask).parameters)
    by_seed = name == "interpolate"
    return ask(**{one: one.rstrip("_") if by_seed else SENT.get(one, one) for one in names if one != "progress"})


def operations(description: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(verb.upper(), path): told for path, verbs in description["paths"].items() for verb, told in verbs.items()}


def test_every_operation_has_a_method_of_both_clients_and_every_method_an_operation(description: dict[str, Any]):
    found = [(asked(name).method, unquote(asked(name).path)) for name in methods()]
    assert sorted(found) == sorted(operations(description))
    for name in methods():
        assert getattr(Client, name).__wrapped__ is getattr(asks, name)
        assert getattr(AsyncClient, name).__wrapped__ is getattr(asks, name)
    assert {name for name in vars(AsyncClient) if hasattr(getattr(AsyncClient, name), "__wrapped__")} == set(methods())


@pytest.mark.parametrize("name", list(methods()))
def test_every_parameter_is_one_of_the_operation_and_is_sent(description: dict[str, Any], name: str):
    ask = asked(name)
    told = operations(description)[ask.method, unquote(ask.path)]
    query = {one["name"] for one in told.get("parameters", ()) if one["in"] == "query"}
    path = {one["name"] for one in told.get("parameters", ()) if one["in"] == "path"}
    content = told.get("requestBody", {}).get("content", {})
    properties = content.get("application/json", {}).get("schema", {}).get("properties", {})
    fields = {name for name, one in properties.items() if "of no effect" not in one.get("description", "")}
    files = set(content.get("multipart/form-data", {}).get("schema", {}).get("properties", ()))
    assert set(ask.params) == query
    assert set(ask.json or ()) == fields
    assert (isinstance(ask.body, Upload), isinstance(ask.body, Form)) == (files == {"file"}, len(files) > 1)
    if isinstance(ask.body, Form):
        body = b"".join(ask.body.pieces())
        assert all(f'name="{one}"'.encode() in body for one in files)
    names = {one.rstrip("_") for one in inspect.signature(getattr(asks, name)).parameters} - {"picture", "progress"}
    assert names == query | path | fields | (files - {"file"})
    values = [*ask.params.items(), *(ask.json or {}).items()]
    assert all(value == one for one, value in values), "each is sent under its own name"


@pytest.mark.parametrize("name", list(methods()))
def test_a_choice_is_the_same_here_and_there(description: dict[str, Any], name: str):
    ask = asked(name)
    told = operations(description)[ask.method, unquote(ask.path)]
    schemas = {one["name"]: one["schema"] for one in told.get("parameters", ())}
    content = told.get("requestBody", {}).get("content", {})
    schemas |= content.get("application/json", {}).get("schema", {}).get("properties", {})
    there = {one: set(schema["enum"]) for one, schema in schemas.items() if "enum" in schema}
    hints = {
        one: hint for one, hint in get_type_hints(getattr(asks, name)).items() if one not in ("return", "progress")
    }
    known = [set(get_args(literal)) for literal in LITERALS]
    here = {one: choice for one, hint in hints.items() for choice in known if choice == set(choices(hint))}
    assert here == there


def choices(hint: Any) -> Iterator[str]:
    """The words that may be given for a parameter of that type."""
    for one in get_args(hint):
        yield from [one] if isinstance(one, str) else choices(one)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_what_json_holds_is_the_same_here_and_there(description: dict[str, Any], name: str):
    assert set(get_type_hints(ANSWERS[name])) == set(description["components"]["schemas"][name]["properties"])


def test_progress_is_of_what_is_answered_in_parts(description: dict[str, Any]):
    there = [
        key
        for key, told in operations(description).items()
        if "multipart/mixed" in told["responses"]["200"].get("content", {})
    ]
    told = [one for one in methods() if "progress" in inspect.signature(getattr(asks, one)).parameters]
    assert sorted((asked(one).method, asked(one).path) for one in told) == sorted(there)
    assert asks.denoise(b"x", progress=print).headers["Accept"] == "multipart/mixed"
    assert "Accept" not in asks.denoise(b"x").headers
