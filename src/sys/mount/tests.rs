//! Mounts as the kernel makes them. They need the mount namespace that `tests/sandbox.sh` gives them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::*;

/// A mounted tmpfs, unmounted when dropped.
pub(crate) struct Mount {
    parent: Dir,
    name: std::ffi::OsString,
    pub(crate) root: Dir,
}

impl Mount {
    /// Mounts on the directory `name` of the directory at `parent`, or ends the test.
    #[track_caller]
    pub(crate) fn make(mounter: &Mounter, parent: &Path, name: &str, limits: Limits) -> Mount {
        let parent = Dir::open_trusting_path(parent).unwrap();
        let root = mounter.mount(&parent, name.as_ref(), limits).unwrap_or_else(|error| {
            panic!("{error}: tests that mount run through tests/sandbox.sh, as `make test` does")
        });
        Mount { parent, name: name.into(), root }
    }

    /// Takes down what is mounted there now; false when nothing is.
    fn unmount(&self) -> Result<bool, SysError> {
        unmount_root(&self.parent.open_dir(&self.name)?)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A test may have unmounted it; whatever is left would keep the directory from being removed.
        self.unmount().ok();
    }
}

const LIMITS: Limits = Limits { bytes: 1 << 20, inodes: 64 };

/// Runs a test with each way of mounting, in a directory that has the directory `target`.
fn with_each_mounter(test: impl Fn(&str, &Mounter, &Path)) {
    for (name, mounter) in [("detached", Mounter::new()), ("classic", Mounter::classic())] {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("target")).unwrap();
        test(name, &mounter, directory.path());
        let left = entries_below(directory.path());
        assert!(left.is_empty(), "{name}: {left:?} is still mounted");
    }
}

/// The lines of mountinfo whose mount point is below `directory`, oldest first.
fn entries_below(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_below =
        |line: &&str| line.split(' ').nth(4).is_some_and(|point| Path::new(point).starts_with(directory));
    text.lines().filter(is_below).map(str::to_owned).collect()
}

#[test]
fn both_ways_make_the_same_mount() {
    let seen = std::cell::RefCell::new(Vec::new());
    with_each_mounter(|name, mounter, directory| {
        let mount = Mount::make(mounter, directory, "target", LIMITS);
        let entry = entries_below(directory).pop().expect("it is mounted");
        let (left, right) = entry.split_once(" - ").unwrap();
        let options = left.split(' ').nth(5).unwrap().to_owned();
        for option in ["rw", "nosuid", "nodev", "noexec"] {
            assert!(options.split(',').any(|found| found == option), "{name}: {entry}");
        }
        for text in ["tmpfs secrets-store-csi ", "size=1024k", "nr_inodes=64", "mode=700"] {
            assert!(right.contains(text), "{name}: {entry}");
        }
        assert_eq!(right.contains("noswap"), mounter.keeps_out_of_swap(), "{name}: {entry}");
        let root = fs::metadata(directory.join("target")).unwrap();
        assert_eq!(root.mode() & 0o7777, 0o700, "{name}");
        let opened = mount.root.metadata().unwrap();
        assert_eq!(
            (opened.device, opened.inode),
            (root.dev(), root.ino()),
            "{name}: the root is the mount's"
        );
        assert!(is_mount(&mount.parent, &mount.root).unwrap() && is_tmpfs(&mount.root).unwrap(), "{name}");
        seen.borrow_mut().push((options, right.to_owned()));
    });
    let seen = seen.into_inner();
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn the_limits_hold_and_the_usage_shows_them() {
    with_each_mounter(|name, mounter, directory| {
        let limits = Limits { bytes: 64 << 10, inodes: 16 };
        let mount = Mount::make(mounter, directory, "target", limits);
        let target = directory.join("target");
        let found = usage(&mount.root).unwrap();
        assert_eq!((found.bytes.0, found.inodes.0), (64 << 10, 16), "{name}");

        let error = fs::write(target.join("large"), vec![1; 65 << 10]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{name}");
        fs::remove_file(target.join("large")).unwrap();
        let made = (0..100).take_while(|n| fs::write(target.join(n.to_string()), "").is_ok()).count();
        assert!((10..=16).contains(&made), "{name}: {made} files");
        assert_eq!(usage(&mount.root).unwrap().inodes.1, 0, "{name}");
    });
}

#[test]
fn programs_set_user_id_bits_and_devices_have_no_effect() {
    with_each_mounter(|name, mounter, directory| {
        let _mount = Mount::make(mounter, directory, "target", LIMITS);
        let program = directory.join("target/program");
        fs::write(&program, "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
        let error = std::process::Command::new(&program).status().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{name}");
    });
}

#[test]
fn a_mount_in_use_is_gone_from_its_path_at_once() {
    with_each_mounter(|name, mounter, directory| {
        let mount = Mount::make(mounter, directory, "target", LIMITS);
        let target = directory.join("target");
        fs::write(target.join("file"), "1").unwrap();
        let open = fs::File::open(target.join("file")).unwrap();
        mount.unmount().unwrap();
        assert!(entries_below(directory).is_empty(), "{name}");
        assert!(!target.join("file").exists(), "{name}");
        drop(open);
        assert_eq!(mount.unmount(), Ok(false), "{name}: nothing is mounted");
    });
}

#[test]
fn a_file_a_symlink_or_nothing_in_the_targets_place_is_refused() {
    with_each_mounter(|name, mounter, directory| {
        fs::create_dir(directory.join("victim")).unwrap();
        fs::write(directory.join("file"), "").unwrap();
        symlink("victim", directory.join("relative")).unwrap();
        symlink(directory.join("victim"), directory.join("absolute")).unwrap();
        symlink("nowhere", directory.join("dangling")).unwrap();
        let parent = Dir::open_trusting_path(directory).unwrap();
        for target in ["file", "relative", "absolute", "dangling"] {
            let error = mounter.mount(&parent, target.as_ref(), LIMITS).unwrap_err();
            assert!(error.is_not_a_directory(), "{name}: {target}: {error}");
        }
        assert!(mounter.mount(&parent, "missing".as_ref(), LIMITS).unwrap_err().is_not_found(), "{name}");
        for target in ["", ".", "..", "victim/..", "/"] {
            let error = mounter.mount(&parent, target.as_ref(), LIMITS).unwrap_err();
            assert_eq!(error.errno, Errno::INVAL, "{name}: {target:?}");
        }
        assert!(entries_below(directory).is_empty(), "{name}");
    });
}

#[test]
fn mounts_on_one_directory_are_stacked_and_the_topmost_goes_first() {
    with_each_mounter(|name, mounter, directory| {
        let lower = Mount::make(mounter, directory, "target", LIMITS);
        fs::write(directory.join("target/lower"), "").unwrap();
        let upper = Mount::make(mounter, directory, "target", LIMITS);
        assert_eq!(entries_below(directory).len(), 2, "{name}");
        assert_ne!(lower.root.metadata().unwrap().device, upper.root.metadata().unwrap().device, "{name}");
        assert!(!directory.join("target/lower").exists(), "{name}: covered");
        upper.unmount().unwrap();
        assert!(directory.join("target/lower").exists(), "{name}: shown again");
        lower.unmount().unwrap();
    });
}

#[test]
fn a_target_that_is_moved_away_is_mounted_where_it_went() {
    with_each_mounter(|name, mounter, directory| {
        fs::create_dir(directory.join("victim")).unwrap();
        let parent = Dir::open_trusting_path(directory).unwrap();
        let target = parent.open_dir("target".as_ref()).unwrap();
        fs::rename(directory.join("target"), directory.join("moved")).unwrap();
        symlink("victim", directory.join("target")).unwrap();
        // What `mount` does once it has opened the directory.
        match name {
            "detached" => drop(mounter.mount_detached(&target, LIMITS).unwrap()),
            _ => mounter.mount_classic(&target, LIMITS).unwrap(),
        }
        let entries = entries_below(directory);
        assert_eq!(entries.len(), 1, "{name}");
        assert!(entries[0].contains("/moved "), "{name}: {entries:?}");
        drop(target);
        unmount_root(&parent.open_dir("moved".as_ref()).unwrap()).unwrap();
    });
}

#[test]
fn a_mount_is_recognised_whatever_device_it_shows() {
    with_each_mounter(|name, mounter, directory| {
        let mount = Mount::make(mounter, directory, "target", LIMITS);
        for plain in ["source", "bound"] {
            fs::create_dir(directory.join("target").join(plain)).unwrap();
        }
        let [source, bound] = ["source", "bound"].map(|plain| mount.root.open_dir(plain.as_ref()).unwrap());
        assert!(!is_mount(&mount.root, &bound).unwrap(), "{name}: a plain directory");
        rustix::mount::mount_bind(descriptor_path(&source), descriptor_path(&bound)).unwrap();
        let seen = mount.root.open_dir("bound".as_ref()).unwrap();
        assert_eq!(seen.metadata().unwrap().device, source.metadata().unwrap().device);
        assert!(is_mount(&mount.root, &seen).unwrap(), "{name}: another directory of the same device");
        drop(seen);
        unmount_root(&mount.root.open_dir("bound".as_ref()).unwrap()).unwrap();
    });
}
