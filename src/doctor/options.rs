//! The doctor's command line: flags of its own, and all of the driver's.
//!
//! The driver's settings are those on the command line of the driver that runs here, with those of the doctor's own on
//! top: of a repeated flag the last one counts.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use base::cli::{self, CliError, Flag, Kind, Parsed};
use config::{ConfigError, DRIVER_FLAGS, DriverConfig, DriverFlags, Invocation, KubeError, KubeSource};
use provider::name::ProviderName;

/// The form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

/// Which process's flags are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Like {
    /// The driver's that is found here.
    Found,
    /// That one's.
    Process(u32),
    /// No other's.
    Nobody,
}

/// What is to be examined, and how to tell.
#[derive(Debug)]
pub struct Options {
    /// The form of the report.
    pub output: Output,
    /// Namespace and name of a pod to look at.
    pub pod: Option<(String, String)>,
    /// A provider that must be there.
    pub provider: Option<ProviderName>,
    /// The driver's settings. Its API server is not to be used where `cluster` is an error.
    pub config: DriverConfig,
    /// Which API server there is.
    pub cluster: Result<KubeSource, KubeError>,
    /// Where kubelet looks for drivers, as seen from here; none where a sidecar registers the driver.
    pub registration_dir: Option<PathBuf>,
    /// The CSI socket as kubelet sees it; empty for the path of the endpoint.
    pub registration_path: String,
    /// Where health is served apart from the metrics; empty for nowhere.
    pub health_addr: String,
}

/// The command line asks for no examination.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The version, to be printed.
    Version,
    /// The usage text, which was asked for.
    Help(String),
    /// What is wrong with the command line.
    Wrong(String),
}

/// The doctor's own flags, and those of the driver that say where to look and not how to run.
#[derive(Debug, Default)]
struct OwnFlags {
    output: String,
    pod: String,
    provider: String,
    pid: i64,
    registration_dir: String,
    registration_path: String,
    health_addr: String,
}

/// Which process's flags are to be taken, as the doctor's own arguments say.
pub fn like(arguments: &[OsString]) -> Result<Like, Stop> {
    let (own, _) = cli::divide(OWN_FLAGS, DRIVER_FLAGS, arguments.iter().cloned());
    let pid = parse_own(own)?.flags.pid;
    match u32::try_from(pid) {
        Ok(0) => Ok(Like::Found),
        Ok(pid) => Ok(Like::Process(pid)),
        Err(_) if pid == -1 => Ok(Like::Nobody),
        Err(_) => Err(Stop::Wrong(format!("--pid={pid}: it must be the id of a process, 0 or -1\n"))),
    }
}

/// The options on a command line: that of the running driver, then the doctor's own arguments.
pub fn resolve(
    driver: &[OsString],
    arguments: &[OsString],
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Options, Stop> {
    let all = flags_alone(driver).iter().chain(arguments).cloned();
    let (own, of_driver) = cli::divide(OWN_FLAGS, DRIVER_FLAGS, all);
    let own = parse_own(own)?.flags;
    let output = match own.output.as_str() {
        "text" => Output::Text,
        "json" => Output::Json,
        other => return Err(wrong("output", other, "be text or json")),
    };
    let pod = match own.pod.split_once('/') {
        _ if own.pod.is_empty() => None,
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Some((namespace.to_owned(), name.to_owned()))
        }
        _ => return Err(wrong("pod", &own.pod, "be <namespace>/<name>")),
    };
    let provider = match own.provider.as_str() {
        "" => None,
        name => Some(
            ProviderName::parse(name)
                .map_err(|_| wrong("provider", name, "be at most 30 letters, digits, dashes, underscores"))?,
        ),
    };
    let (config, cluster) = settings(of_driver, environment)?;
    Ok(Options {
        output,
        pod,
        provider,
        config,
        cluster,
        registration_dir: (!own.registration_dir.is_empty()).then(|| PathBuf::from(own.registration_dir)),
        registration_path: own.registration_path,
        health_addr: own.health_addr,
    })
}

/// The driver's settings, and its API server apart: a driver that does not know of one does not start, whereas the
/// doctor says so and looks at the rest.
fn settings(
    arguments: Vec<OsString>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<(DriverConfig, Result<KubeSource, KubeError>), Stop> {
    let parsed = parse_driver(arguments.clone())?;
    match DriverConfig::resolve(&parsed, &environment) {
        Ok(Invocation::Run(config)) => {
            let cluster = Ok(config.kube.clone());
            Ok((*config, cluster))
        }
        Ok(Invocation::Version) => Err(Stop::Version),
        Err(ConfigError::Kube(problem)) => {
            let nowhere = NO_CLUSTER.iter().map(OsString::from);
            let parsed = parse_driver(arguments.into_iter().chain(nowhere).collect())?;
            match DriverConfig::resolve(&parsed, environment)? {
                Invocation::Run(config) => Ok((*config, Err(problem))),
                Invocation::Version => Err(Stop::Version),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn parse_driver(arguments: Vec<OsString>) -> Result<Parsed<DriverFlags>, Stop> {
    let parsed = DriverFlags::parse(arguments)?;
    match parsed.rest.first() {
        None => Ok(parsed),
        Some(word) => {
            let word = word.to_string_lossy();
            Err(Stop::Wrong(format!(
                "\"{}\" is no flag, and the doctor takes flags alone\n",
                word.escape_debug()
            )))
        }
    }
}

fn parse_own(arguments: Vec<OsString>) -> Result<Parsed<OwnFlags>, Stop> {
    Ok(cli::parse("secrets-store-csi-driver doctor", OWN_FLAGS, arguments)?)
}

/// The driver's arguments without what it does not read itself: everything after the first that is no flag.
fn flags_alone(arguments: &[OsString]) -> &[OsString] {
    let parsed = |arguments: &[OsString]| {
        DriverFlags::parse(cli::divide(OWN_FLAGS, DRIVER_FLAGS, arguments.iter().cloned()).1)
    };
    let unread = parsed(arguments).map_or(0, |parsed| parsed.rest.len());
    match arguments.get(..arguments.len().saturating_sub(unread)).unwrap_or(arguments) {
        // Two dashes end the flags, unless they are the value of the last one.
        [flags @ .., last] if last == "--" && parsed(flags).is_ok() => flags,
        flags => flags,
    }
}

fn wrong(flag: &str, value: &str, must: &str) -> Stop {
    Stop::Wrong(format!("--{flag}=\"{}\": it must {must}\n", value.escape_debug()))
}

impl From<CliError> for Stop {
    fn from(error: CliError) -> Stop {
        match error {
            CliError::Help { usage } => Stop::Help(format!("{usage}{AND_THE_DRIVERS}")),
            error @ CliError::Usage { .. } => Stop::Wrong(error.to_string()),
        }
    }
}

impl From<ConfigError> for Stop {
    fn from(error: ConfigError) -> Stop {
        match error {
            ConfigError::Cli(error) => error.into(),
            error => Stop::Wrong(format!("{error}\n")),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Version => Ok(()),
            Stop::Help(text) | Stop::Wrong(text) => f.write_str(text),
        }
    }
}

/// On top of all others: an address that is legal and is never used.
const NO_CLUSTER: [&str; 4] =
    ["--kubeconfig=", "--kube-api-server=http://127.0.0.1:1", "--kube-ca-file=", "--kube-token-file="];
const AND_THE_DRIVERS: &str =
    "and all flags of the driver, which win over those of the driver that runs here\n";

const OWN_FLAGS: &[Flag<OwnFlags>] = &[
    row("output", Kind::Text(|f| &mut f.output), "text", "form of the report: text, or json for scripts"),
    row("pod", Kind::Text(|f| &mut f.pod), "", "a pod to look at, <namespace>/<name>"),
    row("provider", Kind::Text(|f| &mut f.provider), "", "name of a provider that must be there"),
    row(
        "pid",
        Kind::Int(|f| &mut f.pid),
        "0",
        "process of the driver whose flags are taken, -1 for none; by default the one that runs here",
    ),
    row(
        "kubelet-registration-dir",
        Kind::Text(|f| &mut f.registration_dir),
        "",
        "directory of kubelet's plugin registry, as for the driver",
    ),
    row(
        "kubelet-registration-path",
        Kind::Text(|f| &mut f.registration_path),
        "",
        "path of the CSI socket as kubelet sees it, as for the driver",
    ),
    row(
        "health-addr",
        Kind::Text(|f| &mut f.health_addr),
        "",
        "address of the health listener, as for the driver",
    ),
];

const fn row(
    name: &'static str,
    kind: Kind<OwnFlags>,
    default: &'static str,
    help: &'static str,
) -> Flag<OwnFlags> {
    Flag { name, kind, default, help }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Rotation;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn options(driver: &[&str], own: &[&str]) -> Result<Options, Stop> {
        resolve(&words(driver), &words(own), |_| None)
    }

    const CLUSTER: &str = "--kube-api-server=https://api:6443";

    #[test]
    fn the_doctors_own_flags_lie_on_top_of_the_drivers() {
        let driver = ["--nodeid=one", "--enable-secret-rotation", "-drivername", "d", CLUSTER];
        let found = options(&driver, &["--output=json", "--nodeid=two", "--pod", "team/web"]).unwrap();
        assert_eq!((found.config.node_id.as_str(), found.config.driver_name.as_str()), ("two", "d"));
        assert!(matches!(found.config.rotation, Rotation::Every(_)));
        assert_eq!(found.output, Output::Json);
        assert_eq!(found.pod, Some(("team".into(), "web".into())));
        assert!(found.cluster.is_ok());
    }

    #[test]
    fn where_kubelet_looks_is_taken_from_the_driver_too() {
        let driver = ["--kubelet-registration-dir=/r", "--health-addr=:9808", CLUSTER];
        let found = options(&driver, &["--kubelet-registration-path=/k/csi.sock"]).unwrap();
        assert_eq!(found.registration_dir, Some(PathBuf::from("/r")));
        assert_eq!((found.registration_path.as_str(), found.health_addr.as_str()), ("/k/csi.sock", ":9808"));
    }

    #[test]
    fn what_the_driver_does_not_read_is_not_read_here_either() {
        let rows = [
            ("a word", ["--nodeid=one", "word", "--nodeid=no"].as_slice()),
            ("two dashes", &["--nodeid=one", "--", "--nodeid=no"]),
            ("two dashes at the end", &["--nodeid=one", "--"]),
        ];
        for (name, driver) in rows {
            let found = options(driver, &[CLUSTER, "--output=json"]).unwrap();
            assert_eq!(found.config.node_id, "one", "{name}");
            assert_eq!(found.output, Output::Json, "{name}");
        }
        assert_eq!(options(&["--nodeid", "--"], &[CLUSTER]).unwrap().config.node_id, "--");
    }

    #[test]
    fn without_an_api_server_the_rest_is_still_known() {
        let found = options(&[], &["--nodeid=one"]).unwrap();
        assert_eq!(found.cluster, Err(KubeError::NotFound));
        assert_eq!(found.config.node_id, "one");
        let found = options(&[], &["--kubeconfig=/k"]).unwrap();
        assert!(matches!(found.cluster, Err(KubeError::Kubeconfig { .. })));
    }

    #[test]
    fn a_wrong_command_line_is_told() {
        let rows = [
            (["--output=xml"].as_slice(), "--output=\"xml\": it must be text or json"),
            (&["--pod=web"], "--pod=\"web\": it must be <namespace>/<name>"),
            (&["--pod=/web"], "--pod=\"/web\": it must be <namespace>/<name>"),
            (&["--provider=a/b"], "--provider=\"a/b\": it must be at most 30 letters"),
            (&["--nope"], "flag provided but not defined: -nope"),
            (&["word"], "\"word\" is no flag"),
            (&["--endpoint=x"], "invalid endpoint: x"),
            (&["--volume-size-limit=0"], "could not use flag --volume-size-limit"),
            (&["--pid=x"], "invalid value \"x\" for flag -pid"),
        ];
        for (own, text) in rows {
            match options(&[CLUSTER], own) {
                Err(Stop::Wrong(told)) => assert!(told.starts_with(text), "{own:?}: {told}"),
                other => panic!("{own:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn help_is_the_doctors_own() {
        let Err(Stop::Help(usage)) = options(&[], &["--help"]) else { panic!("no help") };
        assert!(usage.starts_with("Usage of secrets-store-csi-driver doctor:\n"), "{usage}");
        assert!(
            usage.contains("\n  -output string\n") && usage.contains("all flags of the driver"),
            "{usage}"
        );
        assert_eq!(options(&[], &["--version"]).unwrap_err(), Stop::Version);
    }

    #[test]
    fn whose_flags_are_taken_can_be_said() {
        let rows = [
            (["--output=json"].as_slice(), Like::Found),
            (&["--pid=7"], Like::Process(7)),
            (&["--pid", "-1"], Like::Nobody),
        ];
        for (own, expected) in rows {
            assert_eq!(like(&words(own)), Ok(expected), "{own:?}");
        }
        assert!(matches!(like(&words(&["--pid=-2"])), Err(Stop::Wrong(_))));
    }
}
