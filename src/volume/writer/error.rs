//! Why a payload could not become the content of a volume.

use std::fmt;

use crate::sys::at::SysError;

/// Why a payload could not become the content of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// `..data` exists and is not a symlink, so nothing can be switched in one step.
    DataIsNoLink,
    /// A system call failed.
    Sys(SysError),
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
            WriteError::Sys(error) if error.is_full() => write!(
                f,
                "the volume is full (old and new content must fit together): raise --volume-size-limit or \
                 --volume-inode-limit: {error}"
            ),
            WriteError::Sys(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WriteError {}
