//! A mounted volume, seen through the descriptor of its root.

use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use sys::at::{self, Dir, EntryKind, SysError};
use sys::mount::{self, Usage};

use super::limits::{self, ContentLimits};
use super::payload::{FileMode, Payload};
use super::tree;
use super::writer::{self, WriteError, Written};

/// The root of a volume's tmpfs.
///
/// Its permission bits say whether the volume is whole (0700 while it is not): that survives a restart of the driver,
/// and vanishes with the mount. Whoever watches a volume is woken by every change of it, times and owners included, so
/// nothing here changes what is right already.
#[derive(Debug)]
pub struct LiveVolume {
    pub(super) root: Dir,
}

impl LiveVolume {
    /// The one whose root is open.
    pub fn new(root: Dir) -> LiveVolume {
        LiveVolume { root }
    }

    /// Makes the payload the content of the volume: see [`writer`].
    pub fn write(
        &self,
        payload: &Payload,
        group: Option<u32>,
        limits: ContentLimits,
        now: SystemTime,
    ) -> Result<Written, WriteError> {
        let written = writer::write(&self.root, payload, group, limits, now)?;
        if let Some(gid) = group {
            self.give_root_to_group(gid)?;
        }
        Ok(written)
    }

    /// Gives the tree to a group: what the owner may read, the group may read. Directories stay 0755.
    ///
    /// The writer has done so for what it wrote; this reaches what a provider wrote itself.
    pub fn give_to_group(&self, gid: u32) -> Result<(), SysError> {
        for entry in tree::walk(&self.root)? {
            let found = entry.metadata;
            let mode = match found.kind {
                EntryKind::Directory => (found.mode & 0o777) | 0o050,
                EntryKind::File => FileMode::of_existing(found.mode).readable_by_group().bits(),
                EntryKind::Symlink | EntryKind::Other => continue,
            };
            if (found.gid, found.mode) == (gid, mode) {
                continue;
            }
            let (directory, name) = (entry.path.parent().unwrap_or("".as_ref()), entry.path.file_name());
            let name = name.unwrap_or_default();
            let opened = tree::open_beneath(&self.root, directory)?;
            let parent = opened.as_ref().unwrap_or(&self.root);
            if found.kind == EntryKind::Directory {
                let dir = parent.open_dir(name)?;
                dir.set_group(gid)?;
                dir.set_mode(mode)?;
            } else {
                let file = parent.open_file(name)?;
                at::set_group(&file, gid)?;
                at::set_mode(&file, mode)?;
            }
        }
        self.give_root_to_group(gid)
    }

    fn give_root_to_group(&self, gid: u32) -> Result<(), SysError> {
        if self.root.metadata()?.gid == gid { Ok(()) } else { self.root.set_group(gid) }
    }

    /// When a name was last added to the root or taken from it: no earlier than its content.
    pub fn changed(&self) -> Result<SystemTime, SysError> {
        Ok(self.root.metadata()?.modified)
    }

    /// The kernel's number of this mount, which none has had since the start of the machine where the kernel counts
    /// so (6.8 and later); `None` where it does not tell.
    pub fn mount_id(&self) -> Result<Option<u64>, SysError> {
        match self.root.unique_mount_id()? {
            None => self.root.mount_id(),
            known => Ok(known),
        }
    }

    /// True when an attempt to make this volume came to its end.
    ///
    /// The upstream driver opens a volume before it fills it: there only a root that shows something is one that a
    /// pod may have been given.
    pub(super) fn is_whole(&self) -> Result<bool, SysError> {
        match self.root.metadata()?.mode {
            UNFINISHED_MODE => Ok(false),
            UPSTREAM_MODE => Ok(self.root.names()?.iter().any(|name| !name.as_bytes().starts_with(b".."))),
            _ => Ok(true),
        }
    }

    /// Declares the volume whole: from here on anybody may enter.
    pub fn finish(&self) -> Result<(), SysError> {
        self.root.set_mode(FINISHED_MODE)
    }

    /// Declares the volume unfinished and removes its content.
    pub fn close_and_empty(&self) -> Result<(), SysError> {
        self.root.set_mode(UNFINISHED_MODE)?;
        tree::empty(&self.root)
    }

    /// Space and inodes, total and free.
    pub fn usage(&self) -> Result<Usage, SysError> {
        mount::usage(&self.root)
    }

    /// The memory that it takes, in bytes.
    pub fn memory(&self) -> Result<u64, SysError> {
        self.usage().map(limits::memory)
    }

    /// How much more memory it will take with that content, where of what it takes `charged` bytes count, in bytes.
    pub fn growth(&self, payload: &Payload, charged: u64) -> Result<u64, SysError> {
        limits::growth(&self.root, payload, charged)
    }

    /// True when that is its content, so that [`LiveVolume::write`] would touch nothing.
    pub fn holds(&self, payload: &Payload, group: Option<u32>) -> Result<bool, WriteError> {
        writer::holds(&self.root, payload, group)
    }

    /// True when both are the root of one and the same mount.
    pub fn is_same_as(&self, other: &LiveVolume) -> Result<bool, SysError> {
        let (one, other) = (self.root.metadata()?, other.root.metadata()?);
        Ok(one.device == other.device && one.inode == other.inode)
    }
}

/// Mode of a volume's root until everything is in it. No volume that was ever handed to a pod has it.
const UNFINISHED_MODE: u32 = 0o700;
/// Mode of a root that the upstream driver mounted: the kernel's default for a tmpfs.
const UPSTREAM_MODE: u32 = 0o1777;
/// Mode of a whole volume's root; the files' own modes decide who reads what.
const FINISHED_MODE: u32 = 0o755;
