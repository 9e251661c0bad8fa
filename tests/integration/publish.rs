//! The first publish of a volume that goes well: what the pod finds, and when.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use kit::objects::objects;
use kit::provider::{answer, versions_only};
use kit::scene::{ALWAYS, HOURLY, Scene, old};
use kit::world::World;

#[test]
fn a_pod_gets_the_files_that_the_provider_answers_and_loses_them_with_its_volume() {
    let world = World::start(&[]);
    let _provider = world.provider("test", |_| {
        Ok(answer("v1", &[("password", 0, b"hunter2"), ("tls/key.pem", 0o400, b"key")]))
    });
    world.class("db", "test", objects(&["password"]));
    let pod = world.pod("web", "db");

    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "hunter2");
    assert_eq!(pod.read("tls/key.pem"), "key");
    assert_eq!(pod.visible(), ["password", "tls"]);
    assert_eq!(world.count("node_publish_total", &[("provider", "test"), ("os_type", "linux")]), 1.0);
    assert_eq!(world.count("total_node_publish", &[("provider", "test")]), 1.0);

    world.kubelet.unpublish(&pod).unwrap();
    assert!(!pod.target.exists());
    assert_eq!(world.mounts().len(), 0);
    assert_eq!(world.count("node_unpublish_total", &[]), 1.0);
}

#[test]
fn a_file_has_the_mode_that_the_provider_sent_and_never_a_special_bit() {
    let table = [
        ("left-to-the-driver", 0, 0o644),
        ("writable", 0o666, 0o666),
        ("read-only", 0o444, 0o444),
        ("everything", 0o777, 0o777),
        ("owner-only", 0o400, 0o400),
        ("odd", 0o407, 0o407),
        ("set-user-id", 0o4755, 0o755),
        ("set-group-id", 0o2755, 0o755),
        ("sticky", 0o1644, 0o644),
        ("with-file-type", 0o100_640, 0o640),
        ("negative", -1, 0o777),
    ];
    let files = table.map(|(name, sent, _)| (name, sent, b"x".as_slice()));
    let scene = Scene::scripted(&[], move |_| Ok(answer("v1", &files)));
    scene.publish();
    for (name, _, shown) in table {
        assert_eq!(scene.pod.mode(name), shown, "{name}");
    }
}

#[test]
fn paths_and_contents_arrive_as_they_are() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = vec![0xA5; 1 << 20];
    let longest = format!("{}/{}", "d".repeat(255), "f".repeat(255));
    let files: Vec<(String, Vec<u8>)> = [
        ("flat", b"flat".to_vec()),
        ("empty", Vec::new()),
        ("binary", every_byte),
        ("large", large),
        (".dotfile", b"dot".to_vec()),
        (".config/app/..hidden", b"deep dot".to_vec()),
        ("a/b/c/d/e/f", b"deep".to_vec()),
        ("a/b/sibling", b"sibling".to_vec()),
        ("back\\slash", b"backslash".to_vec()),
        ("with space", b"space".to_vec()),
        ("señal/名前", "naïve".as_bytes().to_vec()),
        (longest.as_str(), b"longest".to_vec()),
    ]
    .map(|(path, contents)| (path.to_owned(), contents))
    .into();
    let sent = files.clone();
    let scene = Scene::scripted(&[], move |_| {
        let files: Vec<_> =
            sent.iter().map(|(path, contents)| (path.as_str(), 0, contents.as_slice())).collect();
        Ok(answer("v1", &files))
    });
    scene.publish();
    for (path, contents) in &files {
        let read = fs::read(scene.pod.target.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(read == *contents, "{path}");
    }
    assert_eq!(scene.pod.mode("a/b"), 0o755, "directories only lead to files");
}

#[test]
fn a_volume_is_a_limited_tmpfs_with_room_for_two_contents_that_runs_nothing() {
    let scene = Scene::published(&["--volume-size-limit=1Mi", "--volume-inode-limit=99"]);
    let line = scene.pod.mountinfo();
    let (mount, file_system) = line.split_once(" - ").unwrap();
    for option in ["nosuid", "nodev", "noexec", "rw"] {
        assert!(mount.split([' ', ',']).any(|found| found == option), "{option}: {line}");
    }
    assert!(file_system.starts_with("tmpfs "), "{line}");
    for option in ["size=3072k", "nr_inodes=412"] {
        assert!(file_system.split([' ', ',']).any(|found| found == option), "{option}: {line}");
    }
    assert_eq!(scene.pod.mode(""), 0o755);
}

#[test]
fn without_flags_a_volume_has_room_for_twice_32_mebibytes_and_4096_files() {
    let scene = Scene::published(&[]);
    let line = scene.pod.mountinfo();
    assert!(line.contains("size=66560k") && line.contains("nr_inodes=16400"), "{line}");

    let stats = scene.world.kubelet.stats(&scene.pod).unwrap();
    let totals: Vec<i64> = stats.usage.iter().map(|usage| usage.total).collect();
    assert_eq!(totals, [65 << 20, 16_400]);
    assert!(stats.usage.iter().all(|usage| usage.used > 0 && usage.used + usage.available == usage.total));
    assert_eq!(scene.world.kubelet.condition(&scene.pod), (false, "volume is fresh".to_owned()));
}

#[test]
fn nobody_may_enter_the_volume_until_it_is_whole() {
    let scene = Scene::scripted(&[], |request| {
        let root = fs::metadata(&request.target_path).unwrap();
        assert_eq!(root.mode() & 0o7777, 0o700, "the provider finds a closed root");
        let above = fs::metadata(format!("{}/..", request.target_path)).unwrap();
        assert_ne!(root.dev(), above.dev(), "the provider finds the volume mounted");
        Ok(old())
    });
    scene.publish();
    assert_eq!(scene.pod.mode(""), 0o755);
}

#[test]
fn publishing_again_changes_nothing_and_asks_nobody_without_rotation() {
    let scene = Scene::published(&[]);
    let (generation, changed) = (scene.pod.generation(), scene.pod.changed());
    scene.world.api.forget_requests();
    scene.publish();
    assert_eq!(scene.pod.mount_count(), 1);
    assert_eq!(scene.provider.calls(), 1);
    assert_eq!(scene.world.api.requests(), []);
    assert_eq!((scene.pod.generation(), scene.pod.changed()), (generation, changed));
    assert_eq!(scene.world.count("node_publish_total", &[("provider", "test")]), 1.0);
    assert_eq!(scene.world.count("node_publish_total", &[("provider", "")]), 1.0, "a skipped call");
    assert_eq!(scene.world.count("rotation_reconcile_total", &[]), 0.0);
}

#[test]
fn a_directory_that_is_there_already_is_never_taken_for_a_volume() {
    for flags in [[].as_slice(), &HOURLY, &ALWAYS] {
        let scene = Scene::start(flags);
        fs::create_dir(&scene.pod.target).unwrap();
        scene.publish();
        assert!(scene.pod.is_mounted(), "{flags:?}");
        assert_eq!(scene.pod.read("password"), "old", "{flags:?}");
        assert_eq!(scene.provider.calls(), 1, "{flags:?}");
    }
}

#[test]
fn missing_directories_above_the_target_are_made() {
    let mut scene = Scene::start(&[]);
    scene.pod.target = scene.world.path("pods/uid-new/volumes/kubernetes.io~csi/secrets/mount");
    scene.publish();
    assert_eq!(scene.pod.read("password"), "old");
    for above in ["pods/uid-new", "pods/uid-new/volumes/kubernetes.io~csi/secrets"] {
        assert_eq!(fs::metadata(scene.world.path(above)).unwrap().mode() & 0o7777, 0o750, "{above}");
    }
}

#[test]
fn a_provider_that_answers_objects_without_files_makes_an_empty_volume() {
    let scene = Scene::scripted(&[], |_| Ok(versions_only("v1", &["password"])));
    scene.publish();
    assert!(scene.pod.is_mounted());
    assert_eq!(scene.pod.visible(), [""; 0]);
}

#[test]
fn two_volumes_of_one_pod_do_not_disturb_each_other() {
    let scene = Scene::start(&[]);
    scene.world.class("cache", "test", json!({"objects": "others"}));
    let mut second = scene.pod.clone();
    second.class = "cache".to_owned();
    second.volume_id = "csi-second".to_owned();
    second.target = scene.world.path("pods/uid-web/volumes/kubernetes.io~csi/second/mount");
    scene.publish();
    scene.world.kubelet.publish(&second).unwrap();
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    assert!(!scene.pod.is_mounted());
    assert_eq!(second.read("password"), "old");
}

#[test]
fn what_fits_once_can_be_refreshed_and_what_cannot_is_refused_at_the_first_publish() {
    // 1,400 files in the root, and 17 MiB: both fit once into what one content may have, and twice into the volume.
    let files = |letter: u8, count: usize, bytes: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("f{number}")).collect();
        let content = vec![letter; bytes];
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), 0, content.as_slice())).collect();
        answer(if letter == b'a' { "v1" } else { "v2" }, &files)
    };
    for (count, bytes) in [(1400, 1), (4096, 1), (1, 17 << 20), (1, 32 << 20)] {
        let scene = Scene::start(&[ALWAYS[0], ALWAYS[1], "--max-call-recv-msg-size=67108864"]);
        scene.answer_with(files(b'a', count, bytes));
        scene.publish();
        scene.answer_with(files(b'b', count, bytes));
        scene.publish();
        assert_eq!(scene.world.kubelet.condition(&scene.pod), (false, "volume is fresh".to_owned()));
        let read = fs::read(scene.pod.target.join("f0")).unwrap();
        assert!(
            read.len() == bytes && read.iter().all(|byte| *byte == b'b'),
            "{count} files of {bytes} bytes"
        );
    }
    for (count, bytes, words) in
        [(4097, 1, "4097 files and directories"), (1, (32 << 20) + 1, "bytes of memory")]
    {
        let scene = Scene::start(&["--max-call-recv-msg-size=67108864"]);
        scene.answer_with(files(b'a', count, bytes));
        let refusal = scene.world.kubelet.publish(&scene.pod).unwrap_err();
        assert!(refusal.message.contains(words) && refusal.message.contains("raise it"), "{refusal}");
        assert!(!scene.pod.is_mounted());
    }
}
