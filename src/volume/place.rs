//! The place of a volume: the open directory above the target, and the target's own name in it.
//!
//! Everything that is asked of a target (what is there, mount on it, take it down) goes through the descriptor of
//! the directory above it, so the answer and the act are about the same place whatever happens to the path.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use mounter::client::{self, MounterClient};
use mounter::whose;
use sys::at::{Dir, Errno, SysError};
use sys::mount;

use super::live::LiveVolume;
use super::target::TargetPath;
use super::tree;

/// An opened place.
#[derive(Debug)]
pub struct Place {
    target: TargetPath,
    parent: Dir,
    name: OsString,
    /// Directories that opening this place created, outermost first, each with the one that holds it.
    created: Vec<(Dir, OsString)>,
}

/// What is at a place.
#[derive(Debug)]
pub enum Found {
    /// Nothing, or a plain directory: no volume.
    NoVolume,
    /// An attempt that a crash cut short: of ours, or of the driver that this one replaced.
    Unfinished(LiveVolume),
    /// A finished volume, of ours or of the driver that this one replaced.
    Live(LiveVolume),
}

impl Place {
    /// Opens the place of a target that has to exist for a mount: missing directories are created, mode 0750.
    pub fn open_or_create(target: &TargetPath) -> Result<Place, PlaceError> {
        let failed = |source| PlaceError::Create { target: target.clone(), source };
        let (mut place, rest) = Place::descend(target, true).map_err(failed)?;
        debug_assert!(rest.is_none(), "descending with creation reaches the end");
        match place.parent.create_dir(&place.name, DIRECTORY_MODE) {
            Ok(_) => {
                let parent = place.parent.try_clone().map_err(failed)?;
                place.created.push((parent, place.name.clone()));
            }
            Err(error) if error.already_exists() => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(place)
    }

    /// Opens the place of a target if the directory above it exists.
    pub fn open(target: &TargetPath) -> Result<Option<Place>, PlaceError> {
        match Place::descend(target, false) {
            Ok((place, None)) => Ok(Some(place)),
            Ok((_, Some(_missing))) => Ok(None),
            Err(source) => Err(PlaceError::Check { target: target.clone(), source }),
        }
    }

    /// Says what is at this place.
    pub fn look(&self) -> Result<Found, PlaceError> {
        self.look_again(None)
    }

    /// The same for who has looked before. `known` is the kernel's number of the mount that was a volume then: where it is
    /// one that is never used again, the list of mounts, which is long on a busy node, need not be read once more.
    pub fn look_again(&self, known: Option<u64>) -> Result<Found, PlaceError> {
        let found = self.find()?;
        if let Found::Unfinished(volume) | Found::Live(volume) = &found {
            let check = |source| PlaceError::Check { target: self.target.clone(), source };
            let known = known.filter(|id| *id >= FIRST_UNIQUE_MOUNT);
            if known.is_some() && volume.mount_id().map_err(check)? == known {
                return Ok(found);
            }
            if !whose::is_volume(&volume.root, self.target.below()).map_err(check)? {
                return Err(PlaceError::ForeignMount { target: self.target.clone() });
            }
        }
        Ok(found)
    }

    /// The same, except that a whole tmpfs of somebody else's may pass for a volume.
    fn find(&self) -> Result<Found, PlaceError> {
        let check = |source| PlaceError::Check { target: self.target.clone(), source };
        let root = match self.parent.open_dir(&self.name) {
            Ok(root) => root,
            Err(error) if error.is_not_found() => return Ok(Found::NoVolume),
            Err(error) => return Err(check(error)),
        };
        if !mount::is_mount(&self.parent, &root).map_err(check)? {
            return Ok(Found::NoVolume);
        }
        // A volume is a file system of its own: what shares one with the directory above is bound from elsewhere.
        let is_bound = root.metadata().and_then(|root| Ok(root.device == self.parent.metadata()?.device));
        if !mount::is_tmpfs(&root).map_err(check)? || is_bound.map_err(check)? {
            return Err(PlaceError::ForeignMount { target: self.target.clone() });
        }
        let volume = LiveVolume::new(root);
        let is_whole = volume.is_whole().map_err(check)?;
        Ok(if is_whole { Found::Live(volume) } else { Found::Unfinished(volume) })
    }

    /// Mounts a new, closed tmpfs here. Dropping the attempt takes it and its directories down again.
    pub fn begin(self, mounter: &MounterClient) -> Result<Attempt, SysError> {
        match mounter.mount(self.target.below()) {
            Ok(root) => {
                let volume = LiveVolume::new(root);
                Ok(Attempt { place: self, volume, mounter: mounter.clone(), kept: false })
            }
            Err(error) => {
                self.remove_created();
                Err(error)
            }
        }
    }

    /// Removes the directories that opening this place created: nothing will be mounted here after all.
    pub fn abandon(self) {
        self.remove_created();
    }

    /// Takes down whatever volume is here and removes the target itself. Nothing there is fine.
    pub fn take_down(&self, mounter: &MounterClient) -> Result<(), PlaceError> {
        self.unmount_all(mounter)?;
        let failed = |source| PlaceError::Remove { target: self.target.clone(), source };
        match self.parent.remove_dir(&self.name) {
            Ok(()) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            // A file or a symlink in the target's place: the entry itself goes, nothing it points to.
            Err(error) if error.is_not_a_directory() => self.parent.remove_file(&self.name).map_err(failed),
            // Files on the node's disk below an unmounted target, as a provider of old may have left them. Only
            // in a place that is a pod's volume beyond doubt.
            Err(_) if self.target.kubelet_volume().is_some() => {
                tree::remove(&self.parent, &self.name).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The path of the target, for people.
    pub fn target(&self) -> &TargetPath {
        &self.target
    }

    /// Unmounts every tmpfs stacked here, and closes and empties it: content goes now, not with the last process that
    /// still holds a descriptor.
    fn unmount_all(&self, mounter: &MounterClient) -> Result<(), PlaceError> {
        let failed = |source| match source {
            source if client::is_refusal(&source) => PlaceError::ForeignMount { target: self.target.clone() },
            source => PlaceError::Remove { target: self.target.clone(), source },
        };
        for _ in 0..MAX_STACKED {
            let volume = match self.find() {
                Ok(Found::NoVolume) => return Ok(()),
                // Not a directory at all: the caller removes the entry.
                Err(PlaceError::Check { source, .. }) if source.is_not_a_directory() => return Ok(()),
                Err(error) => return Err(error),
                Ok(Found::Unfinished(volume) | Found::Live(volume)) => volume,
            };
            // First, since only the mounter knows whether it is a volume: nothing of anybody else's is ever emptied.
            let was_volume = mounter.unmount(self.target.below()).map_err(failed)?;
            if was_volume && let Err(error) = volume.close_and_empty() {
                log::warn!(target_path:% = self.target, error:% = error; "could not empty a volume that was taken down");
            }
        }
        match self.find()? {
            Found::NoVolume => Ok(()),
            Found::Unfinished(_) | Found::Live(_) => {
                Err(PlaceError::StillMounted { target: self.target.clone() })
            }
        }
    }

    fn remove_created(&self) {
        for (parent, name) in self.created.iter().rev() {
            if let Err(error) = parent.remove_dir(name) {
                log::warn!(target_path:% = self.target, error:% = error; "could not remove a directory that a failed publish created");
            }
        }
    }

    /// Walks from the target's root to the directory above the target. Answers the first missing name, if any.
    fn descend(target: &TargetPath, create: bool) -> Result<(Place, Option<OsString>), SysError> {
        let mut parent = Dir::open_trusting_path(target.root())?;
        let mut created = Vec::new();
        let mut names = target.below().iter().peekable();
        let mut name = names.next().unwrap_or_default();
        while names.peek().is_some() {
            let next = match open(&parent, name, target) {
                Err(error) if error.is_not_found() && create => {
                    match parent.create_dir(name, DIRECTORY_MODE) {
                        Ok(next) => {
                            created.push((parent.try_clone()?, name.to_owned()));
                            next
                        }
                        // Somebody else made it meanwhile: kubelet, or a publish of the same pod.
                        Err(error) if error.already_exists() => open(&parent, name, target)?,
                        Err(error) => return Err(error),
                    }
                }
                Err(error) if error.is_not_found() => {
                    let missing = Some(name.to_owned());
                    return Ok((
                        Place { target: target.clone(), parent, name: OsString::new(), created },
                        missing,
                    ));
                }
                other => other?,
            };
            parent = next;
            name = names.next().unwrap_or_default();
        }
        Ok((Place { target: target.clone(), parent, name: name.to_owned(), created }, None))
    }
}

fn open(parent: &Dir, name: &OsStr, target: &TargetPath) -> Result<Dir, SysError> {
    if target.is_confined() { parent.open_dir(name) } else { parent.open_dir_trusting_links(name) }
}

/// A first publish under way: a mounted tmpfs that nobody else may enter yet.
#[derive(Debug)]
pub struct Attempt {
    place: Place,
    volume: LiveVolume,
    mounter: MounterClient,
    kept: bool,
}

impl Attempt {
    /// The volume being filled.
    pub fn volume(&self) -> &LiveVolume {
        &self.volume
    }

    /// True when the path leads to this very mount, and it is open.
    pub fn is_in_place(&self) -> Result<bool, PlaceError> {
        // By the very mount that the mounter made, which needs no other sign.
        match self.place.find()? {
            Found::Live(found) => found
                .is_same_as(&self.volume)
                .map_err(|source| PlaceError::Check { target: self.place.target.clone(), source }),
            Found::NoVolume | Found::Unfinished(_) => Ok(false),
        }
    }

    /// The volume stays.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// Takes the volume down where the name does not lead to it, because somebody has moved the directory meanwhile.
    fn unmount_elsewhere(&self) -> Result<(), SysError> {
        let path = self.volume.root.path_now()?;
        let base = Dir::open_trusting_path(self.place.target.root())?.path_now()?;
        let is_down = path == Path::new("/");
        if is_down {
            return Ok(());
        }
        let below = path.strip_prefix(&base).map_err(|_| SysError::new("umount2", &path, Errno::XDEV))?;
        log::warn!(target_path:% = self.place.target; "the directory of a failed publish was moved away, its volume is taken down there");
        self.mounter.unmount(below)?;
        self.volume.close_and_empty()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // Our own descriptor keeps the mount busy: it is detached at once, and freed when this value is gone.
        let cleared = self.place.unmount_all(&self.mounter);
        if let Err(error) = self.unmount_elsewhere() {
            log::error!(target_path:% = self.place.target, error:% = error; "could not take down the volume of a failed publish");
        }
        match cleared {
            Ok(()) => self.place.remove_created(),
            Err(error) => {
                log::error!(target_path:% = self.place.target, error:% = error; "could not take down the volume of a failed publish");
            }
        }
    }
}

/// Why a place could not be opened, seen or cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceError {
    /// What is at the target cannot be determined.
    Check {
        /// The target.
        target: TargetPath,
        /// What failed.
        source: SysError,
    },
    /// A directory on the way to the target, or the target, cannot be created.
    Create {
        /// The target.
        target: TargetPath,
        /// What failed.
        source: SysError,
    },
    /// Something is mounted there that this driver did not make and will not touch.
    ForeignMount {
        /// The target.
        target: TargetPath,
    },
    /// The volume or its directory cannot be removed.
    Remove {
        /// The target.
        target: TargetPath,
        /// What failed.
        source: SysError,
    },
    /// There is still a mount after more unmounts than could ever be stacked.
    StillMounted {
        /// The target.
        target: TargetPath,
    },
}

impl PlaceError {
    /// True when the machine is short of something that comes back: descriptors, memory.
    pub fn is_shortage(&self) -> bool {
        match self {
            PlaceError::Check { source, .. }
            | PlaceError::Create { source, .. }
            | PlaceError::Remove { source, .. } => source.is_shortage(),
            PlaceError::ForeignMount { .. } | PlaceError::StillMounted { .. } => false,
        }
    }
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlaceError::Check { target, source } => {
                write!(f, "failed to check if target path {target} is mount point, err: {source}")
            }
            PlaceError::Create { target, source } => {
                write!(f, "failed to create target path {target}, err: {source}")
            }
            PlaceError::ForeignMount { target } => write!(
                f,
                "failed to check if target path {target} is mount point, err: something that is no volume is \
                 mounted there; unmount it on the node"
            ),
            PlaceError::Remove { target, source } => {
                write!(f, "failed to clean and unmount target path {target}, err: {source}")
            }
            PlaceError::StillMounted { target } => {
                write!(f, "failed to clean and unmount target path {target}, err: still a mount point")
            }
        }
    }
}

impl std::error::Error for PlaceError {}

/// Numbers from here on are given to one mount alone, since kernel 6.8; those below come again.
const FIRST_UNIQUE_MOUNT: u64 = 1 << 31;
/// As kubelet makes the directories above a volume.
const DIRECTORY_MODE: u32 = 0o750;
/// One volume is one mount; a few more can only come from crashes of other software.
const MAX_STACKED: u32 = 16;

#[cfg(test)]
mod tests;
