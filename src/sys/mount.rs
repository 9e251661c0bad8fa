//! Making, recognising and taking down the tmpfs of a volume.
//!
//! A mount is made *detached*, with all of its options, and only then attached to a directory that is already
//! open: no path is resolved between the check of a target and its use. Kernels before 5.2, and sandboxes that
//! refuse `fsopen`, get the same mount with the same options through `mount(2)` on the descriptor's `/proc` link.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags};

use super::at::{Dir, SysError};

/// Limits of the file system of a volume, which holds the old and the new content while a rotation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub bytes: u64,
    /// Files, directories and symlinks.
    pub inodes: u64,
}

/// Makes tmpfs mounts, by the best means that this kernel offers; remembers what the kernel refused.
#[derive(Debug)]
pub struct Mounter {
    /// `fsopen` and `move_mount` work, as far as is known.
    detached: AtomicBool,
    /// tmpfs takes `noswap` (6.4 and later, not in a user namespace), as far as is known.
    noswap: AtomicBool,
}

impl Mounter {
    /// Uses the detached form until the kernel refuses it.
    pub fn new() -> Mounter {
        Mounter { detached: AtomicBool::new(true), noswap: AtomicBool::new(true) }
    }

    /// Uses `mount(2)` only, as on a kernel before 5.2.
    pub fn classic() -> Mounter {
        Mounter { detached: AtomicBool::new(false), noswap: AtomicBool::new(true) }
    }

    /// Tries a mount that is never attached, to learn early what the kernel refuses: the limits, `noswap`, or
    /// mounting altogether. Without `fsopen` there is nothing to try without a place.
    pub fn probe(&self, limits: Limits) -> Result<(), SysError> {
        match self.detached_tmpfs_with_swap_fallback(limits) {
            Err(error) if error.call == "fsopen" && error.errno == Errno::NOSYS => {
                self.detached.store(false, Ordering::Relaxed);
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// True while nothing has shown that content could be swapped to disk.
    pub fn keeps_out_of_swap(&self) -> bool {
        self.noswap.load(Ordering::Relaxed)
    }

    /// True while `fsopen` and `move_mount` work, as far as is known.
    pub fn makes_detached(&self) -> bool {
        self.detached.load(Ordering::Relaxed)
    }

    /// Mounts a tmpfs on the directory `name` of `parent` and returns the mount's root.
    ///
    /// The root has mode 0700: closed, until the caller opens it. The mount is `nosuid,nodev,noexec`, limited,
    /// and `noswap` where the kernel and the namespace allow it. On failure nothing is mounted.
    pub fn mount(&self, parent: &Dir, name: &OsStr, limits: Limits) -> Result<Dir, SysError> {
        let directory = parent.open_dir(name)?;
        if self.detached.load(Ordering::Relaxed) {
            match self.mount_detached(&directory, limits) {
                Ok(root) => return Ok(root),
                // Too old, or a sandbox that knows mount(2) alone; not one that is short of something for now.
                Err(error) if error.call == "fsopen" && !error.is_shortage() => {
                    self.detached.store(false, Ordering::Relaxed)
                }
                Err(error) => return Err(error),
            }
        }
        self.mount_classic(&directory, limits)?;
        // The descriptor of the directory shows what lies under the mount: look it up again to see its root.
        let root = parent.open_dir(name)?;
        if !is_mount(parent, &root)? {
            return Err(SysError::new("mount", name, Errno::STALE));
        }
        Ok(root)
    }

    fn mount_detached(&self, directory: &Dir, limits: Limits) -> Result<Dir, SysError> {
        let detached = self.detached_tmpfs_with_swap_fallback(limits)?;
        // fsmount answers an O_PATH descriptor, which cannot list or chmod: open the same root in full. Before it is
        // attached, so that nothing that may fail comes after that.
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(&detached, c".", flags, Mode::empty())
            .map(Dir::from)
            .map_err(|errno| SysError::new("openat", ".", errno))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&detached, c"", directory, c"", flags)
            .map_err(|errno| SysError::new("move_mount", "", errno))?;
        Ok(root)
    }

    fn detached_tmpfs_with_swap_fallback(&self, limits: Limits) -> Result<OwnedFd, SysError> {
        match self.detached_tmpfs(limits, self.noswap.load(Ordering::Relaxed)) {
            Err(error) if error.call == "fsconfig" && error.on == NOSWAP && !error.is_shortage() => {
                self.noswap.store(false, Ordering::Relaxed);
                self.detached_tmpfs(limits, false)
            }
            other => other,
        }
    }

    fn detached_tmpfs(&self, limits: Limits, noswap: bool) -> Result<OwnedFd, SysError> {
        let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|errno| SysError::new("fsopen", "tmpfs", errno))?;
        for (key, value) in options(limits) {
            rustix::mount::fsconfig_set_string(context.as_fd(), key, value.as_str())
                .map_err(|errno| SysError::new("fsconfig", key, errno))?;
        }
        if noswap {
            rustix::mount::fsconfig_set_flag(context.as_fd(), NOSWAP)
                .map_err(|errno| SysError::new("fsconfig", NOSWAP, errno))?;
        }
        rustix::mount::fsconfig_create(context.as_fd())
            .map_err(|errno| SysError::new("fsconfig", "create", errno))?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|errno| SysError::new("fsmount", "", errno))
    }

    fn mount_classic(&self, directory: &Dir, limits: Limits) -> Result<(), SysError> {
        // The link leads to the open directory itself, whatever its path has become since.
        let target = descriptor_path(directory);
        let mut data: Vec<String> = options(limits)
            .into_iter()
            .filter(|(key, _)| *key != SOURCE_KEY)
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let plain = data.join(",");
        data.push(NOSWAP.to_owned());
        let with_noswap = data.join(",");

        let mount = |data: &str| {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            // Options are digits, commas and fixed words: there is no NUL in them.
            let data = CString::new(data).map_err(|_| SysError::new("mount", "", Errno::INVAL))?;
            rustix::mount::mount(SOURCE, &target, "tmpfs", flags, data.as_c_str())
                .map_err(|errno| SysError::new("mount", &target, errno))
        };
        if self.noswap.load(Ordering::Relaxed) {
            match mount(&with_noswap) {
                Err(error) if error.errno == Errno::INVAL => self.noswap.store(false, Ordering::Relaxed),
                other => return other,
            }
        }
        mount(&plain)
    }
}

impl Default for Mounter {
    fn default() -> Mounter {
        Mounter::new()
    }
}

/// True when `root`, opened as an entry of `parent` or below it, is mounted there rather than a plain directory.
///
/// The device alone would not do: a directory of the same disk that is bound there shows no other, and removing
/// what seems to lie in a plain directory would then remove it from its real place.
pub fn is_mount(parent: &Dir, root: &Dir) -> Result<bool, SysError> {
    match root.is_mount_root()? {
        Some(known) => Ok(known),
        None => Ok(parent.metadata()?.device != root.metadata()?.device),
    }
}

/// True when the directory lies on a tmpfs.
pub fn is_tmpfs(dir: &Dir) -> Result<bool, SysError> {
    let found = rustix::fs::fstatfs(dir).map_err(|errno| SysError::new("fstatfs", "", errno))?;
    // The width of f_type differs between architectures; the magic number fits all of them.
    Ok(u64::try_from(found.f_type).is_ok_and(|magic| magic == TMPFS_MAGIC))
}

/// Use of a file system: what `statvfs` says, in bytes and inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in total and free.
    pub bytes: (u64, u64),
    /// Inodes in total and free.
    pub inodes: (u64, u64),
    /// In what pieces bytes are counted.
    pub block_bytes: u64,
}

/// Use of the file system that holds a directory.
pub fn usage(dir: &Dir) -> Result<Usage, SysError> {
    let found = rustix::fs::fstatvfs(dir).map_err(|errno| SysError::new("fstatvfs", "", errno))?;
    Ok(Usage {
        bytes: (found.f_blocks.saturating_mul(found.f_frsize), found.f_bavail.saturating_mul(found.f_frsize)),
        inodes: (found.f_files, found.f_favail),
        block_bytes: found.f_frsize,
    })
}

/// Takes down the mount whose root is open here, wherever it is now. False when it was down already.
///
/// A mount that is still in use (a provider with an open file) is detached: it is gone from every path at once and
/// freed with its last user, so that a pod never hangs in termination.
pub fn unmount_root(root: &Dir) -> Result<bool, SysError> {
    // The last part of this path is a link, which leads to the root itself and nowhere else.
    match rustix::mount::unmount(descriptor_path(root), UnmountFlags::DETACH) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(SysError::new("umount2", "", errno)),
    }
}

fn options(limits: Limits) -> [(&'static str, String); 4] {
    [
        (SOURCE_KEY, SOURCE.to_owned()),
        ("size", limits.bytes.to_string()),
        ("nr_inodes", limits.inodes.to_string()),
        ("mode", "0700".to_owned()),
    ]
}

/// A path that leads to an open descriptor whatever became of its own path.
fn descriptor_path(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// What `mount` and `df` show in the place of a device.
pub const SOURCE: &str = "secrets-store-csi";
const SOURCE_KEY: &str = "source";
const NOSWAP: &str = "noswap";
/// From linux/magic.h.
const TMPFS_MAGIC: u64 = 0x0102_1994;

#[cfg(test)]
pub(crate) mod tests;
