"""The C and C++ libraries inside of crates: gRPC's core with its own dependencies, and zlib.

Which of them are compiled is the choice of the crate's build script and of our features: without TLS it builds
`grpc_unsecure`, so neither BoringSSL nor xxHash, which only the xDS parts use, is here. `make sbom-check` compares this
list with what the compiler read. ring's C and assembly have no life outside of ring: its crate stands for them.
"""

import re
from pathlib import Path

from cargo import Program
from part import Part


def find(program: Program) -> list[Part]:
    """Reads each version from the sources that are compiled."""
    sys_crate, libz = program.crate("grpcio-sys"), program.crate("libz-sys")
    grpc = sys_crate.directory / "grpc"
    third_party = grpc / "third_party"

    core = read(grpc / "CMakeLists.txt", r'set\(PACKAGE_VERSION\s+"([\d.]+)"\)')
    abseil = ".".join(
        read(third_party / "abseil-cpp/absl/base/config.h", rf"#define ABSL_LTS_RELEASE_{name} (\d+)")
        for name in ("VERSION", "PATCH_LEVEL")
    )
    # Not ares_version.h: this release was made without changing it.
    cares = read(third_party / "cares/cares/CMakeLists.txt", r'PROJECT \(c-ares .*VERSION "([\d.]+)"')
    # These three have no version of their own in their sources, so what gRPC and upb say that they took.
    re2 = read(grpc / "bazel/grpc_deps.bzl", r'strip_prefix = "re2-([\d-]+)"')
    upb = read(grpc / "bazel/grpc_deps.bzl", r'strip_prefix = "upb-([0-9a-f]{40})"')
    utf8_range = read(
        third_party / "upb/bazel/workspace_deps.bzl", r'protocolbuffers/utf8_range",\s+commit = "([0-9a-f]{40})"'
    )
    zlib = read(libz.directory / "src/zlib/zlib.h", r'#define ZLIB_VERSION "([\d.]+)"')

    inside = f"{sys_crate.name} {sys_crate.version}"
    return [
        Part(
            name="grpc",
            version=core,
            license="Apache-2.0",
            purl=f"pkg:github/grpc/grpc@v{core}",
            cpe=f"cpe:2.3:a:grpc:grpc:{core}:*:*:*:*:-:*:*",
            users=(sys_crate.name,),
            origin=f"{inside}: grpc, with the changes of that crate's authors",
            sources="grpc/src",
            libraries=("grpc_unsecure", "gpr"),
        ),
        Part(
            name="abseil-cpp",
            version=abseil,
            license="Apache-2.0",
            purl=f"pkg:github/abseil/abseil-cpp@{abseil}",
            users=("grpc",),
            origin=f"{inside}: grpc/third_party/abseil-cpp",
            sources="grpc/third_party/abseil-cpp",
            libraries=("absl_",),
        ),
        Part(
            name="address_sorting",
            # A directory of gRPC's that is counted with it.
            version=core,
            license="BSD-3-Clause",
            purl=f"pkg:github/grpc/grpc@v{core}#third_party/address_sorting",
            users=("grpc",),
            origin=f"{inside}: grpc/third_party/address_sorting",
            sources="grpc/third_party/address_sorting",
            libraries=("address_sorting",),
        ),
        Part(
            name="c-ares",
            version=cares,
            license="MIT",
            purl=f"pkg:github/c-ares/c-ares@cares-{cares.replace('.', '_')}",
            cpe=f"cpe:2.3:a:c-ares:c-ares:{cares}:*:*:*:*:*:*:*",
            users=("grpc",),
            origin=f"{inside}: grpc/third_party/cares",
            sources="grpc/third_party/cares",
            libraries=("cares",),
        ),
        Part(
            name="re2",
            version=re2,
            license="BSD-3-Clause",
            purl=f"pkg:github/google/re2@{re2}",
            users=("grpc",),
            origin=f"{inside}: grpc/third_party/re2",
            sources="grpc/third_party/re2",
            libraries=("re2",),
        ),
        Part(
            name="upb",
            version=upb,
            license="BSD-3-Clause",
            purl=f"pkg:github/protocolbuffers/upb@{upb}",
            users=("grpc",),
            origin=f"{inside}: grpc/third_party/upb",
            sources="grpc/third_party/upb",
            libraries=("upb",),
        ),
        Part(
            name="utf8_range",
            version=utf8_range,
            license="MIT",
            purl=f"pkg:github/protocolbuffers/utf8_range@{utf8_range}",
            users=("upb",),
            origin=f"{inside}: grpc/third_party/utf8_range",
            sources="grpc/third_party/utf8_range",
        ),
        Part(
            name="zlib",
            version=zlib,
            license="Zlib",
            purl=f"pkg:github/madler/zlib@v{zlib}",
            cpe=f"cpe:2.3:a:zlib:zlib:{zlib}:*:*:*:*:*:*:*",
            users=(libz.name, "grpc"),
            origin=f"{libz.name} {libz.version}: src/zlib",
            libraries=("z",),
        ),
    ]


def read(path: Path, pattern: str) -> str:
    """What the pattern's group finds in that file, where it must be found once."""
    found = re.findall(pattern, path.read_text(encoding="utf-8"))
    if len(set(found)) != 1:
        raise ValueError(f"{path} does not say exactly once what it holds: {pattern}")
    return found[0]
