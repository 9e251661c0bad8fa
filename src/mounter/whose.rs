//! Whose a mounted file system is. Driver and mounter go by the same signs, so that what one writes into is what the
//! other takes down.

use std::ffi::OsStr;
use std::path::Path;

use sys::at::{Dir, EntryKind, SysError};
use sys::mount;
use sys::mountinfo::{self, MountEntry};
use sys::proc;

/// True when this is the root of a whole tmpfs that this driver mounted at `target`, or the upstream driver did.
///
/// Ours has a source of its own. The upstream driver gives no options and the source that everybody gives, so its
/// volumes are told by three signs: the source, the place of a pod's inline volume, and the root, which has the mode
/// that the kernel gives it or holds the link to the content.
pub fn is_volume(root: &Dir, target: &Path) -> Result<bool, SysError> {
    if !mount::is_tmpfs(root)? {
        return Ok(false);
    }
    let (id, path) = (root.mount_id()?, root.path_now()?);
    let mounts = mountinfo::parse(&proc::read("/proc/self/mountinfo")?);
    let found = mounts.iter().rfind(|entry| match id {
        Some(id) => entry.id == id,
        None => entry.mount_point == path,
    });
    // What kubelet binds of a volume, for a subPath, shows another root.
    let is_whole = |entry: &&MountEntry| entry.fs_type == "tmpfs" && entry.root == Path::new("/");
    match found.filter(is_whole).map(|entry| entry.source.as_str()) {
        // Wherever somebody has moved its directory.
        Some(mount::SOURCE) => Ok(true),
        Some(UPSTREAM_SOURCE) if depth_of_pod(target).is_some() => is_as_upstream_leaves_it(root),
        _ => Ok(false),
    }
}

fn is_as_upstream_leaves_it(root: &Dir) -> Result<bool, SysError> {
    if root.metadata()?.mode == UPSTREAM_MODE {
        return Ok(true);
    }
    // A provider may have given the root another mode.
    match root.metadata_of(UPSTREAM_DATA.as_ref()) {
        Ok(found) => Ok(found.kind == EntryKind::Symlink),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// How many names are above the pod's uid in a path that ends in what kubelet calls the inline volume of a pod,
/// `<uid>/volumes/kubernetes.io~csi/<name>/mount`; `None` for any other path.
///
/// Below kubelet's directory of pods there is none.
pub(super) fn depth_of_pod(target: &Path) -> Option<usize> {
    let names: Vec<_> = target.iter().map(OsStr::as_encoded_bytes).collect();
    match names.as_slice() {
        [above @ .., _uid, b"volumes", b"kubernetes.io~csi", _name, b"mount"] => Some(above.len()),
        _ => None,
    }
}

/// What the upstream driver gives as the source of its mounts.
pub(super) const UPSTREAM_SOURCE: &str = "tmpfs";
/// What the kernel gives the root of a tmpfs for which nobody asks for another mode.
const UPSTREAM_MODE: u32 = 0o1777;
/// The link to the content, in upstream's volumes as in ours.
const UPSTREAM_DATA: &str = "..data";
