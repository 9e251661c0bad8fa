//! The socket of a provider: which file it is, and whether only the provider can be behind it.
//!
//! A provider is handed tokens of pods, and what it answers becomes their secrets. So a socket is called when nobody
//! but its owner could have placed it, and its owner listens on it. The file that was looked at is held open, and calls
//! go to that very file whatever its path leads to meanwhile: there is no moment between the check and the use.

use std::fmt;
use std::path::{Path, PathBuf};

use config::{ProviderTrust, SocketCheck, SocketOwner};
use sys::at::SysError;
use sys::socket::{self, Held, Kind, Listener, SocketId};

use super::name::ProviderName;

/// A socket that may be called.
#[derive(Debug)]
pub struct ProviderSocket {
    path: PathBuf,
    held: Held,
}

/// What a look at a socket has shown.
#[derive(Debug)]
pub enum Look {
    /// It may be called.
    Good(ProviderSocket),
    /// Nobody listens on it or takes up connections, or it is just being replaced.
    Absent,
    /// It must not be called.
    Distrusted(Distrust),
}

impl ProviderSocket {
    /// Looks at the file at `path` and at who listens there.
    pub fn look(name: &ProviderName, path: &Path, trust: &ProviderTrust) -> Result<Look, SysError> {
        let owner = trust.owner(name.as_str());
        let held = Held::open(path)?;
        let listener = held.listener()?;
        let fault = match trust.check {
            SocketCheck::Off => None,
            SocketCheck::Enforce | SocketCheck::Warn => fault(path, &held, &listener, owner, trust)?,
        };
        let distrust = match fault {
            None => None,
            // Over in a moment: the next look is at the new file.
            Some(Fault::Changing) => return Ok(Look::Absent),
            Some(fault) => Some(Distrust { name: name.clone(), path: path.to_owned(), fault }),
        };
        Ok(match (distrust, listener) {
            (Some(distrust), _) if trust.check == SocketCheck::Enforce => Look::Distrusted(distrust),
            (_, Listener::Absent) => Look::Absent,
            (distrust, Listener::Uid(_)) => {
                if let Some(distrust) = distrust {
                    log::warn!(
                        "{distrust}; it is called all the same, because of --provider-socket-check=warn"
                    );
                }
                Look::Good(ProviderSocket { path: path.to_owned(), held })
            }
        })
    }

    /// Its path, for people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path that leads to the file that was looked at, for as long as this value lives.
    pub fn address(&self) -> PathBuf {
        self.held.address()
    }

    /// Which file it is.
    pub fn id(&self) -> SocketId {
        self.held.id()
    }
}

fn fault(
    path: &Path,
    held: &Held,
    listener: &Listener,
    owner: SocketOwner,
    trust: &ProviderTrust,
) -> Result<Option<Fault>, SysError> {
    let (standing, directory) = (socket::look(path)?, held.directory()?);
    Ok(match (standing.kind, listener) {
        (Kind::Link { .. }, _) => Some(Fault::Link),
        (Kind::Other, _) => Some(Fault::NoSocket),
        (Kind::Socket, _) if held.id() != socket::identify(path)? => Some(Fault::Changing),
        (Kind::Socket, _) if !trust.may_own_directory(directory.uid) => {
            Some(Fault::DirectoryOwner { uid: directory.uid })
        }
        (Kind::Socket, _) if directory.mode & WRITABLE_BY_OTHERS != 0 => {
            Some(Fault::DirectoryMode { mode: directory.mode })
        }
        (Kind::Socket, _) if !owner.admits(standing.uid) => {
            Some(Fault::Owner { uid: standing.uid, expected: owner })
        }
        (Kind::Socket, Listener::Uid(uid)) if !owner.admits(*uid) => {
            Some(Fault::Peer { uid: *uid, expected: owner })
        }
        (Kind::Socket, _) => None,
    })
}

/// A socket that is not called, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrust {
    name: ProviderName,
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// It was replaced while it was looked at.
    Changing,
    DirectoryMode {
        mode: u32,
    },
    DirectoryOwner {
        uid: u32,
    },
    Link,
    NoSocket,
    Owner {
        uid: u32,
        expected: SocketOwner,
    },
    Peer {
        uid: u32,
        expected: SocketOwner,
    },
}

impl Distrust {
    /// The provider's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Distrust { name, path, fault } = self;
        write!(f, "provider \"{name}\" must not be called at {}: ", path.display())?;
        match fault {
            Fault::Changing => write!(f, "the file is being replaced: try again"),
            Fault::DirectoryMode { mode } => {
                write!(f, "others than its owner can write to the directory (mode {mode:04o}): chmod go-w it")
            }
            Fault::DirectoryOwner { uid } => write!(
                f,
                "the directory belongs to uid {uid}: give it to root, or name the provider that runs as {uid} in \
                 --provider-socket-owners"
            ),
            Fault::Link => write!(f, "it is a symlink: let the provider listen there itself"),
            Fault::NoSocket => write!(f, "it is no socket"),
            Fault::Owner { uid, expected } => write!(
                f,
                "the socket belongs to uid {uid}, not to {expected}: if the provider runs as {uid}, add \
                 {name}={uid} to --provider-socket-owners"
            ),
            Fault::Peer { uid, expected } => write!(
                f,
                "a process of uid {uid} listens there, not one of {expected}: if the provider runs as {uid}, add \
                 {name}={uid} to --provider-socket-owners"
            ),
        }
    }
}

impl std::error::Error for Distrust {}

/// Group and everybody.
const WRITABLE_BY_OTHERS: u32 = 0o022;

#[cfg(test)]
mod tests;
