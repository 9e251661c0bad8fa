//! Why a payload could not become the content of a volume.

use std::fmt;

use sys::at::SysError;
use sys::mount::Usage;

/// Why a payload could not become the content of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// `..data` exists and is not a symlink, so nothing can be switched in one step.
    DataIsNoLink,
    /// It does not fit into this volume beside what is there, or could not be refreshed afterwards.
    NoRoom {
        /// Memory that it takes.
        bytes: u64,
        /// Its files and directories.
        inodes: u64,
        /// The volume that is too small.
        volume: Usage,
    },
    /// A system call failed.
    Sys(SysError),
    /// It takes more memory than a content may.
    TooLarge {
        /// Memory that it takes.
        bytes: u64,
        /// Memory that it may take.
        limit: u64,
    },
    /// It has more files and directories than a content may.
    TooManyFiles {
        /// Its files and directories.
        inodes: u64,
        /// How many it may have.
        limit: u64,
    },
}

impl From<SysError> for WriteError {
    fn from(error: SysError) -> WriteError {
        WriteError::Sys(error)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::DataIsNoLink => {
                write!(
                    f,
                    "the volume holds a \"..data\" that is not a symlink: delete the pod to start afresh"
                )
            }
            WriteError::NoRoom { bytes, inodes, volume } => write!(
                f,
                "the secrets take {bytes} bytes of memory in {inodes} files and directories, for which this volume of \
                 {} bytes and {} inodes has no room, since it holds the old content and the new one while it is \
                 refreshed: delete the pod, and its next volume is made by the limits of now",
                volume.bytes.0, volume.inodes.0
            ),
            WriteError::Sys(error) if error.is_full() => write!(
                f,
                "the volume is full, although the secrets alone would fit: whoever else writes into it has taken the \
                 room: {error}"
            ),
            WriteError::Sys(error) => error.fmt(f),
            WriteError::TooLarge { bytes, limit } => write!(
                f,
                "the secrets take {bytes} bytes of memory (each file in whole pages), more than \
                 --volume-size-limit={limit}: raise it, or mount fewer secrets in one volume"
            ),
            WriteError::TooManyFiles { inodes, limit } => write!(
                f,
                "the secrets are {inodes} files and directories, more than --volume-inode-limit={limit}: raise it, or \
                 mount fewer secrets in one volume"
            ),
        }
    }
}

impl std::error::Error for WriteError {}
