//! The end of a volume: it always comes, whatever is in the way, and nothing beside the volume is harmed.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

use rpc::status::Code;

use kit::scene::{Scene, Stage};
use kit::shell;

#[test]
fn a_second_unpublish_finds_nothing_to_do() {
    let scene = Scene::published(&[]);
    for _ in 0..2 {
        scene.world.kubelet.unpublish(&scene.pod).unwrap();
        assert!(!scene.pod.is_mounted() && !scene.pod.target.exists());
    }
    assert_eq!(scene.world.count("node_unpublish_total", &[("os_type", "linux")]), 2.0);
    assert_eq!(scene.world.count("total_node_unpublish", &[]), 2.0);
    assert_eq!(scene.world.count("node_unpublish_error_total", &[]), 0.0);
}

#[test]
fn a_target_that_never_was_is_fine() {
    let mut scene = Scene::start(&[]);
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    scene.pod.target = scene.world.path("pods/uid-of-nobody/volumes/kubernetes.io~csi/x/mount");
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    assert!(!scene.world.path("pods/uid-of-nobody").exists(), "nothing is made on the way");
}

#[test]
fn neither_the_api_server_nor_the_provider_is_needed() {
    let mut scene = Scene::published(&[]);
    scene.provider.stop();
    scene.world.api.stop();
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    assert!(!scene.pod.is_mounted() && !scene.pod.target.exists());
}

#[test]
fn the_pod_status_is_left_to_its_owners_end() {
    let scene = Scene::published(&[]);
    scene.world.api.forget_requests();
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    // The class was followed while the volume used it; how that ends is the watch's matter.
    let asked: Vec<_> = scene.world.api.requests().into_iter().filter(|seen| seen.verb != "watch").collect();
    assert_eq!(asked, []);
}

#[test]
fn whatever_is_in_the_volumes_place_goes_and_nothing_beside_it() {
    let table: [(&str, Stage); 7] = [
        ("an empty directory", |scene| fs::create_dir(&scene.pod.target).unwrap()),
        ("a directory with leftovers", |scene| {
            fs::create_dir_all(scene.pod.target.join("..data/deep/er")).unwrap();
            fs::write(scene.pod.target.join("..data/deep/er/file"), "x").unwrap();
            symlink(scene.world.path("precious"), scene.pod.target.join("link")).unwrap();
        }),
        ("stacked volumes", |scene| {
            scene.publish();
            shell::mount_tmpfs(&scene.pod.target, "mode=1777");
            shell::mount_as_ours(&scene.pod.target, "mode=0700");
        }),
        ("a volume over leftovers", |scene| {
            fs::create_dir_all(scene.pod.target.join("left")).unwrap();
            scene.publish();
        }),
        ("a file", |scene| fs::write(&scene.pod.target, "x").unwrap()),
        ("a symlink to a file", |scene| {
            symlink(scene.world.path("precious/file"), &scene.pod.target).unwrap()
        }),
        ("a symlink to a directory", |scene| {
            symlink(scene.world.path("precious"), &scene.pod.target).unwrap()
        }),
    ];
    for (name, place) in table {
        let scene = Scene::start(&[]);
        fs::create_dir(scene.world.path("precious")).unwrap();
        fs::write(scene.world.path("precious/file"), "precious").unwrap();
        place(&scene);
        let outcome = scene.world.kubelet.unpublish(&scene.pod);
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
        assert!(fs::symlink_metadata(&scene.pod.target).is_err(), "{name}");
        assert_eq!(scene.world.mounts().len(), 0, "{name}");
        assert_eq!(fs::read_to_string(scene.world.path("precious/file")).unwrap(), "precious", "{name}");
    }
}

#[test]
fn an_entry_in_the_place_of_a_target_that_is_not_kubelets_goes_too() {
    let mut scene = Scene::start(&[]);
    scene.pod.target = scene.world.path("pods/elsewhere");
    let precious = scene.world.path("precious");
    fs::write(&precious, "precious").unwrap();
    for kind in ["file", "symlink"] {
        match kind {
            "file" => fs::write(&scene.pod.target, "x").unwrap(),
            _ => symlink(&precious, &scene.pod.target).unwrap(),
        }
        scene.world.kubelet.unpublish(&scene.pod).unwrap();
        assert!(fs::symlink_metadata(&scene.pod.target).is_err(), "{kind}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious", "{kind}");
    }
}

#[test]
fn a_volume_in_use_is_emptied_and_gone_all_the_same() {
    let scene = Scene::published(&[]);
    let mut open = fs::File::open(scene.pod.target.join("password")).unwrap();
    let root = fs::File::open(&scene.pod.target).unwrap();
    scene.world.kubelet.unpublish(&scene.pod).unwrap();
    assert!(!scene.pod.is_mounted() && !scene.pod.target.exists());

    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root));
    assert_eq!(fs::read_dir(link).unwrap().count(), 0, "nothing is left in it for who holds it open");
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "old", "an open file stays readable, as everywhere");
}

#[test]
fn a_mount_that_is_no_volume_is_not_ours_to_remove() {
    let table: [(&str, Stage); 3] = [
        ("another file system", |scene| shell::mount_ramfs(&scene.pod.target)),
        ("a tmpfs of another driver", |scene| {
            shell::mount_tmpfs_of("another-driver", &scene.pod.target, "mode=1777");
        }),
        ("a directory bound from elsewhere", |scene| {
            fs::create_dir(scene.world.path("elsewhere")).unwrap();
            shell::bind(&scene.world.path("elsewhere"), &scene.pod.target);
        }),
    ];
    for (name, mount) in table {
        let scene = Scene::start(&[]);
        fs::create_dir(&scene.pod.target).unwrap();
        mount(&scene);
        fs::write(scene.pod.target.join("file"), "precious").unwrap();
        let status = scene.world.kubelet.unpublish(&scene.pod).expect_err(name);
        assert_eq!(status.code, Code::Internal, "{name}: {status}");
        assert!(status.message.contains("unmount it on the node"), "{name}: {status}");
        assert_eq!(fs::read_to_string(scene.pod.target.join("file")).unwrap(), "precious", "{name}");
        assert_eq!(scene.world.count("node_unpublish_error_total", &[("os_type", "linux")]), 1.0, "{name}");
    }
}

#[test]
fn a_full_directory_that_is_no_pods_volume_is_not_removed() {
    let mut scene = Scene::start(&[]);
    scene.pod.target = scene.world.path("pods/uid-web/volumes");
    let status = scene.world.kubelet.unpublish(&scene.pod).unwrap_err();
    assert_eq!(status.code, Code::Internal, "{status}");
    assert!(scene.world.path("pods/uid-web/volumes/kubernetes.io~csi/secrets").exists());
}

#[test]
fn a_volume_can_be_published_again_after_its_end() {
    let scene = Scene::published(&[]);
    for _ in 0..3 {
        scene.world.kubelet.unpublish(&scene.pod).unwrap();
        scene.publish();
        assert_eq!((scene.pod.read("password"), scene.pod.mount_count()), ("old".to_owned(), 1));
    }
}
