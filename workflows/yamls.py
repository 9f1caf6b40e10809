"""YAML of every exported file, and of the site file: one private dumper and one private loader.

Hera changes PyYAML's own dumpers when it is imported; these classes are not touched by that. YAML 1.1 and 1.2 readers
must agree on every scalar, so whatever one of them could read as a boolean, a number or nothing is quoted.
"""

import re
from collections.abc import Hashable, Iterable
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z/](?:[\w.,/()=<>@+-]|:(?!\s|$)| (?![\s#]|$))*", re.ASCII)
"""Text without quotes: begins with a letter or '/', no ': ', no ' #', no space at the end."""

_RESERVED = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class _Dumper(yaml.SafeDumper):
    """Block style, no anchors, no wrapped lines, the order of keys as given."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    if "\n" in text and not re.search(r"[ \t]\n|[ \t]$|^\s|\r|[^\x20-\x7e\n]", text):
        style: str | None = "|"
    elif _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        style = None
    else:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(document: Any) -> str:
    """One YAML document of plain dicts, lists, strings, numbers and booleans."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=2**31, allow_unicode=True)


def dump_all(documents: Iterable[Any]) -> str:
    """Several documents, separated by `---`."""
    return "---\n".join(dump(document) for document in documents)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, where PyYAML silently takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """The only document in `text`. Raises yaml.YAMLError with line and column."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
