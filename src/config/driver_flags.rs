//! The driver's flag table, and what was typed, before anything is decided.
//!
//! A row here is a promise to manifests and charts: names and defaults of the upstream driver's flags stay as
//! they are.

use std::ffi::OsString;

use super::{KubeFlags, LogSettings};
use base::cli::{self, CliError, Flag, Kind, Parsed};
use base::go_duration::GoDuration;

/// The values of all flags, each in its own type and otherwise as typed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DriverFlags {
    pub(super) endpoint: String,
    pub(super) driver_name: String,
    pub(super) node_id: String,
    pub(super) provider_volume: String,
    pub(super) additional_provider_volume_paths: String,
    pub(super) metrics_addr: String,
    pub(super) metrics_backend: String,
    pub(super) enable_secret_rotation: bool,
    pub(super) rotation_poll_interval: GoDuration,
    pub(super) max_call_recv_msg_size: i64,
    pub(super) provider_health_check: bool,
    pub(super) provider_health_check_interval: GoDuration,
    pub(super) log_format_json: bool,
    pub(super) verbosity: i64,
    pub(super) version: bool,
    pub(super) kubelet_pods_dir: String,
    pub(super) kubelet_registration_dir: String,
    pub(super) kubelet_registration_path: String,
    pub(super) health_addr: String,
    pub(super) volume_size_limit: String,
    pub(super) volume_inode_limit: i64,
    pub(super) provider_socket_check: String,
    pub(super) provider_socket_owners: String,
    pub(super) seccomp: String,
    pub(super) allow_attribute_override: bool,
    pub(super) max_concurrent_calls: i64,
    pub(super) max_provider_calls: i64,
    pub(super) shutdown_grace_period: GoDuration,
    pub(super) enable_pprof: bool,
    pub(super) kube: KubeFlags,
    ignored: Ignored,
}

/// Receives the values of flags that have no effect; nothing reads it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Ignored {
    switch: bool,
    number: i64,
    text: String,
}

impl DriverFlags {
    /// Reads the arguments, the program's own name excluded. Looks at nothing else.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Parsed<DriverFlags>, CliError> {
        cli::parse("secrets-store-csi", DRIVER_FLAGS, args)
    }

    /// How to log, known before the rest is resolved so that a failure there is logged as asked.
    pub fn log(&self) -> LogSettings {
        // Beyond 32 bits every verbosity means the same.
        let verbosity =
            i32::try_from(self.verbosity).unwrap_or(if self.verbosity < 0 { 0 } else { i32::MAX });
        LogSettings { json: self.log_format_json, verbosity }
    }
}

/// The driver's flag table: upstream's flags, ours, and those that are accepted without effect.
pub const DRIVER_FLAGS: &[Flag<DriverFlags>] = &[
    row(
        "endpoint",
        Kind::Text(|f| &mut f.endpoint),
        "unix://tmp/csi.sock",
        "where to listen for CSI calls, unix://<path> or tcp://<address>",
    ),
    row(
        "drivername",
        Kind::Text(|f| &mut f.driver_name),
        "secrets-store.csi.k8s.io",
        "name of the CSI driver",
    ),
    row("nodeid", Kind::Text(|f| &mut f.node_id), "", "name of this node"),
    row(
        "provider-volume",
        Kind::Text(|f| &mut f.provider_volume),
        "/var/run/secrets-store-csi-providers",
        "directory of provider sockets, searched last",
    ),
    row(
        "additional-provider-volume-paths",
        Kind::Text(|f| &mut f.additional_provider_volume_paths),
        "/etc/kubernetes/secrets-store-csi-providers",
        "further directories of provider sockets, comma-separated, searched first",
    ),
    row(
        "metrics-addr",
        Kind::Text(|f| &mut f.metrics_addr),
        ":8095",
        "address of the metrics listener, 0 for none",
    ),
    row(
        "metrics-backend",
        Kind::Text(|f| &mut f.metrics_backend),
        "Prometheus",
        "format of the metrics, only Prometheus",
    ),
    row(
        "enable-secret-rotation",
        Kind::Bool(|f| &mut f.enable_secret_rotation),
        "false",
        "refresh mounted secrets",
    ),
    row(
        "rotation-poll-interval",
        Kind::Duration(|f| &mut f.rotation_poll_interval),
        "2m",
        "shortest time between two refreshes of a volume",
    ),
    row(
        "max-call-recv-msg-size",
        Kind::Int(|f| &mut f.max_call_recv_msg_size),
        "4194304",
        "largest answer of a provider in bytes",
    ),
    row(
        "provider-health-check",
        Kind::Bool(|f| &mut f.provider_health_check),
        "false",
        "call each provider periodically to see whether it answers",
    ),
    row(
        "provider-health-check-interval",
        Kind::Duration(|f| &mut f.provider_health_check_interval),
        "2m",
        "time between two such calls",
    ),
    row("log-format-json", Kind::Bool(|f| &mut f.log_format_json), "false", "write the log as JSON"),
    row("v", Kind::Int(|f| &mut f.verbosity), "0", "verbosity of the log"),
    row("version", Kind::Bool(|f| &mut f.version), "false", "print the version and exit"),
    row(
        "kubelet-pods-dir",
        Kind::Text(|f| &mut f.kubelet_pods_dir),
        "",
        "kubelet's directory of pods, below which every volume must lie; empty for no such check",
    ),
    row(
        "kubelet-registration-dir",
        Kind::Text(|f| &mut f.kubelet_registration_dir),
        "",
        "kubelet's directory plugins_registry, to register the driver there; empty where a sidecar does it",
    ),
    row(
        "kubelet-registration-path",
        Kind::Text(|f| &mut f.kubelet_registration_path),
        "",
        "path of the CSI socket on the node; empty for that of --endpoint",
    ),
    row(
        "health-addr",
        Kind::Text(|f| &mut f.health_addr),
        "",
        "address of a listener for /healthz and /readyz alone, 0 or empty for none; --metrics-addr has them too",
    ),
    row(
        "volume-size-limit",
        Kind::Text(|f| &mut f.volume_size_limit),
        "33554432",
        "largest content of a volume in bytes, each file in whole pages, or with a suffix Ki, Mi or Gi",
    ),
    row(
        "volume-inode-limit",
        Kind::Int(|f| &mut f.volume_inode_limit),
        "4096",
        "most files and directories in a volume",
    ),
    row(
        "provider-socket-check",
        Kind::Text(|f| &mut f.provider_socket_check),
        "enforce",
        "what becomes of a provider's socket that somebody else could have placed: enforce, warn or off",
    ),
    row(
        "provider-socket-owners",
        Kind::Text(|f| &mut f.provider_socket_owners),
        "",
        "uids of the providers that do not run as root, <name>=<uid>, comma-separated; gcp and conjur may be root or \
         1000 and vault root or 65532 unless named here",
    ),
    row(
        "seccomp",
        Kind::Text(|f| &mut f.seccomp),
        "enforce",
        "what becomes of a system call that the driver has no use for: enforce ends the process, log, or off",
    ),
    row(
        "allow-attribute-override",
        Kind::Bool(|f| &mut f.allow_attribute_override),
        "false",
        "let a pod's volume attributes replace the class's parameters",
    ),
    row(
        "max-concurrent-calls",
        Kind::Int(|f| &mut f.max_concurrent_calls),
        "192",
        "most calls at a time, 1 to 4096",
    ),
    row(
        "max-provider-calls",
        Kind::Int(|f| &mut f.max_provider_calls),
        "128",
        "most calls at a time to one provider, 1 to --max-concurrent-calls; when only that is given, two thirds of it",
    ),
    row(
        "shutdown-grace-period",
        Kind::Duration(|f| &mut f.shutdown_grace_period),
        "30s",
        "longest wait for calls in flight when stopping",
    ),
    row(
        "kube-api-server",
        Kind::Text(|f| &mut f.kube.api_server),
        "",
        "URL of the API server; empty for the cluster that the driver runs in",
    ),
    row(
        "kube-ca-file",
        Kind::Text(|f| &mut f.kube.ca_file),
        "",
        "file of certificates that sign for --kube-api-server",
    ),
    row(
        "kube-token-file",
        Kind::Text(|f| &mut f.kube.token_file),
        "",
        "file of the bearer token for --kube-api-server",
    ),
    row(
        "kubeconfig",
        Kind::Text(|f| &mut f.kube.kubeconfig),
        "",
        "not supported; use the three flags --kube-*",
    ),
    row("enable-pprof", Kind::Bool(|f| &mut f.enable_pprof), "false", NO_PROFILING),
    row("pprof-port", IGNORED_INT, "6065", NO_PROFILING),
    row("grpc-supported-providers", IGNORED_TEXT, "", "no effect: every provider is called over gRPC"),
    row("filtered-watch-secret", IGNORED_BOOL, "true", "no effect: watches are always filtered"),
    row("vmodule", IGNORED_TEXT, "", "no effect: -v alone sets the verbosity"),
    row("logtostderr", IGNORED_BOOL, "true", TO_STDERR),
    row("alsologtostderr", IGNORED_BOOL, "false", TO_STDERR),
    row("alsologtostderrthreshold", IGNORED_TEXT, "0", TO_STDERR),
    row("stderrthreshold", IGNORED_TEXT, "2", TO_STDERR),
    row("legacy_stderr_threshold_behavior", IGNORED_BOOL, "true", TO_STDERR),
    row("log_dir", IGNORED_TEXT, "", TO_STDERR),
    row("log_file", IGNORED_TEXT, "", TO_STDERR),
    row("log_file_max_size", IGNORED_INT, "1800", TO_STDERR),
    row("log_backtrace_at", IGNORED_TEXT, ":0", "no effect: the log has no backtraces"),
    row("add_dir_header", IGNORED_BOOL, "false", FIXED_HEADERS),
    row("skip_headers", IGNORED_BOOL, "false", FIXED_HEADERS),
    row("skip_log_headers", IGNORED_BOOL, "false", TO_STDERR),
    row("one_output", IGNORED_BOOL, "false", TO_STDERR),
];

const fn row(
    name: &'static str,
    kind: Kind<DriverFlags>,
    default: &'static str,
    help: &'static str,
) -> Flag<DriverFlags> {
    Flag { name, kind, default, help }
}

/// Values that are checked and have no effect.
const IGNORED_BOOL: Kind<DriverFlags> = Kind::Bool(|f| &mut f.ignored.switch);
const IGNORED_INT: Kind<DriverFlags> = Kind::Int(|f| &mut f.ignored.number);
const IGNORED_TEXT: Kind<DriverFlags> = Kind::Text(|f| &mut f.ignored.text);

const FIXED_HEADERS: &str = "no effect: the log's headers are fixed";
const NO_PROFILING: &str = "no effect: there is no profiling endpoint";
const TO_STDERR: &str = "no effect: the log always goes to standard error";
