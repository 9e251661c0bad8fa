//! The mounter asked by an honest driver, and by one that somebody has taken over. They need the mount namespace that
//! `tests/sandbox.sh` gives them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;

use rustix::mount::{MountFlags, UnmountFlags};

use super::*;
use crate::client::{MounterClient, is_refusal};
use crate::whose::UPSTREAM_SOURCE;
use sys::mountinfo;

/// A mounter in a thread of this process, with every check and without a process of its own.
fn in_thread(pods_dir: Option<&Path>, limits: Limits) -> MounterClient {
    let (ours, theirs) = Messages::pair().unwrap();
    let mut service = Service::new(Base::open(pods_dir).unwrap(), limits);
    thread::spawn(move || service.serve(&theirs).unwrap());
    MounterClient::new(ours)
}

/// A node with the directory of one pod's volume, and a mounter that is asked about it.
struct Node {
    directory: tempfile::TempDir,
    client: MounterClient,
}

impl Node {
    fn new() -> Node {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("pods").join(VOLUME)).unwrap();
        let client = in_thread(Some(&directory.path().join("pods")), LIMITS);
        Node { directory, client }
    }

    fn path(&self, below_pods: &str) -> PathBuf {
        self.directory.path().join("pods").join(below_pods)
    }

    fn service(&self) -> Service {
        Service::new(Base::open(Some(&self.directory.path().join("pods"))).unwrap(), LIMITS)
    }

    fn mount(&self, target: impl AsRef<Path>) -> Result<Dir, SysError> {
        self.client.mount(target.as_ref())
    }

    fn unmount(&self, target: impl AsRef<Path>) -> Result<bool, SysError> {
        self.client.unmount(target.as_ref())
    }

    /// Puts a tmpfs on a directory, as somebody else's software would.
    fn mount_as(&self, target: &str, source: &str) {
        rustix::mount::mount(source, self.path(target), "tmpfs", MountFlags::empty(), None).unwrap();
    }

    /// Where something is mounted below this node's directory.
    fn mounts(&self) -> Vec<PathBuf> {
        let mounts = mountinfo::parse(&fs::read("/proc/self/mountinfo").unwrap());
        let points = mounts.into_iter().map(|entry| entry.mount_point);
        points.filter(|point| point.starts_with(self.directory.path())).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for mount in self.mounts().into_iter().rev() {
            // Otherwise the directory could not be removed; the namespace takes what stays.
            rustix::mount::unmount(mount, UnmountFlags::DETACH).ok();
        }
    }
}

#[test]
fn a_volume_is_mounted_closed_and_limited_and_taken_down_again() {
    let node = Node::new();
    let root = node.mount(VOLUME).unwrap();
    assert_eq!(root.metadata().unwrap().mode, 0o700);
    assert_eq!(mount::usage(&root).unwrap().bytes.0, LIMITS.bytes);
    root.create_file("through-the-descriptor".as_ref()).unwrap();
    assert!(node.path(VOLUME).join("through-the-descriptor").exists());
    drop(root);
    assert_eq!(node.unmount(VOLUME), Ok(true));
    assert_eq!(node.unmount(VOLUME), Ok(false), "nothing is mounted");
    assert!(node.mounts().is_empty());
}

#[test]
fn a_place_that_is_no_pods_volume_is_refused() {
    let node = Node::new();
    let outside = node.directory.path().join("outside");
    let places = [
        "",
        ".",
        "mount",
        "u",
        "u/volumes/kubernetes.io~empty-dir/v",
        "u/volumes/kubernetes.io~csi/v",
        "u/volumes/kubernetes.io~csi/v/mount/below",
        "u/volumes/kubernetes.io~csi/../kubernetes.io~csi/v/mount",
        "../outside",
        "more/u/volumes/kubernetes.io~csi/v/mount",
        outside.to_str().unwrap(),
    ];
    for place in places {
        fs::create_dir_all(node.path(place)).unwrap();
        assert!(is_refusal(&node.mount(place).unwrap_err()), "{place}");
        assert!(node.mounts().is_empty(), "{place}");
        if node.path(place).starts_with(node.path(""))
            && !place.contains("..")
            && !place.is_empty()
            && place != "."
        {
            assert_eq!(node.unmount(place), Ok(false), "{place}");
        } else {
            assert!(is_refusal(&node.unmount(place).unwrap_err()), "{place}");
        }
    }
}

#[test]
fn a_volume_whose_directory_was_moved_is_taken_down_where_it_is_now() {
    let node = Node::new();
    drop(node.mount(VOLUME).unwrap());
    let moved = "u/volumes/kubernetes.io~csi/moved";
    fs::rename(node.path(VOLUME).parent().unwrap(), node.path(moved)).unwrap();
    fs::create_dir_all(node.path("elsewhere/deep")).unwrap();
    fs::rename(node.path(moved), node.path("elsewhere/deep/moved")).unwrap();
    assert_eq!(node.unmount("elsewhere/deep/moved/mount"), Ok(true));
    assert!(node.mounts().is_empty());
}

#[test]
fn what_kubelet_binds_of_a_volume_stays_kubelets() {
    let node = Node::new();
    node.mount(VOLUME).unwrap().create_dir("sub".as_ref(), 0o755).unwrap();
    let bound = "u/volume-subpaths/v/container/0";
    fs::create_dir_all(node.path(bound)).unwrap();
    rustix::mount::mount_bind(node.path(VOLUME).join("sub"), node.path(bound)).unwrap();
    assert!(is_refusal(&node.unmount(bound).unwrap_err()));
}

#[test]
fn no_symlink_is_followed_on_the_way_nor_at_the_end() {
    let node = Node::new();
    let victim = node.directory.path().join("victim/volumes/kubernetes.io~csi/v/mount");
    fs::create_dir_all(&victim).unwrap();
    symlink(node.directory.path().join("victim"), node.path("linked")).unwrap();
    fs::create_dir_all(node.path("u2/volumes/kubernetes.io~csi/v")).unwrap();
    symlink(&victim, node.path("u2/volumes/kubernetes.io~csi/v/mount")).unwrap();
    for place in ["linked/volumes/kubernetes.io~csi/v/mount", "u2/volumes/kubernetes.io~csi/v/mount"] {
        assert!(node.mount(place).unwrap_err().is_not_a_directory(), "{place}");
        assert!(node.unmount(place).unwrap_err().is_not_a_directory(), "{place}");
    }
    assert!(node.mounts().is_empty());
}

#[test]
fn nothing_is_mounted_on_what_is_a_mount_already() {
    let node = Node::new();
    let busy = |kind: &str| {
        let refused = node.mount(VOLUME).unwrap_err();
        assert_eq!((refused.call, refused.errno), ("mount", Errno::BUSY), "{kind}");
        assert_eq!(node.mounts().len(), 1, "{kind}");
        rustix::mount::unmount(node.path(VOLUME), UnmountFlags::empty()).unwrap();
    };
    node.mount_as(VOLUME, "another-driver");
    busy("another driver's");
    rustix::mount::mount_bind("/proc", node.path(VOLUME)).unwrap();
    busy("no tmpfs");
    fs::create_dir(node.directory.path().join("data")).unwrap();
    rustix::mount::mount_bind(node.directory.path().join("data"), node.path(VOLUME)).unwrap();
    busy("a directory of the same disk");
    node.mount_as(VOLUME, UPSTREAM_SOURCE);
    busy("the upstream driver's");
    drop(node.mount(VOLUME).unwrap());
    busy("our own");
    drop(node.mount(VOLUME).unwrap());
}

#[test]
fn what_somebody_else_mounted_is_never_taken_down() {
    let node = Node::new();
    node.mount_as(VOLUME, "another-driver");
    assert!(is_refusal(&node.unmount(VOLUME).unwrap_err()), "a tmpfs of another source");

    let memory = "m/volumes/kubernetes.io~csi/v/mount";
    fs::create_dir_all(node.path(memory)).unwrap();
    // As kubelet mounts an emptyDir in memory.
    let flags = MountFlags::empty();
    rustix::mount::mount(UPSTREAM_SOURCE, node.path(memory), "tmpfs", flags, Some(c"mode=0777")).unwrap();
    assert!(is_refusal(&node.unmount(memory).unwrap_err()), "of upstream's source and another look");

    let bound = "b/volumes/kubernetes.io~csi/v/mount";
    fs::create_dir_all(node.path(bound)).unwrap();
    rustix::mount::mount_bind("/proc", node.path(bound)).unwrap();
    assert!(is_refusal(&node.unmount(bound).unwrap_err()), "no tmpfs at all");
    assert_eq!(node.mounts(), [node.path(VOLUME), node.path(memory), node.path(bound)]);
}

#[test]
fn volumes_of_an_earlier_process_and_of_the_upstream_driver_are_taken_down() {
    let node = Node::new();
    for source in [mount::SOURCE, UPSTREAM_SOURCE] {
        node.mount_as(VOLUME, source);
        assert_eq!(node.unmount(VOLUME), Ok(true), "{source}");
    }
    // Whatever mode a provider gave the root, the content shows whose it is.
    node.mount_as(VOLUME, UPSTREAM_SOURCE);
    rustix::fs::chmod(node.path(VOLUME), rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
    symlink("..2024_05_01_10_00_00.1234567890", node.path(VOLUME).join("..data")).unwrap();
    assert_eq!(node.unmount(VOLUME), Ok(true));
    drop(node.mount(VOLUME).unwrap());
    let next = in_thread(Some(&node.directory.path().join("pods")), LIMITS);
    assert_eq!(next.unmount(Path::new(VOLUME)), Ok(true));
    assert!(node.mounts().is_empty());
}

#[test]
fn a_foreign_tmpfs_that_took_the_place_of_a_volume_is_left_alone() {
    let node = Node::new();
    drop(node.mount(VOLUME).unwrap());
    // Behind the mounter's back, which still remembers its own.
    rustix::mount::unmount(node.path(VOLUME), UnmountFlags::DETACH).unwrap();
    node.mount_as(VOLUME, "another-driver");
    assert!(is_refusal(&node.unmount(VOLUME).unwrap_err()));
}

#[test]
fn a_mount_that_nobody_waits_for_any_more_is_taken_down() {
    let node = Node::new();
    let (requests, theirs) = Messages::pair().unwrap();
    let (ours, reply) = Messages::pair().unwrap();
    requests.send(&Request::Mount(VOLUME.into()).encode(), Some(reply.as_fd())).unwrap();
    drop((requests, ours, reply));
    node.service().serve(&theirs).unwrap();
    assert!(node.mounts().is_empty());
}

#[test]
fn nonsense_is_passed_over_and_the_next_request_is_served() {
    let node = Node::new();
    let (requests, theirs) = Messages::pair().unwrap();
    let (ours, reply) = Messages::pair().unwrap();
    requests.send(b"?", Some(reply.as_fd())).unwrap();
    requests.send(&[b'M'; LONGEST_MESSAGE + 1], Some(reply.as_fd())).unwrap();
    requests.send(&Request::Mount(VOLUME.into()).encode(), None).unwrap();
    requests.send(&Request::Unmount(VOLUME.into()).encode(), Some(reply.as_fd())).unwrap();
    drop((requests, reply));
    node.service().serve(&theirs).unwrap();
    let mut buffer = [0; LONGEST_MESSAGE];
    let bytes = ours.receive(&mut buffer).unwrap().bytes;
    assert_eq!(Answer::decode(&buffer[..bytes]), Some(Answer::Nothing), "nothing was mounted");
    assert_eq!(ours.receive(&mut buffer).unwrap().bytes, 0, "and that was the only answer");
}

#[test]
fn without_a_pods_directory_any_place_is_mounted_on_and_only_ours_is_taken_down() {
    let node = Node::new();
    let client = in_thread(None, LIMITS);
    let elsewhere = node.directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let below_root = elsewhere.strip_prefix("/").unwrap();
    drop(client.mount(below_root).unwrap());
    assert_eq!(node.mounts(), std::slice::from_ref(&elsewhere));
    assert_eq!(client.unmount(below_root), Ok(true));
    for source in [UPSTREAM_SOURCE, "another-driver"] {
        rustix::mount::mount(source, &elsewhere, "tmpfs", MountFlags::empty(), None).unwrap();
        assert!(is_refusal(&client.unmount(below_root).unwrap_err()), "{source}");
        rustix::mount::unmount(&elsewhere, UnmountFlags::empty()).unwrap();
    }
}

const VOLUME: &str = "u/volumes/kubernetes.io~csi/v/mount";
const LIMITS: Limits = Limits { bytes: 1 << 20, inodes: 64 };
