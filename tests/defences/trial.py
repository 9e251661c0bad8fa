"""One defence taken out, and what its tests make of it."""

from dataclasses import dataclass
from pathlib import Path

from build import Build
from defence import Defence


@dataclass
class Verdict:
    """What came of it: the outcome of each test, and what those said that failed to fail."""

    defence: Defence
    outcomes: list[tuple[str, str]]
    told: str

    @property
    def is_noticed(self) -> bool:
        """Every test that is named for it has failed."""
        return all(outcome == FAILS for _, outcome in self.outcomes)


def trial(build: Build, programs: dict[str, Path], defence: Defence) -> Verdict:
    outcomes, told = [], ""
    for program, test in defence.tests:
        code, said = build.without(defence, programs[program], test)
        if code is None:
            outcome = "did not end"
        elif code == 0 and f"test {test} ... ok" in said:
            outcome = "passes"
        elif f"test {test} ... FAILED" in said:
            outcome = FAILS
        else:
            outcome = f"ended by itself with {code}"
        outcomes.append((test, outcome))
        if outcome != FAILS:
            told += said
    return Verdict(defence, outcomes, told)


FAILS = "fails"
