//! The table of metric names: the only place that spells one.
//!
//! Names, labels and bounds of the first group are a contract with dashboards that people already have; the
//! golden file beside the tests holds them still.

use super::family::Series;

pub(super) const NODE_PUBLISH: Series = Series {
    name: "node_publish_total",
    help: "NodePublishVolume calls that succeeded, those with nothing to do included",
    labels: &["provider", "os_type"],
    ..CONTRACT
};

pub(super) const NODE_PUBLISH_ERROR: Series = Series {
    name: "node_publish_error_total",
    help: "NodePublishVolume calls that failed, including those that kept the old content of a live volume",
    labels: &["provider", "error_type", "os_type"],
    ..CONTRACT
};

pub(super) const NODE_UNPUBLISH: Series = Series {
    name: "node_unpublish_total",
    help: "NodeUnpublishVolume calls that succeeded",
    labels: &["os_type"],
    ..CONTRACT
};

pub(super) const NODE_UNPUBLISH_ERROR: Series = Series {
    name: "node_unpublish_error_total",
    help: "NodeUnpublishVolume calls that failed",
    labels: &["os_type"],
    ..CONTRACT
};

pub(super) const ROTATION_RECONCILE: Series = Series {
    name: "rotation_reconcile_total",
    help: "refreshes of a live volume that succeeded; rotated is true where content changed",
    labels: &["provider", "os_type", "rotated"],
    ..CONTRACT
};

pub(super) const ROTATION_RECONCILE_ERROR: Series = Series {
    name: "rotation_reconcile_error_total",
    help: "refreshes of a live volume that failed and kept the old content",
    labels: &["provider", "error_type", "os_type", "rotated"],
    ..CONTRACT
};

pub(super) const ROTATION_RECONCILE_DURATION: Series = Series {
    name: "rotation_reconcile_duration_sec",
    help: "seconds that a successful refresh of a live volume took",
    labels: &["os_type"],
    bounds: &CONTRACT_BOUNDS_SECONDS,
    ..CONTRACT
};

pub(super) const SYNC_SECRET: Series = Series {
    name: "sync_k8s_secret_total",
    help: "Kubernetes Secrets brought up to date from mounted content",
    labels: &["provider", "os_type"],
    ..CONTRACT
};

pub(super) const SYNC_SECRET_DURATION: Series = Series {
    name: "k8s_secret_duration_sec",
    help: "seconds that bringing a Kubernetes Secret up to date took",
    labels: &["os_type"],
    bounds: &CONTRACT_BOUNDS_SECONDS,
    ..CONTRACT
};

pub(super) const SYNC_SECRET_ERROR: Series = Series {
    name: "secrets_store_csi_sync_errors_total",
    help: "attempts to bring a Kubernetes Secret up to date that failed, by reason",
    labels: &["provider", "error_type"],
    ..OWN
};

pub(super) const SYNC_PERMITTED: Series = Series {
    name: "secrets_store_csi_sync_permitted",
    help: "1 when the driver may read and write Kubernetes Secrets, 0 when it may not; absent until a class asks for one",
    ..OWN
};

pub(super) const KUBELET_REGISTERED: Series = Series {
    name: "secrets_store_csi_kubelet_registered",
    help: "1 while kubelet has registered the driver, 0 while it has not; absent where a sidecar sees to that",
    ..OWN
};

pub(super) const PUBLISH_DURATION: Series = Series {
    name: "secrets_store_csi_publish_duration_seconds",
    help: "seconds that a successful NodePublishVolume took, by kind: first, refresh or skipped",
    labels: &["provider", "kind"],
    bounds: &BOUNDS_SECONDS,
    ..OWN
};

pub(super) const PROVIDER_CALL_DURATION: Series = Series {
    name: "secrets_store_csi_provider_call_duration_seconds",
    help: "seconds that a call to a provider took, by the gRPC code of its answer",
    labels: &["provider", "code"],
    bounds: &BOUNDS_SECONDS,
    ..OWN
};

pub(super) const API_REQUESTS: Series = Series {
    name: "secrets_store_csi_api_requests_total",
    help: "requests to the Kubernetes API server, by verb and HTTP status; error where no answer came",
    labels: &["verb", "code"],
    ..OWN
};

pub(super) const EVENTS_DROPPED: (&str, &str) = (
    "secrets_store_csi_events_dropped_total",
    "Kubernetes Events not sent because too many were waiting or the API server refused them",
);

pub(super) const CALLS_REJECTED: (&str, &str) = (
    "secrets_store_csi_calls_rejected_total",
    "CSI calls answered with RESOURCE_EXHAUSTED because too many were under way",
);

pub(super) const CALLS_IN_FLIGHT: (&str, &str) = ("secrets_store_csi_calls_in_flight", "CSI calls under way");

pub(super) const LIVE_VOLUMES: (&str, &str) =
    ("secrets_store_csi_live_volumes", "volumes that are mounted and complete");

pub(super) const FAILING_VOLUMES: (&str, &str) =
    ("secrets_store_csi_failing_volumes", "live volumes whose last refresh failed");

pub(super) const STALEST_REFRESH: (&str, &str) = (
    "secrets_store_csi_stalest_refresh_age_seconds",
    "seconds since the last good refresh of the live volume that has waited longest for one",
);

pub(super) const MEMORY_USED: (&str, &str) = (
    "secrets_store_csi_memory_used_bytes",
    "memory of the driver's control group, content of volumes included and caches of files not; absent without a limit",
);

pub(super) const MEMORY_KEPT_FREE: (&str, &str) = (
    "secrets_store_csi_memory_kept_free_bytes",
    "the part of the limit that is kept for refreshes: volumes that would need it are refused; absent without a limit",
);

pub(super) const MEMORY_LIMIT: (&str, &str) = (
    "secrets_store_csi_memory_limit_bytes",
    "memory that the driver's control group may have; absent without a limit",
);

pub(super) const BUILD_INFO: (&str, &str) =
    ("secrets_store_csi_build_info", "always 1; the labels tell which build this is");

/// Second names for the same numbers: `(the name that is counted, the name that the documents give)`.
pub(super) const ALIASES: [(&str, &str); 8] = [
    ("node_publish_total", "total_node_publish"),
    ("node_publish_error_total", "total_node_publish_error"),
    ("node_unpublish_total", "total_node_unpublish"),
    ("node_unpublish_error_total", "total_node_unpublish_error"),
    ("rotation_reconcile_total", "total_rotation_reconcile"),
    ("rotation_reconcile_error_total", "total_rotation_reconcile_error"),
    ("sync_k8s_secret_total", "total_sync_k8s_secret"),
    ("k8s_secret_duration_sec", "sync_k8s_secret_duration_sec"),
];

/// The labels that dashboards of the established driver may select by.
const CONTRACT: Series = Series {
    name: "",
    help: "",
    labels: &[],
    constant: &[
        ("otel_scope_name", "sigs.k8s.io/secrets-store-csi-driver"),
        ("otel_scope_schema_url", ""),
        ("otel_scope_version", ""),
    ],
    bounds: &[],
};

const OWN: Series = Series { name: "", help: "", labels: &[], constant: &[], bounds: &[] };

/// Eleven steps from 0.1 to 2 s, each 20^0.1 times the one before, with the rounding that the established
/// driver shows on linux/amd64: a bound is a label, and a query over both drivers adds up only if it is the
/// same text.
const CONTRACT_BOUNDS_SECONDS: [f64; 11] = [
    0.1,
    0.13492828476735633,
    0.18205642030260802,
    0.24564560522315804,
    0.3314454017339986,
    0.4472135954999578,
    0.6034176336545162,
    0.8141810630738084,
    1.0985605433061172,
    1.4822688982138947,
    1.9999999999999991,
];

/// From a call with nothing to do (about a millisecond) to the two minutes after which kubelet gives up;
/// closest where a healthy provider answers (10 ms to 1 s).
const BOUNDS_SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];
