//! Finds providers and keeps one connection to each.
//!
//! The socket is looked up anew for every call: a file that was replaced, or that moved to another directory,
//! gets a new connection. What is kept across that is the count of calls in hand, so that a provider that hangs
//! costs its own callers only.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::rpc::Environment;
use crate::rpc::channel::Channel;
use crate::sys::socket::{self, SocketId};

use super::client::Provider;
use super::name::ProviderName;

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
    environment: Environment,
    directories: Vec<PathBuf>,
    limits: CallLimits,
    known: Mutex<HashMap<ProviderName, Known>>,
}

struct Known {
    socket: PathBuf,
    id: SocketId,
    provider: Arc<Provider>,
}

impl Registry {
    /// Searches `directories` in their order for `<name>.sock`.
    pub fn new(environment: Environment, directories: Vec<PathBuf>, limits: CallLimits) -> Registry {
        Registry { environment, directories, limits, known: Mutex::default() }
    }

    /// The provider of that name as its socket is now. The lock is held for a few `stat`s, never for a call.
    pub fn find(&self, name: &ProviderName) -> Result<Arc<Provider>, NotFound> {
        let (socket, id) = self.find_socket(name)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(name);
        if let Some(same) = before.filter(|known| known.socket == socket && known.id == id) {
            return Ok(Arc::clone(&same.provider));
        }
        if before.is_some() {
            log::info!(provider = name.as_str(), socket:% = socket.display(); "provider socket was replaced, connecting again");
        }
        let in_hand = before.map_or_else(Arc::default, |known| known.provider.calls_in_hand());
        let channel = Channel::to_socket(&self.environment, &socket, self.limits.answer_bytes);
        let provider = Provider::new(name.clone(), socket.clone(), channel, in_hand, self.limits);
        let provider = Arc::new(provider);
        known.insert(name.clone(), Known { socket, id, provider: Arc::clone(&provider) });
        Ok(provider)
    }

    /// Every provider that was found since the start.
    pub fn known(&self) -> Vec<Arc<Provider>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|known| Arc::clone(&known.provider)).collect()
    }

    fn find_socket(&self, name: &ProviderName) -> Result<(PathBuf, SocketId), NotFound> {
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
        self.directories.iter().find_map(in_directory).ok_or_else(|| NotFound { name: name.clone() })
    }
}

/// There is no socket of that name in any directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    name: ProviderName,
}

impl NotFound {
    /// The name that was looked for.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "provider not found: provider \"{}\"", self.name)
    }
}

impl std::error::Error for NotFound {}
