"""Explains the first error of a check in one line: the key, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from pixelcnn_lit.config.values import in_words

Node = Mapping[str, Any]
"""A part of a JSON schema."""

KINDS = {
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a group of keys",
}


def explain(error: ValidationError, section: type[BaseModel]) -> str:
    """One line for the first of the errors in ``error``, which the check of ``section`` raised."""
    details = error.errors()[0]
    schema = Schema(section)
    key, node = schema.at(details["loc"], unknown=details["type"] == "extra_forbidden")
    reason = details["msg"].removeprefix("Value error, ")
    match details["type"]:
        case "union_tag_invalid" | "union_tag_not_found":
            got = f"={details['ctx']['tag']!r}" if "tag" in details["ctx"] else ": missing"
            names = ", ".join(schema.tags(node))
            return f"{key}.name{got}: must be one of {names}, or what a module of plugins=[MODULE] registers"
        case "extra_forbidden":
            return f"{key}: no such key; allowed here: {', '.join(schema.resolve(node).get('properties', {}))}"
        case "missing":
            return f"{key}: missing; must be {schema.words(node)}"
        case "value_error" if isinstance(details["input"], Mapping | BaseModel):  # of several keys together
            return reason
        case "value_error":
            allowed = f"must be odd, {schema.words(node)}" if reason == "must be odd" else reason
            return f"{key}={_got(details['input'])}: {allowed}"
    return f"{key}={_got(details['input'])}: must be {schema.words(node)}"


def _got(value: Any) -> str:
    """A value that was given: a text in quotes, all else as a config file has it."""
    return repr(value) if isinstance(value, str) else in_words(value)


class Schema:
    """The JSON schema of a section: it says what is allowed for each key."""

    def __init__(self, section: type[BaseModel]) -> None:
        self.root: dict[str, Any] = section.model_json_schema()

    def resolve(self, node: Node) -> Node:
        """The node that ``node`` refers to, or ``node`` itself if it is no reference."""
        while "$ref" in node:
            node = self.root["$defs"][node["$ref"].rsplit("/", 1)[1]]
        return node

    def tags(self, node: Node) -> dict[str, str]:
        """For a union with a discriminator: a reference to the schema of each name. Otherwise empty."""
        return dict(self.resolve(node).get("discriminator", {}).get("mapping", {}))

    def at(self, location: Sequence[str | int], *, unknown: bool) -> tuple[str, Node]:
        """The dotted key of an error and its node. For an ``unknown`` key it is the node of the group around it.

        pydantic's locations also contain the branch of a union that failed. These parts are not keys, and are skipped.
        """
        node: Node = self.root
        keys = []
        for part in location:
            node = self.resolve(node)
            if (tags := self.tags(node)) and part in tags:
                node = {"$ref": tags[str(part)]}
                continue
            inner = self._element(node, part) if isinstance(part, int) else node.get("properties", {}).get(part)
            if inner is None and not unknown:
                continue
            node = node if inner is None else inner
            keys.append(str(part))
        return ".".join(keys), node

    def _element(self, node: Node, index: int) -> Node:
        for option in node.get("anyOf", [node]):
            if "prefixItems" in option:
                places: list[Node] = option["prefixItems"]
                return places[index] if index < len(places) else {}
            if "items" in option:
                items: Node = option["items"]
                return items
        return {}

    def words(self, node: Node) -> str:
        """What a node allows, in words."""
        node = self.resolve(node)
        if "words" in node:
            return str(node["words"])
        if "anyOf" in node:
            return " or ".join(dict.fromkeys(self.words(option) for option in node["anyOf"]))
        if "enum" in node:
            return "one of " + ", ".join(str(value) for value in node["enum"])
        if "const" in node:
            return str(node["const"]).lower()
        if "prefixItems" in node:
            return "[" + ", ".join(self.words(item) for item in node["prefixItems"]) + "]"
        return f"{KINDS.get(str(node.get('type')), 'another value')}{_bounds(node)}"


def _bounds(node: Node) -> str:
    lower, upper = node.get("minimum"), node.get("maximum")
    if "minLength" in node:
        return ", not empty"
    if lower is not None and upper is not None:
        return f" from {lower} to {upper}"
    bounds = [
        (lower, "of at least"),
        (node.get("exclusiveMinimum"), "above"),
        (upper, "of at most"),
        (node.get("exclusiveMaximum"), "below"),
    ]
    return " and".join(f" {word} {bound}" for bound, word in bounds if bound is not None)
