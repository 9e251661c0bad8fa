"""The document: components, what they depend on, and nothing that differs from run to run."""

import hashlib
import json
import uuid
from datetime import datetime, timezone
from urllib.parse import quote

from cargo import Crate, Program
from part import Part

# Names of ours in the document begin so.
NAMESPACE = "secrets-store-csi-driver"


def render(program: Program, parts: list[Part], target: str, time: int) -> str:
    """As JSON, ordered and indented for people and for `diff`."""
    references = {crate.name: reference(crate) for crate in program.crates.values()}
    references |= {part.name: part.purl for part in parts}
    own = f"pkg:generic/{program.name}@{program.version}"

    depends_on: dict[str, set[str]] = {own: {reference(program.crates[key]) for key in program.depends_on}}
    for crate in program.crates.values():
        depends_on[reference(crate)] = {reference(program.crates[key]) for key in crate.depends_on}
    for part in parts:
        depends_on.setdefault(part.purl, set())
        for user in [references[name] for name in part.users] or [own]:
            depends_on.setdefault(user, set()).add(part.purl)

    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "tools": {"components": [{"type": "application", "name": "make sbom", "version": program.version}]},
            "component": {
                "bom-ref": own,
                "type": "application",
                "name": program.name,
                "version": program.version,
                "licenses": licenses(program.license),
                "purl": own,
            },
            "properties": [{"name": f"{NAMESPACE}:target", "value": target}],
        },
        "components": sorted(
            [of_crate(crate) for crate in program.crates.values()] + [of_part(part) for part in parts],
            key=lambda component: component["bom-ref"],
        ),
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(others)} for ref, others in sorted(depends_on.items())
        ],
    }
    # A number for this content, so that the same content has the same one.
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, digest).urn
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def reference(crate: Crate) -> str:
    return f"pkg:cargo/{crate.name}@{quote(crate.version, safe='.-')}"


def of_crate(crate: Crate) -> dict:
    return {
        "bom-ref": reference(crate),
        "type": "library",
        "name": crate.name,
        "version": crate.version,
        "scope": scope(crate.is_linked),
        "licenses": licenses(crate.license),
        "hashes": [{"alg": "SHA-256", "content": crate.checksum}],
        "purl": reference(crate),
    }


def of_part(part: Part) -> dict:
    properties = {"origin": part.origin, "sources": part.sources, "libraries": " ".join(part.libraries)}
    component = {
        "bom-ref": part.purl,
        "type": "library" if part.is_linked else "application",
        "name": part.name,
        "version": part.version,
        "scope": scope(part.is_linked),
        "licenses": licenses(part.license),
        "purl": part.purl,
        "properties": [
            {"name": f"{NAMESPACE}:{name}", "value": value} for name, value in properties.items() if value
        ],
    }
    if part.cpe:
        component["cpe"] = part.cpe
    return component


def scope(is_linked: bool) -> str:
    """What builds the program is no part of what ships, and is listed since it could change what ships."""
    return "required" if is_linked else "excluded"


def licenses(expression: str) -> list[dict]:
    return [{"expression": expression}] if " " in expression else [{"license": {"id": expression}}]
