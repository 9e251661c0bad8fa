"""`make sbom-check`: are the bills of materials true?

    python3 tests/sbom/check.py OUT TARGET CACHE

OUT holds what `make sbom` wrote, TARGET is cargo's directory with a finished build, CACHE is what `make sbom` got.
The documents are compared with what others say: the schema of CycloneDX, the units that cargo would compile, the lock
file, and the files that the C++ compiler read.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "secrets-store-csi-driver"
ARCHITECTURES = ("aarch64", "x86_64")
OUT, TARGET, CACHE = (Path(argument) for argument in sys.argv[1:4])

# Brought by gRPC's sources and compiled only with features that we leave out.
NOT_COMPILED = ("boringssl", "openssl", "xxhash", "protobuf-cpp", "envoy", "libuv")


def text_of(architecture: str) -> str:
    return (OUT / f"{PROGRAM}-{architecture}.cdx.json").read_text(encoding="utf-8")


def property_of(component: dict, name: str) -> str:
    found = [entry["value"] for entry in component.get("properties", []) if entry["name"] == f"{PROGRAM}:{name}"]
    return found[0] if found else ""


def units(architecture: str) -> list[dict]:
    """What cargo would compile for the program and nothing else. Asked for in a way that is not stable yet, which a
    check may and the release may not."""
    command = ["cargo", "build", "--unit-graph", "-Zunstable-options", "--release", "--locked", "--bin", PROGRAM]
    command += ["--target", f"{architecture}-unknown-linux-musl"]
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1"}
    graph = json.loads(subprocess.check_output(command, cwd=ROOT, env=environment))
    return [unit for unit in graph["units"] if unit["pkg_id"].startswith("registry+")]


def name_and_version(package_id: str) -> tuple[str, str]:
    name, version = package_id.rsplit("#", 1)[1].rsplit("@", 1)
    return name, version


class BillOfMaterials(unittest.TestCase):
    """Each test looks at the documents of all architectures."""

    @classmethod
    def setUpClass(cls):
        cls.documents = {architecture: json.loads(text_of(architecture)) for architecture in ARCHITECTURES}

    def test_it_is_what_the_schema_asks_for(self):
        validator = JsonStrictValidator(SchemaVersion.V1_6)
        for architecture, document in self.documents.items():
            with self.subTest(architecture):
                self.assertEqual(document["specVersion"], "1.6")
                error = validator.validate_str(text_of(architecture))
                self.assertIsNone(error, error)

    def test_it_has_every_crate_that_is_compiled_and_no_other(self):
        for architecture, document in self.documents.items():
            with self.subTest(architecture):
                compiled = units(architecture)
                everything = {name_and_version(unit["pkg_id"]) for unit in compiled}
                # The others are compiled for the machine that builds, or are build scripts.
                linked = {
                    name_and_version(unit["pkg_id"])
                    for unit in compiled
                    if unit["platform"] and unit["mode"] == "build"
                }
                listed = {
                    (component["name"], component["version"]): component["scope"]
                    for component in document["components"]
                    if component["purl"].startswith("pkg:cargo/")
                }
                self.assertEqual(set(listed), everything)
                self.assertEqual({key for key, scope in listed.items() if scope == "required"}, linked)

    def test_each_crate_has_the_checksum_of_the_lock_file(self):
        lock = (ROOT / "Cargo.lock").read_text(encoding="utf-8")
        block = re.compile(r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "([0-9a-f]{64})"')
        checksums = {(name, version): checksum for name, version, checksum in block.findall(lock)}
        for architecture, document in self.documents.items():
            with self.subTest(architecture):
                for component in document["components"]:
                    if component["purl"].startswith("pkg:cargo/"):
                        checksum = checksums[component["name"], component["version"]]
                        self.assertEqual(component["hashes"], [{"alg": "SHA-256", "content": checksum}])

    def test_each_component_has_a_version_a_license_and_a_package_url(self):
        for architecture, document in self.documents.items():
            with self.subTest(architecture):
                for component in document["components"]:
                    with self.subTest(component["name"]):
                        self.assertRegex(component["version"], r"^\d+(\.\d+)+|^\d{4}-\d\d-\d\d$|^[0-9a-f]{40}$")
                        self.assertTrue(component["licenses"])
                        self.assertTrue(component["purl"].startswith("pkg:"))
                        self.assertIn(component["scope"], ("required", "excluded"))

    def test_the_graph_reaches_every_component_and_nothing_else(self):
        for architecture, document in self.documents.items():
            with self.subTest(architecture):
                edges = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
                root = document["metadata"]["component"]["bom-ref"]
                reached, ahead = set(), [root]
                while ahead:
                    reference = ahead.pop()
                    if reference not in reached:
                        reached.add(reference)
                        ahead.extend(edges[reference])
                components = [component["bom-ref"] for component in document["components"]]
                self.assertEqual(len(components), len(set(components)))
                self.assertEqual(reached, {root, *components})

    def test_the_libraries_in_c_are_those_that_the_compiler_read(self):
        for architecture, document in self.documents.items():
            with self.subTest(architecture):
                crate = next(c for c in document["components"] if c["name"] == "grpcio-sys")
                listed = {property_of(component, "sources") for component in document["components"]} - {""}
                pattern = re.compile(
                    rf"/grpcio-sys-{re.escape(crate['version'])}/(grpc/(?:third_party/[^/\s]+|src))/", re.MULTILINE
                )
                seen = False
                for build in self.builds():
                    read = set()
                    for file in (build / "out/build").rglob("*.d"):
                        read.update(pattern.findall(file.read_text(encoding="utf-8")))
                    # A directory of an older version may lie about.
                    if read:
                        seen = True
                        self.assertEqual(listed, read, build)
                self.assertTrue(seen, f"{TARGET} holds no build of grpcio-sys {crate['version']}: run `make build`")

    def test_each_library_that_is_linked_belongs_to_a_component(self):
        for architecture, document in self.documents.items():
            with self.subTest(architecture):
                libraries = {
                    library
                    for component in document["components"]
                    for library in property_of(component, "libraries").split()
                }
                linked = set()
                for build in self.builds():
                    output = (build / "output").read_text(encoding="utf-8")
                    linked.update(re.findall(r"^cargo::?rustc-link-lib=static=(\S+)$", output, re.MULTILINE))
                self.assertIn("grpc_unsecure", linked, f"no finished build of grpcio-sys in {TARGET}: run `make build`")
                nobody = {
                    name
                    for name in linked - libraries
                    # The shim of the crate itself, and abseil's seventy, which begin alike.
                    if name != "grpc_wrap" and not any(b.endswith("_") and name.startswith(b) for b in libraries)
                }
                self.assertEqual(nobody, set())

    def test_what_our_features_leave_out_is_left_out(self):
        for architecture, document in self.documents.items():
            with self.subTest(architecture):
                for component in document["components"]:
                    self.assertNotIn(component["name"].lower(), NOT_COMPILED)

    def test_the_same_commit_gives_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as again:
            # From another directory, where no name of a file is the same.
            command = [sys.executable, "-B", ROOT / "scripts/sbom", again, CACHE.resolve()]
            subprocess.check_call(command, cwd=again, stdout=subprocess.DEVNULL)
            for architecture in ARCHITECTURES:
                second = (Path(again) / f"{PROGRAM}-{architecture}.cdx.json").read_text(encoding="utf-8")
                self.assertEqual(text_of(architecture), second)
                self.assertNotIn(str(Path.home()), second)

    def builds(self) -> list[Path]:
        """Where the build script of grpcio-sys has run, for this machine and for the targets of the static build."""
        outputs = [*TARGET.glob("*/build/grpcio-sys-*/output"), *TARGET.glob("*/*/build/grpcio-sys-*/output")]
        self.assertTrue(outputs, f"no finished build of grpcio-sys in {TARGET}: run `make build`")
        return [output.parent for output in outputs]


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
