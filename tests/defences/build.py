"""A copy of the sources and what is built of it, beside the checkout and apart from it: no program in which a defence
can be taken out is ever where somebody could take it for the driver."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from defence import VARIABLE, Defence, WrongTable

# In every copy: the mounter, which has an empty environment, has to know as well.
HANDED_ON = Defence(
    0, "what is taken out is told to the mounter", "src/mounter/program.rs", ".env_clear()",
    f'.env_clear().envs(std::env::var_os("{VARIABLE}").map(|out| ("{VARIABLE}", out)))')


class Build:
    """Removes the copy at its end, however that comes."""

    def __init__(self, root: Path, cache: Path):
        self.root, self.cache = root, cache.resolve()
        self.tree, self.target = self.cache / "tree", self.cache / "target"

    def __enter__(self) -> "Build":
        for name in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, lambda *_: sys.exit(1))
        self.cache.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.cache / "lock", "w", encoding="utf-8")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.seed()
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.tree, ignore_errors=True)
        self.lock.close()

    def seed(self):
        """Takes over what others have compiled of the libraries: the C++ core alone takes ten minutes."""
        given = os.environ.get("CARGO_TARGET_DIR")
        if self.target.exists() or not given or not Path(given, "release").is_dir():
            return
        half = self.cache / "target.half"
        shutil.rmtree(half, ignore_errors=True)
        for part in ("build", "deps", ".fingerprint"):
            subprocess.run(["mkdir", "-p", half / "release"], check=True)
            subprocess.run(["cp", "-a", Path(given, "release", part), half / "release"], check=True)
        half.rename(self.target)

    def copy(self):
        """The files of the checkout that git knows or would take in, with their times."""
        listed = subprocess.run(
            ["git", "-C", self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True, stdout=subprocess.PIPE)
        shutil.rmtree(self.tree, ignore_errors=True)
        for name in filter(None, listed.stdout.decode().split("\0")):
            source, copy = self.root / name, self.tree / name
            if not source.is_symlink() and not source.exists():
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)

    def of(self, defences: list[Defence], tested: list[Defence]) -> dict[str, Path]:
        """Test programs by name, of a copy in which these defences can be taken out: those that the others name."""
        self.copy()
        patched: dict[str, str] = {}
        for defence in [HANDED_ON, *(defence for defence in defences if defence.is_compiled)]:
            source = patched.get(defence.file) or Path(self.tree, defence.file).read_text(encoding="utf-8")
            patched[defence.file] = defence.applied(source)
        for name, text in patched.items():
            Path(self.tree, name).write_text(text, encoding="utf-8")
        return self.compiled({program for defence in tested for program, _ in defence.tests})

    def packages(self) -> list[dict]:
        """Those of the workspace, as cargo describes them."""
        command = ["cargo", "metadata", "--locked", "--no-deps", "--format-version=1"]
        return json.loads(subprocess.check_output(command, cwd=self.tree))["packages"]

    def compiled(self, programs: set[str]) -> dict[str, Path]:
        packages = self.packages()
        # As everywhere, so that nothing but our own crates is compiled; and these as fast as can be.
        flags = ["--release", "--locked"]
        for package in packages:
            profile = f'profile.release.package."{package["name"]}"'
            flags += ["--config", f"{profile}.opt-level=0", "--config", f"{profile}.codegen-units=64"]
        # A program of tests by its name, or else the tests of the crate that is called so.
        kinds, targets = {}, set()
        for kind in ("test", "lib"):
            for package in packages:
                for target in package["targets"]:
                    name = target["name"]
                    if target["kind"][0] == kind and name in programs and name not in kinds:
                        kinds[name] = kind
                        targets |= {f"--package={package['name']}", "--lib" if kind == "lib" else f"--test={name}"}
        environment = dict(os.environ, CARGO_TARGET_DIR=str(self.target), CARGO_INCREMENTAL="1")
        # The programs under test first, which tests do not build by themselves.
        for command in (
                ["cargo", "build", "--bins", *flags],
                ["cargo", "test", "--no-run", "--message-format=json-render-diagnostics", *flags, *sorted(targets)]):
            done = subprocess.run(command, cwd=self.tree, env=environment, stdout=subprocess.PIPE, check=False)
            if done.returncode != 0:
                raise WrongTable("with these lines the driver cannot be built")
        built = {}
        for line in done.stdout.decode().splitlines():
            message = json.loads(line)
            if message["reason"] == "compiler-artifact" and message["profile"]["test"]:
                target = message["target"]
                if kinds.get(target["name"]) == target["kind"][0]:
                    built[target["name"]] = Path(message["executable"])
        return built

    def run(self, program: Path, tests: list[str], out: int | None, patience: int) -> tuple[int | None, str]:
        """The exit code of these tests, none when they do not end, and what they say."""
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        if out is not None:
            environment[VARIABLE] = str(out)
        command = [self.tree / "tests/sandbox.sh", program, "--exact", *tests]
        # Into a file, which has an end although what a test has started may still hold it open.
        with tempfile.TemporaryFile() as told:
            run = subprocess.Popen(command, cwd=self.tree, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=told, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                code = run.wait(patience)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                try:
                    os.killpg(run.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                run.wait()
            told.seek(0)
            return code, told.read().decode(errors="replace")

    def without(self, defence: Defence, program: Path, test: str) -> tuple[int | None, str]:
        """The same of one test while that defence is taken out."""
        if defence.is_compiled:
            # One without a switch is not in what was built.
            return self.run(program, [test], defence.number if defence.is_switched else None, PATIENCE)
        file = Path(self.tree, defence.file)
        whole = file.read_text(encoding="utf-8")
        file.write_text(defence.applied(whole), encoding="utf-8")
        try:
            return self.run(program, [test], None, PATIENCE)
        finally:
            file.write_text(whole, encoding="utf-8")

    def check(self, programs: dict[str, Path], defences: list[Defence]):
        """Every test passes while nothing is taken out."""
        for program, file in programs.items():
            tests = sorted({test for defence in defences for name, test in defence.tests if name == program})
            code, told = self.run(file, tests, None, len(tests) * PATIENCE)
            lost = [test for test in tests if f"test {test} ... ok" not in told]
            if code != 0 or lost:
                raise WrongTable(f"{told}\nwith every defence in its place these do not pass: {', '.join(lost)}")


# In seconds, for a test.
PATIENCE = 240
