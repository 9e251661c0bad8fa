//! A live volume that cannot be refreshed: the pod keeps what it has, kubelet hears no error, and everybody else
//! learns why.

use rpc::status::{Code, Status};
use serde_json::json;

use api_server::Matcher;
use kit::eventually;
use kit::objects::class_path;
use kit::provider::{answer, error_code};
use kit::scene::{ALWAYS, HOURLY, Scene, Stage, new, old};

/// One way to fail: how it comes about and what is said of it.
struct Case {
    name: &'static str,
    spoil: Stage,
    message: &'static str,
    /// Labels of the error metrics.
    provider: &'static str,
    error_type: &'static str,
}

const CASES: [Case; 15] = [
    Case {
        name: "no such class",
        spoil: |scene| assert!(scene.world.api.delete(&class_path("default", "db"))),
        message: "failed to get secretproviderclass default/db, error: ",
        provider: "",
        error_type: "SecretProviderClassNotFound",
    },
    Case {
        name: "class without a provider",
        spoil: |scene| scene.world.class("db", "", json!({"objects": "some"})),
        message: "provider not set in default/db",
        provider: "",
        error_type: "FailedToMount",
    },
    Case {
        name: "class without parameters",
        spoil: |scene| scene.world.class("db", "test", json!({})),
        message: "parameters not set in default/db",
        provider: "test",
        error_type: "FailedToMount",
    },
    Case {
        name: "class that speaks for kubelet",
        spoil: |scene| scene.world.class("db", "test", json!({"csi.storage.k8s.io/pod.name": "other"})),
        message: "is reserved",
        provider: "test",
        error_type: "FailedToMount",
    },
    Case {
        name: "no such provider",
        spoil: |scene| scene.world.class("db", "absent", json!({"objects": "some"})),
        message: "provider not found",
        provider: "absent",
        error_type: "",
    },
    Case {
        name: "a provider's name that is a path",
        spoil: |scene| scene.world.class("db", "../test", json!({"objects": "some"})),
        message: "invalid provider",
        provider: ".._test",
        error_type: "",
    },
    Case {
        name: "an error code of the provider's own",
        spoil: |scene| scene.answer_with(error_code("Throttled")),
        message: "mount request failed with provider error code Throttled",
        provider: "test",
        error_type: "Throttled",
    },
    Case {
        name: "no objects",
        spoil: |scene| scene.answer_with(Default::default()),
        message: "missing object versions",
        provider: "test",
        error_type: "GRPCProviderError",
    },
    Case {
        name: "a call that failed for good",
        spoil: |scene| scene.provider.script(|_| Err(Status::new(Code::Unauthenticated, "who are you"))),
        message: "rpc error: code = Unauthenticated desc = who are you",
        provider: "test",
        error_type: "GRPCProviderError",
    },
    Case {
        name: "a call that may still succeed",
        spoil: |scene| scene.provider.script(|_| Err(Status::new(Code::Aborted, "later"))),
        message: "rpc error: code = Aborted desc = later",
        provider: "test",
        error_type: "GRPCProviderError",
    },
    Case {
        name: "an answer that is too large",
        spoil: |scene| scene.answer_with(answer("v2", &[("password", 0, &[7; 3 << 20])])),
        message: "received message larger than max",
        provider: "test",
        error_type: "GRPCProviderError",
    },
    Case {
        name: "a path that leads out",
        spoil: |scene| scene.answer_with(answer("v2", &[("password", 0, b"new"), ("a/../../b", 0, b"x")])),
        message: "must not contain '..'",
        provider: "test",
        error_type: "FileWriteError",
    },
    Case {
        name: "more bytes than fit beside the old content",
        spoil: |scene| {
            scene.answer_with(answer("v2", &[("another", 0, b"x"), ("password", 0, &[7; 2 << 20])]))
        },
        message: "more than --volume-size-limit=1048576",
        provider: "test",
        error_type: "FileWriteError",
    },
    Case {
        name: "a pod status that may not be written",
        spoil: |scene| {
            scene
                .world
                .api
                .fail_always(Matcher::verb("update").and_path("secretproviderclasspodstatuses"), 403);
            scene.answer_with(answer("v2", &[("password", 0, b"old")]));
        },
        message: "could not write the pod status: ",
        provider: "test",
        error_type: "",
    },
    // The last, since the driver now leaves the watch of classes alone for a minute.
    Case {
        name: "class may not be read",
        spoil: |scene| {
            scene.world.api.fail_always(Matcher::path("secretproviderclasses"), 403);
            scene.world.api.close_connections();
        },
        message: "is forbidden",
        provider: "",
        error_type: "SecretProviderClassNotFound",
    },
];

#[test]
fn whatever_fails_the_pod_keeps_what_it_has_and_everybody_else_learns_why() {
    let scene = Scene::published(&[
        "--volume-size-limit=1Mi",
        "--max-call-recv-msg-size=3000000",
        ALWAYS[0],
        ALWAYS[1],
    ]);
    for Case { name, spoil, message, provider, error_type } in CASES {
        let counted = |family: &str| {
            scene
                .world
                .count(family, &[("provider", provider), ("error_type", error_type), ("os_type", "linux")])
        };
        let families = ["node_publish_error_total", "rotation_reconcile_error_total"];
        let before = families.map(counted);
        let generation = scene.pod.generation();
        spoil(&scene);
        // What is done to a class reaches the driver by a watch, so the first refresh may still be a good one.
        eventually(&format!("a refresh fails: {name}"), || {
            scene.publish();
            scene.world.kubelet.condition(&scene.pod).0
        });
        assert_eq!(scene.pod.read("password"), "old", "{name}");
        assert_eq!(scene.pod.visible(), ["password"], "{name}");
        assert_eq!((scene.pod.generation(), scene.pod.mount_count()), (generation, 1), "{name}");
        assert_eq!(families.map(counted), before.map(|count| count + 1.0), "{name}");
        let (abnormal, condition) = scene.world.kubelet.condition(&scene.pod);
        assert!(
            abnormal && condition.starts_with("not refreshed since ") && condition.contains(message),
            "{name}: {condition}"
        );
        assert_eq!(scene.world.count("secrets_store_csi_failing_volumes", &[]), 1.0, "{name}");

        scene.mend();
        scene.answer_with(old());
        eventually(&format!("a refresh succeeds after: {name}"), || {
            scene.publish();
            scene.world.kubelet.condition(&scene.pod) == (false, "volume is fresh".to_owned())
        });
        assert_eq!(scene.world.count("secrets_store_csi_failing_volumes", &[]), 0.0, "{name}");
        let mended = families.map(counted);
        scene.publish();
        assert_eq!(families.map(counted), mended, "{name}");
    }
}

#[test]
fn the_log_tells_each_change_of_state_once_and_the_pod_is_told_too() {
    let scene = Scene::published(&ALWAYS);
    let fail = |text: &'static str| {
        scene.provider.script(move |_| Err(Status::new(Code::Internal, text)));
        scene.publish();
        scene.publish();
        scene.publish();
    };
    let recover = |times: usize| {
        scene.answer_with(old());
        scene.publish();
        scene.publish();
        eventually("the log tells the recovery", || {
            scene.world.driver().count_log("volume is fresh again") == times
        });
    };
    fail("first outage");
    recover(1);
    // Lines come in order: what was to be told of the outage is there by now.
    assert_eq!(scene.world.driver().count_log("could not refresh the volume"), 1);
    fail("second outage");
    fail("another reason");
    recover(2);
    assert_eq!(scene.world.driver().count_log("could not refresh the volume"), 3);

    eventually("the pod is told", || !scene.world.api.events_for("web").is_empty());
    let events = scene.world.api.events_for("web");
    assert_eq!(events.len(), 1, "different messages at most every half minute");
    assert_eq!(
        (&events[0]["reason"], &events[0]["type"]),
        (&json!("SecretsStoreRefreshFailed"), &json!("Warning"))
    );
    assert_eq!(
        events[0]["message"],
        "could not refresh secrets of class db, the pod keeps what it has: \
         rpc error: code = Internal desc = first outage"
    );
}

#[test]
fn since_when_a_volume_fails_is_the_beginning_of_the_outage() {
    let scene = Scene::published(&ALWAYS);
    let since = || {
        let (_, message) = scene.world.kubelet.condition(&scene.pod);
        message.split(": ").next().unwrap_or_default().to_owned()
    };
    scene.provider.script(|_| Err(Status::new(Code::Internal, "one")));
    scene.publish();
    let first = since();
    assert!(first.starts_with("not refreshed since 20"), "{first}");
    scene.provider.script(|_| Err(Status::new(Code::Internal, "other")));
    scene.publish();
    assert_eq!(since(), first);
}

#[test]
fn a_volume_that_failed_is_due_until_it_succeeds() {
    let mut scene = Scene::published(&HOURLY);
    scene.world.age(std::time::Duration::from_secs(67 * 60));
    scene.provider.script(|_| Err(Status::new(Code::Internal, "no")));
    scene.publish();
    scene.publish();
    assert_eq!(scene.provider.calls(), 3);
    scene.answer_with(new());
    scene.publish();
    scene.publish();
    assert_eq!(scene.provider.calls(), 4);
    assert_eq!(scene.pod.read("password"), "new");
}
