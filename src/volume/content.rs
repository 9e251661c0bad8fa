//! Reading a volume back: one generation of it, through descriptors.
//!
//! What is read is what a pod sees, and nothing else. A provider or a neighbour on the node may have left anything
//! in the directory: links that lead out, pipes that never end, files of any size. No link is followed but the one
//! in the root that makes a name visible, and that one only to a place within the volume; nothing but regular files
//! of the volume's own file system is read. No byte of a file is ever part of an error.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Component, Path};
use std::time::SystemTime;

use rustix::io::Errno;
use zeroize::Zeroizing;

use base::secret::SecretBytes;
use sys::at::{self, Dir, EntryKind, File, SysError};

use super::file_path::{FilePath, FilePathError};
use super::live::LiveVolume;
use super::writer::{DATA, is_generation_name};

/// What a volume holds, pinned: every read is of the same generation, even while the next one takes its place.
///
/// Files that a provider wrote itself, beside the generations or without any, are read as they are at the time.
#[derive(Debug)]
pub struct Content {
    root: Dir,
    device: u64,
    generation: Option<Generation>,
    changed: SystemTime,
}

/// The generation that was live when the content was pinned.
#[derive(Debug)]
struct Generation {
    name: OsString,
    dir: Dir,
}

impl LiveVolume {
    /// Pins what the volume holds now.
    pub fn content(&self) -> Result<Content, SysError> {
        let root = self.root.try_clone()?;
        let generation = live_generation(&root)?;
        let top = generation.as_ref().map_or(&root, |generation| &generation.dir).metadata()?;
        let device = root.metadata()?.device;
        Ok(Content { root, device, generation, changed: top.modified })
    }
}

impl Content {
    /// When the content last changed: when its generation was filled, or, of a volume that a provider wrote itself,
    /// when anything was last done to its root.
    pub fn changed(&self) -> SystemTime {
        self.changed
    }

    /// The content of the file that a pod sees at `path`; `None` when it sees no regular file of the volume there.
    ///
    /// # Errors
    /// A path that no file of a volume can have, a file larger than `limit` bytes, a file that went because the next
    /// generation has taken its place ([`ContentError::is_replaced`]: pin anew), or a failed system call.
    pub fn read(&self, path: &str, limit: usize) -> Result<Option<SecretBytes>, ContentError> {
        let path = FilePath::parse(path)?;
        match self.locate(&path)? {
            Some(file) => read_whole(file, limit).map(Some),
            None if self.is_live()? => Ok(None),
            None => Err(ContentError::Replaced),
        }
    }

    /// Opens what the path leads to.
    fn locate(&self, path: &FilePath) -> Result<Option<File>, SysError> {
        let (first, path) = (OsStr::new(path.first()), Path::new(path.as_str()));
        match self.root.read_link(first) {
            Ok(link) => {
                let below = path.strip_prefix(first).unwrap_or(Path::new(""));
                self.behind_link(Path::new(&link), below)
            }
            // No link: what a provider wrote itself.
            Err(error) if error.errno == Errno::INVAL => self.open(&self.root, path),
            // A name that the next generation lacks goes before this one does.
            Err(error) if error.is_not_found() => {
                self.generation.as_ref().map_or(Ok(None), |generation| self.open(&generation.dir, path))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens `below` what a link in the root names: in the pinned generation for a link through `..data`.
    fn behind_link(&self, link: &Path, below: &Path) -> Result<Option<File>, SysError> {
        let stays_inside = link.components().all(|part| matches!(part, Component::Normal(_)));
        if !stays_inside {
            return Ok(None);
        }
        match (link.strip_prefix(DATA), &self.generation) {
            (Ok(inside), Some(generation)) => self.open(&generation.dir, &inside.join(below)),
            (Ok(_), None) => Ok(None),
            (Err(_), _) => self.open(&self.root, &link.join(below)),
        }
    }

    /// Opens a regular file below `top`, one name at a time, through no link.
    fn open(&self, top: &Dir, path: &Path) -> Result<Option<File>, SysError> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let Some(above) = there(super::tree::open_beneath(top, above))? else {
            return Ok(None);
        };
        let directory = above.as_ref().unwrap_or(top);
        // Before it is opened: to open a device can have effects of its own.
        let is_file = there(directory.metadata_of(name))?.is_some_and(|found| found.kind == EntryKind::File);
        if !is_file {
            return Ok(None);
        }
        let Some(file) = there(directory.open_file(name))? else {
            return Ok(None);
        };
        let found = at::metadata(&file)?;
        Ok(Some(file).filter(|_| found.kind == EntryKind::File && found.device == self.device))
    }

    /// True as long as the pinned generation is the live one, or there is still none.
    fn is_live(&self) -> Result<bool, SysError> {
        match (&self.generation, live_generation(&self.root)?) {
            (None, None) => Ok(true),
            (Some(pinned), Some(live)) => {
                Ok(pinned.name == live.name && pinned.dir.metadata()?.inode == live.dir.metadata()?.inode)
            }
            (None, Some(_)) | (Some(_), None) => Ok(false),
        }
    }
}

/// Opens what `..data` leads to; a link that leads nowhere, or to anything but a generation, counts as none.
fn live_generation(root: &Dir) -> Result<Option<Generation>, SysError> {
    let mut missing = None;
    for _ in 0..MAX_SWITCHES {
        let name = match root.read_link(DATA.as_ref()) {
            Ok(name) if is_generation_name(&name) => name,
            Ok(_) => return Ok(None),
            Err(error) if error.is_not_found() || error.errno == Errno::INVAL => return Ok(None),
            Err(error) => return Err(error),
        };
        if missing.as_ref() == Some(&name) {
            return Ok(None);
        }
        match root.open_dir(&name) {
            Ok(dir) => return Ok(Some(Generation { name, dir })),
            Err(error) if error.is_not_a_directory() => return Ok(None),
            // It leads nowhere, unless the next generation has taken its place since.
            Err(error) if error.is_not_found() => missing = Some(name),
            Err(error) => return Err(error),
        }
    }
    Err(SysError::new("openat", DATA, Errno::AGAIN))
}

/// What was found, if it is there: a name that is missing, or has something else than a directory above it, is not.
fn there<T>(found: Result<T, SysError>) -> Result<Option<T>, SysError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() || error.is_not_a_directory() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads into one buffer that never moves: one that grew would leave copies behind.
fn read_whole(mut file: File, limit: usize) -> Result<SecretBytes, ContentError> {
    let bytes = at::metadata(&file)?.size;
    let size = match usize::try_from(bytes) {
        Ok(size) if size <= limit => size,
        _ => return Err(ContentError::TooLarge { bytes, limit }),
    };
    // One byte more than there should be, to see whether there is more.
    let mut buffer = Zeroizing::new(vec![0_u8; size.saturating_add(1)]);
    let mut filled = 0_usize;
    loop {
        match file.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(at::io_error("read", "", &error).into()),
        }
    }
    if filled != size {
        // A provider is writing it at this moment.
        return Err(ContentError::Replaced);
    }
    buffer.truncate(size);
    Ok(SecretBytes::new(std::mem::take(&mut *buffer)))
}

/// Why a file of a volume could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentError {
    /// No file of a volume has such a path.
    Path(FilePathError),
    /// The content was replaced while it was read.
    Replaced,
    /// A system call failed.
    Sys(SysError),
    /// The file is larger than the caller takes.
    TooLarge {
        /// Size of the file.
        bytes: u64,
        /// What the caller takes.
        limit: usize,
    },
}

impl ContentError {
    /// True when the content pinned anew can be read.
    pub fn is_replaced(&self) -> bool {
        *self == ContentError::Replaced
    }
}

impl From<FilePathError> for ContentError {
    fn from(error: FilePathError) -> ContentError {
        ContentError::Path(error)
    }
}

impl From<SysError> for ContentError {
    fn from(error: SysError) -> ContentError {
        ContentError::Sys(error)
    }
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContentError::Path(error) => error.fmt(f),
            ContentError::Replaced => f.write_str("the volume's content was replaced while it was read"),
            ContentError::Sys(error) => error.fmt(f),
            ContentError::TooLarge { bytes, limit } => {
                write!(f, "the file has {bytes} bytes, and no more than {limit} are read")
            }
        }
    }
}

impl std::error::Error for ContentError {}

/// Rotations that may come between two system calls: one is unlikely, a few in a row are no coincidence.
const MAX_SWITCHES: usize = 8;

#[cfg(test)]
mod tests;
