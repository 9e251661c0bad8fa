"""What check.py changes in the made-up release, one thing at a time, and what has to be said of it."""

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
