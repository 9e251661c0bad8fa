//! The first publish of a volume that fails: nothing of it stays, kubelet and dashboards learn why, and the next
//! attempt works.

use std::fs;
use std::path::Path;

use rpc::status::{Code, Status};
use serde_json::json;

use api_server::Matcher;
use kit::objects::{class, class_path};
use kit::provider::{answer, error_code};
use kit::scene::{ALWAYS, HOURLY, Scene, Stage, old};
use kit::shell;

/// One way to fail: how it comes about and what is said of it.
struct Case {
    name: &'static str,
    spoil: Stage,
    code: Code,
    message: &'static str,
    /// Labels of the error metric.
    provider: &'static str,
    error_type: &'static str,
}

const PREFIX: &str = "failed to mount secrets store objects for pod default/web, err: ";

const CASES: [Case; 19] = [
    Case {
        name: "no such class",
        spoil: |scene| assert!(scene.world.api.delete(&class_path("default", "db"))),
        code: Code::Unknown,
        message: "failed to get secretproviderclass default/db, error: \
                  secretproviderclasses.secrets-store.csi.x-k8s.io \"db\" not found",
        provider: "",
        error_type: "SecretProviderClassNotFound",
    },
    Case {
        name: "class in another namespace",
        spoil: |scene| {
            scene.world.api.delete(&class_path("default", "db"));
            scene.world.api.put(class("other", "db", "test", json!({"objects": "some"})));
        },
        code: Code::Unknown,
        message: "failed to get secretproviderclass default/db, error: \
                  secretproviderclasses.secrets-store.csi.x-k8s.io \"db\" not found",
        provider: "",
        error_type: "SecretProviderClassNotFound",
    },
    Case {
        name: "class may not be read",
        spoil: |scene| scene.world.api.fail_always(Matcher::path("secretproviderclasses/"), 403),
        code: Code::Unknown,
        message: "failed to get secretproviderclass default/db, error: \
                  secretproviderclasses.secrets-store.csi.x-k8s.io \"db\" is forbidden:*",
        provider: "",
        error_type: "SecretProviderClassNotFound",
    },
    Case {
        name: "class without a provider",
        spoil: |scene| scene.world.class("db", "", json!({"objects": "some"})),
        code: Code::Unknown,
        message: "provider not set in default/db",
        provider: "",
        error_type: "FailedToMount",
    },
    Case {
        name: "class without parameters",
        spoil: |scene| scene.world.class("db", "test", json!({})),
        code: Code::Unknown,
        message: "parameters not set in default/db",
        provider: "test",
        error_type: "FailedToMount",
    },
    Case {
        name: "class that speaks for kubelet",
        spoil: |scene| scene.world.class("db", "test", json!({"csi.storage.k8s.io/pod.name": "other"})),
        code: Code::Unknown,
        message: "default/db: parameter \"csi.storage.k8s.io/pod.name\" is reserved: kubelet sets it, \
                  remove it from the class",
        provider: "test",
        error_type: "FailedToMount",
    },
    Case {
        name: "no such provider",
        spoil: |scene| scene.world.class("db", "absent", json!({"objects": "some"})),
        code: Code::Unknown,
        message: "error connecting to provider \"absent\": provider not found: provider \"absent\"",
        provider: "absent",
        error_type: "",
    },
    Case {
        name: "a provider's name that is a path",
        spoil: |scene| scene.world.class("db", "bad/provider/name", json!({"objects": "some"})),
        code: Code::Unknown,
        message: "error connecting to provider \"bad/provider/name\": \
                  invalid provider: provider \"bad/provider/name\"",
        provider: "bad_provider_name",
        error_type: "",
    },
    Case {
        name: "an error code of the provider's own",
        spoil: |scene| scene.answer_with(error_code("AuthenticationFailed")),
        code: Code::Unknown,
        message: "mount request failed with provider error code AuthenticationFailed",
        provider: "test",
        error_type: "AuthenticationFailed",
    },
    Case {
        name: "files without objects",
        spoil: |scene| {
            let mut answer = old();
            answer.object_version.clear();
            scene.answer_with(answer);
        },
        code: Code::Unknown,
        message: "missing object versions",
        provider: "test",
        error_type: "GRPCProviderError",
    },
    Case {
        name: "a failed call",
        spoil: |scene| scene.provider.script(|_| Err(Status::new(Code::PermissionDenied, "no access"))),
        code: Code::PermissionDenied,
        message: "rpc error: code = PermissionDenied desc = no access",
        provider: "test",
        error_type: "GRPCProviderError",
    },
    Case {
        name: "a path that leads out",
        spoil: |scene| scene.answer_with(answer("v1", &[("ok", 0, b"x"), ("../evil", 0, b"x")])),
        code: Code::Unknown,
        message: "invalid filepath: \"../evil\" must not contain '..'",
        provider: "test",
        error_type: "FileWriteError",
    },
    Case {
        name: "an absolute path",
        spoil: |scene| scene.answer_with(answer("v1", &[("/etc/passwd", 0, b"x")])),
        code: Code::Unknown,
        message: "invalid filepath: \"/etc/passwd\" must be relative path",
        provider: "test",
        error_type: "FileWriteError",
    },
    Case {
        name: "a name of the driver's own",
        spoil: |scene| scene.answer_with(answer("v1", &[("..data", 0, b"x")])),
        code: Code::Unknown,
        message: "invalid filepath: \"..data\" must not start with '..'",
        provider: "test",
        error_type: "FileWriteError",
    },
    Case {
        name: "a file that is also a directory",
        spoil: |scene| scene.answer_with(answer("v1", &[("a", 0, b"x"), ("a/b", 0, b"x")])),
        code: Code::Unknown,
        message: "invalid filepath: \"a\" is both a file and a directory",
        provider: "test",
        error_type: "FileWriteError",
    },
    Case {
        name: "more bytes than the volume holds",
        spoil: |scene| scene.answer_with(answer("v1", &[("large", 0, &[7; 2 << 20])])),
        code: Code::Unknown,
        message: "the secrets take 2097152 bytes*more than --volume-size-limit=1048576: raise it*",
        provider: "test",
        error_type: "FileWriteError",
    },
    Case {
        name: "more files than the volume holds",
        spoil: |scene| {
            let names: Vec<String> = (0..100).map(|number| format!("file-{number}")).collect();
            let files: Vec<_> = names.iter().map(|name| (name.as_str(), 0, b"x".as_slice())).collect();
            scene.answer_with(answer("v1", &files));
        },
        code: Code::Unknown,
        message: "the secrets are 100 files*more than --volume-inode-limit=64: raise it*",
        provider: "test",
        error_type: "FileWriteError",
    },
    Case {
        name: "an answer that is too large",
        spoil: |scene| scene.answer_with(answer("v1", &[("large", 0, &[7; 3 << 20])])),
        code: Code::ResourceExhausted,
        message: "*grpc: received message larger than max*raise --max-call-recv-msg-size*",
        provider: "test",
        error_type: "GRPCProviderError",
    },
    Case {
        name: "a pod status that may not be written",
        spoil: |scene| {
            scene
                .world
                .api
                .fail_always(Matcher::verb("create").and_path("secretproviderclasspodstatuses"), 403);
        },
        code: Code::Unknown,
        message: "failed to create secret provider class pod status for pod default/web, err: *is forbidden:*",
        provider: "test",
        error_type: "",
    },
];

#[test]
fn whatever_fails_leaves_nothing_behind_is_told_and_counted_and_the_next_attempt_works() {
    let flags = [
        "--volume-size-limit=1Mi",
        "--volume-inode-limit=64",
        "--max-call-recv-msg-size=3000000",
        HOURLY[0],
        HOURLY[1],
    ];
    let scene = Scene::start(&flags);
    for Case { name, spoil, code, message, provider, error_type } in CASES {
        let counted = || {
            let labels = [("provider", provider), ("error_type", error_type), ("os_type", "linux")];
            scene.world.count("node_publish_error_total", &labels)
        };
        let before = counted();
        spoil(&scene);
        let status = scene.world.kubelet.publish(&scene.pod).expect_err(name);
        assert_eq!(status.code, code, "{name}: {status}");
        let told = status.message.strip_prefix(PREFIX).unwrap_or(&status.message);
        assert!(matches(message, told), "{name}: {status}");
        assert!(!scene.pod.is_mounted(), "{name}");
        assert!(fs::symlink_metadata(&scene.pod.target).is_err(), "{name}: the directory stayed");
        assert_eq!(counted(), before + 1.0, "{name}");

        scene.mend();
        scene.answer_with(old());
        scene.publish();
        assert_eq!(scene.pod.read("password"), "old", "{name}");
        scene.world.kubelet.unpublish(&scene.pod).unwrap();
    }
    assert_eq!(scene.world.count("rotation_reconcile_error_total", &[]), 0.0, "these were first publishes");
}

/// True when `text` is `pattern`, in which each `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || last == Some("")
}

#[test]
fn a_code_that_lets_kubelet_try_again_makes_the_next_call_a_first_publish() {
    use Code::{Aborted, Cancelled, DeadlineExceeded, ResourceExhausted, Unavailable};
    for code in [Cancelled, DeadlineExceeded, Unavailable, ResourceExhausted, Aborted] {
        let scene = Scene::scripted(&HOURLY, move |_| Err(Status::new(code, "not now")));
        // As kubelet leaves it after such a code.
        fs::create_dir(&scene.pod.target).unwrap();
        let status = scene.world.kubelet.publish(&scene.pod).expect_err(code.name());
        assert_eq!(status.code, code, "{status}");
        assert!(status.message.starts_with(&format!("{PREFIX}rpc error: code = {code} desc = ")), "{status}");
        assert!(status.message.ends_with("not now"), "{status}");
        assert!(!scene.pod.is_mounted(), "{code}");

        let calls = scene.provider.calls();
        scene.answer_with(old());
        scene.publish();
        assert_eq!(scene.provider.calls(), calls + 1, "{code}");
        assert!(scene.pod.is_mounted(), "{code}");
        assert_eq!(scene.pod.read("password"), "old", "{code}");
    }
}

#[test]
fn a_provider_that_uses_the_words_of_a_grpc_library_is_quoted() {
    let scene = Scene::start(&[]);
    let rows = [
        (
            Code::DeadlineExceeded,
            "store: context deadline exceeded while waiting for connections to become ready",
        ),
        (Code::DeadlineExceeded, "Deadline Exceeded"),
        (Code::ResourceExhausted, "Received message larger than max (4194305 vs. 4194304)"),
        (Code::ResourceExhausted, "grpc: received message larger than max (4194305 vs. 4194304)"),
        (Code::Cancelled, "CANCELLED"),
        (Code::Unavailable, "failed to connect to all addresses"),
    ];
    for (code, words) in rows {
        scene.provider.script(move |_| Err(Status::new(code, words)));
        let status = scene.world.kubelet.publish(&scene.pod).expect_err(words);
        assert_eq!(status, Status::new(code, format!("{PREFIX}rpc error: code = {code} desc = {words}")));
    }
}

#[test]
fn an_answer_may_have_as_many_bytes_as_the_limit_says_and_not_one_more() {
    let bytes = |content: usize| {
        let answer = answer("v1", &[("password", 0, &vec![b'x'; content])]);
        protobuf::Message::compute_size(&answer)
    };
    let (content, limit) = (1000, bytes(1000));
    let scene = Scene::start(&[&format!("--max-call-recv-msg-size={limit}")]);
    assert_eq!(bytes(content + 1), limit + 1);
    for (content, over) in [(content + 1, limit + 1), (content + 2, limit + 2)] {
        scene.answer_with(answer("v1", &[("password", 0, &vec![b'x'; content])]));
        let status = scene.world.kubelet.publish(&scene.pod).unwrap_err();
        let message =
            format!("grpc: received message larger than max ({over} vs. {limit}): raise --max-call-recv");
        assert!(status.message.contains(&message), "{status}");
    }
    scene.answer_with(answer("v1", &[("password", 0, &vec![b'x'; content])]));
    scene.publish();
    assert_eq!(scene.pod.read("password").len(), content);
}

#[test]
fn every_other_code_of_a_provider_reaches_kubelet_with_its_text() {
    let scene = Scene::start(&[]);
    let codes = [
        Code::Unknown,
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::FailedPrecondition,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::DataLoss,
        Code::Unauthenticated,
    ];
    for code in codes {
        scene.provider.script(move |_| Err(Status::new(code, "its own words")));
        let status = scene.world.kubelet.publish(&scene.pod).expect_err(code.name());
        let message = format!("{PREFIX}rpc error: code = {code} desc = its own words");
        assert_eq!(status, Status::new(code, message));
    }
    assert_eq!(scene.provider.calls(), codes.len(), "none of them is tried again");
}

#[test]
fn only_directories_that_the_call_made_are_removed() {
    let mut scene = Scene::scripted(&[], |_| Err(Status::new(Code::Internal, "no")));
    let csi = scene.world.path("pods/uid-web/volumes/kubernetes.io~csi");
    scene.pod.target = csi.join("other/mount");
    scene.world.kubelet.publish(&scene.pod).unwrap_err();
    assert!(!csi.join("other").exists());
    assert!(csi.exists(), "kubelet's own directory");

    fs::create_dir_all(&scene.pod.target).unwrap();
    scene.world.kubelet.publish(&scene.pod).unwrap_err();
    assert!(!scene.pod.is_mounted());
    assert!(scene.pod.target.exists(), "it was there before");
}

#[test]
fn something_else_in_the_targets_place_is_refused_and_left_alone() {
    let table: [(&str, Stage); 5] = [
        ("a file", |scene| fs::write(&scene.pod.target, "precious").unwrap()),
        ("a symlink", |scene| {
            fs::create_dir(scene.world.path("elsewhere")).unwrap();
            std::os::unix::fs::symlink(scene.world.path("elsewhere"), &scene.pod.target).unwrap();
        }),
        ("a mount that is no tmpfs", |scene| {
            fs::create_dir(&scene.pod.target).unwrap();
            shell::mount_ramfs(&scene.pod.target);
        }),
        ("a tmpfs of another driver, open and with content", |scene| {
            fs::create_dir(&scene.pod.target).unwrap();
            shell::mount_tmpfs_of("another-driver", &scene.pod.target, "mode=0755");
            fs::write(scene.pod.target.join("password"), "precious").unwrap();
        }),
        ("a directory bound from elsewhere", |scene| {
            fs::create_dir(scene.world.path("elsewhere")).unwrap();
            fs::create_dir(&scene.pod.target).unwrap();
            shell::bind(&scene.world.path("elsewhere"), &scene.pod.target);
        }),
    ];
    for (name, place) in table {
        for flags in [&[], ALWAYS.as_slice()] {
            let scene = Scene::start(flags);
            place(&scene);
            let before =
                (fs::symlink_metadata(&scene.pod.target).unwrap().file_type(), scene.world.mounts().len());
            let status = scene.world.kubelet.publish(&scene.pod).expect_err(name);
            assert_eq!(status.code, Code::Internal, "{name}: {status}");
            let beginning = format!(
                "failed to check if target path {} is mount point, err: ",
                scene.pod.target.display()
            );
            assert!(status.message.starts_with(&beginning), "{name}: {status}");
            let labels = [("provider", ""), ("error_type", "FailedToEnsureMountPoint")];
            assert_eq!(scene.world.count("node_publish_error_total", &labels), 1.0, "{name}");
            let after =
                (fs::symlink_metadata(&scene.pod.target).unwrap().file_type(), scene.world.mounts().len());
            assert_eq!(before, after, "{name}");
            assert_eq!(scene.provider.calls(), 0, "{name}");
        }
    }
}

#[test]
fn success_is_told_only_of_a_volume_that_is_at_its_path() {
    type Displace = fn(&Path);
    let table: [(&str, Displace); 2] = [
        ("unmounted meanwhile", shell::unmount),
        ("covered meanwhile", |target| shell::mount_as_ours(target, "mode=0755")),
    ];
    for (name, displace) in table {
        let scene = Scene::scripted(&[], move |request| {
            displace(Path::new(&request.target_path));
            Ok(old())
        });
        let status = scene.world.kubelet.publish(&scene.pod).expect_err(name);
        assert_eq!(status.code, Code::Internal, "{name}: {status}");
        assert!(status.message.contains("unmounted or covered while it was being made"), "{name}: {status}");
        assert!(!scene.pod.is_mounted() && !scene.pod.target.exists(), "{name}");
        scene.answer_with(old());
        scene.publish();
        assert_eq!((scene.pod.read("password"), scene.pod.mount_count()), ("old".to_owned(), 1), "{name}");
    }
}

#[test]
fn a_symlink_on_the_way_to_the_target_is_not_followed() {
    let mut scene = Scene::start(&[]);
    let outside = scene.world.path("outside");
    fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, scene.world.path("pods/uid-web/link")).unwrap();
    scene.pod.target = scene.world.path("pods/uid-web/link/mount");
    let status = scene.world.kubelet.publish(&scene.pod).unwrap_err();
    assert_eq!(status.code, Code::Internal, "{status}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(scene.world.mounts().len(), 0);
}
