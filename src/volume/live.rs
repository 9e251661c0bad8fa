//! A mounted volume, seen through the descriptor of its root.

use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use crate::sys::at::{self, Dir, EntryKind, SysError};
use crate::sys::mount::{self, Usage};

use super::payload::{FileMode, Payload};
use super::tree;
use super::writer::{self, WriteError, Written};

/// The root of a volume's tmpfs.
///
/// Its permission bits say whether the volume is whole (0700 while it is not), its time of last modification
/// when it was last refreshed with success: both survive a restart of the driver, and vanish with the mount.
#[derive(Debug)]
pub struct LiveVolume {
    pub(super) root: Dir,
}

impl LiveVolume {
    pub(crate) fn new(root: Dir) -> LiveVolume {
        LiveVolume { root }
    }

    /// Makes the payload the content of the volume: see [`writer`].
    pub fn write(
        &self,
        payload: &Payload,
        group: Option<u32>,
        now: SystemTime,
    ) -> Result<Written, WriteError> {
        if let Some(gid) = group {
            self.root.set_group(gid)?;
        }
        writer::write(&self.root, payload, group, now)
    }

    /// Gives the tree to a group: what the owner may read, the group may read. Directories stay 0755.
    ///
    /// The writer has done so for what it wrote; this reaches what a provider wrote itself.
    pub fn give_to_group(&self, gid: u32) -> Result<(), SysError> {
        for entry in tree::walk(&self.root)? {
            let (directory, name) = (entry.path.parent().unwrap_or("".as_ref()), entry.path.file_name());
            let name = name.unwrap_or_default();
            let opened = tree::open_beneath(&self.root, directory)?;
            let parent = opened.as_ref().unwrap_or(&self.root);
            match entry.metadata.kind {
                EntryKind::Directory => {
                    let dir = parent.open_dir(name)?;
                    dir.set_group(gid)?;
                    dir.set_mode(entry.metadata.mode | 0o050)?;
                }
                EntryKind::File => {
                    let file = parent.open_file(name)?;
                    at::set_group(&file, gid)?;
                    at::set_mode(
                        &file,
                        FileMode::of_existing(entry.metadata.mode).readable_by_group().bits(),
                    )?;
                }
                EntryKind::Symlink | EntryKind::Other => {}
            }
        }
        self.root.set_group(gid)
    }

    /// Records a successful refresh.
    pub fn stamp(&self, refreshed: SystemTime) -> Result<(), SysError> {
        self.root.set_modified(refreshed)
    }

    /// When the volume was last refreshed with success.
    pub fn refreshed(&self) -> Result<SystemTime, SysError> {
        Ok(self.root.metadata()?.modified)
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

    /// Declares the volume whole, refreshed just now: from here on anybody may enter.
    pub fn finish(&self, refreshed: SystemTime) -> Result<(), SysError> {
        self.stamp(refreshed)?;
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
