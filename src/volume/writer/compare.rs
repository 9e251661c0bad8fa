//! Whether a volume holds a payload already: the writer's third step.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::limits::ContentLimits;
use crate::payload::{File, Payload};
use crate::tree;
use sys::at::{self, Dir, EntryKind, SysError};

use super::{WriteError, Writer, visible_link};

/// True when the payload is the content already. Nothing is written, so no limit and no time counts.
pub fn holds(root: &Dir, payload: &Payload, group: Option<u32>) -> Result<bool, WriteError> {
    let limits = ContentLimits { bytes: 0, inodes: 0 };
    let writer = Writer { root, payload, group, limits, now: UNIX_EPOCH, reached: &mut |_| {} };
    let live = writer.live_generation()?;
    Ok(writer.is_payload(live.as_deref())? && writer.links_are_complete()?)
}

impl Writer<'_> {
    /// True when the live generation holds the payload.
    pub(super) fn is_payload(&self, live: Option<&OsStr>) -> Result<bool, WriteError> {
        live.map_or(Ok(false), |name| self.generation_is_payload(&self.root.open_dir(name)?))
    }

    /// True when a generation holds exactly the payload: paths, kinds, modes, group and contents.
    fn generation_is_payload(&self, generation: &Dir) -> Result<bool, WriteError> {
        let directories = self.payload.directories();
        let entries = tree::walk(generation)?;
        let in_group = |gid: u32| self.group.is_none_or(|wanted| wanted == gid);
        if !in_group(generation.metadata()?.gid) {
            return Ok(false);
        }
        let mut files = 0_usize;
        for entry in &entries {
            let Some(path) = entry.path.to_str() else {
                return Ok(false);
            };
            match entry.metadata.kind {
                EntryKind::Directory if directories.contains(path) && in_group(entry.metadata.gid) => {}
                EntryKind::File => files += 1,
                _ => return Ok(false),
            }
        }
        if files != self.payload.files().count() || entries.len() - files != directories.len() {
            return Ok(false);
        }
        for (path, file) in self.payload.files() {
            let (above, own) = path.split();
            let above = match tree::open_beneath(generation, Path::new(above)) {
                Err(error) if error.is_not_found() => return Ok(false),
                other => other?,
            };
            if !self.file_is(above.as_ref().unwrap_or(generation), own, file)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn file_is(&self, directory: &Dir, name: &str, file: &File) -> Result<bool, WriteError> {
        let mut found = match directory.open_file(name.as_ref()) {
            Err(error) if error.is_not_found() => return Ok(false),
            other => other?,
        };
        let metadata = at::metadata(&found)?;
        let same_shape = metadata.size == u64::try_from(file.contents.len()).unwrap_or(u64::MAX)
            && metadata.mode == self.mode_of(file).bits()
            && self.group.is_none_or(|gid| gid == metadata.gid);
        if !same_shape {
            return Ok(false);
        }
        let mut rest = file.contents.expose();
        let mut chunk = zeroize::Zeroizing::new([0_u8; COMPARE_CHUNK_BYTES]);
        loop {
            let read =
                found.read(chunk.as_mut_slice()).map_err(|error| at::io_error("read", name, &error))?;
            let chunk = chunk.get(..read).unwrap_or_default();
            match rest.strip_prefix(chunk) {
                Some(_) if read == 0 => return Ok(rest.is_empty()),
                Some(after) => rest = after,
                None => return Ok(false),
            }
        }
    }

    /// True when every visible name is a link of ours and no link of ours is left over.
    pub(super) fn links_are_complete(&self) -> Result<bool, WriteError> {
        for name in self.payload.visible_names() {
            if !self.is_link_of_ours(name.as_ref())? {
                return Ok(false);
            }
        }
        Ok(self.stale_names()?.is_empty())
    }

    /// True when the entry is the link that this writer makes for its name.
    pub(super) fn is_link_of_ours(&self, name: &OsStr) -> Result<bool, SysError> {
        match self.root.metadata_of(name) {
            Ok(found) if found.kind == EntryKind::Symlink => {
                Ok(self.root.read_link(name)? == visible_link(name))
            }
            Ok(_) => Ok(false),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

pub(super) const COMPARE_CHUNK_BYTES: usize = 16 * 1024;
