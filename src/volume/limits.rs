//! How much a volume may hold: the limits of one content, the file system that has room for two, and whether a payload
//! fits.
//!
//! A refresh writes the new content beside the old one, so what is mounted once has to fit twice. It is judged before
//! anything is touched, by what the kernel will count: memory in whole pages, and one inode for each file, directory
//! and link. What may be mounted can therefore always be refreshed, and what may not is refused at the first publish.

use sys::at::{Dir, SysError};
use sys::mount::{self, Usage};

use super::payload::Payload;
use super::writer::{self, WriteError};

/// The most that one content may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentLimits {
    /// Bytes of memory: each file counts in whole pages.
    pub bytes: u64,
    /// Files and directories.
    pub inodes: u64,
}

impl ContentLimits {
    /// The file system for contents of that size: room for two of them, for the links that make the names of both
    /// visible, and for what the writer makes between them.
    pub fn file_system(self) -> mount::Limits {
        mount::Limits {
            bytes: self.bytes.saturating_mul(2).saturating_add(SPARE_BYTES),
            inodes: self.inodes.saturating_mul(4).saturating_add(SPARE_INODES),
        }
    }
}

/// What a payload takes in a tmpfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Demand {
    /// Memory.
    bytes: u64,
    /// Files and directories.
    inodes: u64,
    /// Visible names, each a link.
    links: u64,
}

impl Demand {
    fn of(payload: &Payload, page_bytes: u64) -> Demand {
        let names = payload.visible_names();
        let files = payload.files().map(|(_, file)| in_pages(count(file.contents.len()), page_bytes));
        let links = names.iter().map(|name| {
            if writer::visible_link(name.as_ref()).len() < LONG_LINK_BYTES { 0 } else { page_bytes }
        });
        Demand {
            bytes: files.chain(links).fold(0, u64::saturating_add),
            inodes: count(payload.files().count()).saturating_add(count(payload.directories().len())),
            links: count(names.len()),
        }
    }
}

/// The memory that a volume takes, in bytes: that of its content, and the kernel's for each file and directory.
pub(super) fn memory(volume: Usage) -> u64 {
    let used = |(total, free): (u64, u64)| total.saturating_sub(free);
    used(volume.bytes).saturating_add(used(volume.inodes).saturating_mul(INODE_BYTES))
}

/// How much more memory the volume whose root is `root` will take when `payload` is its content, in bytes. Of what it
/// takes now `charged` bytes count, since the rest is not of the same memory.
pub(super) fn growth(root: &Dir, payload: &Payload, charged: u64) -> Result<u64, SysError> {
    let volume = mount::usage(root)?;
    let demand = Demand::of(payload, volume.block_bytes);
    let inodes = demand.inodes.saturating_add(demand.links).saturating_mul(INODE_BYTES);
    Ok(demand.bytes.saturating_add(inodes).saturating_sub(memory(volume).min(charged)))
}

/// Judges whether `payload` may become the content of the volume whose root is `root`, beside what it holds.
///
/// A volume that was made under other limits, by an earlier release, by the upstream driver or with other flags, is
/// judged by its own size: whether the payload fits now, and could be replaced by one like it.
pub(super) fn judge(root: &Dir, payload: &Payload, limits: ContentLimits) -> Result<(), WriteError> {
    let volume = mount::usage(root)?;
    let demand = Demand::of(payload, volume.block_bytes);
    if is_made_for(limits, volume) {
        if demand.bytes > in_pages(limits.bytes, volume.block_bytes) {
            return Err(WriteError::TooLarge { bytes: demand.bytes, limit: limits.bytes });
        }
        if demand.inodes > limits.inodes {
            return Err(WriteError::TooManyFiles { inodes: demand.inodes, limit: limits.inodes });
        }
    }
    let new_links = count(missing_names(root, payload)?);
    let room =
        |(total, free): (u64, u64), now: u64, twice: u64| total == 0 || (now <= free && twice <= total);
    // The directory of the generation, and the link that switches to it.
    let inodes_now = demand.inodes.saturating_add(new_links).saturating_add(2);
    // Two generations, the names of one, the root, `..data` and its successor.
    let inodes_twice =
        demand.inodes.saturating_add(1).saturating_mul(2).saturating_add(demand.links).saturating_add(3);
    if room(volume.bytes, demand.bytes, demand.bytes.saturating_mul(2))
        && room(volume.inodes, inodes_now, inodes_twice)
    {
        return Ok(());
    }
    Err(WriteError::NoRoom { bytes: demand.bytes, inodes: demand.inodes, volume })
}

/// True when the volume is as large as volumes are made under these limits.
fn is_made_for(limits: ContentLimits, volume: Usage) -> bool {
    let made = limits.file_system();
    volume.bytes.0 == in_pages(made.bytes, volume.block_bytes) && volume.inodes.0 == made.inodes
}

/// How many of the payload's visible names the root lacks.
fn missing_names(root: &Dir, payload: &Payload) -> Result<usize, SysError> {
    let present = root.names()?;
    let mut names = payload.visible_names();
    for name in &present {
        name.to_str().map(|name| names.remove(name));
    }
    Ok(names.len())
}

/// What so many bytes take in whole pages.
fn in_pages(bytes: u64, page_bytes: u64) -> u64 {
    let page_bytes = page_bytes.max(1);
    bytes.div_ceil(page_bytes).saturating_mul(page_bytes)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// About what the kernel keeps for a file of a tmpfs and its name, and charges to the control group.
const INODE_BYTES: u64 = 1024;
/// For rounding to pages of any size, and for links of long names that are being replaced.
const SPARE_BYTES: u64 = 1 << 20;
/// The root, two generations, `..data`, its successor, the link that replaces a name, and some to spare.
const SPARE_INODES: u64 = 16;
/// From this length on tmpfs keeps the text of a link in a page of its own.
const LONG_LINK_BYTES: usize = 128;

#[cfg(test)]
mod tests;
