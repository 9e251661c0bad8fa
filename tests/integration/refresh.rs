//! A live volume that is published again: when it is refreshed, and what changes in it.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rpc::status::{Code, Status};

use kit::eventually;
use kit::provider::{answer, versions_only};
use kit::scene::{ALWAYS, HOURLY, Scene, Stage, new, old};
use kit::shell;

const MINUTE: Duration = Duration::from_secs(60);

/// Refreshes that succeeded, by whether the content changed.
fn refreshes(scene: &Scene, rotated: &str) -> f64 {
    let labels = [("provider", "test"), ("rotated", rotated), ("os_type", "linux")];
    scene.world.count("rotation_reconcile_total", &labels)
}

/// True when the volume was refreshed just now, by the driver's own word.
fn is_fresh(scene: &Scene) -> bool {
    scene.world.stalest_refresh() < MINUTE
}

#[test]
fn without_rotation_a_volume_is_never_refreshed() {
    let mut scene = Scene::published(&["--rotation-poll-interval=-1m"]);
    scene.answer_with(new());
    scene.pod.set_changed(SystemTime::now() - MINUTE * 60 * 24);
    scene.world.start_driver();
    assert!(scene.world.stalest_refresh() > MINUTE * 60);
    scene.publish();
    assert_eq!(scene.provider.calls(), 1);
    assert_eq!(scene.pod.read("password"), "old");
}

#[test]
fn with_an_interval_of_nothing_every_call_refreshes() {
    for interval in ["--rotation-poll-interval=-1m", "--rotation-poll-interval=0"] {
        let scene = Scene::published(&["--enable-secret-rotation", interval]);
        for calls in 2..5 {
            scene.publish();
            assert_eq!(scene.provider.calls(), calls, "{interval}");
        }
        assert_eq!(scene.pod.mount_count(), 1, "{interval}");
    }
}

#[test]
fn a_volume_is_refreshed_once_the_interval_and_up_to_a_tenth_more_have_passed() {
    let mut scene = Scene::published(&HOURLY);
    scene.answer_with(new());
    scene.publish();
    scene.world.age(MINUTE * 59);
    scene.publish();
    assert_eq!(scene.provider.calls(), 1);
    assert_eq!(scene.pod.read("password"), "old");

    scene.world.age(MINUTE * 8);
    scene.publish();
    assert_eq!(scene.provider.calls(), 2);
    assert_eq!(scene.pod.read("password"), "new");
    assert!(is_fresh(&scene));
    scene.publish();
    assert_eq!(scene.provider.calls(), 2);
}

#[test]
fn a_refresh_that_changes_nothing_counts_as_one_and_touches_nothing() {
    let mut scene = Scene::published(&HOURLY);
    let generation = scene.pod.generation();
    scene.world.age(MINUTE * 67);
    scene.publish();
    assert_eq!(scene.provider.calls(), 2);
    assert!(is_fresh(&scene), "the interval counts from here");
    assert_eq!(scene.pod.generation(), generation);
    scene.publish();
    assert_eq!(scene.provider.calls(), 2);
    assert_eq!((refreshes(&scene, "true"), refreshes(&scene, "false")), (0.0, 1.0));
    assert_eq!(scene.world.count("rotation_reconcile_duration_sec_count", &[]), 1.0);
}

#[test]
fn only_a_change_of_content_counts_as_rotated() {
    let scene = Scene::published(&ALWAYS);
    scene.publish();
    assert_eq!((refreshes(&scene, "true"), refreshes(&scene, "false")), (0.0, 1.0));
    scene.answer_with(new());
    scene.publish();
    assert_eq!((refreshes(&scene, "true"), refreshes(&scene, "false")), (1.0, 1.0));
    scene.publish();
    assert_eq!((refreshes(&scene, "true"), refreshes(&scene, "false")), (1.0, 2.0));
    assert_eq!(scene.world.count("node_publish_total", &[("provider", "test")]), 4.0);
}

#[test]
fn new_content_replaces_the_old_one_whole() {
    let scene = Scene::scripted(&ALWAYS, |_| {
        Ok(answer(
            "v1",
            &[("keep", 0, b"same"), ("change", 0, b"old"), ("gone", 0, b"x"), ("dir/gone", 0, b"x")],
        ))
    });
    scene.publish();
    let before = scene.pod.generation();
    scene.answer_with(answer("v2", &[("keep", 0, b"same"), ("change", 0, b"new"), ("more/file", 0, b"y")]));
    scene.publish();
    assert_eq!(scene.pod.visible(), ["change", "keep", "more"]);
    assert_eq!((scene.pod.read("change"), scene.pod.read("more/file")), ("new".to_owned(), "y".to_owned()));
    assert_ne!(scene.pod.generation(), before);
    assert!(!scene.pod.target.join(before).exists(), "the old generation is gone");
}

#[test]
fn a_file_may_become_a_directory_and_a_directory_a_file() {
    let scene = Scene::scripted(&ALWAYS, |_| Ok(answer("v1", &[("a", 0, b"file"), ("b/c", 0, b"deep")])));
    scene.publish();
    scene.answer_with(answer("v2", &[("a/c", 0, b"deep"), ("b", 0, b"file")]));
    scene.publish();
    assert_eq!((scene.pod.read("a/c"), scene.pod.read("b")), ("deep".to_owned(), "file".to_owned()));
}

#[test]
fn a_change_of_mode_alone_is_a_change() {
    let scene = Scene::published(&ALWAYS);
    assert_eq!(scene.pod.mode("password"), 0o644);
    scene.answer_with(answer("v1", &[("password", 0o440, b"old")]));
    scene.publish();
    assert_eq!(scene.pod.mode("password"), 0o440);
    assert_eq!(refreshes(&scene, "true"), 1.0);
    scene.publish();
    assert_eq!(refreshes(&scene, "false"), 1.0);
}

#[test]
fn content_that_its_mode_keeps_from_its_owner_is_compared_all_the_same() {
    let scene = Scene::start(&ALWAYS);
    scene.answer_with(answer("v1", &[("password", 0o004, b"old")]));
    scene.publish();
    assert_eq!(scene.pod.mode("password"), 0o004);
    scene.publish();
    assert_eq!((refreshes(&scene, "true"), refreshes(&scene, "false")), (0.0, 1.0));
    scene.answer_with(answer("v2", &[("password", 0o004, b"new")]));
    scene.publish();
    assert_eq!((refreshes(&scene, "true"), refreshes(&scene, "false")), (1.0, 1.0));
}

#[test]
fn empty_contents_replace_full_ones() {
    let scene = Scene::published(&ALWAYS);
    scene.answer_with(answer("v2", &[("password", 0, b"")]));
    scene.publish();
    assert_eq!(scene.pod.read("password"), "");
    assert_eq!(refreshes(&scene, "true"), 1.0);
}

#[test]
fn an_answer_without_files_leaves_the_content_and_is_a_refresh() {
    let scene = Scene::published(&ALWAYS);
    let generation = scene.pod.generation();
    scene.answer_with(versions_only("v2", &["password"]));
    scene.publish();
    assert_eq!((scene.provider.calls(), scene.pod.read("password")), (2, "old".to_owned()));
    assert_eq!(scene.pod.generation(), generation);
    assert!(is_fresh(&scene));
    assert_eq!(refreshes(&scene, "true"), 1.0, "its versions alone tell that the content is another");
    scene.publish();
    assert_eq!((refreshes(&scene, "true"), refreshes(&scene, "false")), (1.0, 1.0));
}

#[test]
fn what_a_provider_wrote_itself_stays_until_the_driver_is_given_files() {
    let calls = AtomicUsize::new(0);
    let scene = Scene::scripted(&ALWAYS, move |request| {
        let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        let contents = if is_first { "by hand" } else { "by hand, again" };
        fs::write(format!("{}/password", request.target_path), contents).unwrap();
        fs::create_dir_all(format!("{}/dir", request.target_path)).unwrap();
        fs::write(format!("{}/dir/own", request.target_path), "own").unwrap();
        Ok(versions_only("v1", &["password"]))
    });
    scene.publish();
    assert_eq!(
        (scene.pod.read("password"), scene.pod.read("dir/own")),
        ("by hand".to_owned(), "own".to_owned())
    );
    scene.publish();
    assert_eq!(scene.pod.read("password"), "by hand, again");
    assert_eq!(scene.pod.visible(), ["dir", "password"]);

    scene.answer_with(answer("v2", &[("password", 0o400, b"by the driver"), ("dir/file", 0, b"new")]));
    scene.publish();
    assert_eq!(
        (scene.pod.read("password"), scene.pod.read("dir/file")),
        ("by the driver".into(), "new".into())
    );
    for name in ["password", "dir"] {
        let kind = fs::symlink_metadata(scene.pod.target.join(name)).unwrap().file_type();
        assert!(kind.is_symlink(), "{name} is switched with the rest from now on");
    }
    assert_eq!(scene.pod.mode("password"), 0o400);
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
}

#[test]
fn readers_see_the_old_content_or_the_new_one() {
    let calls = AtomicUsize::new(0);
    let scene = Scene::scripted(&ALWAYS, move |_| {
        let next = calls.fetch_add(1, Ordering::SeqCst);
        let (text, version) = ((next % 10).to_string().repeat(5000), "v".repeat(next % 9 + 1));
        Ok(answer(&version, &[("one", 0, text.as_bytes()), ("other", 0, text.as_bytes())]))
    });
    scene.publish();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_done.load(Ordering::SeqCst) {
                // A name that is looked up in the very moment of the switch may lead into the old directory after it
                // is gone; who looks again finds the new one.
                let Ok(one) = fs::read(scene.pod.target.join("one")) else { continue };
                assert_eq!(one.len(), 5000);
                assert!(one.iter().all(|byte| *byte == one[0]), "a mix of two contents");
                reads += 1;
            }
            reads
        });
        for _ in 0..50 {
            scene.publish();
        }
        is_done.store(true, Ordering::SeqCst);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(refreshes(&scene, "true"), 50.0);
}

#[test]
fn a_volume_that_was_taken_away_is_mounted_again() {
    let table: [(&str, Stage); 5] = [
        ("unmounted", |scene| shell::unmount(&scene.pod.target)),
        ("unmounted and removed", |scene| {
            shell::unmount(&scene.pod.target);
            fs::remove_dir(&scene.pod.target).unwrap();
        }),
        ("unmounted, its place on the disk written to", |scene| {
            shell::unmount(&scene.pod.target);
            fs::write(scene.pod.target.join("password"), "fake").unwrap();
        }),
        ("covered by an empty tmpfs", |scene| shell::mount_tmpfs(&scene.pod.target, "mode=1777")),
        ("covered by an empty tmpfs that was never opened", |scene| {
            shell::mount_as_ours(&scene.pod.target, "mode=0700");
        }),
    ];
    for (name, take_away) in table {
        for flags in [[].as_slice(), &HOURLY, &ALWAYS] {
            let scene = Scene::published(flags);
            take_away(&scene);
            scene.answer_with(new());
            scene.publish();
            assert_eq!(scene.pod.mount_count(), 1, "{name} {flags:?}");
            assert_eq!(scene.pod.read("password"), "new", "{name} {flags:?}");
            assert_eq!(scene.provider.calls(), 2, "{name} {flags:?}");
            scene.world.kubelet.unpublish(&scene.pod).unwrap();
            assert!(!scene.pod.target.exists(), "{name} {flags:?}");
        }
    }
}

#[test]
fn a_volume_that_was_taken_away_and_cannot_be_made_again_is_an_error() {
    let scene = Scene::published(&HOURLY);
    shell::unmount(&scene.pod.target);
    scene.provider.script(|_| Err(Status::new(Code::Internal, "no")));
    scene.world.kubelet.publish(&scene.pod).unwrap_err();
    assert!(!scene.pod.is_mounted());
    assert_eq!(scene.world.count("node_publish_error_total", &[("error_type", "GRPCProviderError")]), 1.0);
    assert_eq!(scene.world.count("rotation_reconcile_error_total", &[]), 0.0);
    scene.answer_with(old());
    scene.publish();
    assert_eq!(scene.pod.read("password"), "old");
}

#[test]
fn the_api_server_is_not_needed_for_a_volume_that_is_not_due() {
    let scene = Scene::published(&HOURLY);
    scene.world.api.stop();
    scene.publish();
    assert_eq!(scene.pod.read("password"), "old");
}

#[test]
fn while_the_api_server_is_away_the_class_is_used_as_it_was() {
    let scene = Scene::published(&ALWAYS);
    scene.world.api.stop();
    scene.answer_with(answer("v1", &[("password", 0, b"new")]));
    scene.publish();
    assert_eq!(scene.pod.read("password"), "new");
    assert!(!scene.world.kubelet.condition(&scene.pod).0);
}

#[test]
fn a_change_of_the_class_counts_at_the_next_refresh() {
    let scene = Scene::published(&ALWAYS);
    let other = scene.world.provider("other", |_| Ok(new()));
    scene.world.class("db", "other", serde_json::json!({"objects": "others"}));
    // The driver hears of it by a watch, a moment later.
    eventually("the other provider is asked", || {
        scene.publish();
        other.calls() > 0
    });
    assert_eq!((scene.pod.read("password"), other.calls()), ("new".to_owned(), 1));
    assert!(other.last().attributes.contains("others"));
}
