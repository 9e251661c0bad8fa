//! Configuration of the operator: its flags, and the environment that names what it installs.
//!
//! An image that is missing is an error here and not a DaemonSet that cannot start. The two sidecars come as a pair:
//! with them the driver runs as the classic three containers, without them as one that registers itself.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use base::cli::{self, Flag, Kind};
use base::go_duration::GoDuration;
use config::{BindAddress, ConfigError, KubeFlags, KubeSource, LogSettings, Seccomp};

/// The operator's flags as typed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OperatorFlags {
    namespace: String,
    listen: String,
    metrics_listen: String,
    tls_cert_file: String,
    tls_private_key_file: String,
    config: String,
    terminate_on_files: String,
    kubelet_root: String,
    lease_duration: GoDuration,
    lease_renew_deadline: GoDuration,
    lease_retry_period: GoDuration,
    seccomp: String,
    log_format_json: bool,
    verbosity: i64,
    version: bool,
    kube: KubeFlags,
}

/// What the operator's command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorInvocation {
    /// Print the version and exit. Nothing else was checked.
    Version,
    /// Run.
    Run(Box<OperatorConfig>),
}

/// What the operator needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorConfig {
    /// The namespace that it works in; `None` for the one of its service account.
    pub namespace: Option<String>,
    /// The listener of health; `None` when off.
    pub listen: Option<BindAddress>,
    /// The listener of metrics, over HTTPS; `None` when off.
    pub metrics_listen: Option<BindAddress>,
    /// The certificate that metrics are served with, and its key.
    pub serving_files: (PathBuf, PathBuf),
    /// What it installs.
    pub operand: Operand,
    /// What its finalizer begins with.
    pub name: String,
    /// Its pod; empty where nobody says.
    pub pod: String,
    /// How long leadership lasts; `None` for what the kind of cluster asks for.
    pub lease: Option<LeaseTimes>,
    /// What becomes of system calls that the operator has no use for.
    pub seccomp: Seccomp,
    /// How to log.
    pub log: LogSettings,
    /// Which API server to talk to.
    pub kube: KubeSource,
    /// Whether `--terminate-on-files` was given, which has no effect.
    pub names_files_to_end_on: bool,
}

/// The images of the driver's pods, and the node that they expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    /// Image of the driver.
    pub driver_image: String,
    /// Images of the classic sidecars; `None` where the driver does without.
    pub sidecars: Option<Sidecars>,
    /// Kubelet's directory on every node, without a slash at the end.
    pub kubelet_root: String,
}

/// The sidecars' images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecars {
    /// Image of node-driver-registrar.
    pub registrar_image: String,
    /// Image of livenessprobe.
    pub liveness_image: String,
}

/// How leadership passes from one operator to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long nobody else tries after the leader was last heard of.
    pub duration: Duration,
    /// How long the leader tries to be heard of before it gives up; shorter than `duration`.
    pub renew_deadline: Duration,
    /// Between two tries; shorter than `renew_deadline`.
    pub retry_period: Duration,
}

impl OperatorConfig {
    /// Reads the arguments, the program's own name excluded, and the environment.
    ///
    /// # Errors
    /// Whatever is wrong first.
    pub fn resolve(
        args: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<OperatorInvocation, ConfigError> {
        let flags = parse(args)?;
        if flags.version {
            return Ok(OperatorInvocation::Version);
        }
        if !flags.config.is_empty() {
            let must = "be left out: everything that is configurable here is a flag";
            return Err(ConfigError::value("config", &flags.config, must));
        }
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        // Beyond 32 bits every verbosity means the same.
        let verbosity =
            i32::try_from(flags.verbosity).unwrap_or(if flags.verbosity < 0 { 0 } else { i32::MAX });
        Ok(OperatorInvocation::Run(Box::new(OperatorConfig {
            lease: lease_times(&flags)?,
            operand: operand(&flags, variable)?,
            namespace: Some(flags.namespace).filter(|namespace| !namespace.is_empty()),
            listen: BindAddress::from_flag("listen", &flags.listen)?,
            metrics_listen: BindAddress::from_flag("metrics-listen", &flags.metrics_listen)?,
            serving_files: (flags.tls_cert_file.into(), flags.tls_private_key_file.into()),
            name: variable("OPERATOR_NAME").unwrap_or_else(|| PROGRAM.to_owned()),
            pod: variable("POD_NAME").unwrap_or_default(),
            seccomp: Seccomp::resolve(&flags.seccomp)?,
            log: LogSettings { json: flags.log_format_json, verbosity },
            kube: KubeSource::resolve(&flags.kube, environment)?,
            names_files_to_end_on: !flags.terminate_on_files.is_empty(),
        })))
    }
}

/// Flags before and after the word `start`, which may be there.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<OperatorFlags, ConfigError> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.first().is_some_and(|first| first == "start") {
        args.remove(0);
    }
    let parsed = cli::parse(&format!("{PROGRAM} start"), OPERATOR_FLAGS, args)?;
    match parsed.rest.first() {
        None => Ok(parsed.flags),
        Some(word) => Err(ConfigError::Argument { argument: word.to_string_lossy().into_owned() }),
    }
}

fn operand(flags: &OperatorFlags, variable: impl Fn(&str) -> Option<String>) -> Result<Operand, ConfigError> {
    let missing = |name: &'static str, why: &'static str| ConfigError::Variable { name, why };
    let driver_image = variable(DRIVER_IMAGE).ok_or(missing(DRIVER_IMAGE, "it is the image to install"))?;
    let sidecars = match (variable(REGISTRAR_IMAGE), variable(LIVENESS_IMAGE)) {
        (None, None) => None,
        (Some(registrar_image), Some(liveness_image)) => Some(Sidecars { registrar_image, liveness_image }),
        (None, Some(_)) => {
            return Err(missing(REGISTRAR_IMAGE, "LIVENESS_PROBE_IMAGE is set, and they come as a pair"));
        }
        (Some(_), None) => {
            return Err(missing(
                LIVENESS_IMAGE,
                "NODE_DRIVER_REGISTRAR_IMAGE is set, and they come as a pair",
            ));
        }
    };
    let kubelet_root = flags.kubelet_root.trim_end_matches('/').to_owned();
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['$', '(', '\n', '\0']);
    if !kubelet_root.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain)) {
        let must = "be an absolute path below the root, without ., .. or $";
        return Err(ConfigError::value("kubelet-root", &flags.kubelet_root, must));
    }
    Ok(Operand { driver_image, sidecars, kubelet_root })
}

fn lease_times(flags: &OperatorFlags) -> Result<Option<LeaseTimes>, ConfigError> {
    let times = LeaseTimes {
        duration: flags.lease_duration.or_zero(),
        renew_deadline: flags.lease_renew_deadline.or_zero(),
        retry_period: flags.lease_retry_period.or_zero(),
    };
    let LeaseTimes { duration, renew_deadline, retry_period } = times;
    if duration.is_zero() && renew_deadline.is_zero() && retry_period.is_zero() {
        return Ok(None);
    }
    let refuse = |flag, value, must| Err(ConfigError::value(flag, shown(value), must));
    if retry_period < Duration::from_millis(100) {
        return refuse("lease-retry-period", retry_period, "be at least 100ms, or all three be left out");
    }
    if renew_deadline <= retry_period {
        return refuse("lease-renew-deadline", renew_deadline, "be longer than --lease-retry-period");
    }
    if duration <= renew_deadline || duration.as_secs() == 0 {
        let must = "be longer than --lease-renew-deadline, and a second at least";
        return refuse("lease-duration", duration, must);
    }
    Ok(Some(times))
}

fn shown(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

/// The operator's flag table.
pub const OPERATOR_FLAGS: &[Flag<OperatorFlags>] = &[
    row(
        "namespace",
        Kind::Text(|f| &mut f.namespace),
        "",
        "namespace to work in, that of the pod if not given",
    ),
    row("listen", Kind::Text(|f| &mut f.listen), ":8080", "address of health, in plain HTTP, 0 for none"),
    row(
        "metrics-listen",
        Kind::Text(|f| &mut f.metrics_listen),
        ":8443",
        "address of metrics, over HTTPS, 0 for none",
    ),
    row(
        "tls-cert-file",
        Kind::Text(|f| &mut f.tls_cert_file),
        "/var/run/secrets/serving-cert/tls.crt",
        "certificate of the metrics, read again when it changes",
    ),
    row(
        "tls-private-key-file",
        Kind::Text(|f| &mut f.tls_private_key_file),
        "/var/run/secrets/serving-cert/tls.key",
        "its private key",
    ),
    row("config", Kind::Text(|f| &mut f.config), "", "not supported: every setting is a flag"),
    row(
        "terminate-on-files",
        Kind::Text(|f| &mut f.terminate_on_files),
        "",
        "accepted without effect: files that change are read again",
    ),
    row(
        "kubelet-root",
        Kind::Text(|f| &mut f.kubelet_root),
        "/var/lib/kubelet",
        "kubelet's directory on every node",
    ),
    row(
        "lease-duration",
        Kind::Duration(|f| &mut f.lease_duration),
        "0s",
        "how long others wait for a leader that is not heard of, 0s for what the cluster asks for",
    ),
    row(
        "lease-renew-deadline",
        Kind::Duration(|f| &mut f.lease_renew_deadline),
        "0s",
        "how long the leader tries to be heard of before it ends, 0s for what the cluster asks for",
    ),
    row(
        "lease-retry-period",
        Kind::Duration(|f| &mut f.lease_retry_period),
        "0s",
        "time between two tries to get or keep the lease, 0s for what the cluster asks for",
    ),
    row(
        "seccomp",
        Kind::Text(|f| &mut f.seccomp),
        "enforce",
        "what becomes of system calls that the operator has no use for: enforce, log or off",
    ),
    row("log-format-json", Kind::Bool(|f| &mut f.log_format_json), "false", "log as JSON"),
    row("v", Kind::Int(|f| &mut f.verbosity), "2", "verbosity of the log until operatorLogLevel is known"),
    row("version", Kind::Bool(|f| &mut f.version), "false", "print the version and exit"),
    row("kubeconfig", Kind::Text(|f| &mut f.kube.kubeconfig), "", "not supported: use the three flags below"),
    row(
        "kube-api-server",
        Kind::Text(|f| &mut f.kube.api_server),
        "",
        "URL of the API server, outside a cluster",
    ),
    row(
        "kube-ca-file",
        Kind::Text(|f| &mut f.kube.ca_file),
        "",
        "certificates that sign for the API server, outside a cluster",
    ),
    row("kube-token-file", Kind::Text(|f| &mut f.kube.token_file), "", "bearer token, outside a cluster"),
];

const fn row(
    name: &'static str,
    kind: Kind<OperatorFlags>,
    default: &'static str,
    help: &'static str,
) -> Flag<OperatorFlags> {
    Flag { name, kind, default, help }
}

/// Where the operator's pod finds the namespace that it runs in.
pub fn namespace_file() -> PathBuf {
    PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
}

const PROGRAM: &str = "secrets-store-csi-driver-operator";
const DRIVER_IMAGE: &str = "DRIVER_IMAGE";
const REGISTRAR_IMAGE: &str = "NODE_DRIVER_REGISTRAR_IMAGE";
const LIVENESS_IMAGE: &str = "LIVENESS_PROBE_IMAGE";

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &[(&str, &str)] = &[
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
        (DRIVER_IMAGE, "driver"),
    ];

    fn resolved(args: &[&str], more: &[(&str, &str)]) -> Result<OperatorInvocation, ConfigError> {
        let all: Vec<(&str, &str)> = more.iter().chain(HERE).copied().collect();
        OperatorConfig::resolve(args.iter().map(OsString::from), |name| {
            all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn run(args: &[&str], more: &[(&str, &str)]) -> OperatorConfig {
        match resolved(args, more).unwrap() {
            OperatorInvocation::Run(config) => *config,
            OperatorInvocation::Version => panic!("a version"),
        }
    }

    #[test]
    fn one_image_is_enough_and_everything_else_has_a_default() {
        let config = run(&["start"], &[]);
        let operand = Operand {
            driver_image: "driver".into(),
            sidecars: None,
            kubelet_root: "/var/lib/kubelet".into(),
        };
        assert_eq!(config.operand, operand);
        assert_eq!((config.namespace, config.lease, config.pod.as_str()), (None, None, ""));
        assert_eq!(config.name, PROGRAM);
        assert_eq!(config.listen, BindAddress::parse(":8080"));
        assert_eq!(config.metrics_listen, BindAddress::parse(":8443"));
        assert_eq!(config.seccomp, Seccomp::Enforce);
        assert_eq!(config.log, LogSettings { json: false, verbosity: 2 });
        assert_eq!(run(&[], &[]).operand, run(&["start"], &[]).operand, "the word start may be left out");
    }

    #[test]
    fn the_sidecars_come_as_a_pair_and_the_missing_one_is_named() {
        let (registrar, liveness) = ((REGISTRAR_IMAGE, "r"), (LIVENESS_IMAGE, "l"));
        let both = run(&[], &[registrar, liveness]).operand.sidecars;
        assert_eq!(both, Some(Sidecars { registrar_image: "r".into(), liveness_image: "l".into() }));
        for (given, missing) in [(registrar, LIVENESS_IMAGE), (liveness, REGISTRAR_IMAGE)] {
            let error = resolved(&[], &[given]).unwrap_err();
            assert!(error.to_string().contains(&format!("environment variable {missing} ")), "{error}");
            assert_eq!(error.exit_code(), 1);
        }
        let empty = resolved(&[], &[(REGISTRAR_IMAGE, ""), (LIVENESS_IMAGE, "")]);
        assert!(empty.is_ok(), "empty counts as not set");
    }

    #[test]
    fn a_missing_driver_image_is_an_error_that_names_it() {
        for more in [&[(DRIVER_IMAGE, "")][..], &[(DRIVER_IMAGE, ""), (LIVENESS_IMAGE, "l")]] {
            let error = resolved(&[], more).unwrap_err().to_string();
            assert!(error.contains("environment variable DRIVER_IMAGE "), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        let rows: [(&[&str], u8); 15] = [
            (&["stop"], 2),
            (&["start", "start"], 2),
            (&["--nope"], 2),
            (&["--help"], 0),
            (&["start", "--help"], 0),
            (&["--config=x"], 1),
            (&["--kubeconfig=x"], 1),
            (&["--listen=x"], 1),
            (&["--metrics-listen=x"], 1),
            (&["--seccomp=no"], 1),
            (&["--kubelet-root=var"], 1),
            (&["--kubelet-root=/"], 1),
            (&["--kubelet-root=/a/../b"], 1),
            (&["--kubelet-root=/$(A)"], 1),
            (&["--kubelet-root="], 1),
        ];
        for (args, code) in rows {
            assert_eq!(resolved(args, &[]).unwrap_err().exit_code(), code, "{args:?}");
        }
        assert_eq!(resolved(&["--version"], &[(DRIVER_IMAGE, "")]), Ok(OperatorInvocation::Version));
    }

    #[test]
    fn a_kubelet_elsewhere_is_taken_without_its_last_slash() {
        assert_eq!(
            run(&["--kubelet-root=/var/lib/k0s/kubelet/"], &[]).operand.kubelet_root,
            "/var/lib/k0s/kubelet"
        );
    }

    #[test]
    fn the_times_of_the_lease_are_ordered_or_left_out() {
        let times = |duration: &str, deadline: &str, retry: &str| {
            let args = [
                format!("--lease-duration={duration}"),
                format!("--lease-renew-deadline={deadline}"),
                format!("--lease-retry-period={retry}"),
            ];
            resolved(&[&args[0], &args[1], &args[2]], &[])
        };
        assert!(times("3s", "2s", "1s").is_ok() && times("0s", "0s", "0s").is_ok());
        for (duration, deadline, retry) in [
            ("3s", "2s", "0s"),
            ("3s", "1s", "1s"),
            ("2s", "2s", "1s"),
            ("0s", "2s", "1s"),
            ("3s", "0s", "0s"),
        ] {
            assert!(times(duration, deadline, retry).is_err(), "{duration} {deadline} {retry}");
        }
    }
}
