//! What is examined: a driver's settings, and the ways to what it depends on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::driver_process::Running;
use super::finding::Finding;
use super::options::Options;
use base::build_info::BuildInfo;
use config::{DriverConfig, KubeError};
use kube::config::ConfigError;
use kube::{ApiError, Budget, Client, ClusterConfig};
use rpc::Environment;

/// The subject.
pub struct Subject {
    /// What the command lines say.
    pub options: Options,
    /// The driver's process.
    pub running: Running,
    /// Threads of the gRPC library.
    pub environment: Environment,
    /// A client of the API server with the driver's own credentials.
    pub client: Result<Client, NoClient>,
}

/// Why there is no client.
#[derive(Debug)]
pub enum NoClient {
    /// It is not known where the API server is.
    Nowhere(KubeError),
    /// What proves the server, or us, is not to be used.
    Unusable(ConfigError),
}

impl Subject {
    /// Reads the files of the API server's authority and of the token; asks nobody yet.
    pub fn new(options: Options, running: Running) -> Subject {
        let client = match &options.cluster {
            Err(problem) => Err(NoClient::Nowhere(problem.clone())),
            Ok(source) => {
                let cluster = ClusterConfig {
                    server: source.server().as_str().to_owned(),
                    ca_file: source.ca_file().map(Path::to_owned),
                    token_file: source.token_file().map(Path::to_owned),
                    request_timeout: ANSWER_TIME,
                    user_agent: BuildInfo::current().user_agent("doctor"),
                };
                let nobody_counts = std::sync::Arc::new(|_: &str, _: &str| {});
                Client::new(&cluster, nobody_counts).map_err(NoClient::Unusable)
            }
        };
        Subject { options, running, environment: Environment::start(), client }
    }

    /// The driver's settings.
    pub fn config(&self) -> &DriverConfig {
        &self.options.config
    }

    /// The client, or what a check says that needs one.
    pub fn client_for(&self, check: &'static str) -> Result<&Client, Finding> {
        self.client
            .as_ref()
            .map_err(|_| Finding::unknown(check, "the API server cannot be asked: see api-server"))
    }

    /// Kubelet's directory of pods: where the driver is told it is, or where it usually is.
    pub fn pods_dir(&self) -> PathBuf {
        self.config().kubelet_pods_dir.clone().unwrap_or_else(|| PathBuf::from(USUAL_PODS_DIR))
    }
}

/// What is said where the API server gave no answer to a question; that it gives none at all is told once.
pub fn unanswered(check: &'static str, error: &ApiError) -> Finding {
    match error {
        ApiError::Transport { .. } | ApiError::OutOfTime { .. } => {
            Finding::unknown(check, "the API server does not answer: see api-server")
        }
        error if error.is_unauthorized() => {
            Finding::unknown(check, "the API server does not accept the token: see api-server")
        }
        error => Finding::unknown(check, error.to_string()),
    }
}

/// For one question to the API server.
pub fn budget() -> Budget {
    Budget::lasting(ANSWER_TIME)
}

/// Peers that need longer are as good as silent: the whole examination must not take long.
pub const ANSWER_TIME: Duration = Duration::from_secs(4);
/// Where kubelet has it unless it is told otherwise.
const USUAL_PODS_DIR: &str = "/var/lib/kubelet/pods";
