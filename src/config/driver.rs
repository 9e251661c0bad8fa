//! Configuration of the driver: every value checked and in its own type.
//!
//! Knows what each flag means and which values make no sense together. Does no I/O: that a directory is
//! missing or a port taken shows when it is used.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    BindAddress, ConfigError, DriverFlags, Endpoint, KubeSource, KubeletRegistration, ProviderTrust, Seccomp,
};
use base::cli::{self, Parsed};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Print the version and exit. Nothing else was checked.
    Version,
    /// Run.
    Run(Box<DriverConfig>),
}

/// What the driver needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverConfig {
    /// Where kubelet calls.
    pub endpoint: Endpoint,
    /// Name of the CSI driver; not empty.
    pub driver_name: String,
    /// Name of the node; may be empty.
    pub node_id: String,
    /// Directories of provider sockets in the order in which they are searched; at least one.
    pub provider_dirs: Vec<PathBuf>,
    /// The metrics listener; `None` when off.
    pub metrics_addr: Option<BindAddress>,
    /// The listener for health alone; `None` when off.
    pub health_addr: Option<BindAddress>,
    /// How the driver registers itself with kubelet; `None` where a sidecar does it.
    pub registration: Option<KubeletRegistration>,
    /// Whether and how often volumes are refreshed.
    pub rotation: Rotation,
    /// Largest answer of a provider in bytes; 1 to `i32::MAX`, which is as much as gRPC can be told.
    pub max_call_recv_msg_size: usize,
    /// Time between two calls to see whether a provider answers, longer than 0; `None` when off.
    pub provider_health_check: Option<Duration>,
    /// How to log.
    pub log: LogSettings,
    /// Kubelet's directory of pods, absolute and without `.`, `..`, or empty parts; `None` when not given.
    pub kubelet_pods_dir: Option<PathBuf>,
    /// Largest content of a volume in bytes; at least 1.
    pub volume_size_limit: u64,
    /// Most files and directories of a content; at least 1.
    pub volume_inode_limit: u64,
    /// Which provider sockets are believed.
    pub provider_trust: ProviderTrust,
    /// What becomes of a system call that is not on the driver's list.
    pub seccomp: Seccomp,
    /// True when a pod's volume attributes replace the class's parameters.
    pub allow_attribute_override: bool,
    /// Most calls at a time, 1 to 4096.
    pub max_concurrent_calls: usize,
    /// Most calls at a time to one provider, 1 to `max_concurrent_calls`.
    pub max_provider_calls: usize,
    /// Longest wait for calls in flight when stopping.
    pub shutdown_grace_period: Duration,
    /// Which API server to talk to.
    pub kube: KubeSource,
    /// What was typed without effect, to be logged once as warnings.
    pub notices: Vec<Notice>,
}

/// Whether and how often volumes are refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Republish calls change nothing.
    Off,
    /// A volume is due when its last refresh is this long ago; with zero it is always due.
    Every(Duration),
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// JSON instead of text.
    pub json: bool,
    /// klog's `-v`.
    pub verbosity: i32,
}

/// Something on the command line that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A flag that upstream has removed.
    Removed {
        /// Name without dashes.
        flag: &'static str,
    },
    /// A flag about log files or formats, of which there are none here.
    FixedLog {
        /// Name without dashes.
        flag: &'static str,
    },
    /// Profiling was switched on.
    NoProfiling,
    /// The path for kubelet was given, but the driver does not register itself.
    NoRegistration,
    /// Arguments after the first that is no flag are not read.
    IgnoredArguments {
        /// How many.
        count: usize,
    },
}

impl DriverConfig {
    /// Checks what was typed. `environment` answers for the variables that name the API server.
    pub fn resolve(
        parsed: &Parsed<DriverFlags>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Invocation, ConfigError> {
        let flags = &parsed.flags;
        if flags.version {
            return Ok(Invocation::Version);
        }
        let (max_concurrent_calls, max_provider_calls) = call_limits(parsed)?;
        let endpoint = Endpoint::parse(&flags.endpoint)?;
        Ok(Invocation::Run(Box::new(DriverConfig {
            registration: KubeletRegistration::resolve(flags, &endpoint)?,
            endpoint,
            driver_name: driver_name(flags)?,
            node_id: flags.node_id.clone(),
            provider_dirs: provider_dirs(flags)?,
            metrics_addr: metrics_addr(flags)?,
            health_addr: health_addr(flags)?,
            rotation: rotation(flags),
            max_call_recv_msg_size: max_call_recv_msg_size(flags)?,
            provider_health_check: provider_health_check(flags)?,
            log: flags.log(),
            kubelet_pods_dir: kubelet_pods_dir(flags)?,
            volume_size_limit: volume_size_limit(flags)?,
            volume_inode_limit: volume_inode_limit(flags)?,
            provider_trust: ProviderTrust::resolve(flags)?,
            seccomp: Seccomp::resolve(&flags.seccomp)?,
            allow_attribute_override: flags.allow_attribute_override,
            max_concurrent_calls,
            max_provider_calls,
            shutdown_grace_period: shutdown_grace_period(flags)?,
            kube: KubeSource::resolve(&flags.kube, environment)?,
            notices: notices(parsed),
        })))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Removed { flag } => {
                write!(f, "flag --{flag} has been removed and has no effect: it can be left out")
            }
            Notice::FixedLog { flag } => write!(
                f,
                "flag --{flag} has no effect: the log goes to standard error in a fixed format, and -v alone \
                 sets how much of it"
            ),
            Notice::NoProfiling => {
                f.write_str("flag --enable-pprof has no effect: this driver has no profiling endpoint")
            }
            Notice::NoRegistration => f.write_str(
                "flag --kubelet-registration-path has no effect without --kubelet-registration-dir",
            ),
            Notice::IgnoredArguments { count } => write!(
                f,
                "arguments after the flags have no effect ({count} of them): flags end at the first argument \
                 that is none, and a boolean flag takes its value only after an equals sign"
            ),
        }
    }
}

fn driver_name(flags: &DriverFlags) -> Result<String, ConfigError> {
    match flags.driver_name.as_str() {
        "" => Err(ConfigError::value("drivername", "", "not be empty")),
        name => Ok(name.to_owned()),
    }
}

/// Only the whole list is trimmed: a directory's name may well begin or end with a space.
fn provider_dirs(flags: &DriverFlags) -> Result<Vec<PathBuf>, ConfigError> {
    let additional = flags.additional_provider_volume_paths.trim().split(',');
    let last = flags.provider_volume.as_str();
    let dirs: Vec<_> = additional.chain([last]).filter(|dir| !dir.is_empty()).map(PathBuf::from).collect();
    if dirs.is_empty() {
        let must = "not be empty where --additional-provider-volume-paths is empty too";
        return Err(ConfigError::value("provider-volume", last, must));
    }
    Ok(dirs)
}

fn metrics_addr(flags: &DriverFlags) -> Result<Option<BindAddress>, ConfigError> {
    if !flags.metrics_backend.eq_ignore_ascii_case("prometheus") {
        return Err(ConfigError::MetricsBackend { name: flags.metrics_backend.clone() });
    }
    BindAddress::from_flag("metrics-addr", &flags.metrics_addr)
}

fn health_addr(flags: &DriverFlags) -> Result<Option<BindAddress>, ConfigError> {
    if flags.health_addr.is_empty() {
        return Ok(None);
    }
    BindAddress::from_flag("health-addr", &flags.health_addr)
}

fn rotation(flags: &DriverFlags) -> Rotation {
    if flags.enable_secret_rotation {
        Rotation::Every(flags.rotation_poll_interval.or_zero())
    } else {
        Rotation::Off
    }
}

fn max_call_recv_msg_size(flags: &DriverFlags) -> Result<usize, ConfigError> {
    let largest = i64::from(i32::MAX);
    // More than gRPC can be told is the same as the most it can be told.
    within("max-call-recv-msg-size", flags.max_call_recv_msg_size.min(largest), 1..=largest)
}

fn provider_health_check(flags: &DriverFlags) -> Result<Option<Duration>, ConfigError> {
    let interval = flags.provider_health_check_interval;
    if !flags.provider_health_check {
        return Ok(None);
    }
    if interval.as_nanos() <= 0 {
        let typed = format!("{}ns", interval.as_nanos());
        return Err(ConfigError::value("provider-health-check-interval", typed, "be longer than 0"));
    }
    Ok(Some(interval.or_zero()))
}

fn kubelet_pods_dir(flags: &DriverFlags) -> Result<Option<PathBuf>, ConfigError> {
    let text = flags.kubelet_pods_dir.as_str();
    if text.is_empty() {
        return Ok(None);
    }
    let is_clean = |parts: &str| parts.split('/').all(|part| !matches!(part, "" | "." | ".."));
    match text.strip_prefix('/') {
        Some(parts) if parts.is_empty() || is_clean(parts) => Ok(Some(PathBuf::from(text))),
        _ => {
            let must = "be an absolute path without \".\", \"..\", doubled slashes or a slash at the end";
            Err(ConfigError::value("kubelet-pods-dir", text, must))
        }
    }
}

/// A limit of 0 would mean "no limit" to the kernel, so it is refused here and for inodes.
fn volume_size_limit(flags: &DriverFlags) -> Result<u64, ConfigError> {
    let text = flags.volume_size_limit.as_str();
    bytes(text).filter(|size| *size > 0).ok_or_else(|| {
        let must = "be a number of bytes from 1, or such a number with the suffix Ki, Mi or Gi";
        ConfigError::value("volume-size-limit", text, must)
    })
}

fn volume_inode_limit(flags: &DriverFlags) -> Result<u64, ConfigError> {
    let limit = flags.volume_inode_limit;
    u64::try_from(limit)
        .ok()
        .filter(|limit| *limit > 0)
        .ok_or_else(|| ConfigError::value("volume-inode-limit", limit, "be at least 1"))
}

/// Calls at a time, in all and to one provider. The second follows the first where only the first was typed, and
/// stays below it, so that one provider that hangs does not take every call.
fn call_limits(parsed: &Parsed<DriverFlags>) -> Result<(usize, usize), ConfigError> {
    let flags = &parsed.flags;
    let (all, one) = (flags.max_concurrent_calls, flags.max_provider_calls);
    let max_concurrent_calls = within("max-concurrent-calls", all, 1..=MOST_CONCURRENT_CALLS)?;
    if !parsed.typed.iter().any(|flag| flag.name == "max-provider-calls") {
        return Ok((max_concurrent_calls, (max_concurrent_calls * 2 / 3).max(1)));
    }
    match usize::try_from(one) {
        Ok(max_provider_calls) if (1..=max_concurrent_calls).contains(&max_provider_calls) => {
            Ok((max_concurrent_calls, max_provider_calls))
        }
        _ => {
            let must = format!("be from 1 to the value of --max-concurrent-calls, which is {all}");
            Err(ConfigError::value("max-provider-calls", one, must))
        }
    }
}

fn shutdown_grace_period(flags: &DriverFlags) -> Result<Duration, ConfigError> {
    let period = flags.shutdown_grace_period;
    if period.as_nanos() < 0 {
        let typed = format!("{}ns", period.as_nanos());
        return Err(ConfigError::value("shutdown-grace-period", typed, "not be negative"));
    }
    Ok(period.or_zero())
}

fn notices(parsed: &Parsed<DriverFlags>) -> Vec<Notice> {
    let mut notices = Vec::new();
    for typed in &parsed.typed {
        if REMOVED.contains(&typed.name) {
            notices.push(Notice::Removed { flag: typed.name });
        } else if FIXED_LOG.contains(&typed.name) && !typed.is_default {
            notices.push(Notice::FixedLog { flag: typed.name });
        }
    }
    if parsed.flags.enable_pprof {
        notices.push(Notice::NoProfiling);
    }
    if parsed.flags.kubelet_registration_dir.is_empty() && !parsed.flags.kubelet_registration_path.is_empty()
    {
        notices.push(Notice::NoRegistration);
    }
    if !parsed.rest.is_empty() {
        notices.push(Notice::IgnoredArguments { count: parsed.rest.len() });
    }
    notices
}

fn within(flag: &'static str, value: i64, range: RangeInclusive<i64>) -> Result<usize, ConfigError> {
    usize::try_from(value).ok().filter(|_| range.contains(&value)).ok_or_else(|| {
        let must = format!("be from {} to {}", range.start(), range.end());
        ConfigError::value(flag, value, must)
    })
}

fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)]
        .into_iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, unit)))
        .unwrap_or((text, 1));
    u64::try_from(cli::parse_int(number).ok()?).ok()?.checked_mul(unit)
}

/// Each call in flight may hold a thread.
const MOST_CONCURRENT_CALLS: i64 = 4096;

/// Still in many manifests, so that refusing them would stop an upgrade.
const REMOVED: [&str; 2] = ["grpc-supported-providers", "filtered-watch-secret"];

/// klog's flags other than `-v`. Typed with their defaults, as some manifests do, they ask for what happens
/// anyway.
const FIXED_LOG: [&str; 14] = [
    "vmodule",
    "logtostderr",
    "alsologtostderr",
    "alsologtostderrthreshold",
    "stderrthreshold",
    "legacy_stderr_threshold_behavior",
    "log_dir",
    "log_file",
    "log_file_max_size",
    "log_backtrace_at",
    "add_dir_header",
    "skip_headers",
    "skip_log_headers",
    "one_output",
];

#[cfg(test)]
mod tests;
