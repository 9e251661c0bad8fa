"""Does `make parity` see what differs? Compares a made-up release, `upstream`, with a made-up counterpart, `ours`,
which says the same in other words; then changes one thing at a time.

    python3 tests/parity/check.py

No source of upstream's is needed. The list of known differences, scripts/parity/known.txt, is held against our own
sources, so that it does not grow old between two releases of upstream's.
"""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PARITY = ROOT / "scripts/parity"
sys.path.insert(0, str(PARITY))

import documents
import golang
from changes import CHANGES, MAIN, RIDDLES
from comparison import of_ours
from known import Known, matches


def compare(upstream: Path, *more: str) -> tuple[int, list[str], list[str]]:
    """Exit code, and the lines on both outputs."""
    command = [sys.executable, "-B", str(PARITY), str(upstream), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


class Parity(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.upstream = Path(directory.name, "upstream")
        self.known = Path(directory.name, "known.txt")
        self.fresh()

    def fresh(self):
        shutil.rmtree(self.upstream, ignore_errors=True)
        shutil.copytree(HERE / "upstream", self.upstream)
        shutil.copy(HERE / "known.txt", self.known)

    def change(self, file: str, old: str, new: str):
        text = (self.upstream / file).read_text(encoding="utf-8")
        self.assertIn(old, text, f"{file} has no such text")
        (self.upstream / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    def compared(self) -> tuple[int, list[str], list[str]]:
        return compare(self.upstream, "--ours", str(HERE / "ours"), "--known", str(self.known))

    def test_what_says_the_same_in_other_words_does_not_differ(self):
        code, out, err = self.compared()
        self.assertEqual((code, err), (0, []))
        self.assertEqual(out[-1], "upstream 9.8.7: 74 facts, 6 differences, 6 of them known, 0 not, 0 stale entries")

    def test_every_known_difference_is_told_with_its_reason(self):
        _, out, _ = self.compared()
        at = out.index("flag --v: upstream's level 0, ours int 0")
        self.assertEqual(out[at + 1], "    Our table has fewer kinds of values.")

    def test_each_change_of_upstreams_is_told_and_nothing_else(self):
        for name, file, old, new, said in CHANGES:
            with self.subTest(name):
                self.fresh()
                self.change(file, old, new)
                code, _, err = self.compared()
                self.assertEqual(code, 1)
                self.assertEqual(err[:-1], said)

    def test_a_change_that_is_written_down_is_known(self):
        self.change(MAIN, "\trefresh bool\n", '\trefresh bool\n\tnews = flag.Bool("news", true, "a flag")\n')
        with self.known.open("a", encoding="utf-8") as known:
            known.write("\nflag --news: upstream's alone, bool true\n    It is of no use.\n")
        self.assertEqual(self.compared()[0], 0)

    def test_a_written_difference_that_is_no_more_is_an_error(self):
        for entry in ("flag --old: ours alone", "metric old_*: ours alone", "value rbac.install: upstream's 1, ours 2"):
            with self.subTest(entry):
                self.fresh()
                with self.known.open("a", encoding="utf-8") as known:
                    known.write(f"\n{entry}\n    Once it was so.\n")
                code, _, err = self.compared()
                self.assertEqual((code, err[0]), (1, f"no longer so: {entry}"))

    def test_what_is_not_understood_is_an_error_and_no_silence(self):
        for name, file, old, new, said in RIDDLES:
            with self.subTest(name):
                self.fresh()
                self.change(file, old, new)
                code, out, err = self.compared()
                self.assertEqual((code, out, len(err)), (1, [], 1), err)
                self.assertIn(said, err[0])
                self.assertTrue(err[0].startswith("could not compare: "), err[0])

    def test_a_directory_that_is_no_release_is_refused_by_what_it_lacks(self):
        absent = self.upstream / "absent"
        self.assertEqual(compare(absent), (1, [], [f"could not compare: {absent} is not a directory"]))
        code, _, err = compare(HERE / "ours")
        self.assertEqual(code, 1)
        self.assertIn("does not have the sources of an upstream release: without go.mod, cmd/", err[0])
        self.change("go.mod", "sigs.k8s.io/secrets-store-csi-driver", "example.com/fork")
        code, _, err = self.compared()
        self.assertEqual(code, 1)
        self.assertIn("go.mod is that of example.com/fork, not of sigs.k8s.io/", err[0])

    def test_a_list_of_known_differences_that_is_not_written_well_is_refused(self):
        for name, text, said in [
            ("no reason", "flag --a: ours alone\n\nflag --b: ours alone\n    Why.\n", "known.txt:2: the difference"),
            ("nothing to explain", "    Why.\n", "known.txt:1: a reason without a difference"),
            ("the same twice", "flag --a: ours alone\nflag --a: ours alone\n    Why.\n", "known.txt:2: this"),
            ("a star for upstream's", "flag --*: upstream's alone, bool\n    Why.\n", "known.txt:1: a star is"),
        ]:
            with self.subTest(name):
                self.known.write_text(text, encoding="utf-8")
                code, _, err = self.compared()
                self.assertEqual(code, 1)
                self.assertIn(said, err[0])


class OurList(unittest.TestCase):
    def test_every_known_difference_is_still_true_of_ours(self):
        ours = of_ours(ROOT, "of no release")
        for entry in Known(PARITY / "known.txt").reasons:
            with self.subTest(entry):
                name, rest = entry.split(": ", 1)
                if rest == "ours alone":
                    self.assertTrue(name in ours or any(matches(entry, f"{fact}: {rest}") for fact in ours))
                elif rest.startswith("upstream's alone, "):
                    self.assertNotIn(name, ours)
                else:
                    self.assertEqual(ours.get(name), rest.rsplit(", ours ", 1)[1])


class Reading(unittest.TestCase):
    def test_yaml_means_what_it_means_elsewhere(self):
        text = """
# a comment
plain: some words  # and a comment
sum: 12
part: 1.5
"a key": 'it''s'
double: "a \\"b\\" \\n"
nothing:
also: ~
no comment: a#b
url: http://a:80/b
folded plain: one
  two

  three
kept: |
  a: b
    # c

joined: >-
  one
  two

  three
list:
- a
- key: 1
  other: [x, {y: z, "w:": '1'}, []]
-
  - nested
  - deeper:
      - 1
anchor: &base
  a: 1
alias: *base
empty: {}
true: yes it is
---
second
"""
        self.assertEqual(
            documents.read(text, "text"),
            [
                {
                    "plain": "some words",
                    "sum": 12,
                    "part": 1.5,
                    "a key": "it's",
                    "double": 'a "b" \n',
                    "nothing": None,
                    "also": None,
                    "no comment": "a#b",
                    "url": "http://a:80/b",
                    "folded plain": "one two\nthree",
                    "kept": "a: b\n  # c\n",
                    "joined": "one two\nthree",
                    "list": ["a", {"key": 1, "other": ["x", {"y": "z", "w:": "1"}, []]}, ["nested", {"deeper": [1]}]],
                    "anchor": {"a": 1},
                    "alias": {"a": 1},
                    "empty": {},
                    "true": "yes it is",
                },
                "second",
            ],
        )

    def test_yaml_that_is_not_understood_is_refused_by_its_line(self):
        for text, said in [
            ("a: 1\nb: 2\na: 3\n", "text:3: a is there twice"),
            ("a:\n  b: 1\n c: 2\n", "text:3: this belongs to nothing"),
            ("a: [1, 2\n", "text:1: ] is missing"),
            ('a: "b\n', "text:1: quotes are not closed"),
            ('a: "\\x41"\n', "text:1: the escape \\x is not understood"),
            ("a: 0644\n", "text:1: 0644 means different things"),
            ("a: {b}\n", "text:1: b has no value"),
            ("a: {b: 1, b: 2}\n", "text:1: a key is there twice"),
            ("a: *b\n", "text:1: there is no anchor b"),
            ("a: 'b' c\n", "text:1: more follows the closing quotes"),
            ("a: b\n  c: d\n", "a text without quotes goes on with a comment or a key"),
            ("\ta: b\n", "text:1: a tab indents"),
        ]:
            with self.subTest(text), self.assertRaises(documents.Unreadable) as raised:
                documents.read(text, "text")
            self.assertIn(said, str(raised.exception))

    def test_numbers_of_go_are_computed(self):
        for expression, value in [("7", 7), ("2 * time.Minute", 120 * 10**9), ("1<<4 - 1", 8), ("-(3+4)", -7)]:
            self.assertEqual(golang.number(expression), value)
        for expression in ("n", "len(x)", "time.Fortnight", "1.5", "7 / 2"):
            with self.subTest(expression), self.assertRaises(ValueError):
                golang.number(expression)


if __name__ == "__main__":
    unittest.main()
