//! Nothing that a pod can see, or be woken by, changes when its content does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rpc::pb::provider as pb;
use rpc::status::{Code, Status};

use super::group::groups_can_be_given;
use api_server::Matcher;
use kit::eventually;
use kit::habits::{self, Answered, Store};
use kit::provider::answer;
use kit::scene::{ALWAYS, HOURLY, Scene};
use kit::watcher::Watcher;

const GROUP: u32 = 2000;

type Script = Box<dyn Fn(pb::MountRequest) -> Answered + Send + Sync>;
/// A provider, by who writes the files.
type Provider = (&'static str, fn(&Store) -> Script);

const PROVIDERS: [Provider; 3] = [
    ("the driver writes", |store| Box::new(habits::in_random_order(store))),
    ("the provider writes", |store| Box::new(habits::writing_itself(store))),
    ("the provider writes for itself alone", |store| {
        let write = habits::writing_itself(store);
        Box::new(move |request| {
            let file = format!("{}/password", request.target_path);
            let is_new = !fs::exists(&file).unwrap();
            let answer = write(request);
            if is_new {
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            }
            answer
        })
    }),
];

/// A live volume of every shape, and the words for it.
fn each_volume(flags: &[&str], check: impl Fn(&str, &mut Scene, &Store)) {
    for (who, provider) in PROVIDERS {
        for group in [None, Some(GROUP)] {
            if group.is_some() && !groups_can_be_given() {
                continue;
            }
            let store = Store::holding(&[("password", "secret"), ("tls/key", "key"), ("tls/crt", "crt")]);
            let mut scene = Scene::scripted(flags, provider(&store));
            scene.pod.group = group;
            scene.publish();
            check(&format!("{who}, fsGroup {group:?}"), &mut scene, &store);
        }
    }
}

#[test]
fn a_refresh_without_news_stirs_nothing() {
    each_volume(&ALWAYS, |shape, scene, store| {
        let watcher = Watcher::of(&scene.pod.target);
        for _ in 0..3 {
            scene.publish();
        }
        assert_eq!(watcher.stirred(), Vec::<String>::new(), "{shape}");
        assert_eq!(scene.provider.calls(), 4, "{shape}");

        store.set("password", "news");
        scene.publish();
        assert!(!watcher.stirred().is_empty(), "{shape}: news is noticed");
    });
}

#[test]
fn a_republish_that_is_not_due_stirs_nothing() {
    each_volume(&HOURLY, |shape, scene, _| {
        let watcher = Watcher::of(&scene.pod.target);
        scene.publish();
        scene.publish();
        assert_eq!(watcher.stirred(), Vec::<String>::new(), "{shape}");
        assert_eq!(scene.provider.calls(), 1, "{shape}");
    });
}

#[test]
fn a_refresh_that_fails_stirs_nothing() {
    let too_large = vec![b'x'; 3 << 20];
    let failures: [(&str, Answered); 6] = [
        ("refused", Err(Status::new(Code::PermissionDenied, "no"))),
        ("late", habits::answering_a_deadline_of_its_own(pb::MountRequest::default())),
        ("no objects", Ok(pb::MountResponse::default())),
        ("a path that leads out", Ok(answer("v2", &[("../x", 0, b"x")]))),
        ("a file that is a directory", Ok(answer("v2", &[("a", 0, b"x"), ("a/b", 0, b"x")]))),
        ("more than the volume may hold", Ok(answer("v2", &[("password", 0, &too_large)]))),
    ];
    each_volume(&[ALWAYS[0], ALWAYS[1], "--volume-size-limit=2Mi"], |shape, scene, _| {
        let watcher = Watcher::of(&scene.pod.target);
        for (name, failure) in &failures {
            let failure = failure.clone();
            scene.provider.script(move |_| failure.clone());
            scene.publish();
            assert!(scene.world.kubelet.condition(&scene.pod).0, "{shape}, {name}: it failed");
            assert_eq!(watcher.stirred(), Vec::<String>::new(), "{shape}, {name}");
        }
    });
}

#[test]
fn an_api_server_that_fails_stirs_nothing() {
    each_volume(&ALWAYS, |shape, scene, store| {
        let watcher = Watcher::of(&scene.pod.target);
        scene.provider.script(habits::changing_its_version_each_time(store));
        scene.world.api.fail_always(Matcher::path("podstatuses"), 422);
        if shape.starts_with("the driver") {
            scene.publish();
            assert!(scene.world.kubelet.condition(&scene.pod).0, "{shape}: the pod status is refused");
            assert_eq!(watcher.stirred(), Vec::<String>::new(), "{shape}");
        }
        scene.world.api.stop();
        scene.provider.script(|_| Err(Status::new(Code::Unavailable, "gone")));
        scene.publish();
        assert_eq!(watcher.stirred(), Vec::<String>::new(), "{shape}, with no API server");
    });
}

#[test]
fn a_restart_of_the_driver_stirs_nothing() {
    each_volume(&ALWAYS, |shape, scene, _| {
        let watcher = Watcher::of(&scene.pod.target);
        scene.world.take_driver().terminate();
        scene.world.start_driver();
        scene.publish();
        assert_eq!(watcher.stirred(), Vec::<String>::new(), "{shape}, stopped and started");
        scene.world.take_driver().kill();
        scene.world.start_driver();
        scene.publish();
        assert_eq!(watcher.stirred(), Vec::<String>::new(), "{shape}, killed and started");
    });
}

#[test]
fn a_class_that_is_gone_and_back_stirs_nothing() {
    each_volume(&ALWAYS, |shape, scene, _| {
        let watcher = Watcher::of(&scene.pod.target);
        let path = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/db";
        assert!(scene.world.api.delete(path));
        eventually("the driver hears of it", || {
            scene.publish();
            scene.world.kubelet.condition(&scene.pod).0
        });
        scene.mend();
        eventually("the driver hears of it", || {
            scene.publish();
            !scene.world.kubelet.condition(&scene.pod).0
        });
        assert_eq!(watcher.stirred(), Vec::<String>::new(), "{shape}");
    });
}
