//! Providers that write into the volume themselves, and leave traps there.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use kit::provider::versions_only;

/// Fills a volume as a provider with a host mount may, with traps for whoever walks it.
fn set_traps(target: &Path, victim: &Path) {
    fs::write(target.join("password"), "written by the provider").unwrap();
    symlink(victim.join("precious"), target.join("file-link")).unwrap();
    symlink(victim, target.join("directory-link")).unwrap();
    symlink("/", target.join("root-link")).unwrap();
    let mut deep = target.join("deep");
    for _ in 0..300 {
        fs::create_dir(&deep).unwrap();
        deep.push("d");
    }
    fs::create_dir(target.join("..2020_01_01_00_00_00.1")).unwrap();
    symlink(victim, target.join("..2020_01_01_00_00_00.1/link")).unwrap();
    symlink(victim.join("precious"), target.join("tls")).unwrap();
}

#[test]
fn traps_in_a_volume_catch_neither_rotation_nor_groups_nor_removal() {
    for group in [None, Some(0)] {
        let (world, provider) = node(&ALWAYS_DUE);
        let victim = Victim::new(&world);
        let pod = Pod { group, ..world.pod("web", "db") };
        let path = victim.path.clone();
        provider.script(move |request| {
            set_traps(Path::new(&request.target_path), &path);
            Ok(versions_only("v1", &["password"]))
        });
        world.kubelet.publish(&pod).unwrap();
        assert_eq!(pod.read("password"), "written by the provider");
        victim.assert_is_untouched(&world, "first publish");

        provider.script(|_| Ok(good()));
        world.kubelet.publish(&pod).unwrap();
        assert_eq!((pod.read("password"), pod.read("tls/key")), ("hunter2".to_owned(), "key".to_owned()));
        victim.assert_is_untouched(&world, "rotation");

        world.kubelet.unpublish(&pod).unwrap();
        assert_is_gone(&pod, "unpublish");
        victim.assert_is_untouched(&world, "unpublish");
    }
}

#[test]
fn traps_that_a_failed_first_publish_left_catch_nothing_either() {
    let (world, provider) = node(&[]);
    let victim = Victim::new(&world);
    let pod = world.pod("web", "db");
    let path = victim.path.clone();
    provider.script(move |request| {
        set_traps(Path::new(&request.target_path), &path);
        Ok(pb::MountResponse::default())
    });
    world.kubelet.publish(&pod).unwrap_err();
    assert_is_gone(&pod, "failed");
    victim.assert_is_untouched(&world, "failed");
}

#[test]
fn a_switch_that_a_provider_turned_into_a_directory_is_left_alone_and_reported() {
    let (world, provider, pod) = live_node();
    fs::remove_file(pod.target.join("..data")).unwrap();
    fs::create_dir(pod.target.join("..data")).unwrap();
    fs::write(pod.target.join("..data/password"), "mine").unwrap();
    provider.script(|_| Ok(answer("v2", &[("password", 0, b"new")])));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "mine");
    let condition = world.kubelet.stats(&pod).unwrap().volume_condition;
    assert!(condition.message.contains("delete the pod to start afresh"), "{}", condition.message);
    world.kubelet.unpublish(&pod).unwrap();
    assert_is_gone(&pod, "unpublish");
}

#[test]
fn a_refresh_that_failed_late_is_due_again_at_the_next_call() {
    let flags = ["--enable-secret-rotation=true", "--rotation-poll-interval=1h", "--volume-size-limit=65536"];
    let large = vec![b'x'; 65 << 10];
    type Spoil = fn(&World);
    let rows: [(&str, &[u8], Spoil); 2] = [
        ("the new content does not fit", &large, |_| {}),
        ("the pod status is not taken", b"new", |world| {
            let statuses = ::api_server::Matcher::path("podstatuses");
            world.api.fail_always(statuses, 422);
        }),
    ];
    for (name, contents, spoil) in rows {
        let (mut world, provider) = node(&flags);
        let pod = world.pod("web", "db");
        world.kubelet.publish(&pod).unwrap();
        let hours = std::time::Duration::from_secs(7200);
        world.age(hours);

        let response = answer("v2", &[("password", 0, contents)]);
        provider.script(move |_| Ok(response.clone()));
        spoil(&world);
        world.kubelet.publish(&pod).unwrap();
        assert!(world.kubelet.stats(&pod).unwrap().volume_condition.abnormal, "{name}");
        assert!(world.stalest_refresh() >= hours, "{name}: nothing was refreshed");

        world.api.clear_faults();
        provider.script(|_| Ok(answer("v3", &[("password", 0, b"fits")])));
        world.kubelet.publish(&pod).unwrap();
        assert_eq!(pod.read("password"), "fits", "{name}");
        assert!(!world.kubelet.stats(&pod).unwrap().volume_condition.abnormal, "{name}");
    }
}

#[test]
fn a_bound_directory_in_the_targets_place_is_neither_covered_nor_emptied() {
    let (world, _provider) = node(&[]);
    let victim = Victim::new(&world);
    let pod = world.pod("web", "db");
    fs::create_dir(&pod.target).unwrap();
    rustix::mount::mount_bind(&victim.path, &pod.target).unwrap();
    assert!(world.kubelet.publish(&pod).is_err());
    assert!(world.kubelet.unpublish(&pod).is_err());
    assert_eq!(world.mounts(), std::slice::from_ref(&pod.target));
    assert_eq!(fs::metadata(&pod.target).unwrap().ino(), fs::metadata(&victim.path).unwrap().ino());
    rustix::mount::unmount(&pod.target, rustix::mount::UnmountFlags::empty()).unwrap();
    victim.assert_is_untouched(&world, "bound");
    world.kubelet.unpublish(&pod).unwrap();
    assert_is_gone(&pod, "unpublish");
}
