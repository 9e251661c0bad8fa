"""The objects of the manifests and of the chart's templates: kinds and names; of roles, bindings and the CSIDriver what
they say.

Templates are read as they are written, not rendered: every object that a template can make counts, and the values on
which that depends. What stands between braces becomes a word of its own, `<fullname>` for the chart's helper of that
name.
"""

import json
import re
from pathlib import Path

import documents

ACTION = r"\{\{(?:(?!\}\}).)*\}\}"
# Lines that hold nothing but actions make no text of their own here.
ACTION_LINES = re.compile(rf"^[ \t]*(?:{ACTION}[ \t]*)+\n?", re.MULTILINE | re.DOTALL)
# Of these more than the name is read.
ROLES = {"ClusterRole", "Role"}
BINDINGS = {"ClusterRoleBinding", "RoleBinding"}


def of_manifests(paths: list[Path]) -> dict[str, str]:
    facts = {}
    for path in sorted(paths):
        for document in documents.read(path.read_text(encoding="utf-8"), path.name):
            if document["kind"] not in ("Kustomization", "Component"):
                facts |= {f"manifest {name}": value for name, value in about(document).items()}
    return facts


def of_chart(chart: Path) -> dict[str, str]:
    helper = prefix_of_helpers(chart)
    facts = {}
    for path in sorted(chart.glob("templates/**/*.yaml")):
        source = path.read_text(encoding="utf-8")
        conditions = conditions_of(source, path.name)
        for part in re.split(r"^---.*$", without_actions(source, helper), flags=re.MULTILINE):
            if re.sub(r"#[^\n]*|\s", "", part):
                found = of_template(part, path.name)
                found[f"{next(iter(found))}, depends on"] = conditions.pop(0)
                facts |= {f"chart {name}": value for name, value in found.items()}
    for path in sorted([*chart.glob("crds/*.yaml"), *chart.glob("files/crds/*.yaml")]):
        for document in documents.read(path.read_text(encoding="utf-8"), path.name):
            facts |= {f"chart {name}": value for name, value in about(document).items()}
    return facts


def prefix_of_helpers(chart: Path) -> str:
    """That of the chart's own helpers: each chart has labels."""
    for path in sorted(chart.glob("templates/**/*.tpl")):
        if match := re.search(r'define "(\w+)\.labels"', path.read_text(encoding="utf-8")):
            return match[1]
    raise ValueError(f"{chart}/templates: there is no helper for labels, so the others are not recognised")


def without_actions(source: str, helper: str) -> str:
    def word(match: re.Match) -> str:
        inside = match[0].strip("{}- \t\n")
        inside = re.sub(rf'^(?:template|include) "(?:{helper}\.)?([^"]+)" [.$]', r"\1", inside)
        return f"<{' '.join(inside.split())}>"

    return re.sub(ACTION, word, ACTION_LINES.sub("", source), flags=re.DOTALL)


def conditions_of(source: str, name: str) -> list[str]:
    """For each object of a template, in order, the values on which it depends whether it is made."""
    found: list[str] = []
    open_blocks: list[str] = []
    for match in re.finditer(rf"({ACTION})|^kind:", source, re.MULTILINE | re.DOTALL):
        words = (match[1] or "").strip("{}- \t\n").split()
        if not words:
            values = set(re.findall(r"\.Values\.([\w.]*\w)", " ".join(open_blocks)))
            found.append(" ".join(sorted(values)) or "no value")
        elif words[0] in ("if", "range", "with", "define", "block"):
            open_blocks.append(" ".join(words[1:]))
        elif words[0] == "end":
            if not open_blocks:
                raise ValueError(f"{name}: an end without a beginning")
            open_blocks.pop()
    return found


def of_template(part: str, name: str) -> dict[str, str]:
    kind = re.search(r"^kind: *(\S+)", part, re.MULTILINE)
    if kind is None:
        raise ValueError(f"{name}: there is an object without a kind")
    if kind[1] in ROLES | BINDINGS | {"CSIDriver"}:
        return about(documents.read(part, name)[0])
    version = re.search(r"^apiVersion: *(\S.*)", part, re.MULTILINE)
    named = re.search(r"^metadata:\n(?:[ #].*\n)*?  name: *(\S.*)", part, re.MULTILINE)
    if version is None or named is None:
        raise ValueError(f"{name}: the {kind[1]} has no version or no name")
    return {f"{kind[1]} {named[1].strip()}": version[1].strip()}


def about(document: dict) -> dict[str, str]:
    """The facts of an object, by its kind and name."""
    kind, name = document["kind"], document["metadata"]["name"]
    facts = {f"{kind} {name}": document["apiVersion"]}
    if kind in ROLES:
        facts |= {f"{kind} {name}, {what}": value for what, value in granted(document).items()}
    elif kind in BINDINGS:
        facts[f"{kind} {name}, binds"] = binding(document)
    elif kind == "CSIDriver":
        facts |= {f"{kind} {name}, {field}": json.dumps(value) for field, value in document["spec"].items()}
    return facts


def granted(role: dict) -> dict[str, str]:
    """Verbs by resource, and the roles of everybody that this one is part of."""
    verbs: dict[str, set[str]] = {}
    for rule in role.get("rules") or []:
        names = f" named {' '.join(sorted(rule['resourceNames']))}" if rule.get("resourceNames") else ""
        groups, resources = rule.get("apiGroups", []), rule.get("resources", [])
        targets = [f"{group}/{resource}".removeprefix("/") for group in groups for resource in resources]
        for target in targets + rule.get("nonResourceURLs", []):
            verbs.setdefault(target + names, set()).update(rule["verbs"])
    facts = {target: " ".join(sorted(found)) for target, found in verbs.items()}
    labels = role["metadata"].get("labels") or {}
    prefix = "rbac.authorization.k8s.io/"
    return facts | {name.removeprefix(prefix): value for name, value in labels.items() if name.startswith(prefix)}


def binding(document: dict) -> str:
    role = document["roleRef"]
    subjects = (f"{each['kind']} {each.get('namespace', '')}/{each['name']}" for each in document["subjects"])
    return f"{role['kind']} {role['name']} to {', '.join(sorted(subjects))}"
