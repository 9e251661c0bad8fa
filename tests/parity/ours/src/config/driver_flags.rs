//! A stand-in for the table of flags: it is read, never compiled.

pub const DRIVER_FLAGS: &[Flag<DriverFlags>] = &[
    row(
        "endpoint",
        Kind::Text(|f| &mut f.value),
        "unix://tmp/csi.sock",
        "meaning, (even) with brackets",
    ),
    row("max-size", Kind::Int(|f| &mut f.value), "4194304", "meaning"),
    row(
        "interval",
        Kind::Duration(|f| &mut f.value),
        "2m",
        "meaning, (even) with brackets",
    ),
    row("refresh", Kind::Bool(|f| &mut f.value), "false", "meaning"),
    row(
        "metrics-backend",
        Kind::Text(|f| &mut f.value),
        "Prometheus",
        "meaning, (even) with brackets",
    ),
    row("kubeconfig", Kind::Text(|f| &mut f.value), "", "meaning"),
    row(
        "add_dir_header",
        Kind::Bool(|f| &mut f.value),
        "false",
        "meaning, (even) with brackets",
    ),
    row("alsologtostderr", Kind::Bool(|f| &mut f.value), "false", "meaning"),
    row(
        "alsologtostderrthreshold",
        Kind::Text(|f| &mut f.value),
        "0",
        "meaning, (even) with brackets",
    ),
    row("legacy_stderr_threshold_behavior", Kind::Bool(|f| &mut f.value), "true", "meaning"),
    row(
        "log_backtrace_at",
        Kind::Text(|f| &mut f.value),
        ":0",
        "meaning, (even) with brackets",
    ),
    row("log_dir", Kind::Text(|f| &mut f.value), "", "meaning"),
    row(
        "log_file",
        Kind::Text(|f| &mut f.value),
        "",
        "meaning, (even) with brackets",
    ),
    row("log_file_max_size", IGNORED_INT, "1800", MEANING),
    row(
        "logtostderr",
        Kind::Bool(|f| &mut f.value),
        "true",
        "meaning, (even) with brackets",
    ),
    row("one_output", IGNORED_BOOL, "false", MEANING),
    row(
        "skip_headers",
        Kind::Bool(|f| &mut f.value),
        "false",
        "meaning, (even) with brackets",
    ),
    row("skip_log_headers", Kind::Bool(|f| &mut f.value), "false", "meaning"),
    row(
        "stderrthreshold",
        Kind::Text(|f| &mut f.value),
        "2",
        "meaning, (even) with brackets",
    ),
    row("v", Kind::Int(|f| &mut f.value), "0", "meaning"),
    row(
        "vmodule",
        Kind::Text(|f| &mut f.value),
        "",
        "meaning, (even) with brackets",
    ),
];

const fn row(name: &str, kind: Kind, default: &str, help: &str) -> Flag {
    Flag { name, kind, default, help }
}
