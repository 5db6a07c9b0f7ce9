"""A YAML file cannot grow, hide a key, or make a long message."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.settings import RunSettings, load_run, validate
from harness.yaml_text import MOST_NODES, YamlError, parse_yaml

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nround: b\nname: c", "the key 'name' is there twice, in lines 1 and 3"),
        ("tests: {offline: {a: 1, a: 2}}", "the key 'a' is there twice, in line 1"),
        (BOMB, f"stand for more than {MOST_NODES} values"),
        ("a: &a [*a]", "contains itself"),
        ("[" * 3000, "nested too deeply"),
        ("[" * 150 + "]" * 150, "nested too deeply"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ("a: [", "line 1"),
        ("a: \x00", "special characters are not allowed"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("x" * (5 << 20), "longer than 4 MiB"),
    ],
)
def test_what_is_wrong_is_one_short_line(text: str, message: str) -> None:
    began = time.monotonic()
    with pytest.raises(YamlError, match=message) as caught:
        parse_yaml(text)
    assert len(str(caught.value)) <= 301
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 20


def test_aliases_and_merge_keys_are_fine_in_measure() -> None:
    text = "base: &base {a: 1, b: 2}\none: {<<: *base, b: 3}\ntwo: [*base, *base]"
    assert parse_yaml(text)["one"] == {"a": 1, "b": 3}
    assert parse_yaml("") is None


def test_a_bomb_in_a_configuration_is_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "bomb.yaml"
    file.write_text("backend:\n  options:\n" + textwrap.indent(BOMB, "    ") + "name: *i\n")
    with pytest.raises(UsageError, match="stand for more than"):
        load_run(file, {})


def test_a_wrong_value_is_shown_in_short() -> None:
    with pytest.raises(UsageError) as caught:
        validate(RunSettings, {"name": ["x" * 100] * 500}, "a.yaml")
    assert len(str(caught.value)) < 300
