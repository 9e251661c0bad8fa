//! A driver that ends at a bad moment, and the one that follows it: ours, or the upstream driver before ours.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use rpc::status::{Code, Status};

use api_server::Matcher;
use kit::eventually;
use kit::gate::Gate;
use kit::objects::pod_status_path;
use kit::scene::{ALWAYS, HOURLY, Scene, new, old};
use kit::shell;

const DUE: Duration = Duration::from_secs(67 * 60);

#[test]
fn live_volumes_outlive_the_driver() {
    for flags in [[].as_slice(), &HOURLY] {
        let mut scene = Scene::published(flags);
        let other = scene.world.pod("other", "db");
        scene.world.kubelet.publish(&other).unwrap();
        scene.answer_with(new());

        scene.world.take_driver().kill();
        assert_eq!(scene.pod.read("password"), "old");
        scene.world.start_driver();
        assert_eq!(scene.world.count("secrets_store_csi_live_volumes", &[]), 2.0);

        scene.publish();
        assert_eq!(scene.provider.calls(), 2, "not due: {flags:?}");
        assert_eq!((scene.pod.read("password"), scene.pod.mount_count()), ("old".to_owned(), 1));
        assert!(!scene.world.kubelet.condition(&scene.pod).0);

        for pod in [&scene.pod, &other] {
            scene.world.kubelet.unpublish(pod).unwrap();
            assert!(!pod.is_mounted() && !pod.target.exists());
        }
        assert_eq!(scene.world.count("secrets_store_csi_live_volumes", &[]), 0.0);
    }
}

#[test]
fn the_interval_goes_on_across_a_restart() {
    let mut scene = Scene::published(&HOURLY);
    scene.answer_with(new());
    scene.world.age(DUE);
    scene.publish();
    assert_eq!((scene.pod.read("password"), scene.provider.calls()), ("new".to_owned(), 2));
    scene.world.age(Duration::ZERO);
    scene.publish();
    assert_eq!(scene.provider.calls(), 2, "it stopped in good order, and kept when that was");
}

#[test]
fn a_crash_makes_a_volume_due_early_and_never_late() {
    let mut scene = Scene::published(&HOURLY);
    scene.world.age(DUE);
    scene.publish();
    assert_eq!(scene.provider.calls(), 2);
    scene.world.take_driver().kill();
    scene.world.start_driver();
    scene.publish();
    assert_eq!(scene.provider.calls(), 3, "the last time that was kept is that of the first publish");
    scene.publish();
    assert_eq!(scene.provider.calls(), 3);
}

#[test]
fn times_that_cannot_be_kept_or_read_are_told_and_cost_an_early_refresh_at_most() {
    let mut scene = Scene::published(&HOURLY);
    let file = scene.world.path("csi/refresh-times");
    fs::create_dir(&file).unwrap();
    let log = scene.world.take_driver().terminate();
    assert!(log.contains("could not keep the times of refreshes"), "{log}");
    scene.world.start_driver();
    scene.world.driver().wait_for_log("could not read when volumes were last refreshed");
    scene.publish();
    assert_eq!(scene.provider.calls(), 1, "the volume itself shows when its content came");

    fs::remove_dir(&file).unwrap();
    scene.world.take_driver().terminate();
    let kept = fs::read_to_string(&file).unwrap();
    let [header, line] = kept.lines().collect::<Vec<_>>()[..] else { panic!("{kept}") };
    assert_eq!(header, "secrets-store-csi refresh times 1");
    // The mount, the time and the target, and nothing of what the volume holds.
    let [mount, time, target] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert_eq!(target, scene.pod.target.to_str().unwrap());
    assert!(mount.parse::<u64>().is_ok() && time.bytes().all(|b| b.is_ascii_digit() || b == b'.'), "{line}");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    fs::write(&file, "secrets-store-csi refresh times 1\n? ? ?\n").unwrap();
    scene.world.start_driver();
    scene.publish();
    assert_eq!(scene.provider.calls(), 1);
}

#[test]
fn a_clean_stop_leaves_live_volumes_alone() {
    let mut scene = Scene::published(&[]);
    scene.world.take_driver().terminate();
    assert_eq!(scene.pod.read("password"), "old");
    let kept = fs::read_to_string(scene.world.path("csi/refresh-times")).unwrap();
    assert!(
        kept.contains(scene.pod.target.to_str().unwrap()),
        "who wrote it matters without rotation too: {kept}"
    );
    scene.world.start_driver();
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
}

/// What the upstream driver leaves for a volume of one file.
fn mount_as_upstream_does(scene: &Scene) {
    let target = &scene.pod.target;
    fs::create_dir(target).unwrap();
    shell::mount_tmpfs(target, "mode=1777");
    let generation = "..2024_05_01_10_00_00.1234567890";
    fs::create_dir(target.join(generation)).unwrap();
    fs::write(target.join(generation).join("password"), "upstream").unwrap();
    symlink(generation, target.join("..data")).unwrap();
    symlink("..data/password", target.join("password")).unwrap();
}

#[test]
fn a_volume_of_the_upstream_driver_is_refreshed_and_unpublished_like_our_own() {
    let mut scene = Scene::start(&HOURLY);
    mount_as_upstream_does(&scene);
    let status = pod_status_path("default", "web", "db");
    scene.publish();
    assert_eq!(scene.pod.mount_count(), 1);
    assert!(scene.world.api.get(&status).is_some());

    mount_over_again(&mut scene);
    scene.publish();
    assert_eq!(
        (scene.pod.read("password"), scene.provider.calls()),
        ("upstream".to_owned(), 1),
        "it is not due"
    );
    scene.world.age(DUE);
    scene.publish();
    assert_eq!((scene.pod.read("password"), scene.pod.mount_count()), ("old".to_owned(), 1));
    assert_eq!(scene.pod.visible(), ["password"]);
    assert_eq!(fs::read_dir(&scene.pod.target).unwrap().count(), 3, "its generation is gone");
    assert!(!scene.world.kubelet.condition(&scene.pod).0);
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    assert!(!scene.pod.is_mounted() && !scene.pod.target.exists());
}

/// The same volume once more as upstream leaves it, to a driver that has never seen it and finds its pod status.
fn mount_over_again(scene: &mut Scene) {
    drop(scene.world.take_driver());
    shell::unmount(&scene.pod.target);
    fs::remove_dir(&scene.pod.target).unwrap();
    mount_as_upstream_does(scene);
    scene.world.start_driver();
}

#[test]
fn without_rotation_a_volume_of_the_upstream_driver_stays_as_it_is() {
    let mut scene = Scene::published(&[]);
    mount_over_again(&mut scene);
    scene.publish();
    assert_eq!((scene.pod.read("password"), scene.provider.calls()), ("upstream".to_owned(), 1));
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    assert!(!scene.pod.target.exists());
}

#[test]
fn a_first_publish_that_the_upstream_driver_left_unfinished_is_begun_again() {
    for flags in [[].as_slice(), &HOURLY, &ALWAYS] {
        for leftover in ["nothing", "..2024_05_01_10_00_00.1234567890"] {
            let scene = Scene::scripted(flags, |_| Err(Status::new(Code::Internal, "no")));
            fs::create_dir(&scene.pod.target).unwrap();
            shell::mount_tmpfs(&scene.pod.target, "mode=1777");
            if leftover != "nothing" {
                fs::create_dir(scene.pod.target.join(leftover)).unwrap();
            }
            let failed = scene.world.kubelet.publish(&scene.pod);
            assert!(failed.is_err(), "a pod must not start with an empty volume: {flags:?}, {leftover}");
            assert!(!scene.pod.is_mounted(), "{flags:?}, {leftover}");

            scene.answer_with(old());
            scene.publish();
            assert_eq!((scene.pod.read("password"), scene.pod.mount_count()), ("old".to_owned(), 1));
            assert_eq!(scene.pod.mode(""), 0o755, "{flags:?}, {leftover}");
        }
    }
}

#[test]
fn an_attempt_that_a_crash_cut_short_is_taken_down_and_begun_again() {
    let gate = Gate::default();
    let waiting = gate.clone();
    let mut scene = Scene::scripted(&HOURLY, move |request| {
        fs::write(format!("{}/half", request.target_path), "half").unwrap();
        waiting.wait();
        Ok(old())
    });
    std::thread::scope(|scope| {
        let Scene { world, pod, provider } = &scene;
        let call = scope.spawn(move || world.kubelet.publish_within(pod, Duration::from_secs(20)));
        eventually("the provider is asked", || provider.calls() == 1);
        world.driver().signal("KILL");
        call.join().unwrap().unwrap_err();
    });
    drop(scene.world.take_driver());
    gate.open();
    assert!(scene.pod.is_mounted(), "the crash left it");
    assert_eq!(scene.pod.mode(""), 0o700);
    scene.answer_with(new());

    scene.world.start_driver();
    assert_eq!(scene.world.count("secrets_store_csi_live_volumes", &[]), 0.0, "it is not a volume");
    assert_eq!(scene.world.kubelet.stats(&scene.pod).unwrap_err().code, Code::NotFound);
    scene.publish();
    assert_eq!((scene.pod.read("password"), scene.pod.mount_count()), ("new".to_owned(), 1));
    assert_eq!(scene.pod.visible(), ["password"]);
}

#[test]
fn an_attempt_that_a_crash_cut_short_can_be_unpublished() {
    let scene = Scene::start(&[]);
    fs::create_dir(&scene.pod.target).unwrap();
    shell::mount_as_ours(&scene.pod.target, "mode=0700");
    fs::write(scene.pod.target.join("half"), "half").unwrap();
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    assert!(!scene.pod.is_mounted() && !scene.pod.target.exists());
}

#[test]
fn a_volume_that_was_opened_before_a_crash_gets_its_pod_status_even_when_it_is_not_due() {
    for flags in [[].as_slice(), &HOURLY] {
        let mut scene = Scene::published(flags);
        let path = pod_status_path("default", "web", "db");
        drop(scene.world.take_driver());
        assert!(scene.world.api.delete(&path));
        scene.world.start_driver();
        scene.publish();
        let status = scene.world.api.get(&path).unwrap_or_else(|| panic!("no pod status: {flags:?}"));
        assert_eq!(status["status"]["objects"][0]["version"], "v1", "{flags:?}");
        assert_eq!(scene.provider.calls(), 2, "the versions are the provider's to tell: {flags:?}");
        scene.publish();
        assert_eq!(scene.provider.calls(), 2, "{flags:?}");
    }
}

#[test]
fn an_unreachable_pod_status_after_a_restart_breaks_no_live_volume() {
    let mut scene = Scene::published(&HOURLY);
    scene.world.start_driver();
    scene.world.api.fail_always(Matcher::path("secretproviderclasspodstatuses"), 403);
    scene.publish();
    assert_eq!((scene.pod.read("password"), scene.provider.calls()), ("old".to_owned(), 1));
}

#[test]
fn what_a_crashed_write_left_is_swept_by_the_next_one() {
    let scene = Scene::published(&ALWAYS);
    let root = &scene.pod.target;
    let dead = root.join("..2020_01_01_00_00_00.000000001");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("password"), "half").unwrap();
    fs::set_permissions(&dead, fs::Permissions::from_mode(0o700)).unwrap();
    symlink("..2020_01_01_00_00_00.000000001", root.join("..data_tmp")).unwrap();
    symlink("..data/vanished", root.join("vanished")).unwrap();
    scene.answer_with(new());
    scene.publish();
    assert_eq!(scene.pod.read("password"), "new");
    let mut names: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let generation = scene.pod.generation();
    assert_eq!(names, [generation.as_os_str(), "..data".as_ref(), "password".as_ref()]);
    assert_eq!(fs::metadata(root.join(generation)).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn the_driver_finds_itself_healthy_on_its_own_socket() {
    let scene = Scene::start(&[]);
    assert_eq!(scene.world.http_get("/healthz"), (200, "ok".to_owned()));
}
