"""What the compilers bring into a static binary: Rust's standard library with its musl, and Zig's C++ runtime.

The Rust compiler is the one that cargo would use, RUSTC included; its release fixes the crates inside of its standard
library. The version of musl is read from the library that `make static` links with. Zig's is that of the Python package
that `make static` builds with, and those of what comes with Zig are read from the sources in there.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bundled import read
from part import Part

# Pins what `make static` builds with.
REQUIREMENTS = Path(__file__).resolve().parents[1] / "static/zig-requirements.txt"
# Says where the C library is that `make static` links with.
LIBC = REQUIREMENTS.with_name("libc.sh")


def find(cache: Path, architecture: str) -> list[Part]:
    """Of the compilers that are installed, with Zig somewhere below `cache`."""
    rust = re.search(
        r"^release: (\S+)$",
        subprocess.check_output([os.environ.get("RUSTC", "rustc"), "--version", "--verbose"], text=True),
        re.MULTILINE,
    )
    if not rust:
        raise ValueError("rustc --version --verbose does not name a release")
    pinned = read(REQUIREMENTS, r"(?m)^ziglang==([\w.]+)")
    zig = unpacked(cache, pinned)
    musl = musl_version(architecture)
    llvm = llvm_version(read(zig / "lib/libcxx/include/__config", r"define _LIBCPP_VERSION (\d{6})"))
    inside = f"ziglang {pinned}"

    parts = [
        Part(
            name="rust-std",
            version=rust[1],
            license="MIT OR Apache-2.0",
            purl=f"pkg:github/rust-lang/rust@{rust[1]}#library/std",
            origin=f"rustc {rust[1]}",
        ),
        Part(
            name="ziglang",
            version=pinned,
            license="MIT",
            purl=f"pkg:pypi/ziglang@{pinned}",
            origin="compiles the C and C++ sources, and links",
            is_linked=False,
        ),
        Part(
            name="musl",
            version=musl,
            license="MIT",
            purl=f"pkg:generic/musl@{musl}",
            cpe=f"cpe:2.3:a:musl-libc:musl:{musl}:*:*:*:*:*:*:*",
            origin=f"rustc {rust[1]}: the libc.a of its target, with that project's changes",
        ),
        Part(
            name="zig-compiler-rt",
            version=pinned,
            license="MIT",
            purl=f"pkg:generic/zig@{pinned}#lib/compiler_rt",
            origin=f"{inside}: lib/compiler_rt",
        ),
    ]
    for name, directory in (("libc++", "libcxx"), ("libc++abi", "libcxxabi"), ("libunwind", "libunwind")):
        if not (zig / "lib" / directory / "src").is_dir():
            raise ValueError(f"{zig} has no lib/{directory}/src")
        parts.append(
            Part(
                name=name,
                version=llvm,
                license="Apache-2.0 WITH LLVM-exception",
                purl=f"pkg:github/llvm/llvm-project@llvmorg-{llvm}#{directory}",
                users=() if name == "libunwind" else ("grpc",),
                origin=f"{inside}: lib/{directory}",
            )
        )
    return parts


def unpacked(cache: Path, version: str) -> Path:
    """The package as the static build left it, or else fetched for this."""
    for found in sorted(cache.glob(f"*/ziglang-{version}.dist-info")):
        if (found.parent / "complete").exists():
            return found.parent / "ziglang"
    print(f"fetching ziglang {version}, to read what it brings", file=sys.stderr)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        new = Path(temporary) / "ziglang"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip += ["--root-user-action=ignore", "--require-hashes", "--only-binary=:all:"]
        subprocess.check_call([*pip, "--target", new, "--requirement", REQUIREMENTS])
        (new / "complete").touch()
        # In one step, so that nothing half done is ever found.
        place = cache / f"ziglang-{version}"
        new.rename(place)
    return place / "ziglang"


def musl_version(architecture: str) -> str:
    """The library itself says it, between two zeros."""
    library = Path(subprocess.check_output([LIBC, architecture], text=True).rstrip("\n"))
    versions = set(re.findall(rb"\0(1\.\d+\.\d+)\0", library.read_bytes()))
    if len(versions) != 1:
        raise ValueError(f"{library} does not say which version of musl it is")
    return versions.pop().decode()


def llvm_version(number: str) -> str:
    """Of six digits, two for each part."""
    return ".".join(str(int(number[place : place + 2])) for place in (0, 2, 4))
