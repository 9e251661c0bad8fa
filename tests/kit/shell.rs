//! What an administrator of the node, another driver or an accident does with mounts, by the usual commands.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Mounts a tmpfs with these options, named `tmpfs` as the upstream driver's are.
pub fn mount_tmpfs(target: &Path, options: &str) {
    mount_tmpfs_of("tmpfs", target, options);
}

/// Mounts a tmpfs by whose source the driver takes it for its own.
pub fn mount_as_ours(target: &Path, options: &str) {
    mount_tmpfs_of("secrets-store-csi", target, options);
}

/// Mounts a tmpfs of that source.
pub fn mount_tmpfs_of(source: &str, target: &Path, options: &str) {
    run(
        "mount",
        [
            OsStr::new("-t"),
            "tmpfs".as_ref(),
            "-o".as_ref(),
            options.as_ref(),
            source.as_ref(),
            target.as_ref(),
        ],
    );
}

/// Mounts a file system in memory that is no tmpfs.
pub fn mount_ramfs(target: &Path) {
    run("mount", [OsStr::new("-t"), "ramfs".as_ref(), "ramfs".as_ref(), target.as_ref()]);
}

/// Makes a directory visible at another place too.
pub fn bind(directory: &Path, target: &Path) {
    run("mount", [OsStr::new("--bind"), directory.as_ref(), target.as_ref()]);
}

/// Has what is mounted in a directory appear wherever else that directory is bound, and the other way round.
pub fn share(directory: &Path) {
    run("mount", [OsStr::new("--make-shared"), directory.as_ref()]);
}

/// Takes that back.
pub fn make_private(directory: &Path) {
    run("mount", [OsStr::new("--make-private"), directory.as_ref()]);
}

/// Takes the topmost mount away, also from under who uses it.
pub fn unmount(target: &Path) {
    run("umount", [OsStr::new("-l"), target.as_ref()]);
}

fn run<'a>(command: &str, arguments: impl IntoIterator<Item = &'a OsStr>) {
    let status = Command::new(command).args(arguments).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{command}: {status:?}");
}
