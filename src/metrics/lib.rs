//! What happened, as numbers for Prometheus.
//!
//! One [`Metrics`] is made at start and passed to whoever has something to count; there is no global. Callers
//! say what happened and know no metric name. Nothing here knows CSI, Kubernetes or HTTP, and nothing decides
//! by a number it keeps.
//!
//! Threat: label values arrive from people who write SecretProviderClasses and from providers. They are
//! bounded in number, length and characters (`labels.rs`), and never hold content.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

mod family;
mod labels;
mod operator;
mod process;
mod scrape;
mod series;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::lock::Mutex;

use prometheus::proto::MetricFamily;
use prometheus::{Histogram, IntCounter, IntGauge, Registry, TextEncoder};

use family::Family;
use labels::Values;
use process::Process;

pub use operator::OperatorMetrics;

/// Every series of the driver.
///
/// A labelled series appears with its first event; the unlabelled ones of our own are there from the start.
pub struct Metrics {
    registry: Registry,
    version: String,
    commit: String,
    providers: Values,
    error_types: Values,
    verbs: Values,
    grpc_codes: Values,
    node_publish: Family<IntCounter>,
    node_publish_error: Family<IntCounter>,
    node_unpublish: Family<IntCounter>,
    node_unpublish_error: Family<IntCounter>,
    rotation_reconcile: Family<IntCounter>,
    rotation_reconcile_error: Family<IntCounter>,
    rotation_reconcile_duration: Family<Histogram>,
    sync_secret: Family<IntCounter>,
    sync_secret_duration: Family<Histogram>,
    sync_secret_error: Family<IntCounter>,
    sync_permitted: Family<IntGauge>,
    kubelet_registered: Family<IntGauge>,
    publish_duration: Family<Histogram>,
    provider_call_duration: Family<Histogram>,
    api_requests: Family<IntCounter>,
    events_dropped: IntCounter,
    calls_rejected: IntCounter,
    calls_in_flight: IntGauge,
    volumes: Mutex<Option<VolumeSource>>,
}

impl Metrics {
    /// Registers every series. `version` and `commit` become labels of the build info.
    ///
    /// # Errors
    /// [`MetricsError`] if a name in the table is malformed or used twice, which the tests rule out.
    pub fn new(version: &str, commit: &str) -> Result<Metrics, MetricsError> {
        let registry = Registry::new();
        let plain = |(name, help)| counter(&registry, name, help);
        Ok(Metrics {
            node_publish: Family::register(&registry, series::NODE_PUBLISH)?,
            node_publish_error: Family::register(&registry, series::NODE_PUBLISH_ERROR)?,
            node_unpublish: Family::register(&registry, series::NODE_UNPUBLISH)?,
            node_unpublish_error: Family::register(&registry, series::NODE_UNPUBLISH_ERROR)?,
            rotation_reconcile: Family::register(&registry, series::ROTATION_RECONCILE)?,
            rotation_reconcile_error: Family::register(&registry, series::ROTATION_RECONCILE_ERROR)?,
            rotation_reconcile_duration: Family::register(&registry, series::ROTATION_RECONCILE_DURATION)?,
            sync_secret: Family::register(&registry, series::SYNC_SECRET)?,
            sync_secret_duration: Family::register(&registry, series::SYNC_SECRET_DURATION)?,
            sync_secret_error: Family::register(&registry, series::SYNC_SECRET_ERROR)?,
            sync_permitted: Family::register(&registry, series::SYNC_PERMITTED)?,
            kubelet_registered: Family::register(&registry, series::KUBELET_REGISTERED)?,
            publish_duration: Family::register(&registry, series::PUBLISH_DURATION)?,
            provider_call_duration: Family::register(&registry, series::PROVIDER_CALL_DURATION)?,
            api_requests: Family::register(&registry, series::API_REQUESTS)?,
            events_dropped: plain(series::EVENTS_DROPPED)?,
            calls_rejected: plain(series::CALLS_REJECTED)?,
            calls_in_flight: gauge(&registry, series::CALLS_IN_FLIGHT)?,
            version: version.to_string(),
            commit: commit.to_string(),
            providers: Values::default(),
            error_types: Values::default(),
            verbs: Values::default(),
            grpc_codes: Values::default(),
            volumes: Mutex::default(),
            registry,
        })
    }

    /// Sets where the volume gauges come from; `source` runs once for each scrape, on the scraper's thread,
    /// so it must be quick. Give it a `Weak` if what it reads also holds these metrics. A later source
    /// replaces it.
    pub fn watch_volumes(&self, source: impl Fn() -> VolumeSummary + Send + Sync + 'static) {
        *self.volumes.lock() = Some(Arc::new(source));
    }

    /// A NodePublishVolume succeeded, and not by hiding a failure.
    pub fn publish_succeeded(&self, provider: &str, kind: PublishKind, elapsed: Duration) {
        let provider = self.provider_that_answered(provider);
        // A call with nothing to do counts without a provider, as dashboards of the established driver
        // expect.
        let counted = if kind == PublishKind::Skipped { "" } else { &provider };
        self.node_publish.record(&[counted, OS_TYPE], IntCounter::inc);
        self.publish_duration
            .record(&[&provider, kind.label()], |histogram| histogram.observe(elapsed.as_secs_f64()));
    }

    /// A NodePublishVolume failed, or kept a live volume's old content because of a failure; the latter is
    /// also a [`rotation_failed`](Self::rotation_failed). `provider` is empty where it is not known yet.
    pub fn publish_failed(&self, provider: &str, error_type: &str) {
        let (provider, error_type) = self.failure(provider, error_type);
        self.node_publish_error.record(&[&provider, &error_type, OS_TYPE], IntCounter::inc);
    }

    /// A NodeUnpublishVolume succeeded.
    pub fn unpublish_succeeded(&self) {
        self.node_unpublish.record(&[OS_TYPE], IntCounter::inc);
    }

    /// A NodeUnpublishVolume failed.
    pub fn unpublish_failed(&self) {
        self.node_unpublish_error.record(&[OS_TYPE], IntCounter::inc);
    }

    /// A refresh of a live volume asked the provider and succeeded. `rotated` says whether content changed;
    /// `elapsed` counts from the start of the call.
    pub fn rotation_succeeded(&self, provider: &str, rotated: bool, elapsed: Duration) {
        let provider = self.provider_that_answered(provider);
        let rotated = if rotated { ROTATED } else { NOT_ROTATED };
        self.rotation_reconcile.record(&[&provider, OS_TYPE, rotated], IntCounter::inc);
        self.rotation_reconcile_duration
            .record(&[OS_TYPE], |histogram| histogram.observe(elapsed.as_secs_f64()));
    }

    /// A refresh of a live volume failed; the old content stays.
    pub fn rotation_failed(&self, provider: &str, error_type: &str) {
        let (provider, error_type) = self.failure(provider, error_type);
        self.rotation_reconcile_error
            .record(&[&provider, &error_type, OS_TYPE, NOT_ROTATED], IntCounter::inc);
    }

    /// A provider was called. `code` is the name of the gRPC code that the call ended with.
    pub fn provider_called(&self, provider: &str, code: &str, elapsed: Duration) {
        let provider = self.provider_that_answered(provider);
        let code = self.grpc_codes.admit(code, GRPC_CODES);
        self.provider_call_duration
            .record(&[&provider, &code], |histogram| histogram.observe(elapsed.as_secs_f64()));
    }

    /// A request to the API server ended. `code` is the HTTP status in digits; anything else counts as
    /// `error`.
    pub fn api_request(&self, verb: &str, code: &str) {
        let verb = self.verbs.admit(verb, VERBS);
        let is_status = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        self.api_requests.record(&[&verb, if is_status { code } else { "error" }], IntCounter::inc);
    }

    /// A Kubernetes Secret was brought up to date.
    pub fn sync_succeeded(&self, provider: &str, elapsed: Duration) {
        let provider = self.provider_that_answered(provider);
        self.sync_secret.record(&[&provider, OS_TYPE], IntCounter::inc);
        self.sync_secret_duration.record(&[OS_TYPE], |histogram| histogram.observe(elapsed.as_secs_f64()));
    }

    /// A Kubernetes Secret could not be brought up to date.
    pub fn sync_failed(&self, provider: &str, error_type: &str) {
        let (provider, error_type) = self.failure(provider, error_type);
        self.sync_secret_error.record(&[&provider, &error_type], IntCounter::inc);
    }

    /// Whether the driver may read and write Kubernetes Secrets, as the last answer about one showed.
    pub fn sync_permitted(&self, is_permitted: bool) {
        let value = i64::from(is_permitted);
        self.sync_permitted.record(&[], |gauge| gauge.set(value));
    }

    /// Whether kubelet has registered the driver, which registers itself.
    pub fn kubelet_registered(&self, is_registered: bool) {
        let value = i64::from(is_registered);
        self.kubelet_registered.record(&[], |gauge| gauge.set(value));
    }

    /// A Kubernetes Event was not sent.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// A CSI call was turned away because too many were under way.
    pub fn call_rejected(&self) {
        self.calls_rejected.inc();
    }

    /// A CSI call began; it counts as under way until the guard is dropped.
    pub fn call_started(&self) -> CallInFlight {
        self.calls_in_flight.inc();
        CallInFlight { gauge: self.calls_in_flight.clone() }
    }

    /// Every series in Prometheus' text format 0.0.4, sorted by name.
    pub fn render(&self) -> String {
        let mut families = self.registry.gather();
        families.extend(scrape::aliases(&families));
        families.push(scrape::build_info(&self.version, &self.commit));
        families.extend(self.volume_summary().map(scrape::volumes).unwrap_or_default());
        families.extend(scrape::process(Process::read()));
        rendered(families)
    }

    fn volume_summary(&self) -> Option<VolumeSummary> {
        // The lock is let go before the source runs, which takes locks of its own.
        let source = self.volumes.lock().clone();
        source.map(|source| source())
    }

    fn provider_that_answered(&self, provider: &str) -> String {
        self.providers.admit(provider, PROVIDERS)
    }

    fn failure(&self, provider: &str, error_type: &str) -> (String, String) {
        (self.providers.admit(provider, PROVIDERS_CLAIMED), self.error_types.admit(error_type, ERROR_TYPES))
    }
}

/// What a successful NodePublishVolume did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishKind {
    /// Mounted a volume.
    First,
    /// Asked the provider again for a volume that was live already.
    Refresh,
    /// Found nothing to do.
    Skipped,
}

impl PublishKind {
    fn label(self) -> &'static str {
        match self {
            PublishKind::First => "first",
            PublishKind::Refresh => "refresh",
            PublishKind::Skipped => "skipped",
        }
    }
}

/// The state of this node's volumes at the moment of a scrape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VolumeSummary {
    /// Volumes that are mounted and complete.
    pub live: u64,
    /// Those of them whose last refresh failed.
    pub failing: u64,
    /// Time since the last good refresh of the volume that has waited longest; `None` without live volumes.
    pub stalest_refresh_age: Option<Duration>,
    /// The memory of the driver's pod; `None` where nothing limits it.
    pub memory: Option<MemoryUse>,
}

/// Memory of a control group, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// In use, content of volumes included, caches of files not.
    pub used: u64,
    /// What is kept free for answers in hand: volumes are refused that would need it.
    pub kept_free: u64,
    /// The most that the kernel allows.
    pub limit: u64,
}

/// Counts a CSI call as under way for as long as it lives.
#[must_use = "the call counts as ended when this is dropped"]
pub struct CallInFlight {
    gauge: IntGauge,
}

impl Drop for CallInFlight {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// Why the metrics could not be set up.
#[derive(Debug)]
pub enum MetricsError {
    /// A series was refused: its name is malformed or taken.
    Register {
        /// The name of the series.
        series: &'static str,
        /// What the registry said.
        cause: prometheus::Error,
    },
}

impl fmt::Display for MetricsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetricsError::Register { series, cause } => {
                write!(f, "could not register metric {series}: {cause}")
            }
        }
    }
}

impl std::error::Error for MetricsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            MetricsError::Register { cause, .. } => Some(cause),
        }
    }
}

type VolumeSource = Arc<dyn Fn() -> VolumeSummary + Send + Sync>;

/// In Prometheus' text format 0.0.4, sorted by name.
fn rendered(mut families: Vec<MetricFamily>) -> String {
    families.sort_by(|one, other| one.name().cmp(other.name()));
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
        log::error!(error:%; "could not render every metric");
    }
    text
}

fn counter(registry: &Registry, name: &'static str, help: &str) -> Result<IntCounter, MetricsError> {
    let refused = |cause| MetricsError::Register { series: name, cause };
    let counter = IntCounter::new(name, help).map_err(refused)?;
    registry.register(Box::new(counter.clone())).map_err(refused)?;
    Ok(counter)
}

fn gauge(registry: &Registry, (name, help): (&'static str, &str)) -> Result<IntGauge, MetricsError> {
    let refused = |cause| MetricsError::Register { series: name, cause };
    let gauge = IntGauge::new(name, help).map_err(refused)?;
    registry.register(Box::new(gauge.clone())).map_err(refused)?;
    Ok(gauge)
}

/// The operating system by the name that existing dashboards select.
const OS_TYPE: &str = std::env::consts::OS;

const ROTATED: &str = "true";
const NOT_ROTATED: &str = "false";

/// Distinct providers shown by name. A node has a handful; each may cost some hundred series.
const PROVIDERS: usize = 64;

/// A failure proves no provider: anybody's class can name one that does not exist. Names known only from
/// failures stop here, so that they cannot take the places of providers that do answer.
const PROVIDERS_CLAIMED: usize = 32;

/// Distinct error types: about a dozen are ours, the rest are codes that providers choose.
const ERROR_TYPES: usize = 64;

/// gRPC defines 17 codes; a provider may send numbers outside them.
const GRPC_CODES: usize = 24;

/// Kubernetes has ten verbs.
const VERBS: usize = 16;
