"""The table of defences: what each of them is, how it is taken out, and which tests have to notice."""

import re
from dataclasses import dataclass, field
from pathlib import Path

# In a patch: whether this defence is taken out, in Rust.
OUT = re.compile(r"\bOUT\b")
# Names the defence that is taken out to every process of a trial.
VARIABLE = "DEFENCE_GONE"
FIELDS = ("file", "line", "out", "test")


class WrongTable(Exception):
    """The table does not fit the sources, or is no table."""


@dataclass
class Defence:
    """One entry."""

    number: int
    # In the words of SECURITY.md.
    words: str
    file: str = ""
    # A piece of a line of that file, which occurs in it once.
    line: str = ""
    # What takes its place; of a statement that is left out, nothing.
    out: str = ""
    # Each the name of a test program, and the test in it.
    tests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_compiled(self) -> bool:
        """It is a line of a program; otherwise it is one of a file that tests read."""
        return self.file.endswith(".rs")

    @property
    def is_switched(self) -> bool:
        """It can be taken out of a program that runs, and needs no build of its own."""
        return self.is_compiled and (not self.out or OUT.search(self.out) is not None)

    @property
    def patch(self) -> str:
        """The line without the defence, for people."""
        return self.out or f"without {self.line}"

    def applied(self, source: str) -> str:
        """The source in which this defence can be taken out; of what is not switched, without it."""
        found = source.count(self.line)
        if found != 1:
            raise WrongTable(f"{self.words}: {self.file} has this {found} times, not once: {self.line}")
        if not self.is_switched:
            return source.replace(self.line, self.out)
        is_out = f'std::env::var_os("{VARIABLE}").is_some_and(|out| out == "{self.number}")'
        patched = self.out or f"if !OUT {{ {self.line} }}"
        return source.replace(self.line, OUT.sub(lambda _: is_out, patched))


def table(file: Path) -> list[Defence]:
    """The entries: a line of words each, and indented lines of fields."""
    defences: list[Defence] = []
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        if not text.startswith(" "):
            defences.append(Defence(len(defences) + 1, text.strip()))
            continue
        name, _, value = text.strip().partition(": ")
        if name not in FIELDS or not value or not defences:
            raise WrongTable(f"{file.name}:{number}: {text.strip()} is no field of an entry")
        if name == "test":
            program, _, test = value.partition(" ")
            defences[-1].tests.append((program, test))
        else:
            setattr(defences[-1], name, value)
    for defence in defences:
        if not (defence.file and defence.line and defence.tests):
            raise WrongTable(f"{defence.words}: an entry has a file, a line and a test")
    return defences


def selected(defences: list[Defence], case: str) -> list[Defence]:
    """Those with that text anywhere."""
    return [defence for defence in defences if case in f"{defence}"]


def rounds(defences: list[Defence]) -> list[list[Defence]]:
    """In groups, each for one build: two defences in one place cannot be in one copy, nor one without a switch with any
    other."""
    def is_alone(defence: Defence) -> bool:
        return defence.is_compiled and not defence.is_switched

    groups: list[list[Defence]] = []
    for defence in defences:
        def meets(other: Defence) -> bool:
            overlap = defence.line in other.line or other.line in defence.line
            return is_alone(defence) or is_alone(other) or defence.file == other.file and overlap

        for group in groups:
            if not any(meets(other) for other in group):
                group.append(defence)
                break
        else:
            groups.append([defence])
    return groups
