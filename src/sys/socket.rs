//! The place of a unix socket: a directory that only its owner may enter, and nothing of another kind replaced.

#![expect(
    clippy::disallowed_methods,
    reason = "sockets have no call that works on a descriptor of their directory"
)]

use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::at::{SysError, io_error};

/// Why a socket cannot be where it was asked for.
#[derive(Debug)]
pub enum SocketError {
    /// Something that is no socket has the name; it is left alone.
    Occupied {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// A system call failed.
    Sys {
        /// The path that was asked for.
        path: PathBuf,
        /// What failed.
        source: SysError,
    },
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketError::Occupied { path } => {
                write!(
                    f,
                    "{} exists and is not a socket: remove it, or choose another endpoint",
                    path.display()
                )
            }
            SocketError::Sys { path, source } => {
                write!(f, "could not prepare socket {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for SocketError {}

/// Makes room for a socket at `path`: creates missing directories (0700) and removes a stale socket. Any other
/// kind of file in its place is an error.
pub fn make_room(path: &Path) -> Result<(), SocketError> {
    let failed = |call, error: std::io::Error| SocketError::Sys {
        path: path.to_owned(),
        source: io_error(call, path, &error),
    };
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed("mkdir", error))?;
    }
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("lstat", error)),
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(|error| failed("unlink", error))
        }
        Ok(_) => Err(SocketError::Occupied { path: path.to_owned() }),
    }
}

/// Which socket file a path names right now; changes when the file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketId {
    device: u64,
    inode: u64,
    /// Inode numbers are used again: the time of the last change tells a new file with an old number apart.
    changed: (i64, i64),
}

/// Identifies the socket at `path`, or says why there is none.
pub fn identify(path: &Path) -> Result<SocketId, SysError> {
    let found = std::fs::metadata(path).map_err(|error| io_error("stat", path, &error))?;
    Ok(SocketId { device: found.dev(), inode: found.ino(), changed: (found.ctime(), found.ctime_nsec()) })
}

/// Runs `bind` with a umask under which a socket is created with mode 0600. The umask is the process's own: call
/// this before other threads create files.
pub fn with_private_umask<T>(bind: impl FnOnce() -> T) -> T {
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = bind();
    rustix::process::umask(before);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_stale_socket_is_removed_and_a_missing_directory_is_made_private() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("new/dir/csi.sock");
        make_room(&path).unwrap();
        let mode = std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        make_room(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn anything_but_a_socket_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("csi.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(make_room(&path), Err(SocketError::Occupied { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        let link = root.path().join("link.sock");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(make_room(&link), Err(SocketError::Occupied { .. })));
    }

    #[test]
    fn a_replaced_socket_has_another_identity() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("p.sock");
        let _first = UnixListener::bind(&path).unwrap();
        let before = identify(&path).unwrap();
        assert_eq!(identify(&path).unwrap(), before);
        std::fs::remove_file(&path).unwrap();
        assert!(identify(&path).unwrap_err().is_not_found());
        let _second = UnixListener::bind(&path).unwrap();
        assert_ne!(identify(&path).unwrap(), before);
    }
}
