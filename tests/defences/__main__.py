"""Does a test notice when a defence is gone? Builds a copy of the driver in which each defence of table.txt can be
taken out, takes out one at a time, and shows that the tests that are named for it fail.

    python3 tests/defences CACHE [CASE]

CACHE is a directory for the copy and for what is built of it; CASE selects the defences whose lines contain that text.
All tests have to pass before anything is taken out. A copy that cannot be built, a line that is not there once, and a
test that does not come to its end are failures of the table, and no defence was shown then.
"""

import sys
from pathlib import Path

from build import Build
from defence import Defence, WrongTable, rounds, selected, table
from trial import Verdict, trial

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__.strip().splitlines()[3].strip(), file=sys.stderr)
        return 64
    cache, case = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else ""
    defences = selected(table(HERE / "table.txt"), case)
    if not defences:
        print(f"no defence has {case} in its lines", file=sys.stderr)
        return 1
    try:
        verdicts = trials(defences, cache)
    except WrongTable as wrong:
        print(wrong, file=sys.stderr)
        return 1
    missed = [verdict for verdict in verdicts if not verdict.is_noticed]
    for verdict in missed:
        print(f"\n{verdict.defence.words}\n    taken out: {verdict.defence.patch}\n{verdict.told}")
    print(f"\n{len(verdicts)} defences taken out, {len(verdicts) - len(missed)} noticed, {len(missed)} not")
    return 1 if missed else 0


def trials(defences: list[Defence], cache: Path) -> list[Verdict]:
    """Takes out one after the other, and prints a line of each."""
    verdicts = []
    with Build(ROOT, cache) as build:
        for patched in rounds(defences):
            switched = [defence for defence in patched if defence.is_switched or not defence.is_compiled]
            programs = build.of(switched, patched)
            build.check(programs, patched)
            if len(switched) < len(patched):
                programs = build.of(patched, patched)
            if not verdicts:
                print("\n| defence | line without it | tests |\n|---|---|---|", flush=True)
            for defence in patched:
                verdicts.append(trial(build, programs, defence))
                print(row(verdicts[-1]), flush=True)
    return verdicts


def row(verdict: Verdict) -> str:
    """What was taken out, and what each test made of it, by the last part of its name."""
    defence = verdict.defence
    tests = [f"{test.rsplit('::', 1)[-1]} {outcome}" for test, outcome in verdict.outcomes]
    result = "" if verdict.is_noticed else "NOT NOTICED: "
    return f"| {defence.words} | {defence.file}: {defence.patch} | {result}{', '.join(tests)} |"


if __name__ == "__main__":
    sys.exit(main())
