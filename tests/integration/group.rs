//! A pod's fsGroup: files and directories belong to it, and it may read what their owner may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rpc::pb::csi as pb;
use rpc::status::Code;

use kit::kubelet::publish_request;
use kit::provider::{answer, versions_only};
use kit::scene::{ALWAYS, Scene, old};
use kit::world::World;

const GROUP: u32 = 2000;

/// In a user namespace of its own an ordinary user's test run has no group but its own to give files to.
pub(crate) fn groups_can_be_given() -> bool {
    let map = fs::read_to_string("/proc/self/gid_map").unwrap();
    let covers = |line: &str| {
        let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        first.zip(count).is_some_and(|(first, count)| (first..first + count).contains(&u64::from(GROUP + 1)))
    };
    let given = map.lines().any(covers);
    if !given {
        eprintln!("skipped: group {GROUP} does not exist in this user namespace");
    }
    given
}

fn scene(flags: &[&str]) -> Scene {
    let mut scene = Scene::scripted(flags, |_| {
        Ok(answer(
            "v1",
            &[
                ("default", 0, b"a"),
                ("owner-only", 0o400, b"b"),
                ("dir/sub/secret", 0o600, b"c"),
                ("none", 0o200, b"d"),
            ],
        ))
    });
    scene.pod.group = Some(GROUP);
    scene
}

#[test]
fn without_a_group_everything_belongs_to_root_with_the_modes_as_sent() {
    let mut scene = scene(&[]);
    scene.pod.group = None;
    scene.publish();
    assert_eq!((scene.pod.gid("owner-only"), scene.pod.mode("owner-only")), (0, 0o400));
    assert_eq!((scene.pod.gid("dir/sub"), scene.pod.mode("dir/sub")), (0, 0o755));
}

#[test]
fn with_a_group_files_and_directories_belong_to_it_and_it_may_read_what_the_owner_may() {
    if !groups_can_be_given() {
        return;
    }
    let scene = scene(&ALWAYS);
    let table = [
        ("default", 0o644),
        ("owner-only", 0o440),
        ("dir/sub/secret", 0o640),
        ("none", 0o200),
        ("dir", 0o755),
        ("dir/sub", 0o755),
        ("..data", 0o755),
        ("", 0o755),
    ];
    let check = |when: &str| {
        for (path, mode) in table {
            assert_eq!((scene.pod.gid(path), scene.pod.mode(path)), (GROUP, mode), "{path:?} {when}");
        }
    };
    scene.publish();
    check("after the first publish");
    let generation = scene.pod.generation();
    scene.publish();
    check("after a refresh");
    assert_eq!(scene.pod.generation(), generation, "the group is no change");
}

#[test]
fn a_change_of_the_group_is_applied() {
    if !groups_can_be_given() {
        return;
    }
    let mut scene = scene(&ALWAYS);
    scene.publish();
    scene.pod.group = Some(GROUP + 1);
    scene.publish();
    assert_eq!((scene.pod.gid("owner-only"), scene.pod.gid("dir/sub/secret")), (GROUP + 1, GROUP + 1));
    assert_eq!(scene.world.count("rotation_reconcile_total", &[("rotated", "true")]), 1.0);
}

#[test]
fn what_a_provider_wrote_itself_is_given_to_the_group_too() {
    if !groups_can_be_given() {
        return;
    }
    let calls = AtomicUsize::new(0);
    let mut scene = Scene::scripted(&ALWAYS, move |request| {
        let write = |path: &str, mode: u32| {
            let path = format!("{}/{path}", request.target_path);
            fs::write(&path, "by hand").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            // As one that does not run as root.
            std::os::unix::fs::chown(&path, Some(GROUP + 1), None).unwrap();
        };
        fs::create_dir_all(format!("{}/dir", request.target_path)).unwrap();
        write("secret", 0o600);
        write("dir/secret", 0o400);
        if calls.fetch_add(1, Ordering::SeqCst) > 0 {
            write("later", 0o600);
        }
        std::os::unix::fs::symlink("/etc/hostname", format!("{}/out", request.target_path)).ok();
        Ok(versions_only("v1", &["secret"]))
    });
    let outside = (fs::metadata("/etc/hostname").unwrap().permissions(), group_of("/etc/hostname"));
    scene.pod.group = Some(GROUP);
    scene.publish();
    assert_eq!((scene.pod.gid("secret"), scene.pod.mode("secret")), (GROUP, 0o640));
    assert_eq!((scene.pod.gid("dir/secret"), scene.pod.mode("dir/secret")), (GROUP, 0o440));
    assert_eq!((scene.pod.gid("dir"), scene.pod.gid("")), (GROUP, GROUP));
    scene.publish();
    assert_eq!((scene.pod.gid("later"), scene.pod.mode("later")), (GROUP, 0o640));
    assert_eq!((fs::metadata("/etc/hostname").unwrap().permissions(), group_of("/etc/hostname")), outside);
}

fn group_of(path: &str) -> u32 {
    std::os::unix::fs::MetadataExt::gid(&fs::metadata(path).unwrap())
}

#[test]
fn a_group_that_no_file_can_have_is_refused() {
    let scene = Scene::start(&[]);
    for group in ["-1", "4294967295", "4294967296", "wheel", " 5", "5 "] {
        let mut request = publish_request(&scene.pod);
        request.volume_capability.as_mut().unwrap().mut_mount().volume_mount_group = group.to_owned();
        let status = scene.world.kubelet.publish_raw(&request).expect_err(group);
        assert_eq!(status.code, Code::InvalidArgument, "{group:?}: {status}");
        assert_eq!(status.message, "Volume mount group in request is not a group id", "{group:?}");
    }
    assert!(!scene.pod.target.exists());
}

#[test]
fn the_group_is_advertised() {
    let world = World::start(&[]);
    let capabilities: pb::NodeGetCapabilitiesResponse = world
        .kubelet
        .call("/csi.v1.Node/NodeGetCapabilities", &pb::NodeGetCapabilitiesRequest::default())
        .unwrap();
    let mut kinds: Vec<i32> =
        capabilities.capabilities.iter().map(|capability| capability.rpc().type_.value()).collect();
    kinds.sort_unstable();
    // GET_VOLUME_STATS, VOLUME_CONDITION, VOLUME_MOUNT_GROUP
    assert_eq!(kinds, [2, 4, 6]);
}

#[test]
fn the_group_zero_is_a_group() {
    let mut scene = Scene::scripted(&[], |_| {
        let mut answer = old();
        answer.files[0].mode = 0o400;
        Ok(answer)
    });
    scene.pod.group = Some(0);
    scene.publish();
    assert_eq!((scene.pod.gid("password"), scene.pod.mode("password")), (0, 0o440));
}
