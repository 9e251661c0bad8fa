//! The operator: keeps the driver installed on a cluster as one ClusterCSIDriver object asks for it.
//!
//! The core is pure: [`spec`] reads what is asked for, [`management`] says what is done in which state, [`render`] makes
//! the exact objects of it, [`plan`] compares one of them with the live one, [`conditions`] says what is reported, and
//! [`lease`] who may write. `reconcile` is the one loop that looks, decides and writes through `cluster`. What it looks at
//! is the `view` that watches keep, whose changes ring the `bell` that wakes it; [`pace`] says how soon it reports.
//! `leadership` is the one other thread that writes.
//!
//! It runs unprivileged and reads no Secret. What it can do to a cluster is what its role lets it: the threat is a
//! program that fights with others over objects or takes down what it did not install, so it never writes without the
//! lease, replaces only what it has seen, and reports another installation instead of taking it over.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

mod bell;
mod cluster;
pub mod command_line;
pub mod conditions;
mod digest;
mod events;
mod executor;
mod failure;
pub mod foreign;
mod former_rights;
mod https;
pub mod identity;
mod leadership;
pub mod lease;
pub mod management;
pub mod openshift;
pub mod pace;
pub mod piece;
pub mod plan;
mod quarrel;
mod reconcile;
pub mod render;
mod report;
pub mod rotation;
mod serve;
pub mod spec;
mod tls_profile;
pub mod token_requests;
mod view;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base::backoff::Backoff;
use base::build_info::BuildInfo;
use base::logging;
use base::panics;
use base::shutdown::{Shutdown, ShutdownError};
use config::process_environment;
use confinement::Role;
use kube::client::Client;
use kube::config::{ClusterConfig, ConfigError};
use kube::object::ObjectRef;
use kube::resource::{API_SERVERS, INFRASTRUCTURES, PROXIES};
use metrics::OperatorMetrics;
use sys::at::SysError;
use web::health::Readiness;

use bell::Bell;
use cluster::{Cluster, budget};
use command_line::{LeaseTimes, OperatorConfig, OperatorInvocation, namespace_file};
use events::Events;
use https::Terms;
use leadership::{Campaign, Leadership};
use lease::Candidate;
use reconcile::Reconciler;
use tls_profile::TlsProfile;
use view::View;

/// Runs the operator with the process's arguments until it is told to stop, or loses the lease.
pub fn main() -> ExitCode {
    let config = match OperatorConfig::resolve(std::env::args_os().skip(1), process_environment) {
        Ok(OperatorInvocation::Version) => {
            println!("{}", BuildInfo::current().json());
            return ExitCode::SUCCESS;
        }
        Ok(OperatorInvocation::Run(config)) => *config,
        Err(error) => {
            let text = error.to_string();
            eprintln!("{}", text.trim_end());
            return ExitCode::from(error.exit_code());
        }
    };
    let format = if config.log.json { logging::Format::Json } else { logging::Format::Text };
    if let Err(error) = logging::init_adjustable(format, config.log.verbosity) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!(error:% = error; "unrecoverable error encountered");
            ExitCode::FAILURE
        }
    }
}

fn run(config: OperatorConfig) -> Result<(), RunError> {
    let build = BuildInfo::current();
    let namespace = namespace(&config)?;
    log::info!(version = build.version, commit = build.commit, namespace = namespace; "starting");
    if config.names_files_to_end_on {
        log::warn!("--terminate-on-files has no effect: files that change are read again");
    }
    // Before the first thread, which inherits it.
    confinement::confine(Role::Operator, config.seccomp).map_err(RunError::Confinement)?;
    let shutdown = Shutdown::new();
    let _signals = shutdown.on_signals().map_err(RunError::Signals)?;
    let metrics = OperatorMetrics::new(build.version, build.commit);
    let metrics = metrics.map_err(|error| RunError::Metrics(error.to_string()))?;
    let metrics = Arc::new(metrics);
    let client = client(&config, &metrics)?;
    let readiness = Readiness::new();
    let latch = readiness.latch("the API server");
    let _health = serve::health(config.listen.as_ref(), &metrics, readiness).map_err(RunError::Http)?;
    let terms =
        Terms::new(TlsProfile::intermediate()).map_err(|error| RunError::Metrics(error.to_string()))?;
    let terms = Arc::new(terms);

    let Some(times) = lease_times(&config, &client, &shutdown) else { return Ok(()) };
    latch.release();
    terms.follow(tls_profile(&client));
    serve::metrics(&config, &terms, &client, &metrics).map_err(RunError::Https)?;
    let chance = format!("{:016x}{:016x}", chance(), chance());
    let leadership = Arc::new(Leadership::new(Candidate::new(&config.pod, &chance, times)));
    let campaign = || Campaign {
        client: client.clone(),
        namespace: namespace.clone(),
        times,
        metrics: Arc::clone(&metrics),
        shutdown: shutdown.clone(),
    };
    let lease = leadership.start(campaign()).map_err(RunError::Thread)?;
    let result = if leadership.wait(&shutdown) {
        let events = Events::new(&namespace, &config.pod);
        let (leadership, metrics) = (Arc::clone(&leadership), Arc::clone(&metrics));
        let view = View::default();
        let cluster = Cluster { client: client.clone(), leadership, metrics, events, terms, view };
        lead(Reconciler::new(cluster, config.operand, namespace.clone(), &config.name), &shutdown)
    } else {
        Ok(())
    };
    shutdown.trigger();
    panics::joined(lease.join());
    leadership.release(&campaign());
    log::info!("stopped");
    result
}

/// Turns the loop until the process is to end.
fn lead(mut reconciler: Reconciler, shutdown: &Shutdown) -> Result<(), RunError> {
    let bell = Bell::default();
    let (rung, ending) = (bell.clone(), shutdown.clone());
    let wake = move || {
        ending.wait();
        rung.ring();
    };
    thread::Builder::new().name("wake".to_owned()).spawn(wake).map_err(RunError::Thread)?;
    let mut watched = false;
    let mut failures = 0u32;
    while !shutdown.is_triggered() {
        let begun = Instant::now();
        let turn = reconciler.turn();
        let now = Instant::now();
        let Cluster { client, metrics, events, .. } = &reconciler.cluster;
        metrics.turned(turn.is_ok(), now.saturating_duration_since(begun), now);
        log::trace!(succeeded = turn.is_ok(); "the loop has turned");
        match turn {
            Ok(()) => failures = 0,
            Err(failure) => {
                log::warn!(error:% = failure; "not everything is as it should be, trying again");
                failures = failures.saturating_add(1);
            }
        }
        events.post(client);
        let pause = match failures {
            0 => RESYNC,
            failures => TURN_BACKOFF.pause(failures),
        };
        let pause = reconciler.report_due().map_or(pause, |due| due.min(pause));
        // What is served decides what is watched; until that is known the loop has only its pauses.
        if let (false, Some(features)) = (watched, reconciler.known_features()) {
            let view = View::open(client, &reconciler.namespace, features, &bell, shutdown);
            reconciler.cluster.view = view.map_err(RunError::Thread)?;
            watched = true;
        }
        // Several changes at once, such as the pods' becoming ready, are one turn.
        let breath = if reconciler.quarrels() { LONG_BREATH } else { BREATH };
        if shutdown.wait_timeout(breath) {
            break;
        }
        bell.wait(pause);
    }
    Ok(())
}

/// Waits for the API server, and asks what kind of cluster this is; none when the process is to end.
fn lease_times(config: &OperatorConfig, client: &Client, shutdown: &Shutdown) -> Option<LeaseTimes> {
    let mut failures = 0;
    loop {
        let asked = match config.lease {
            Some(times) => client.ping(budget()).map(|()| times),
            None => usual_times(client),
        };
        match asked {
            Ok(times) => return Some(times),
            Err(error) => log::warn!(error:% = error; "the API server does not answer, trying again"),
        }
        failures += 1;
        if shutdown.wait_timeout(GREETING_BACKOFF.pause(failures)) {
            return None;
        }
    }
}

/// How servers of this cluster speak TLS, as far as it says; the leader hears of a change, others at their start.
fn tls_profile(client: &Client) -> TlsProfile {
    let asked = client.serves(&API_SERVERS, budget()).and_then(|is_openshift| match is_openshift {
        true => client.find_object(&ObjectRef::cluster(&API_SERVERS, "cluster"), budget()),
        false => Ok(None),
    });
    let api_server = asked.unwrap_or_else(|error| {
        log::warn!(error:% = error; "the cluster's TLS profile is not known, metrics are served by the usual one");
        None
    });
    TlsProfile::read(api_server.as_ref()).unwrap_or_else(|_| TlsProfile::intermediate())
}

fn usual_times(client: &Client) -> Result<LeaseTimes, kube::ApiError> {
    client.ping(budget())?;
    let infrastructure = client.serves(&PROXIES, budget()).and_then(|is_openshift| match is_openshift {
        true => client.find_object(&ObjectRef::cluster(&INFRASTRUCTURES, "cluster"), budget()),
        false => Ok(None),
    });
    let infrastructure = infrastructure.unwrap_or_else(|error| {
        log::warn!(error:% = error; "the kind of control plane is not known, leadership lasts as long as usual");
        None
    });
    Ok(openshift::lease_times(infrastructure.as_ref()))
}

fn client(config: &OperatorConfig, metrics: &Arc<OperatorMetrics>) -> Result<Client, RunError> {
    let cluster = ClusterConfig {
        server: config.kube.server().as_str().to_owned(),
        ca_file: config.kube.ca_file().map(Path::to_owned),
        token_file: config.kube.token_file().map(Path::to_owned),
        request_timeout: API_REQUEST_TIMEOUT,
        user_agent: BuildInfo::current().user_agent_of(identity::OPERATOR),
    };
    let counted = Arc::clone(metrics);
    let observer = Arc::new(move |verb: &str, code: &str| counted.api_request(verb, code));
    Client::new(&cluster, observer).map_err(RunError::Cluster)
}

fn namespace(config: &OperatorConfig) -> Result<String, RunError> {
    if let Some(namespace) = &config.namespace {
        return Ok(namespace.clone());
    }
    let file = namespace_file();
    #[expect(clippy::disallowed_methods, reason = "kubelet's own file, where nobody else places anything")]
    let text = std::fs::read_to_string(&file).map_err(RunError::Namespace)?;
    match text.trim() {
        "" => Err(RunError::Namespace(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"))),
        namespace => Ok(namespace.to_owned()),
    }
}

fn chance() -> u64 {
    // Each state has other keys than the one before it.
    RandomState::new().build_hasher().finish()
}

/// Why the operator could not start, or could not go on.
#[derive(Debug)]
enum RunError {
    Cluster(ConfigError),
    Confinement(SysError),
    Http(io::Error),
    Https(io::Error),
    Metrics(String),
    Namespace(io::Error),
    Signals(ShutdownError),
    Thread(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Cluster(error) => error.fmt(f),
            RunError::Confinement(error) => {
                write!(f, "could not give up what the operator does not need: {error}; see flag --seccomp")
            }
            RunError::Http(error) => write!(f, "could not use flag --listen: {error}"),
            RunError::Https(error) => write!(f, "could not use flag --metrics-listen: {error}"),
            RunError::Metrics(error) => write!(f, "could not prepare metrics: {error}"),
            RunError::Namespace(error) => write!(
                f,
                "could not tell in which namespace to work: {}: {error}; outside a pod use --namespace",
                namespace_file().display()
            ),
            RunError::Signals(error) => error.fmt(f),
            RunError::Thread(error) => write!(f, "could not start a thread: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// One request; the calls that they are part of last a little longer.
const API_REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Without any news. Catches what no watch tells, such as another installation.
const RESYNC: Duration = Duration::from_secs(60);
/// Between two turns, however much happens.
const BREATH: Duration = Duration::from_millis(200);
/// While another operator writes against this one, whose changes are most of what happens.
const LONG_BREATH: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const TURN_BACKOFF: Backoff = Backoff::new(FIRST_PAUSE, RESYNC);
const GREETING_BACKOFF: Backoff = Backoff::new(FIRST_PAUSE, Duration::from_secs(15));
