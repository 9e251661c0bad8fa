//! The place of a unix socket: a directory that only its owner may enter, and nothing of another kind replaced.

#![expect(
    clippy::disallowed_methods,
    reason = "sockets have no call that works on a descriptor of their directory"
)]

use std::ffi::OsString;
use std::fmt;
use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io::{Error, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::fs::{Mode, OFlags};
use rustix::io::{DupFlags, Errno};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::geteuid;

use super::at::{Dir, SysError, io_error};

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
                write!(f, "{} exists and is not a socket: remove it, or choose another place", path.display())
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
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed("mkdir", path, &error))?;
    }
    clear(path)
}

/// Shuts others out of the directory of the socket at `path`, where kubelet has made it for a pod's `hostPath`, so with
/// mode 0755. True when it did. A directory with anything else in it than that socket and `files` is not this program's
/// alone, and stays as it is; so does one of another mode, which somebody has chosen.
pub fn shut_own_directory(path: &Path, files: &[&str]) -> Result<bool, SysError> {
    let (Some(directory), Some(socket)) = (path.parent(), path.file_name()) else { return Ok(false) };
    let directory = match Dir::open_trusting_path(directory) {
        Err(error) if error.is_not_found() => return Ok(false),
        opened => opened?,
    };
    let found = directory.metadata()?;
    let is_kubelets_making = found.mode == MODE_OF_KUBELET && found.uid == geteuid().as_raw();
    let is_own = |name: &OsString| name == socket || files.iter().any(|file| name == file);
    if !is_kubelets_making || !directory.names()?.iter().all(is_own) {
        return Ok(false);
    }
    directory.set_mode(0o700).map(|()| true)
}

/// Removes a stale socket at `path`. Nothing there is as well; any other kind of file is an error.
fn clear(path: &Path) -> Result<(), SocketError> {
    if is_taken(path)? {
        std::fs::remove_file(path).map_err(|error| failed("unlink", path, &error))?;
    }
    Ok(())
}

/// True when a socket, and false when nothing is at `path`. Any other kind of file is an error.
pub fn is_taken(path: &Path) -> Result<bool, SocketError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("lstat", path, &error)),
        Ok(found) if found.file_type().is_socket() => Ok(true),
        Ok(_) => Err(SocketError::Occupied { path: path.to_owned() }),
    }
}

/// True when `path` is a directory, or leads to one.
pub fn is_directory(path: &Path) -> Result<bool, SysError> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        found => found.map(|found| found.is_dir()).map_err(|error| io_error("stat", path, &error)),
    }
}

/// The place of a socket in a directory that another program watches, as kubelet does its directory of plugins.
///
/// Such a program looks at every file that appears, a moment later, and complains of what is gone by then. So the socket
/// is bound right where it belongs: nothing else ever appears there, neither a directory to make it in nor a name to
/// rename it from. A caller who is quicker than `listen` tries again, as gRPC's clients do.
#[derive(Debug)]
pub struct WatchedPlace {
    path: PathBuf,
    name: OsString,
    directory: OwnedFd,
}

impl WatchedPlace {
    /// Makes room at `path`, whose directory exists. A stale socket is removed; any other kind of file is an error.
    pub fn make_room(path: &Path) -> Result<WatchedPlace, SocketError> {
        let absent = |what| failed(what, path, &Error::from(ErrorKind::InvalidInput));
        let name = path.file_name().ok_or_else(|| absent("file name"))?.to_owned();
        let directory = path.parent().ok_or_else(|| absent("directory"))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())
            .map_err(|errno| failed("open", path, &errno.into()))?;
        clear(path)?;
        Ok(WatchedPlace { path: path.to_owned(), name, directory })
    }

    /// Where to bind: the place, by a way that ends with [`WatchedPlace::bound`]. The gRPC library removes at its end
    /// whatever socket is where it bound its own, and by then that may be somebody else's.
    pub fn address(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.directory.as_raw_fd())).join(&self.name)
    }

    /// The socket is bound: makes it private, and cuts the way to it by the number of a descriptor.
    pub fn bound(self) -> Result<PlacedSocket, SocketError> {
        let WatchedPlace { path, mut directory, .. } = self;
        let nowhere = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)
            .map_err(|errno| failed("socket", &path, &errno.into()))?;
        rustix::io::dup3(&nowhere, &mut directory, DupFlags::CLOEXEC)
            .map_err(|errno| failed("dup3", &path, &errno.into()))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(|error| failed("chmod", &path, &error))?;
        let found = std::fs::symlink_metadata(&path).map_err(|error| failed("lstat", &path, &error))?;
        Ok(PlacedSocket { path, device: found.dev(), inode: found.ino(), _nowhere: directory })
    }
}

/// A socket that was bound at a watched place.
#[derive(Debug)]
pub struct PlacedSocket {
    path: PathBuf,
    device: u64,
    /// No other file gets this number while somebody listens on the socket.
    inode: u64,
    /// Has the number by which the socket was bound, so that nothing else gets it.
    _nowhere: OwnedFd,
}

impl PlacedSocket {
    /// True while the file at its path is the socket.
    pub fn is_in_place(&self) -> Result<bool, SysError> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) => Ok(found.dev() == self.device && found.ino() == self.inode),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("lstat", &self.path, &error)),
        }
    }

    /// Removes the socket, unless something else has its path.
    pub fn remove(&self) -> Result<(), SysError> {
        if !self.is_in_place()? {
            return Ok(());
        }
        std::fs::remove_file(&self.path).map_err(|error| io_error("unlink", &self.path, &error))
    }
}

fn failed(call: &'static str, path: &Path, error: &Error) -> SocketError {
    SocketError::Sys { path: path.to_owned(), source: io_error(call, path, error) }
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
    Ok(SocketId::of(&found))
}

impl SocketId {
    fn of(found: &Metadata) -> SocketId {
        SocketId { device: found.dev(), inode: found.ino(), changed: (found.ctime(), found.ctime_nsec()) }
    }
}

/// A file held open where nothing but its place is known; whatever its path leads to later, this stays.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    file: File,
    id: SocketId,
}

/// Who would take up a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// A process that had this uid when it began to listen.
    Uid(u32),
    /// Nobody listens, or too many are waiting already.
    Absent,
}

impl Held {
    /// Holds what `path` leads to. Nothing is read, and nobody is called.
    pub fn open(path: &Path) -> Result<Held, SysError> {
        let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map(File::from)
            .map_err(|errno| SysError::new("open", path, errno))?;
        let id = SocketId::of(&file.metadata().map_err(|error| io_error("fstat", path, &error))?);
        Ok(Held { path: path.to_owned(), file, id })
    }

    /// A path that leads to the file itself.
    pub fn address(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Which file it is.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// What the directory of its path is.
    pub fn directory(&self) -> Result<Standing, SysError> {
        look(self.path.parent().unwrap_or_else(|| Path::new("/")))
    }

    /// Connects, to see whose process would answer, and hangs up. Never waits.
    pub fn listener(&self) -> Result<Listener, SysError> {
        let failed = |call| move |errno| SysError::new(call, &self.path, errno);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(failed("socket"))?;
        let address = SocketAddrUnix::new(self.address()).map_err(failed("connect"))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => {}
            Err(Errno::CONNREFUSED | Errno::AGAIN) => return Ok(Listener::Absent),
            Err(errno) => return Err(SysError::new("connect", &self.path, errno)),
        }
        let peer = getsockopt(&socket, PeerCredentials).map_err(|errno| {
            SysError::new("getsockopt", &self.path, Errno::from_raw_os_error(errno as i32))
        })?;
        Ok(Listener::Uid(peer.uid()))
    }
}

/// What stands at a path, not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which kind of file it is.
    pub kind: Kind,
    /// Its owner.
    pub uid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// Kinds of files that stand where a socket should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A socket.
    Socket,
    /// A symbolic link, and whether it leads to a socket.
    Link {
        /// It does.
        to_socket: bool,
    },
    /// Anything else.
    Other,
}

/// Looks at what stands at `path`.
pub fn look(path: &Path) -> Result<Standing, SysError> {
    let found = std::fs::symlink_metadata(path).map_err(|error| io_error("lstat", path, &error))?;
    let to_socket = || std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let kind = match found.file_type() {
        kind if kind.is_socket() => Kind::Socket,
        kind if kind.is_symlink() => Kind::Link { to_socket: to_socket() },
        _ => Kind::Other,
    };
    Ok(Standing { kind, uid: found.uid(), mode: found.mode() & 0o7777 })
}

/// Runs `bind` with a umask under which a socket is created with mode 0600. The umask is the process's own: call
/// this before other threads create files.
pub fn with_private_umask<T>(bind: impl FnOnce() -> T) -> T {
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = bind();
    rustix::process::umask(before);
    bound
}

/// The kernel's room for a socket's path, without the zero at its end.
pub const MAX_PATH_BYTES: usize = 107;

/// How kubelet makes what a `hostPath` of type DirectoryOrCreate names.
const MODE_OF_KUBELET: u32 = 0o755;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

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
    fn a_directory_that_kubelet_made_is_shut_and_any_other_stays_as_it_is() {
        let rows: [(u32, &[&str], bool); 6] = [
            (0o755, &[], true),
            (0o755, &["csi.sock", "refresh-times"], true),
            (0o755, &["csi.sock", "somebody-elses"], false),
            (0o750, &["csi.sock"], false),
            (0o1777, &[], false),
            (0o700, &["csi.sock"], false),
        ];
        for (mode, names, is_shut) in rows {
            let directory = tempfile::tempdir().unwrap();
            for name in names {
                std::fs::write(directory.path().join(name), "").unwrap();
            }
            std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
            let path = directory.path().join("csi.sock");
            assert_eq!(shut_own_directory(&path, &["refresh-times"]), Ok(is_shut), "{mode:o} {names:?}");
            let after = std::fs::metadata(directory.path()).unwrap().permissions().mode() & 0o7777;
            assert_eq!(after, if is_shut { 0o700 } else { mode }, "{mode:o} {names:?}");
        }
        assert_eq!(shut_own_directory(Path::new("/nowhere/csi.sock"), &[]), Ok(false));
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
    fn what_stands_in_a_sockets_place_is_told_by_its_kind() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let _listening = UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        for (link, target) in [("good", "socket"), ("bad", "file"), ("nowhere", "missing")] {
            std::os::unix::fs::symlink(target, at(link)).unwrap();
        }
        let kind = |name: &str| look(&at(name)).unwrap().kind;
        assert_eq!([kind("socket"), kind("file")], [Kind::Socket, Kind::Other]);
        assert_eq!(kind("good"), Kind::Link { to_socket: true });
        assert_eq!([kind("bad"), kind("nowhere")], [Kind::Link { to_socket: false }; 2]);
        assert!(look(&at("missing")).unwrap_err().is_not_found());
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

    #[test]
    fn a_placed_socket_replaces_a_stale_one_is_private_and_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("reg.sock");
        drop(UnixListener::bind(&path).unwrap());
        let place = WatchedPlace::make_room(&path).unwrap();
        let listener = UnixListener::bind(place.address()).unwrap();
        let placed = place.bound().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
        assert_eq!(placed.is_in_place(), Ok(true));
        placed.remove().unwrap();
        assert_eq!(placed.is_in_place(), Ok(false));
        assert!(!path.exists());
        placed.remove().unwrap();
        drop(listener);
    }

    #[test]
    fn a_socket_that_took_the_place_is_left_alone_even_by_the_address_that_was_bound() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("reg.sock");
        let place = WatchedPlace::make_room(&path).unwrap();
        let address = place.address();
        let _ours = UnixListener::bind(&address).unwrap();
        let placed = place.bound().unwrap();
        std::fs::remove_file(&path).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();
        assert_eq!(placed.is_in_place(), Ok(false));
        placed.remove().unwrap();
        std::fs::remove_file(&address).unwrap_err();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn there_is_no_room_where_another_kind_of_file_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("reg.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(WatchedPlace::make_room(&path), Err(SocketError::Occupied { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
