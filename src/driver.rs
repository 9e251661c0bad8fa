//! The driver's root: puts the parts together, names every thread, starts and stops them in order.
//!
//! Start: log, flags, mounter, confinement, signals, metrics and health, API client, providers, volumes that an earlier
//! process left, CSI socket, kubelet's registration. Stop: kubelet forgets the driver, no new calls, those in hand are
//! drained within the grace period, the times of refreshes are kept, events are sent, the process ends.

mod adoption;
mod csi_endpoint;
mod listeners;
mod memory;
mod processes;

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use self::listeners::Listeners;
use self::processes::SeparationError;
use crate::registration::{self, Registrar, RegistrationError};
use base::backoff::{Backoff, Jitter};
use base::build_info::BuildInfo;
use base::logging;
use base::shutdown::{Shutdown, ShutdownError};
use config::{DriverConfig, DriverFlags, Endpoint, Invocation, process_environment};
use kube::budget::Budget;
use kube::client::Client;
use kube::config::ClusterConfig;
use kube::event::{EventSettings, EventSink};
use kube::watch::Pause;
use metrics::{MemoryUse, Metrics, MetricsError, VolumeSummary};
use mounter::client::MounterClient;
use provider::registry::{CallLimits, Registry};
use publish::Publisher;
use publish::attributes::Precedence;
use publish::classes::Classes;
use publish::own_pod::PodUid;
use publish::refresh_times::RefreshTimes;
use publish::volumes::Volumes;
use rpc::Environment;
use rpc::deadline::Deadline;
use rpc::server::ServerError;
use sync::{SecretSync, SyncSettings};
use sys::process;
use volume::limits::ContentLimits;
use volume::target::TargetPath;
use web::health::{Latch, Readiness};

/// Runs the driver with the process's arguments until it is told to stop.
pub fn main() -> ExitCode {
    let parsed = match DriverFlags::parse(std::env::args_os().skip(1)) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprint!("{error}");
            return ExitCode::from(error.exit_code());
        }
    };
    let format = if parsed.flags.log().json { logging::Format::Json } else { logging::Format::Text };
    if let Err(error) = logging::init(format, parsed.flags.log().verbosity) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match DriverConfig::resolve(&parsed, process_environment) {
        Ok(Invocation::Version) => {
            println!("{}", BuildInfo::current().json());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Run(config)) => match run(*config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => unrecoverable(&error, 1),
        },
        Err(error) => {
            let code = error.exit_code();
            unrecoverable(&error, code)
        }
    }
}

fn unrecoverable(error: &dyn fmt::Display, code: u8) -> ExitCode {
    log::error!(error:% = error; "unrecoverable error encountered");
    ExitCode::from(code)
}

fn run(config: DriverConfig) -> Result<(), RunError> {
    let build = BuildInfo::current();
    log::info!(version = build.version, commit = build.commit, node = config.node_id; "starting");
    for notice in &config.notices {
        log::warn!("{notice}");
    }
    let (mounter, mounter_process) =
        processes::separate(&config, content_limits(&config)).map_err(RunError::Separation)?;
    process::keep_new_files_private();
    let shutdown = Shutdown::new();
    let mounter_watch = processes::stop_with(mounter_process, shutdown.clone()).map_err(RunError::Thread)?;
    let _signals = shutdown.on_signals().map_err(RunError::Signals)?;
    let metrics = Arc::new(Metrics::new(build.version, build.commit).map_err(RunError::Metrics)?);
    let readiness = Readiness::new();
    let api_latch = readiness.latch("the API server");
    let registrar = registrar(&config, &readiness, &metrics)?;
    let environment = Environment::start();
    // Early, so that a probe meets somebody who lets it wait.
    let _http = serve_http(&config, &environment, &metrics, &readiness)?;
    let publisher = Arc::new(publisher(&config, mounter, &metrics, &shutdown)?);
    let adopted = adoption::adopt_volumes(&publisher, config.kubelet_pods_dir.as_deref());
    watch_volumes(&metrics, &publisher);

    let server = csi_endpoint::serve(&config, &environment, &publisher, &metrics)?;
    wait_for_api_server(publisher.client.clone(), api_latch, shutdown.clone())?;
    take_up_secrets(Arc::clone(&publisher), adopted, shutdown.clone())?;
    keep_refresh_times(Arc::clone(&publisher), shutdown.clone())?;
    if let Some(interval) = config.provider_health_check {
        check_providers(Arc::clone(&publisher), interval, shutdown.clone())?;
    }
    // Last: kubelet calls as soon as it knows the driver.
    let registration =
        registrar.map(|registrar| registrar.start(&environment)).transpose().map_err(RunError::Thread)?;
    log::info!("ready");

    shutdown.wait();
    let cut_short = mounter_watch.cause().map(|ended| ended.to_string());
    let grace = if cut_short.is_some() { Duration::ZERO } else { config.shutdown_grace_period };
    log::info!(grace_seconds = grace.as_secs(); "stopping");
    if let Some(registration) = registration {
        registration.stop();
    }
    if !server.stop(grace) {
        log::warn!("calls in hand did not end within the grace period and were cut off");
    }
    if let Err(error) = publisher.keep_refresh_times() {
        log::warn!(error:% = error; "could not keep the times of refreshes: after the next start volumes are due early");
    }
    publisher.events.stop();
    log::info!("stopped");
    cut_short.map_or(Ok(()), |how| Err(RunError::MounterEnded(how)))
}

fn publisher(
    config: &DriverConfig,
    mounter: MounterClient,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) -> Result<Publisher, RunError> {
    let cluster = ClusterConfig {
        server: config.kube.server().as_str().to_owned(),
        ca_file: config.kube.ca_file().map(Path::to_owned),
        token_file: config.kube.token_file().map(Path::to_owned),
        request_timeout: API_REQUEST_TIMEOUT,
        user_agent: BuildInfo::current().user_agent("controller"),
    };
    let counted = Arc::clone(metrics);
    let client = Client::new(&cluster, Arc::new(move |verb, code| counted.api_request(verb, code)))
        .map_err(RunError::Cluster)?;
    let settings = EventSettings { node: config.node_id.clone(), wall: SystemTime::now };
    let counted = Arc::clone(metrics);
    let events = EventSink::start(client.clone(), settings, move |_| counted.event_dropped());
    let events = Arc::new(events.map_err(RunError::Thread)?);
    let ending = shutdown.clone();
    let pause: Pause = Arc::new(move |time| ending.wait_timeout(time));
    let settings = SyncSettings {
        node: config.node_id.clone(),
        driver: config.driver_name.clone(),
        publishes: config.max_concurrent_calls,
    };
    let limits = CallLimits {
        answer_bytes: i32::try_from(config.max_call_recv_msg_size).unwrap_or(i32::MAX),
        concurrent: config.max_provider_calls,
    };
    let (memory, answers) = memory::bounds(u64::try_from(config.max_call_recv_msg_size).unwrap_or(u64::MAX));
    Ok(Publisher {
        node: config.node_id.clone(),
        rotation: config.rotation,
        precedence: if config.allow_attribute_override { Precedence::Pod } else { Precedence::Class },
        limits: content_limits(config),
        memory,
        own_pod: PodUid::of_this_process(),
        mounter,
        providers: Registry::new(
            config.provider_dirs.clone(),
            config.provider_trust.clone(),
            limits,
            answers,
        ),
        classes: Classes::new(client.clone(), Arc::clone(&pause)),
        secrets: SecretSync::new(settings, client.clone(), Arc::clone(&events), Arc::clone(metrics), pause),
        client,
        events,
        metrics: Arc::clone(metrics),
        volumes: Volumes::default(),
        refresh_times: refresh_times(config),
    })
}

fn content_limits(config: &DriverConfig) -> ContentLimits {
    ContentLimits { bytes: config.volume_size_limit, inodes: config.volume_inode_limit }
}

/// Kept beside the socket, in the one directory of the node that is the driver's own.
fn refresh_times(config: &DriverConfig) -> RefreshTimes {
    match &config.endpoint {
        Endpoint::Unix(socket) => socket.parent().map_or_else(RefreshTimes::forgotten, RefreshTimes::kept_in),
        Endpoint::Tcp(_) => RefreshTimes::forgotten(),
    }
}

/// Keeps the times of refreshes for the next process, seldom: a crash in between makes some volumes due early.
fn keep_refresh_times(publisher: Arc<Publisher>, shutdown: Shutdown) -> Result<(), RunError> {
    let keep = move || {
        let mut was_kept = true;
        while !shutdown.wait_timeout(TIME_BETWEEN_KEEPING) {
            let kept = publisher.keep_refresh_times();
            if let Err(error) = &kept
                && was_kept
            {
                log::warn!(error:% = error; "could not keep the times of refreshes: after a restart volumes are due early");
            }
            was_kept = kept.is_ok();
        }
    };
    spawn("refresh-times", keep)
}

/// Goes on keeping the Secrets of the volumes that an earlier process mounted.
fn take_up_secrets(
    publisher: Arc<Publisher>,
    adopted: Vec<TargetPath>,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    if adopted.is_empty() {
        return Ok(());
    }
    spawn("adoption", move || publisher.take_up_secrets(adopted, |time| shutdown.wait_timeout(time)))
}

fn watch_volumes(metrics: &Metrics, publisher: &Arc<Publisher>) {
    // Weak: the publisher holds the metrics.
    let publisher: Weak<Publisher> = Arc::downgrade(publisher);
    metrics.watch_volumes(move || {
        let Some(publisher) = publisher.upgrade() else { return VolumeSummary::default() };
        let summary = publisher.volumes.summary(SystemTime::now());
        let memory = publisher.memory.tightest(publisher.volumes.memory());
        VolumeSummary {
            live: summary.live,
            failing: summary.failing,
            stalest_refresh_age: summary.stalest,
            memory: memory.map(|(memory, kept_free)| MemoryUse {
                used: memory.used,
                kept_free,
                limit: memory.limit,
            }),
        }
    });
}

/// The HTTP listeners that are asked for.
fn serve_http(
    config: &DriverConfig,
    environment: &Environment,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
) -> Result<Listeners, RunError> {
    let liveness = listeners::liveness(&config.endpoint, environment.clone());
    let mut servers = Vec::new();
    if let Some(address) = &config.metrics_addr {
        let server =
            listeners::serve_admin(address, Arc::clone(metrics), readiness.clone(), liveness.clone());
        let failed = |source| RunError::Http { flag: "metrics-addr", source };
        servers.push(server.map_err(failed)?);
    }
    if let Some(address) = &config.health_addr {
        let server = listeners::serve_health(address, readiness.clone(), liveness);
        servers.push(server.map_err(|source| RunError::Http { flag: "health-addr", source })?);
    }
    Ok(Listeners::new(servers, readiness.clone()))
}

/// Looks early whether the driver can register itself, where it is to.
fn registrar(
    config: &DriverConfig,
    readiness: &Readiness,
    metrics: &Arc<Metrics>,
) -> Result<Option<Registrar>, RunError> {
    let Some(registration) = &config.registration else { return Ok(None) };
    let settings = registration::Settings {
        directory: registration.dir.clone(),
        driver: config.driver_name.clone(),
        endpoint: registration.endpoint.clone(),
    };
    Registrar::new(settings, readiness.clone(), Arc::clone(metrics)).map(Some).map_err(RunError::Registration)
}

/// Not ready until the API server has answered once.
fn wait_for_api_server(client: Client, latch: Latch, shutdown: Shutdown) -> Result<(), RunError> {
    let greet = move || {
        let (mut failures, mut jitter) = (0, Jitter::from_entropy());
        while let Err(error) = client.ping(Budget::lasting(API_REQUEST_TIMEOUT)) {
            log::warn!(error:% = error; "the API server does not answer, trying again");
            failures += 1;
            if shutdown.wait_timeout(GREETING_BACKOFF.jittered(failures, &mut jitter)) {
                break;
            }
        }
        latch.release();
    };
    spawn("api-greeting", greet)
}

/// Calls every provider that was used so far, to say in the log which of them do not answer.
fn check_providers(
    publisher: Arc<Publisher>,
    interval: Duration,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let check = move || {
        while !shutdown.wait_timeout(interval) {
            for provider in publisher.providers.known() {
                let (begun, deadline) = (Instant::now(), Deadline::after(HEALTH_CHECK_TIMEOUT));
                // Found anew: one that has restarted listens on another socket.
                let found = publisher.providers.find(provider.name());
                let answered = found
                    .map_err(|error| error.to_string())
                    .and_then(|provider| provider.version(deadline).map_err(|status| status.to_string()));
                let name = provider.name().as_str();
                match answered {
                    Ok(version) => {
                        log::debug!(provider = name, runtime_version = version; "provider is healthy")
                    }
                    Err(error) => {
                        let seconds = begun.elapsed().as_secs_f64();
                        log::warn!(provider = name, seconds = seconds, error = error; "provider does not answer a health check");
                    }
                }
            }
        }
    };
    spawn("provider-check", check)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
    // Never joined: it only reads, and ends with the process.
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop).map_err(RunError::Thread)
}

/// Why the driver could not start, or could not go on.
#[derive(Debug)]
enum RunError {
    Cluster(kube::config::ConfigError),
    Http { flag: &'static str, source: io::Error },
    Metrics(MetricsError),
    MounterEnded(String),
    OpenEndpoint { address: String },
    Registration(RegistrationError),
    Separation(SeparationError),
    Server(ServerError),
    Signals(ShutdownError),
    Thread(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Cluster(error @ kube::config::ConfigError::NoAuthority) => {
                write!(f, "{error}: name it with --kube-ca-file")
            }
            RunError::Cluster(error) => error.fmt(f),
            RunError::Http { flag, source } => write!(f, "{source}; choose another --{flag}"),
            RunError::Metrics(error) => error.fmt(f),
            RunError::OpenEndpoint { address } => write!(
                f,
                "endpoint tcp://{address} is not on this machine alone, and CSI knows no authentication: use a \
                 unix socket"
            ),
            RunError::MounterEnded(how) => f.write_str(how),
            RunError::Registration(error) => error.fmt(f),
            RunError::Separation(error) => error.fmt(f),
            RunError::Server(error) => error.fmt(f),
            RunError::Signals(error) => error.fmt(f),
            RunError::Thread(error) => write!(f, "could not start a thread: {error}"),
        }
    }
}

/// An API server that needs longer for one request is as good as away.
const API_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(5);
const GREETING_BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
/// What a crash may lose: volumes that were refreshed since are due that much earlier.
const TIME_BETWEEN_KEEPING: Duration = Duration::from_secs(300);
