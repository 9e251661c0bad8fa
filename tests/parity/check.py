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

import documents  # noqa: E402
import golang  # noqa: E402
from comparison import of_ours  # noqa: E402
from known import Known, matches  # noqa: E402

MAIN = "cmd/secrets-store-csi-driver/main.go"
CHART = "charts/secrets-store-csi-driver"
VALUES = f"{CHART}/values.yaml"
ACCESS = f"{CHART}/templates/access.yaml"
REPORT = "pkg/report/report.go"
CLASSES = "deploy/classes.yaml"

# What is changed in the made-up release: name, file, text, text in its place, and every line that has to be said.
CHANGES = [
    (
        "a new flag",
        MAIN,
        "\trefresh bool\n",
        '\trefresh bool\n\tnews = flag.Bool("news", true, "a flag")\n',
        ["flag --news: upstream's alone, bool true"],
    ),
    (
        "a new flag of another package",
        "pkg/metrics/backend.go",
        "var backend",
        'var port = flag.Uint("port", 1<<4, "a flag")\nvar backend',
        ["flag --port: upstream's alone, uint 16"],
    ),
    (
        "a flag that is gone",
        MAIN,
        '\tflag.BoolVar(&refresh, "refresh", false, `a "raw" text`)\n',
        "",
        ["flag --refresh: ours alone"],
    ),
    (
        "another default",
        MAIN,
        "2*time.Minute",
        "90*time.Second",
        ["flag --interval: upstream's duration 90s, ours duration 120s"],
    ),
    (
        "another type",
        MAIN,
        'flag.Int("max-size"',
        'flag.Int64("max-size"',
        ["flag --max-size: upstream's int64 4194304, ours int 4194304"],
    ),
    (
        "a library that nobody has looked at",
        "go.mod",
        "klog/v2 v2.140.0",
        "klog/v2 v2.999.0",
        ["flags of k8s.io/klog/v2: upstream's alone, v2.999.0"],
    ),
    (
        "a library that lacks flags",
        "go.mod",
        "klog/v2 v2.140.0",
        "klog/v2 v2.130.1",
        [
            "flag --alsologtostderrthreshold: ours alone",
            "flag --legacy_stderr_threshold_behavior: ours alone",
            "no longer so: flag --alsologtostderrthreshold: upstream's severity 0, ours string \"0\"",
        ],
    ),
    (
        "a new value",
        VALUES,
        "interval:\n",
        "interval:\nretries: 3\n",
        ["copy of value retries: upstream's alone, 3", "value retries: upstream's alone, 3"],
    ),
    (
        "another default of a value",
        VALUES,
        "enabled: false",
        "enabled: true",
        [
            "copy of value syncSecret.enabled: upstream's true, ours false",
            "value syncSecret.enabled: upstream's true, ours false",
        ],
    ),
    (
        "a value that is gone",
        VALUES,
        "rbac:\n  install: true\n",
        "",
        ["copy of value rbac.install: ours alone", "value rbac.install: ours alone"],
    ),
    (
        "another item of a list",
        VALUES,
        'operator: "Exists"',
        "operator: Equal",
        [
            'copy of value linux.tolerations: upstream\'s [{"operator": "Equal"}], ours [{"operator": "Exists"}]',
            'value linux.tolerations: upstream\'s [{"operator": "Equal"}], ours [{"operator": "Exists"}]',
        ],
    ),
    (
        "a value that templates begin to read",
        f"{CHART}/templates/driver.yaml",
        "      tolerations:\n",
        "      hostname: {{ .Values.hostname }}\n      tolerations:\n",
        ["use of value hostname: upstream's alone, by templates"],
    ),
    (
        "a new object of the chart",
        ACCESS,
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding",
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {{ include \"their.fullname\" . }}-port\n"
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding",
        ["chart Service <fullname>-port: upstream's alone, v1"],
    ),
    (
        "another name of an object of the chart",
        f"{CHART}/templates/driver.yaml",
        'name: {{ template "their.fullname" . }}',
        'name: {{ template "their.fullname" . }}-node',
        ["chart DaemonSet <fullname>: ours alone", "chart DaemonSet <fullname>-node: upstream's alone, apps/v1"],
    ),
    (
        "another condition of an object of the chart",
        f"{CHART}/templates/driver.yaml",
        "{{- if .Values.linux.enabled }}",
        "{{- if or .Values.linux.enabled .Values.interval }}",
        ["chart DaemonSet <fullname>, depends on: upstream's interval linux.enabled, ours linux.enabled"],
    ),
    (
        "a verb of the chart's role",
        ACCESS,
        "  - list\n",
        "  - list\n  - watch\n",
        ["chart ClusterRole mounts, pods: upstream's get list watch, ours get list"],
    ),
    (
        "a verb of the manifest's role",
        "deploy/access.yaml",
        "  - list\n",
        "",
        ["manifest ClusterRole mounts, pods: upstream's get, ours get list"],
    ),
    (
        "a resource of a role",
        "deploy/access.yaml",
        "  - pods\n",
        "  - pods\n  - pods/status\n",
        ["manifest ClusterRole mounts, pods/status: upstream's alone, get list"],
    ),
    (
        "the names of a rule",
        "deploy/access.yaml",
        "  resourceNames:\n  - secrets-store.csi.k8s.io\n",
        "",
        [
            "manifest ClusterRole mounts, storage.k8s.io/csidrivers: upstream's alone, get",
            "manifest ClusterRole mounts, storage.k8s.io/csidrivers named secrets-store.csi.k8s.io: ours alone",
        ],
    ),
    (
        "a role that everybody has",
        ACCESS,
        "aggregate-to-view",
        "aggregate-to-edit",
        [
            'chart ClusterRole mounts, aggregate-to-edit: upstream\'s alone, true',
            "chart ClusterRole mounts, aggregate-to-view: ours alone",
        ],
    ),
    (
        "another account in a binding",
        ACCESS,
        "- kind: ServiceAccount\n  name: driver",
        "- kind: ServiceAccount\n  name: default",
        [
            "chart ClusterRoleBinding mounts, binds: "
            "upstream's ClusterRole mounts to ServiceAccount <.Release.Namespace>/default, "
            "ours ClusterRole mounts to ServiceAccount <.Release.Namespace>/driver"
        ],
    ),
    (
        "a field of the CSIDriver",
        "deploy/csidriver.yaml",
        "spec:\n",
        "spec:\n  fsGroupPolicy: File\n",
        ['manifest CSIDriver secrets-store.csi.k8s.io, fsGroupPolicy: upstream\'s alone, "File"'],
    ),
    (
        "a new field of a definition",
        CLASSES,
        "              provider:\n",
        "              region:\n                type: string\n              provider:\n",
        ["definition classes.example.com v1 spec.region: upstream's alone, string"],
    ),
    (
        "another type of a field of a definition",
        CLASSES,
        "                additionalProperties:\n                  type: string\n",
        "                additionalProperties:\n                  type: integer\n",
        ["definition classes.example.com v1 spec.parameters{}: upstream's integer, ours string"],
    ),
    (
        "a field that need not be there",
        CLASSES,
        "            - parameters\n",
        "",
        [
            'definition classes.example.com v1 spec: upstream\'s {"required": ["provider"], "type": "object"}, '
            'ours {"required": ["parameters", "provider"], "type": "object"}'
        ],
    ),
    (
        "a version that is not served",
        CLASSES,
        "served: true",
        "served: false",
        ["definition classes.example.com v1 served: upstream's false, ours true"],
    ),
    (
        "another scope",
        CLASSES,
        "scope: Namespaced",
        "scope: Cluster",
        ["definition classes.example.com scope: upstream's Cluster, ours Namespaced"],
    ),
    (
        "another printer column",
        CLASSES,
        "name: Provider",
        "name: Store",
        [
            "definition classes.example.com v1 column Provider: ours alone",
            'definition classes.example.com v1 column Store: upstream\'s alone, '
            '{"jsonPath": ".spec.provider", "type": "string"}',
        ],
    ),
    (
        "another name of a series",
        REPORT,
        '"node_publish"',
        '"mounts"',
        [
            "metric mounts_total: upstream's alone, counter{os_type,provider}",
            "metric node_publish_total: ours alone",
        ],
    ),
    (
        "another label of a series",
        REPORT,
        'storeKey = "provider"',
        'storeKey = "store"',
        ["metric node_publish_total: upstream's counter{os_type,store}, ours counter{os_type,provider}"],
    ),
    (
        "another type of a series",
        REPORT,
        "meter.Float64Histogram",
        "meter.Float64Gauge",
        ["metric k8s_secret_duration_sec: upstream's gauge{os_type}, ours histogram{os_type}"],
    ),
]

# What must not be passed over: name, file, text, text in its place, and what is said.
RIDDLES = [
    ("a form of flags", MAIN, 'flag.Int("max-size"', 'flag.TextVar("max-size"', "main.go:11: flag.TextVar is not"),
    ("a default", MAIN, "1024*1024*4", "limit()", "main.go:11: the value of limit() is not understood"),
    ("a name of a flag", MAIN, 'flag.Int("max-size"', "flag.Int(name", "main.go:11: the name of the flag, name, is no"),
    ("another package of flags", MAIN, '"time"', '"github.com/spf13/pflag"', "flags of the package pflag are not"),
    ("an instrument", REPORT, "meter.Int64Counter", "meter.Int64Sum", "the instrument Int64Sum is not understood"),
    ("series of another library", REPORT, "return nil", "prometheus.NewCounterVec()", "Prometheus' own library"),
    ("a label", REPORT, "attribute.Key(osKey)", "attribute.Key(osName)", "a label of mounts is not understood"),
    ("a word of YAML", VALUES, "install: true", "install: yes", "values.yaml:12: yes means different things"),
    ("a tag of YAML", VALUES, "install: true", "install: !!str x", "a value that begins with ! is not understood"),
    ("an object without a kind", ACCESS, "kind: ServiceAccount\nmetadata", "metadata", "an object without a kind"),
]


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
