//! Finds providers and keeps one connection to each.
//!
//! The socket is looked up anew for every call: a file that was replaced, or that moved to another directory, is
//! looked at anew and gets a new connection. What is kept across that is who has calls in hand, so that a provider that
//! hangs costs its own callers only, and the thread that waits for its connection.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::backoff::Backoff;
use base::lock::{Mutex, MutexGuard};
use config::ProviderTrust;
use rpc::Environment;
use rpc::deadline::Deadline;
use rpc::status::{Code, Status};
use sys::at::{SysError, io_error};
use sys::socket::{self, SocketId};

use super::answer_memory::AnswerMemory;
use super::calls::Calls;
use super::client::{Provider, sleep_unless_past};
use super::name::ProviderName;
use super::socket::{Distrust, Look, ProviderSocket};

/// What bounds a provider's use.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// Largest answer, in bytes.
    pub answer_bytes: i32,
    /// Calls to one provider at a time.
    pub concurrent: usize,
}

/// All providers of this node.
pub struct Registry {
    directories: Vec<PathBuf>,
    trust: ProviderTrust,
    limits: CallLimits,
    memory: AnswerMemory,
    known: Mutex<Known>,
}

type Known = HashMap<ProviderName, Arc<Provider>>;

impl Registry {
    /// Searches `directories` in their order for `<name>.sock`. `memory` is for the answers of all.
    pub fn new(
        directories: Vec<PathBuf>,
        trust: ProviderTrust,
        limits: CallLimits,
        memory: AnswerMemory,
    ) -> Registry {
        Registry { directories, trust, limits, memory, known: Mutex::default() }
    }

    /// The provider of that name, like [`Registry::find`]. A socket on which nobody listens is waited for until the
    /// deadline: its provider is starting, or is dead. It is looked for anew each time, since a provider that restarts
    /// makes another one. A wait that goes on is told to `tell`, once, and so is one that ends in vain: for which socket.
    pub fn wait_for(
        &self,
        name: &ProviderName,
        deadline: Deadline,
        tell: impl FnOnce(&Path),
    ) -> Result<Arc<Provider>, Unreachable> {
        let begun = Instant::now();
        let mut tell = Some(tell);
        let mut seen = None;
        let mut looks = 0;
        loop {
            match self.find(name) {
                Err(Unreachable::Absent { path, .. }) => seen = Some(path),
                // It has just removed the old file.
                Err(Unreachable::NotFound { .. }) if seen.is_some() => {}
                found => return found,
            }
            looks += 1;
            let is_late = !sleep_unless_past(BACKOFF.pause(looks), deadline);
            if (is_late || begun.elapsed() >= TOLD_AFTER)
                && let (Some(socket), Some(tell)) = (&seen, tell.take())
            {
                tell(socket);
            }
            if is_late {
                return Err(Unreachable::Late { name: name.clone() });
            }
        }
    }

    /// The provider of that name as its socket is now.
    pub fn find(&self, name: &ProviderName) -> Result<Arc<Provider>, Unreachable> {
        let (path, id) = self.find_socket(name)?;
        if let Some(good) = good(&self.lock(), name, &path, id) {
            return Ok(good);
        }
        let socket = match ProviderSocket::look(name, &path, &self.trust) {
            Ok(Look::Good(socket)) => socket,
            Ok(Look::Absent) => return Err(Unreachable::Absent { name: name.clone(), path }),
            Ok(Look::Distrusted(distrust)) => return Err(Unreachable::Distrusted(distrust)),
            Err(source) => return Err(Unreachable::Sys { name: name.clone(), source }),
        };
        let before = self.lock().get(name).map(Arc::clone);
        let (calls, environment) = match &before {
            Some(provider) if provider.is_at(&path, id) => {
                provider.is_there();
                return Ok(Arc::clone(provider));
            }
            Some(provider) => {
                log::info!(provider = name.as_str(), socket:% = path.display(); "provider socket was replaced, connecting again");
                (provider.calls(), provider.environment())
            }
            // With a thread of its own: who sends faster than is read keeps that thread busy.
            None => {
                let failed = |error| io_error("clone", "", &error);
                let environment = Environment::start_another().map_err(failed);
                (
                    Arc::new(Calls::new(self.limits.concurrent)),
                    environment.map_err(|source| Unreachable::Sys { name: name.clone(), source })?,
                )
            }
        };
        let provider =
            Provider::new(environment, name.clone(), socket, calls, self.limits, self.memory.clone());
        let provider = Arc::new(provider);
        let mut known = self.lock();
        if known.get(name).map(Arc::as_ptr) != before.as_ref().map(Arc::as_ptr) {
            drop(known);
            // Another call was quicker.
            return self.find(name);
        }
        known.insert(name.clone(), Arc::clone(&provider));
        Ok(provider)
    }

    /// Held for as long as it takes to look into it, never for a system call.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }

    /// Every provider that was found since the start.
    pub fn known(&self) -> Vec<Arc<Provider>> {
        self.lock().values().map(Arc::clone).collect()
    }

    fn find_socket(&self, name: &ProviderName) -> Result<(PathBuf, SocketId), Unreachable> {
        let file = format!("{name}.sock");
        let in_directory = |directory: &PathBuf| {
            let socket = Path::join(directory, &file);
            match socket::identify(&socket) {
                Ok(id) => Some((socket, id)),
                Err(error) if error.is_not_found() || error.is_not_a_directory() => None,
                Err(error) => {
                    log::warn!(provider = name.as_str(), error:% = error; "could not look for a provider's socket");
                    None
                }
            }
        };
        self.directories
            .iter()
            .find_map(in_directory)
            .ok_or_else(|| Unreachable::NotFound { name: name.clone() })
    }
}

/// The provider that is known by that name, where the next call may be made to it without another look.
fn good(known: &Known, name: &ProviderName, path: &Path, id: SocketId) -> Option<Arc<Provider>> {
    known.get(name).filter(|provider| provider.is_good(path, id)).map(Arc::clone)
}

/// Why a provider cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreachable {
    /// There is a socket, but nobody listens on it.
    Absent {
        /// The provider.
        name: ProviderName,
        /// The socket.
        path: PathBuf,
    },
    /// The same, until the caller had waited for as long as it wanted to.
    Late {
        /// The provider.
        name: ProviderName,
    },
    /// There is a socket that must not be called.
    Distrusted(Distrust),
    /// There is no socket of that name in any directory.
    NotFound {
        /// The provider.
        name: ProviderName,
    },
    /// The socket could not be looked at.
    Sys {
        /// The provider.
        name: ProviderName,
        /// What failed.
        source: SysError,
    },
}

impl Unreachable {
    /// The name of the provider.
    pub fn name(&self) -> &str {
        match self {
            Unreachable::Absent { name, .. }
            | Unreachable::Late { name }
            | Unreachable::NotFound { name }
            | Unreachable::Sys { name, .. } => name.as_str(),
            Unreachable::Distrusted(distrust) => distrust.name(),
        }
    }

    /// True when trying again in a second may help: the provider is restarting, or a descriptor is free again.
    pub fn may_pass(&self) -> bool {
        match self {
            Unreachable::Absent { .. } => true,
            Unreachable::Sys { source, .. } => source.is_shortage() || source.is_not_found(),
            Unreachable::Late { .. } | Unreachable::Distrusted(_) | Unreachable::NotFound { .. } => false,
        }
    }

    /// The gRPC code that kubelet gets to see.
    pub fn code(&self) -> Code {
        match self {
            Unreachable::Absent { .. } | Unreachable::Sys { .. } => Code::Unavailable,
            Unreachable::Late { .. } => Code::DeadlineExceeded,
            Unreachable::Distrusted(_) => Code::FailedPrecondition,
            Unreachable::NotFound { .. } => Code::Unknown,
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreachable::Absent { path, .. } => {
                Status::new(self.code(), format!("nobody listens on {}", path.display())).fmt(f)
            }
            Unreachable::Late { .. } => {
                Status::new(self.code(), "it did not begin to listen before the caller's deadline").fmt(f)
            }
            Unreachable::Distrusted(distrust) => distrust.fmt(f),
            Unreachable::NotFound { name } => write!(f, "provider not found: provider \"{name}\""),
            Unreachable::Sys { name, source } => {
                write!(f, "could not look at the socket of provider \"{name}\": {source}")
            }
        }
    }
}

impl std::error::Error for Unreachable {}

/// A provider that restarts is back in well under a second more often than not. One that is away for long has as many
/// callers as the driver takes, and each of them looks.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(800));
/// Whoever waits for longer does not wait for a provider that restarts: the pod's owner should know, well before he
/// wonders.
const TOLD_AFTER: Duration = Duration::from_secs(2);
