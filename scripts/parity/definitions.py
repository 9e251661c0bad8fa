"""The custom resource definitions: names, scope, versions, printer columns and the fields of each schema. What they say
in sentences is not compared."""

import json
from pathlib import Path

import documents

# Of a field of a schema; every other key is part of what it permits.
FOR_PEOPLE = {"description", "title"}
BELOW = {"properties", "items", "additionalProperties"}


def facts(paths: list[Path]) -> dict[str, str]:
    found = {}
    for path in sorted(paths):
        for document in documents.read(path.read_text(encoding="utf-8"), path.name):
            if document["kind"] == "CustomResourceDefinition":
                name = document["metadata"]["name"]
                found |= {f"definition {name} {what}": value for what, value in about(document["spec"]).items()}
    return found


def about(spec: dict) -> dict[str, str]:
    found = {"scope": spec["scope"], "group": spec["group"]}
    for name, value in spec["names"].items():
        found[f"names.{name}"] = json.dumps(value)
    for key in spec.keys() - {"scope", "group", "names", "versions"}:
        found[key] = json.dumps(spec[key])
    for version in spec["versions"]:
        name = version["name"]
        for key in version.keys() - {"name", "schema", "additionalPrinterColumns"}:
            found[f"{name} {key}"] = json.dumps(version[key])
        for column in version.get("additionalPrinterColumns", []):
            rest = {key: value for key, value in column.items() if key not in FOR_PEOPLE | {"name"}}
            found[f"{name} column {column['name']}"] = json.dumps(rest, sort_keys=True)
        fields = schema(version["schema"]["openAPIV3Schema"])
        found |= {f"{name} {path or 'object'}": value for path, value in fields.items()}
    return found


def schema(node: object, path: str = "") -> dict[str, str]:
    """What each field may be, by its path."""
    if not isinstance(node, dict):
        return {path: json.dumps(node)}
    rules = {key: value for key, value in node.items() if key not in FOR_PEOPLE | BELOW}
    rules = {key: sorted(value) if key == "required" else value for key, value in rules.items()}
    plain = rules.keys() == {"type"}
    found = {path: rules["type"] if plain else json.dumps(rules, sort_keys=True)}
    for name, below in node.get("properties", {}).items():
        found |= schema(below, f"{path}.{name}".lstrip("."))
    if "items" in node:
        found |= schema(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        found |= schema(node["additionalProperties"], f"{path}{{}}")
    return found
