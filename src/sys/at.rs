//! Directories by descriptor.
//!
//! A [`Dir`] takes *names*, never paths: a name with a slash in it, or one of `.` and `..`, is refused before it
//! reaches the kernel, and no name is ever followed through a symlink. So whatever sits in a directory, an
//! operation on it stays in that directory.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, StatxAttributes, StatxFlags,
};

/// The kernel's error numbers.
pub use rustix::io::Errno;
/// An open file. Whoever works with files takes it from here, where no path can open one.
pub use std::fs::File;

/// A system call that failed: which one, on what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysError {
    /// Name of the system call.
    pub call: &'static str,
    /// The name or path it was given; empty when it worked on a descriptor alone.
    pub on: OsString,
    /// What the kernel answered.
    pub errno: Errno,
}

impl SysError {
    /// That of the call by this name, about `on`.
    pub fn new(call: &'static str, on: impl AsRef<OsStr>, errno: Errno) -> SysError {
        SysError { call, on: on.as_ref().to_owned(), errno }
    }

    /// True when what was named does not exist.
    pub fn is_not_found(&self) -> bool {
        self.errno == Errno::NOENT
    }

    /// True when something of that name exists already.
    pub fn already_exists(&self) -> bool {
        self.errno == Errno::EXIST
    }

    /// True when the name is not a directory, or is a symlink where none is followed.
    pub fn is_not_a_directory(&self) -> bool {
        matches!(self.errno, Errno::NOTDIR | Errno::LOOP)
    }

    /// True when the process or the machine is out of descriptors or memory for now.
    pub fn is_shortage(&self) -> bool {
        matches!(self.errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN)
    }

    /// True when this process may not do that.
    pub fn is_refusal(&self) -> bool {
        matches!(self.errno, Errno::PERM | Errno::ACCESS)
    }

    /// True when the file system has no room left, in bytes or in inodes.
    pub fn is_full(&self) -> bool {
        matches!(self.errno, Errno::NOSPC | Errno::DQUOT)
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `escape_debug` keeps a hostile file name on one line.
        let on = self.on.to_string_lossy();
        write!(f, "{}(\"{}\"): {}", self.call, on.escape_debug(), self.errno)
    }
}

impl std::error::Error for SysError {}

/// What a directory entry is, seen without following it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, device, pipe: nothing that belongs into a volume.
    Other,
}

/// What `stat` says of an entry or an open descriptor, as far as this driver asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Kind of the entry.
    pub kind: EntryKind,
    /// Permission bits, 0o0000 to 0o7777.
    pub mode: u32,
    /// Owning group.
    pub gid: u32,
    /// Owning user.
    pub uid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Device that holds it: differs from the parent's where something is mounted.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Time of last modification.
    pub modified: SystemTime,
}

impl From<Stat> for Metadata {
    fn from(stat: Stat) -> Metadata {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            _ => EntryKind::Other,
        };
        // A time before 1970 can only be a clock that was never set: it counts as the epoch.
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0).min(999_999_999);
        Metadata {
            kind,
            mode: stat.st_mode & 0o7777,
            gid: stat.st_gid,
            uid: stat.st_uid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            device: stat.st_dev,
            inode: stat.st_ino,
            modified: UNIX_EPOCH + Duration::new(seconds, nanos),
        }
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// Opens an absolute path as the kernel resolves it, symlinks included: for paths that the administrator
    /// chose (kubelet's pods directory), never for anything that a pod or a provider can influence.
    pub fn open_trusting_path(path: &Path) -> Result<Dir, SysError> {
        rustix::fs::open(path, DIRECTORY | OFlags::RDONLY, Mode::empty())
            .map(Dir)
            .map_err(|errno| SysError::new("open", path, errno))
    }

    /// Opens a directory in this one. A symlink, or anything that is no directory, is an error.
    pub fn open_dir(&self, name: &OsStr) -> Result<Dir, SysError> {
        self.open("openat", name, DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY, Mode::empty()).map(Dir)
    }

    /// Opens a directory in this one as the kernel resolves it: see [`Dir::open_trusting_path`].
    pub fn open_dir_trusting_links(&self, name: &OsStr) -> Result<Dir, SysError> {
        self.open("openat", name, DIRECTORY | OFlags::RDONLY, Mode::empty()).map(Dir)
    }

    /// Opens a directory anywhere below this one. No symlink is followed on the way, nor the way left, by the kernel's
    /// own promise; before 5.6, and in sandboxes without `openat2`, names are opened one by one to the same effect.
    pub fn open_beneath(&self, path: &Path) -> Result<Dir, SysError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.0, path, DIRECTORY | OFlags::RDONLY, Mode::empty(), resolve) {
            Ok(found) => Ok(Dir(found)),
            Err(Errno::NOSYS | Errno::PERM) => {
                let mut dir = self.try_clone()?;
                for name in path {
                    dir = dir.open_dir(name)?;
                }
                Ok(dir)
            }
            Err(errno) => Err(SysError::new("openat2", path, errno)),
        }
    }

    /// Opens a directory below this one as the kernel resolves the path: see [`Dir::open_trusting_path`].
    pub fn open_beneath_trusting_links(&self, path: &Path) -> Result<Dir, SysError> {
        rustix::fs::openat(&self.0, path, DIRECTORY | OFlags::RDONLY, Mode::empty())
            .map(Dir)
            .map_err(|errno| SysError::new("openat", path, errno))
    }

    /// A second descriptor of this directory.
    pub fn try_clone(&self) -> Result<Dir, SysError> {
        self.0.try_clone().map(Dir).map_err(|error| io_error("fcntl", "", &error))
    }

    /// Opens a regular file in this directory for reading. Never blocks on a pipe.
    pub fn open_file(&self, name: &OsStr) -> Result<File, SysError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.open("openat", name, flags, Mode::empty()).map(File::from)
    }

    /// Creates a regular file that did not exist, readable by its owner alone until somebody opens it up.
    pub fn create_file(&self, name: &OsStr) -> Result<File, SysError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        self.open("openat", name, flags, Mode::from_raw_mode(0o600)).map(File::from)
    }

    /// Creates a directory with the given mode, whatever the umask says, and opens it. On failure there is none.
    pub fn create_dir(&self, name: &OsStr, mode: u32) -> Result<Dir, SysError> {
        rustix::fs::mkdirat(&self.0, component("mkdirat", name)?, Mode::from_raw_mode(mode & 0o700))
            .map_err(|errno| SysError::new("mkdirat", name, errno))?;
        let opened = self.open_dir(name).and_then(|dir| dir.set_mode(mode).map(|()| dir));
        if opened.is_err() {
            // It is of no use to anybody; the failure that is told is the first one.
            let _still_there = self.remove_dir(name);
        }
        opened
    }

    /// Creates a symlink in this directory. `target` is stored as it is; nothing here ever follows it.
    pub fn create_symlink(&self, target: &OsStr, name: &OsStr) -> Result<(), SysError> {
        rustix::fs::symlinkat(target, &self.0, component("symlinkat", name)?)
            .map_err(|errno| SysError::new("symlinkat", name, errno))
    }

    /// The text of a symlink in this directory.
    pub fn read_link(&self, name: &OsStr) -> Result<OsString, SysError> {
        rustix::fs::readlinkat(&self.0, component("readlinkat", name)?, Vec::new())
            .map(|text| OsString::from_vec(text.into_bytes()))
            .map_err(|errno| SysError::new("readlinkat", name, errno))
    }

    /// Renames within this directory, replacing what is there in one step.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), SysError> {
        self.rename_into(from, self, to)
    }

    /// Renames an entry of this directory into another one.
    pub fn rename_into(&self, from: &OsStr, dir: &Dir, to: &OsStr) -> Result<(), SysError> {
        rustix::fs::renameat(&self.0, component("renameat", from)?, &dir.0, component("renameat", to)?)
            .map_err(|errno| SysError::new("renameat", to, errno))
    }

    /// Swaps two entries of this directory in one step.
    pub fn exchange(&self, one: &OsStr, other: &OsStr) -> Result<(), SysError> {
        let (one, other) = (component("renameat2", one)?, component("renameat2", other)?);
        rustix::fs::renameat_with(&self.0, one, &self.0, other, RenameFlags::EXCHANGE)
            .map_err(|errno| SysError::new("renameat2", other, errno))
    }

    /// Removes anything but a directory; a symlink itself, not what it points to.
    pub fn remove_file(&self, name: &OsStr) -> Result<(), SysError> {
        rustix::fs::unlinkat(&self.0, component("unlinkat", name)?, AtFlags::empty())
            .map_err(|errno| SysError::new("unlinkat", name, errno))
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, name: &OsStr) -> Result<(), SysError> {
        rustix::fs::unlinkat(&self.0, component("rmdir", name)?, AtFlags::REMOVEDIR)
            .map_err(|errno| SysError::new("rmdir", name, errno))
    }

    /// Metadata of an entry, not followed.
    pub fn metadata_of(&self, name: &OsStr) -> Result<Metadata, SysError> {
        rustix::fs::statat(&self.0, component("fstatat", name)?, AtFlags::SYMLINK_NOFOLLOW)
            .map(Metadata::from)
            .map_err(|errno| SysError::new("fstatat", name, errno))
    }

    /// Metadata of this directory.
    pub fn metadata(&self) -> Result<Metadata, SysError> {
        rustix::fs::fstat(&self.0).map(Metadata::from).map_err(|errno| SysError::new("fstat", "", errno))
    }

    /// True when this directory was opened as the root of a mount; `None` where the kernel does not tell (before
    /// 5.8, and in sandboxes without `statx`).
    pub fn is_mount_root(&self) -> Result<Option<bool>, SysError> {
        match rustix::fs::statx(&self.0, c"", AtFlags::EMPTY_PATH, StatxFlags::empty()) {
            Ok(found) if found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
                Ok(Some(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)))
            }
            Ok(_) | Err(Errno::NOSYS | Errno::PERM) => Ok(None),
            Err(errno) => Err(SysError::new("statx", "", errno)),
        }
    }

    /// The kernel's number of the mount that this directory was opened in; `None` where it does not tell (before 5.8,
    /// and in sandboxes without `statx`).
    pub fn mount_id(&self) -> Result<Option<u64>, SysError> {
        match rustix::fs::statx(&self.0, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
            Ok(found) if StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID) => {
                Ok(Some(found.stx_mnt_id))
            }
            Ok(_) | Err(Errno::NOSYS | Errno::PERM) => Ok(None),
            Err(errno) => Err(SysError::new("statx", "", errno)),
        }
    }

    /// The path that leads to this directory now, as the kernel tells it: for people, and to be checked anew.
    pub fn path_now(&self) -> Result<PathBuf, SysError> {
        let link = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        rustix::fs::readlink(&link, Vec::new())
            .map(|path| PathBuf::from(OsString::from_vec(path.into_bytes())))
            .map_err(|errno| SysError::new("readlink", link, errno))
    }

    /// The kernel's number of that mount which no other mount ever gets; `None` where there is none (before 6.8).
    pub fn unique_mount_id(&self) -> Result<Option<u64>, SysError> {
        match rustix::fs::statx(&self.0, c"", AtFlags::EMPTY_PATH, MNT_ID_UNIQUE) {
            Ok(found) if StatxFlags::from_bits_retain(found.stx_mask).contains(MNT_ID_UNIQUE) => {
                Ok(Some(found.stx_mnt_id))
            }
            Ok(_) | Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Ok(None),
            Err(errno) => Err(SysError::new("statx", "", errno)),
        }
    }

    /// The names in this directory, without `.` and `..`.
    pub fn names(&self) -> Result<Vec<OsString>, SysError> {
        let failed = |errno| SysError::new("getdents", "", errno);
        // A descriptor of its own: the kernel keeps the read position with the open file.
        let fresh = rustix::fs::openat(&self.0, c".", DIRECTORY | OFlags::RDONLY, Mode::empty())
            .map_err(|errno| SysError::new("openat", ".", errno))?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(fresh).map_err(failed)? {
            let name = OsString::from_vec(entry.map_err(failed)?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Sets this directory's permission bits.
    pub fn set_mode(&self, mode: u32) -> Result<(), SysError> {
        set_mode(&self.0, mode)
    }

    /// Gives this directory to a group.
    pub fn set_group(&self, gid: u32) -> Result<(), SysError> {
        set_group(&self.0, gid)
    }

    fn open(&self, call: &'static str, name: &OsStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, SysError> {
        rustix::fs::openat(&self.0, component(call, name)?, flags | OFlags::CLOEXEC, mode)
            .map_err(|errno| SysError::new(call, name, errno))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Dir {
    fn from(fd: OwnedFd) -> Dir {
        Dir(fd)
    }
}

/// Sets permission bits through a descriptor: 0o777 at most, so no set-user-id bit can ever be made here.
pub fn set_mode(fd: impl AsFd, mode: u32) -> Result<(), SysError> {
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode & 0o777))
        .map_err(|errno| SysError::new("fchmod", format!("{mode:04o}"), errno))
}

/// Changes the owning group through a descriptor; the owner stays.
pub fn set_group(fd: impl AsFd, gid: u32) -> Result<(), SysError> {
    rustix::fs::fchown(fd, None, Some(Gid::from_raw(gid)))
        .map_err(|errno| SysError::new("fchown", gid.to_string(), errno))
}

/// Metadata of an open file.
pub fn metadata(fd: impl AsFd) -> Result<Metadata, SysError> {
    rustix::fs::fstat(fd).map(Metadata::from).map_err(|errno| SysError::new("fstat", "", errno))
}

/// An I/O error of the standard library as the system call error that it is.
pub fn io_error(call: &'static str, on: impl AsRef<OsStr>, error: &io::Error) -> SysError {
    SysError::new(call, on, Errno::from_io_error(error).unwrap_or(Errno::IO))
}

/// The one gate for names: a single component that is neither `.` nor `..`.
fn component<'a>(call: &'static str, name: &'a OsStr) -> Result<&'a OsStr, SysError> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        return Err(SysError::new(call, name, Errno::INVAL));
    }
    Ok(name)
}

/// From linux/stat.h.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use super::*;

    fn workdir() -> (tempfile::TempDir, Dir) {
        let path = tempfile::tempdir().unwrap();
        let dir = Dir::open_trusting_path(path.path()).unwrap();
        (path, dir)
    }

    #[test]
    fn a_name_that_is_more_than_one_component_never_reaches_the_kernel() {
        let (_keep, dir) = workdir();
        for name in ["", ".", "..", "a/b", "/etc", "../x"] {
            let error = dir.open_dir(name.as_ref()).unwrap_err();
            assert_eq!(error.errno, Errno::INVAL, "{name}");
            assert!(dir.create_file(name.as_ref()).is_err(), "{name}");
            assert!(dir.remove_file(name.as_ref()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_symlink_is_never_followed() {
        let (path, dir) = workdir();
        std::os::unix::fs::symlink("/", path.path().join("root")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path.path().join("file")).unwrap();
        assert!(dir.open_dir("root".as_ref()).unwrap_err().is_not_a_directory());
        assert_eq!(dir.open_file("file".as_ref()).unwrap_err().errno, Errno::LOOP);
        assert!(dir.create_file("file".as_ref()).unwrap_err().already_exists());
        assert_eq!(dir.metadata_of("root".as_ref()).unwrap().kind, EntryKind::Symlink);
    }

    #[test]
    fn a_path_below_leads_neither_up_nor_elsewhere_nor_over_a_link() {
        let (path, dir) = workdir();
        std::fs::create_dir_all(path.path().join("top/below")).unwrap();
        std::fs::create_dir(path.path().join("beside")).unwrap();
        std::os::unix::fs::symlink("below", path.path().join("top/link")).unwrap();
        let top = dir.open_dir("top".as_ref()).unwrap();
        top.open_beneath("below".as_ref()).unwrap();
        for way_out in ["..", "../beside", "below/../../beside", "/", "link", "link/.", "link/../below"] {
            assert!(top.open_beneath(way_out.as_ref()).is_err(), "{way_out}");
        }
    }

    #[test]
    fn modes_do_not_depend_on_the_umask_and_never_carry_special_bits() {
        let (_keep, dir) = workdir();
        let file = dir.create_file("f".as_ref()).unwrap();
        set_mode(&file, 0o6777).unwrap();
        assert_eq!(metadata(&file).unwrap().mode, 0o777);
        assert_eq!(dir.create_dir("d".as_ref(), 0o777).unwrap().metadata().unwrap().mode, 0o777);
    }

    #[test]
    fn an_error_reads_like_strace_and_stays_on_one_line() {
        let (_keep, dir) = workdir();
        let text = dir.open_file("no\nsuch".as_ref()).unwrap_err().to_string();
        assert_eq!(text, "openat(\"no\\nsuch\"): No such file or directory (os error 2)");
    }
}
