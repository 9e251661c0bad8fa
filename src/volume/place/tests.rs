//! Places under kubelet's pods directory, honest and hostile. They need the mount namespace that
//! `tests/sandbox.sh` gives them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::limits::ContentLimits;
use super::super::payload::tests::payload;
use super::*;
use crate::tests::mounter_in_thread;
use sys::mount::Limits;

/// A pods directory, and one beside it that nothing may touch.
struct Node {
    directory: tempfile::TempDir,
    mounter: MounterClient,
    /// For targets that are taken without a pods directory.
    anywhere: MounterClient,
}

impl Node {
    fn new() -> Node {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("pods")).unwrap();
        fs::create_dir_all(directory.path().join("victim").join(BELOW_POD)).unwrap();
        fs::write(directory.path().join("victim/precious"), "1").unwrap();
        let mounter = mounter_in_thread(Some(&directory.path().join("pods")), LIMITS);
        Node { directory, mounter, anywhere: mounter_in_thread(None, LIMITS) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The target in kubelet's layout, confined to the pods directory.
    fn target(&self) -> TargetPath {
        let text = self.path(TARGET).display().to_string();
        TargetPath::parse(&text, Some(&self.path("pods"))).unwrap()
    }

    /// The same target as it is taken without a pods directory.
    fn unconfined(&self) -> TargetPath {
        TargetPath::parse(&self.path(TARGET).display().to_string(), None).unwrap()
    }

    #[track_caller]
    fn begin(&self, target: &TargetPath) -> Attempt {
        let mounter = if target.is_confined() { &self.mounter } else { &self.anywhere };
        let attempt = Place::open_or_create(target).unwrap().begin(mounter);
        attempt.unwrap_or_else(|error| {
            panic!("{error}: tests that mount run through tests/sandbox.sh, as `make test` does")
        })
    }

    /// Everything below `pods`, not followed, directories that are mounted over left out of it.
    fn tree(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut pending = vec![self.path("pods")];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    pending.push(entry.path());
                }
                found.push(entry.path().strip_prefix(self.directory.path()).unwrap().to_owned());
            }
        }
        found.sort();
        found
    }

    /// Mount points below the node's directory.
    fn mounts(&self) -> Vec<PathBuf> {
        let text = fs::read("/proc/self/mountinfo").unwrap();
        let mounts = sys::mountinfo::parse(&text).into_iter().map(|mount| mount.mount_point);
        mounts.filter(|point| point.starts_with(self.directory.path())).collect()
    }

    #[track_caller]
    fn assert_victim_is_untouched(&self, why: &str) {
        let mut deepest = self.path("victim");
        for (name, count) in BELOW_POD.split('/').zip([2, 1, 1]) {
            assert_eq!(fs::read_dir(&deepest).unwrap().count(), count, "{why}: {}", deepest.display());
            deepest = deepest.join(name);
        }
        assert_eq!(fs::read_dir(&deepest).unwrap().count(), 0, "{why}: {}", deepest.display());
        assert_eq!(fs::read_to_string(self.path("victim/precious")).unwrap(), "1", "{why}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for mount in self.mounts().into_iter().rev() {
            // Otherwise the directory could not be removed; the namespace takes what stays.
            rustix::mount::unmount(mount, rustix::mount::UnmountFlags::DETACH).ok();
        }
    }
}

const TARGET: &str = "pods/uid/volumes/kubernetes.io~csi/secrets/mount";
const BELOW_POD: &str = "volumes/kubernetes.io~csi/secrets";
const LIMITS: Limits = Limits { bytes: 1 << 20, inodes: 64 };
const CONTENT: ContentLimits = ContentLimits { bytes: 1 << 19, inodes: 16 };
const FOREIGN: [&str; 3] = ["proc", "ramfs", "bind"];

#[test]
fn a_dropped_attempt_removes_exactly_what_it_created() {
    let parts: Vec<&str> = TARGET.split('/').collect();
    // From "only the pods directory is there" to "even the target is there".
    for there in 1..=parts.len() {
        let node = Node::new();
        fs::create_dir_all(node.path(&parts[..there].join("/"))).unwrap();
        fs::create_dir_all(node.path("pods/neighbour")).unwrap();
        let before = node.tree();
        for target in [node.target(), node.unconfined()] {
            let attempt = node.begin(&target);
            attempt.volume().write(&payload(&[("a/b", 0, "1")]), None, CONTENT, SystemTime::now()).unwrap();
            assert_eq!(node.mounts(), [node.path(TARGET)], "{there}");
            drop(attempt);
            assert!(node.mounts().is_empty(), "{there}");
            assert_eq!(node.tree(), before, "{there}");

            Place::open_or_create(&target).unwrap().abandon();
            assert_eq!(node.tree(), before, "{there}: abandoned");
        }
    }
}

#[test]
fn what_others_put_beside_a_failed_attempt_stays() {
    let node = Node::new();
    let attempt = node.begin(&node.target());
    fs::create_dir(node.path("pods/uid/etc-hosts")).unwrap();
    drop(attempt);
    assert_eq!(node.tree(), [Path::new("pods/uid"), Path::new("pods/uid/etc-hosts")]);
}

#[test]
fn a_kept_attempt_stays_live_once_it_is_open() {
    let node = Node::new();
    let attempt = node.begin(&node.target());
    assert!(!attempt.is_in_place().unwrap(), "still closed");
    assert!(matches!(Place::open(&node.target()).unwrap().unwrap().look(), Ok(Found::Unfinished(_))));
    attempt.volume().finish().unwrap();
    assert!(attempt.is_in_place().unwrap());
    attempt.keep();
    assert!(matches!(Place::open(&node.target()).unwrap().unwrap().look(), Ok(Found::Live(_))));
    let mode = fs::metadata(node.path("pods/uid")).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o750, "as kubelet makes them");
}

#[test]
fn an_attempt_that_was_unmounted_or_covered_is_not_in_place() {
    let node = Node::new();
    let (unmounted, place) = (node.begin(&node.target()), Place::open(&node.target()).unwrap().unwrap());
    unmounted.volume().finish().unwrap();
    assert!(node.mounter.unmount(place.target.below()).unwrap());
    assert!(!unmounted.is_in_place().unwrap(), "unmounted");

    let covered = node.begin(&node.target());
    covered.volume().finish().unwrap();
    assert!(covered.is_in_place().unwrap());
    for (source, mode) in [(mount::SOURCE, c"mode=0755"), ("another-driver", c"mode=1777")] {
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount(source, node.path(TARGET), "tmpfs", flags, Some(mode)).unwrap();
        assert!(!covered.is_in_place().unwrap(), "covered");
        rustix::mount::unmount(node.path(TARGET), rustix::mount::UnmountFlags::empty()).unwrap();
    }
}

#[test]
fn an_attempt_whose_directory_is_moved_away_is_taken_down_where_it_went() {
    for is_replaced in [false, true] {
        let node = Node::new();
        let attempt = node.begin(&node.target());
        attempt.volume().write(&payload(&[("a", 0, "1")]), None, CONTENT, SystemTime::now()).unwrap();
        attempt.volume().finish().unwrap();
        // A mount point cannot be renamed itself, but what it is in can.
        let above = node.path(TARGET).parent().unwrap().to_owned();
        let away = above.with_file_name("away");
        fs::rename(&above, &away).unwrap();
        if is_replaced {
            symlink(node.path("victim").join(BELOW_POD), &above).unwrap();
        }
        let held = fs::File::open(away.join("mount")).unwrap();
        drop(attempt);
        assert!(node.mounts().is_empty(), "{is_replaced}");
        let held = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held)));
        assert_eq!(fs::read_dir(held).unwrap().count(), 0, "{is_replaced}");
        node.assert_victim_is_untouched("moved away");
    }
}

#[test]
fn an_attempt_whose_target_was_moved_before_it_was_mounted_is_taken_down_too() {
    let node = Node::new();
    let place = Place::open_or_create(&node.target()).unwrap();
    // What an exchange between opening the directory and mounting on it comes to.
    let above = node.path(TARGET).parent().unwrap().to_owned();
    fs::rename(&above, above.with_file_name("moved")).unwrap();
    let moved = above.with_file_name("moved").join("mount");
    let root = node.mounter.mount(moved.strip_prefix(node.path("pods")).unwrap()).unwrap();
    fs::create_dir(&above).unwrap();
    symlink(node.path("victim"), node.path(TARGET)).unwrap();
    let mounter = node.mounter.clone();
    let attempt = Attempt { place, volume: LiveVolume::new(root), mounter, kept: false };
    attempt.volume().write(&payload(&[("a", 0, "1")]), None, CONTENT, SystemTime::now()).unwrap();
    let held = fs::File::open(&moved).unwrap();
    assert!(!attempt.is_in_place().is_ok_and(|is_in_place| is_in_place));
    drop(attempt);
    assert!(node.mounts().is_empty());
    let held = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held)));
    assert_eq!(fs::read_dir(held).unwrap().count(), 0);
    node.assert_victim_is_untouched("moved");
}

#[test]
fn a_symlink_anywhere_below_the_pods_directory_is_refused() {
    let parts: Vec<&str> = TARGET.split('/').collect();
    for depth in 1..parts.len() {
        for link in ["absolute", "relative", "dangling"] {
            let at = format!("{link} link at {}", parts[depth]);
            let node = Node::new();
            let path = node.path(&parts[..=depth].join("/"));
            let above = path.parent().unwrap();
            fs::create_dir_all(above).unwrap();
            // The victim has the layout that the rest of the path asks for.
            let inside = parts[2..parts.len() - 1].get(..depth - 1).unwrap_or_default().join("/");
            let victim = node.path("victim").join(&inside);
            match link {
                "absolute" => symlink(&victim, &path).unwrap(),
                "relative" => {
                    let up = "../".repeat(depth);
                    symlink(Path::new(&up).join("victim").join(&inside), &path).unwrap();
                }
                _ => symlink("nowhere", &path).unwrap(),
            }
            let before = node.tree();
            let is_target = depth == parts.len() - 1;
            if is_target {
                // The place itself is above the link: it opens, but nothing can be found or mounted in it.
                let place = Place::open_or_create(&node.target()).unwrap();
                assert!(matches!(place.look(), Err(PlaceError::Check { .. })), "{at}");
                assert!(place.begin(&node.mounter).unwrap_err().is_not_a_directory(), "{at}");
            } else {
                let refused = Place::open_or_create(&node.target());
                assert!(matches!(refused, Err(PlaceError::Create { .. })), "{at}: {refused:?}");
                let refused = Place::open(&node.target());
                assert!(matches!(refused, Err(PlaceError::Check { .. })), "{at}: {refused:?}");
            }
            assert_eq!(node.tree(), before, "{at}");
            assert!(node.mounts().is_empty(), "{at}");
            node.assert_victim_is_untouched(&at);
        }
    }
}

#[test]
fn taking_down_a_symlink_or_a_file_removes_that_entry_alone() {
    for kind in ["link", "file"] {
        let node = Node::new();
        let target = node.path(TARGET);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        match kind {
            "link" => symlink(node.path("victim"), &target).unwrap(),
            _ => fs::write(&target, "x").unwrap(),
        }
        Place::open(&node.target()).unwrap().unwrap().take_down(&node.mounter).unwrap();
        assert!(fs::symlink_metadata(&target).is_err(), "{kind}");
        assert!(target.parent().unwrap().exists(), "{kind}: kubelet removes its own directories");
        node.assert_victim_is_untouched(kind);
    }
}

/// Mounts something that is no volume on the target.
fn mount_foreign(node: &Node, kind: &str) {
    let target = node.path(TARGET);
    fs::create_dir_all(&target).unwrap();
    let mounted = match kind {
        "bind" => rustix::mount::mount_bind(node.path("victim"), &target),
        kind => rustix::mount::mount(kind, &target, kind, rustix::mount::MountFlags::empty(), None),
    };
    mounted.unwrap_or_else(|error| panic!("{kind}: {error}: run tests through tests/sandbox.sh"));
}

#[test]
fn what_somebody_else_mounted_is_refused_and_never_unmounted_or_emptied() {
    for kind in FOREIGN {
        let node = Node::new();
        mount_foreign(&node, kind);
        if kind == "ramfs" {
            fs::write(node.path(TARGET).join("precious"), "1").unwrap();
        }
        let place = Place::open_or_create(&node.target()).unwrap();
        assert!(matches!(place.look(), Err(PlaceError::ForeignMount { .. })), "{kind}: {:?}", place.look());
        let refused = place.take_down(&node.mounter);
        assert!(matches!(refused, Err(PlaceError::ForeignMount { .. })), "{kind}: {refused:?}");
        place.abandon();
        assert_eq!(node.mounts(), [node.path(TARGET)], "{kind}");
        let witness = if kind == "proc" { "mounts" } else { "precious" };
        assert!(node.path(TARGET).join(witness).exists(), "{kind}");
        node.assert_victim_is_untouched(kind);
    }
}

#[test]
fn a_tmpfs_of_somebody_else_is_neither_written_into_nor_taken_down_nor_emptied() {
    for (source, options) in [
        ("another-driver", c"mode=1777"),
        ("another-driver", c"mode=0755"),
        ("tmpfs", c"mode=0777"),
        ("none", c"mode=0700"),
    ] {
        let node = Node::new();
        fs::create_dir_all(node.path(TARGET)).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount(source, node.path(TARGET), "tmpfs", flags, Some(options)).unwrap();
        fs::write(node.path(TARGET).join("precious"), "1").unwrap();
        let place = Place::open(&node.target()).unwrap().unwrap();
        let seen = place.look();
        assert!(matches!(seen, Err(PlaceError::ForeignMount { .. })), "{source} {options:?}: {seen:?}");
        let refused = place.take_down(&node.mounter);
        assert!(matches!(refused, Err(PlaceError::ForeignMount { .. })), "{source} {options:?}: {refused:?}");
        assert_eq!(fs::read_to_string(node.path(TARGET).join("precious")).unwrap(), "1");
    }
}

#[test]
fn a_volume_of_the_upstream_driver_is_one_of_ours() {
    let node = Node::new();
    fs::create_dir_all(node.path(TARGET)).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", node.path(TARGET), "tmpfs", flags, None).unwrap();
    let place = Place::open(&node.target()).unwrap().unwrap();
    assert!(matches!(place.look(), Ok(Found::Unfinished(_))), "nothing is in it");
    fs::write(node.path(TARGET).join("password"), "1").unwrap();
    assert!(matches!(place.look(), Ok(Found::Live(_))));
    // Not where the place says nothing.
    let elsewhere = node.path("pods/uid/elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    rustix::mount::mount("tmpfs", &elsewhere, "tmpfs", flags, None).unwrap();
    let target = TargetPath::parse(elsewhere.to_str().unwrap(), None).unwrap();
    let seen = Place::open(&target).unwrap().unwrap().look();
    assert!(matches!(seen, Err(PlaceError::ForeignMount { .. })), "{seen:?}");
}

#[test]
fn a_foreign_mount_over_our_volume_shields_it() {
    for kind in FOREIGN {
        let node = Node::new();
        let attempt = node.begin(&node.target());
        attempt.volume().write(&payload(&[("a", 0, "1")]), None, CONTENT, SystemTime::now()).unwrap();
        attempt.volume().finish().unwrap();
        mount_foreign(&node, kind);
        assert!(attempt.is_in_place().is_err(), "{kind}");
        attempt.keep();
        let place = Place::open(&node.target()).unwrap().unwrap();
        assert!(matches!(place.take_down(&node.mounter), Err(PlaceError::ForeignMount { .. })), "{kind}");
        rustix::mount::unmount(node.path(TARGET), rustix::mount::UnmountFlags::empty()).unwrap();
        assert_eq!(fs::read_to_string(node.path(TARGET).join("a")).unwrap(), "1", "{kind}");
        node.assert_victim_is_untouched(kind);
        place.take_down(&node.mounter).unwrap();
        assert!(node.mounts().is_empty() && !node.path(TARGET).exists(), "{kind}");
    }
}

#[test]
fn a_foreign_mount_inside_a_volume_is_neither_entered_nor_emptied() {
    for kind in FOREIGN {
        let node = Node::new();
        let attempt = node.begin(&node.target());
        attempt.volume().write(&payload(&[("a/b", 0, "1")]), None, CONTENT, SystemTime::now()).unwrap();
        let inside = node.path(TARGET).join("provider");
        fs::create_dir(&inside).unwrap();
        match kind {
            "bind" => rustix::mount::mount_bind(node.path("victim"), &inside).unwrap(),
            kind => {
                let flags = rustix::mount::MountFlags::empty();
                rustix::mount::mount(kind, &inside, kind, flags, None).unwrap();
            }
        }
        // The mount goes away with the one it sits in, which pods must not wait for; what it shows stays.
        drop(attempt);
        node.assert_victim_is_untouched(kind);
        assert!(node.mounts().is_empty(), "{kind}");
    }
}

#[test]
fn taking_down_empties_the_volume_for_those_who_still_hold_it() {
    let node = Node::new();
    let attempt = node.begin(&node.target());
    let files = payload(&[("a", 0, "1"), ("b/c/d", 0, "2")]);
    attempt.volume().write(&files, None, CONTENT, SystemTime::now()).unwrap();
    fs::create_dir_all(node.path(TARGET).join("provider/wrote/this")).unwrap();
    attempt.volume().finish().unwrap();
    attempt.keep();
    let held = fs::File::open(node.path(TARGET)).unwrap();
    let place = Place::open(&node.target()).unwrap().unwrap();
    place.take_down(&node.mounter).unwrap();
    assert!(node.mounts().is_empty());
    assert!(!node.path(TARGET).exists());
    assert!(node.path(TARGET).parent().unwrap().exists());
    let held = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held)));
    assert_eq!(fs::read_dir(&held).unwrap().count(), 0, "content goes with the volume");
    assert_eq!(fs::metadata(&held).unwrap().permissions().mode() & 0o777, 0o700);
    place.take_down(&node.mounter).expect("gone already is fine");
}

#[test]
fn volumes_stacked_by_other_software_are_all_taken_down() {
    let node = Node::new();
    let attempt = node.begin(&node.target());
    attempt.volume().finish().unwrap();
    attempt.keep();
    for mode in [c"mode=0755", c"mode=0700", c"mode=0755"] {
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount(mount::SOURCE, node.path(TARGET), "tmpfs", flags, Some(mode)).unwrap();
    }
    assert_eq!(node.mounts().len(), 4);
    Place::open(&node.target()).unwrap().unwrap().take_down(&node.mounter).unwrap();
    assert!(node.mounts().is_empty());
    assert!(!node.path(TARGET).exists());
}

#[test]
fn files_on_the_nodes_disk_are_removed_only_where_kubelet_keeps_volumes() {
    let node = Node::new();
    let plant = |target: &Path| {
        fs::create_dir_all(target.join("old/provider")).unwrap();
        fs::write(target.join("old/secret"), "1").unwrap();
        symlink(node.path("victim"), target.join("bait")).unwrap();
    };
    plant(&node.path(TARGET));
    Place::open(&node.target()).unwrap().unwrap().take_down(&node.mounter).unwrap();
    assert!(!node.path(TARGET).exists());
    node.assert_victim_is_untouched("kubelet's layout");

    let elsewhere = node.path("pods/elsewhere");
    plant(&elsewhere);
    let target = TargetPath::parse(&elsewhere.display().to_string(), Some(&node.path("pods"))).unwrap();
    let refused = Place::open(&target).unwrap().unwrap().take_down(&node.mounter);
    assert!(matches!(refused, Err(PlaceError::Remove { .. })), "{refused:?}");
    assert!(elsewhere.join("old/secret").exists());
}

#[test]
fn a_disk_that_is_bound_below_an_unmounted_target_is_not_emptied() {
    let node = Node::new();
    for inside in ["bound", "deep/bound"] {
        let bound = node.path(TARGET).join(inside);
        fs::create_dir_all(&bound).unwrap();
        rustix::mount::mount_bind(node.path("victim"), &bound).unwrap();
        let refused = Place::open(&node.target()).unwrap().unwrap().take_down(&node.mounter);
        assert!(matches!(refused, Err(PlaceError::Remove { .. })), "{inside}: {refused:?}");
        node.assert_victim_is_untouched(inside);
        assert_eq!(node.mounts().len(), 1, "{inside}");
        rustix::mount::unmount(&node.mounts()[0], rustix::mount::UnmountFlags::empty()).unwrap();
    }
}

#[test]
fn a_missing_parent_is_no_place_and_nothing_is_created_by_looking() {
    let node = Node::new();
    assert!(Place::open(&node.target()).unwrap().is_none());
    assert!(node.tree().is_empty());
    fs::create_dir_all(node.path(TARGET).parent().unwrap()).unwrap();
    let place = Place::open(&node.target()).unwrap().unwrap();
    assert!(matches!(place.look(), Ok(Found::NoVolume)));
    place.take_down(&node.mounter).unwrap();
}
