//! Walking and removing directory trees whose depth and names somebody hostile may have chosen: no recursion, a
//! constant number of descriptors, never through a symlink, never into what is mounted inside.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use sys::at::{Dir, EntryKind, Metadata, SysError};
use sys::mount;

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path relative to the top.
    pub path: PathBuf,
    /// What it is.
    pub metadata: Metadata,
}

/// Everything below `top`, directories before what they hold. Of what is mounted inside only the directory is seen.
pub fn walk(top: &Dir) -> Result<Vec<Entry>, SysError> {
    let mut entries = Vec::new();
    let mut pending = VecDeque::from([PathBuf::new()]);
    while let Some(directory) = pending.pop_front() {
        let opened = open_beneath(top, &directory)?;
        if let Some(dir) = &opened
            && mount::is_mount(top, dir)?
        {
            continue;
        }
        for name in opened.as_ref().unwrap_or(top).names()? {
            let metadata = opened.as_ref().unwrap_or(top).metadata_of(&name)?;
            let path = directory.join(&name);
            if metadata.kind == EntryKind::Directory {
                pending.push_back(path.clone());
            }
            entries.push(Entry { path, metadata });
        }
    }
    Ok(entries)
}

/// Opens a directory below `top`, one name at a time; `None` for the empty path, which is `top` itself.
pub fn open_beneath(top: &Dir, path: &Path) -> Result<Option<Dir>, SysError> {
    let mut deepest: Option<Dir> = None;
    for name in path.iter() {
        deepest = Some(deepest.as_ref().unwrap_or(top).open_dir(name)?);
    }
    Ok(deepest)
}

/// Removes `name` from `parent`, with all that is below it if it is a directory. Missing is fine.
pub fn remove(parent: &Dir, name: &OsStr) -> Result<(), SysError> {
    match parent.remove_file(name) {
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) if is_directory(&error) => {}
        other => return other,
    }
    let dir = parent.open_dir(name)?;
    if mount::is_mount(parent, &dir)? {
        return Err(SysError::new("rmdir", name, Errno::XDEV));
    }
    empty(&dir)?;
    parent.remove_dir(name)
}

/// Removes everything in `top`.
///
/// A directory's subdirectories are first moved up into `top`, so that depth costs neither stack nor descriptors.
/// A mount inside the tree is not entered: it makes the removal fail.
pub fn empty(top: &Dir) -> Result<(), SysError> {
    let mut pending = top.names()?;
    let mut moved = 0_u32;
    while let Some(name) = pending.pop() {
        match top.remove_file(&name) {
            Err(error) if error.is_not_found() => continue,
            Err(error) if is_directory(&error) => {}
            other => {
                other?;
                continue;
            }
        }
        let dir = top.open_dir(&name)?;
        if mount::is_mount(top, &dir)? {
            return Err(SysError::new("rmdir", name, Errno::XDEV));
        }
        for entry in dir.names()? {
            if dir.metadata_of(&entry)?.kind == EntryKind::Directory {
                let aside = free_name(top, &mut moved)?;
                dir.rename_into(&entry, top, &aside)?;
                pending.push(aside);
            } else {
                dir.remove_file(&entry)?;
            }
        }
        top.remove_dir(&name)?;
    }
    Ok(())
}

/// Linux answers EISDIR when a directory is unlinked; other systems, and some file systems, EPERM.
fn is_directory(error: &SysError) -> bool {
    matches!(error.errno, Errno::ISDIR | Errno::PERM)
}

/// A name that nothing in `top` has: a driver that was killed here may have left some.
fn free_name(top: &Dir, moved: &mut u32) -> Result<OsString, SysError> {
    loop {
        *moved += 1;
        let name = OsString::from(format!("{TRASH_PREFIX}{moved}"));
        match top.metadata_of(&name) {
            Err(error) if error.is_not_found() => return Ok(name),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
}

/// How the names of directories on their way out begin.
const TRASH_PREFIX: &str = "..trash.";

#[cfg(test)]
mod tests {
    use super::*;

    fn workdir() -> (tempfile::TempDir, Dir) {
        let path = tempfile::tempdir().unwrap();
        let dir = Dir::open_trusting_path(path.path()).unwrap();
        (path, dir)
    }

    #[test]
    fn a_tree_far_deeper_than_the_descriptor_limit_is_walked_and_removed() {
        let (path, top) = workdir();
        let mut deepest = top.create_dir("top".as_ref(), 0o755).unwrap();
        for _ in 0..1500 {
            deepest = deepest.create_dir("d".as_ref(), 0o755).unwrap();
        }
        deepest.create_file("leaf".as_ref()).unwrap();
        assert_eq!(walk(&top).unwrap().len(), 1502);
        remove(&top, "top".as_ref()).unwrap();
        assert_eq!(std::fs::read_dir(path.path()).unwrap().count(), 0);
    }

    #[test]
    fn links_are_removed_and_what_they_point_to_survives() {
        let (path, top) = workdir();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("precious"), "1").unwrap();
        let bait = path.path().join("volume/sub");
        std::fs::create_dir_all(&bait).unwrap();
        std::os::unix::fs::symlink(outside.path(), bait.join("dir")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("precious"), path.path().join("volume/file")).unwrap();
        remove(&top, "volume".as_ref()).unwrap();
        assert!(outside.path().join("precious").exists());
        assert!(!path.path().join("volume").exists());
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let (_keep, top) = workdir();
        remove(&top, "nothing".as_ref()).unwrap();
    }

    #[test]
    fn leftovers_of_an_interrupted_removal_are_removed_with_the_rest() {
        let (path, top) = workdir();
        std::fs::create_dir_all(path.path().join("v/..trash.1/x")).unwrap();
        std::fs::create_dir_all(path.path().join("v/a/b/c")).unwrap();
        remove(&top, "v".as_ref()).unwrap();
        assert_eq!(std::fs::read_dir(path.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_bound_in_a_tree_is_neither_entered_nor_removed() {
        let (path, top) = workdir();
        let bound = path.path().join("v/bound");
        std::fs::create_dir_all(&bound).unwrap();
        std::fs::create_dir(path.path().join("victim")).unwrap();
        std::fs::write(path.path().join("victim/precious"), "1").unwrap();
        rustix::mount::mount_bind(path.path().join("victim"), &bound)
            .unwrap_or_else(|errno| panic!("{errno}: tests that mount run through tests/sandbox.sh"));
        let tree = top.open_dir("v".as_ref()).unwrap();
        let walked = walk(&top).unwrap().into_iter().map(|entry| entry.path);
        let outcomes = [remove(&top, "v".as_ref()), remove(&tree, "bound".as_ref()), empty(&tree)];
        let walked: Vec<_> = walked.filter(|entry| entry.starts_with("v")).collect();
        let is_intact = path.path().join("victim/precious").exists();
        rustix::mount::unmount(&bound, rustix::mount::UnmountFlags::empty()).unwrap();

        assert!(is_intact);
        for outcome in outcomes {
            assert_eq!(outcome.unwrap_err().errno, Errno::XDEV);
        }
        assert_eq!(walked, [Path::new("v"), Path::new("v/bound")]);
    }
}
