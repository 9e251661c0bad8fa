//! What a provider is told, how it is found, and what becomes of a call that fails.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use rpc::pb::provider as pb;
use rpc::status::{Code, Status};
use serde_json::{Value, json};

use kit::provider::{ScriptedProvider, answer};
use kit::scene::{ALWAYS, Scene, new, old};
use kit::tokens::{TOKENS, bound_to};
use kit::wire::{self, WireProvider};
use kit::{eventually, provider};

fn attributes(request: &pb::MountRequest) -> Value {
    serde_json::from_str(&request.attributes).unwrap()
}

#[test]
fn a_provider_is_told_the_class_the_pod_and_where_the_volume_is() {
    let mut scene = Scene::start(&[]);
    scene.world.class("db", "test", json!({"objects": "<a>&\"b\"\n", "vault": "blue"}));
    scene.pod.attributes.insert("ofThePod".to_owned(), "größe".to_owned());
    scene.publish();
    let request = scene.provider.last();
    assert_eq!(
        attributes(&request),
        json!({
            "objects": "<a>&\"b\"\n",
            "vault": "blue",
            "ofThePod": "größe",
            "secretProviderClass": "db",
            "csi.storage.k8s.io/pod.name": "web",
            "csi.storage.k8s.io/pod.namespace": "default",
            "csi.storage.k8s.io/pod.uid": "uid-web",
            "csi.storage.k8s.io/serviceAccount.name": "default",
            "csi.storage.k8s.io/ephemeral": "true",
        })
    );
    assert_eq!(request.secrets, "null", "some providers fail on an empty text");
    assert_eq!(request.permission, "420");
    assert_eq!(request.target_path, scene.pod.target.to_str().unwrap());
    assert!(request.current_object_version.is_empty());
}

#[test]
fn the_pods_own_secret_is_passed_on_as_an_object() {
    let mut scene = Scene::start(&[]);
    scene.pod.secrets.insert("clientid".to_owned(), "me".to_owned());
    scene.pod.secrets.insert("clientsecret".to_owned(), "quo\"te".to_owned());
    scene.publish();
    let secrets: Value = serde_json::from_str(&scene.provider.last().secrets).unwrap();
    assert_eq!(secrets, json!({"clientid": "me", "clientsecret": "quo\"te"}));
}

#[test]
fn tokens_come_from_the_secrets_first_and_else_from_the_attributes() {
    let scene = Scene::start(&ALWAYS);
    let uid = &scene.pod.uid;
    let (of_context, of_secrets) = (bound_to(uid, "of-context"), bound_to(uid, "of-secrets"));
    let (of_context, of_secrets) = (of_context.as_str(), of_secrets.as_str());
    let table = [
        ("nowhere", None, None, None),
        ("attributes", None, Some(of_context), Some(of_context)),
        ("secrets", Some(of_secrets), None, Some(of_secrets)),
        ("both", Some(of_secrets), Some(of_context), Some(of_secrets)),
        ("empty in the secrets", Some(""), Some(of_context), Some(of_context)),
    ];
    for (name, in_secrets, in_context, sent) in table {
        let mut pod = scene.pod.clone();
        pod.secrets.extend(in_secrets.map(|tokens| (TOKENS.to_owned(), tokens.to_owned())));
        pod.attributes.extend(in_context.map(|tokens| (TOKENS.to_owned(), tokens.to_owned())));
        scene.world.kubelet.publish(&pod).unwrap();
        let request = scene.provider.last();
        assert_eq!(attributes(&request).get(TOKENS).and_then(Value::as_str), sent, "{name}");
        let secrets: Value = serde_json::from_str(&request.secrets).unwrap();
        assert_eq!(
            secrets.get(TOKENS).and_then(Value::as_str),
            in_secrets,
            "{name}: not taken out of the secrets"
        );
    }
}

#[test]
fn tokens_that_are_not_bound_to_the_pod_reach_no_provider() {
    let of_another = bound_to("uid-of-another", "signature");
    for own in [of_another.as_str(), r#"{"aud1":{"token":"made-up"}}"#, "made-up"] {
        let mut scene = Scene::start(&[]);
        scene.pod.attributes.insert(TOKENS.to_owned(), own.to_owned());
        scene.pod.secrets.insert(TOKENS.to_owned(), own.to_owned());
        scene.publish();
        let request = scene.provider.last();
        assert_eq!(attributes(&request).get(TOKENS), None, "{own}");
        assert_eq!(request.secrets, "null", "{own}");
        let log = scene.world.take_driver().terminate();
        assert_eq!(log.matches("not bound to its pod").count(), 1, "{log}");
        assert!(!log.contains("made-up"), "{log}");
    }
}

#[test]
fn the_class_wins_over_the_pod_unless_the_administrator_gave_that_up() {
    for (flag, vault) in
        [("--allow-attribute-override=false", "blue"), ("--allow-attribute-override", "evil")]
    {
        let mut scene = Scene::start(&[flag]);
        scene.world.class("db", "test", json!({"objects": "some", "vault": "blue", "same": "1"}));
        for (key, value) in [("vault", "evil"), ("same", "1"), ("extra", "fine")] {
            scene.pod.attributes.insert(key.to_owned(), value.to_owned());
        }
        scene.publish();
        let attributes = attributes(&scene.provider.last());
        assert_eq!(attributes["vault"], vault, "{flag}");
        assert_eq!((&attributes["extra"], &attributes["same"]), (&json!("fine"), &json!("1")), "{flag}");

        eventually("the pod's owner is told", || scene.world.api.events_for("web").len() == 1);
        let event = scene.world.api.events_for("web").remove(0);
        assert_eq!(event["reason"], "SecretsStoreAttributeConflict", "{flag}");
        let message = event["message"].as_str().unwrap();
        assert!(
            message.contains("vault") && !message.contains("extra") && !message.contains("same"),
            "{message}"
        );
        assert!(!message.contains("blue") && !message.contains("evil"), "never a value: {message}");
    }
}

#[test]
fn a_class_that_speaks_for_kubelet_is_refused_with_either_rule() {
    for flag in ["--allow-attribute-override=false", "--allow-attribute-override"] {
        let scene = Scene::start(&[flag]);
        for key in ["csi.storage.k8s.io/pod.namespace", "csi.storage.k8s.io/serviceAccount.name", TOKENS] {
            scene.world.class("db", "test", json!({"objects": "some", key: "other"}));
            let status = scene.world.kubelet.publish(&scene.pod).expect_err(key);
            assert_eq!(status.code, Code::Unknown, "{key}: {status}");
            assert!(
                status.message.starts_with(&format!("default/db: parameter \"{key}\" is reserved")),
                "{status}"
            );
        }
        assert_eq!(scene.provider.calls(), 0);
    }
}

#[test]
fn an_unavailable_provider_is_asked_three_times() {
    let attempts = AtomicUsize::new(0);
    let scene = Scene::scripted(&[], move |_| match attempts.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Err(Status::new(Code::Unavailable, "starting")),
        _ => Ok(old()),
    });
    scene.publish();
    assert_eq!(scene.provider.calls(), 3);
    let calls = |code| {
        let labels = [("provider", "test"), ("code", code)];
        scene.world.count("secrets_store_csi_provider_call_duration_seconds_count", &labels)
    };
    assert_eq!((calls("Unavailable"), calls("OK")), (2.0, 1.0));
}

#[test]
fn a_provider_that_says_it_is_unavailable_keeps_its_connection() {
    let scene = Scene::start(&[]);
    scene.publish();
    scene.provider.script(|_| Err(Status::new(Code::Unavailable, "the store is down")));
    let pod = scene.world.pod("other", "db");
    assert_eq!(scene.world.kubelet.publish(&pod).unwrap_err().code, Code::Unavailable);
    scene.provider.script(|_| Ok(old()));
    scene.world.kubelet.publish(&pod).unwrap();
    assert_eq!(scene.world.driver().count_log("connecting again"), 0);
}

#[test]
fn a_provider_that_came_back_on_another_socket_passes_the_next_health_check() {
    let flags = ["--provider-health-check", "--provider-health-check-interval=50ms", "--v=2"];
    let mut scene = Scene::start(&flags);
    scene.publish();
    scene.world.driver().wait_for_log("provider is healthy");
    scene.provider.stop();
    // The server may have removed it.
    drop(fs::remove_file(scene.provider.socket()));
    scene.world.driver().wait_for_log("provider does not answer a health check");
    let _another = scene.world.provider("test", |_| Ok(old()));
    let before = scene.world.driver().count_log("provider is healthy");
    eventually("it is healthy again, and no pod was published", || {
        scene.world.driver().count_log("provider is healthy") > before
    });
}

#[test]
fn a_socket_on_which_nobody_listens_yet_is_waited_for() {
    let mut scene = Scene::start(&[]);
    let kept = scene.world.path("kept.sock");
    // The file of a provider that was killed.
    fs::hard_link(scene.provider.socket(), &kept).unwrap();
    scene.provider.stop();
    fs::rename(&kept, scene.provider.socket()).unwrap();
    let Scene { world, pod, provider } = &mut scene;
    std::thread::scope(|scope| {
        let (world, pod) = (&*world, &*pod);
        let call = scope.spawn(move || world.kubelet.publish(pod));
        eventually("the volume waits for its provider", || pod.is_mounted());
        *provider = world.provider("test", |_| Ok(new()));
        call.join().unwrap().unwrap();
    });
    assert_eq!(scene.pod.read("password"), "new");
}

#[test]
fn a_provider_that_was_replaced_is_found_again() {
    let mut scene = Scene::published(&ALWAYS);
    scene.provider.stop();
    scene.provider = scene.world.provider("test", |_| Ok(new()));
    scene.publish();
    assert_eq!(scene.pod.read("password"), "new");
    assert_eq!(scene.provider.calls(), 1);
}

#[test]
fn additional_directories_are_searched_first_and_a_provider_may_move() {
    let mut world = kit::world::World::without_driver(&ALWAYS);
    let [first, second] = ["first", "second"].map(|name| world.path(name));
    let flag = format!("--additional-provider-volume-paths={},{}", first.display(), second.display());
    world.leave_out("--additional-provider-volume-paths");
    world.add_flags(&[flag.as_str()]);
    world.start_driver();
    world.class("db", "test", json!({"objects": "some"}));
    let pod = world.pod("web", "db");
    let in_directory = |directory: &std::path::Path, contents: &'static [u8]| {
        ScriptedProvider::start(&world.environment, directory, "test", move |_| {
            Ok(answer("v1", &[("password", 0, contents)]))
        })
    };

    let main = in_directory(&world.providers(), b"main");
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "main");
    let _second = in_directory(&second, b"second");
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "second");
    let _first = in_directory(&first, b"first");
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("password"), "first");
    assert_eq!(main.calls(), 1);
}

#[test]
fn an_empty_error_code_is_no_error() {
    let mut sent = old();
    sent.error = provider::error_code("").error;
    let scene = Scene::start(&[]);
    scene.answer_with(sent);
    scene.publish();
    assert_eq!(scene.pod.read("password"), "old");
}

#[test]
fn of_two_files_with_one_path_the_last_wins() {
    let scene =
        Scene::scripted(&[], |_| Ok(answer("v1", &[("password", 0, b"one"), ("password", 0, b"two")])));
    scene.publish();
    assert_eq!(scene.pod.read("password"), "two");
}

#[test]
fn an_answer_that_says_ok_and_holds_no_message_is_an_error_of_the_provider_and_no_bug_of_the_driver() {
    let scene = Scene::published(&ALWAYS);
    let rows: [(&str, &[&[u8]]); 3] = [
        ("the answer says OK and holds no message", &[]),
        ("the answer says OK and holds no message", &[b"cut"]),
        ("the answer holds more than one message", &[b"", b""]),
    ];
    for (words, messages) in rows {
        let wire = WireProvider::instead_of(scene.provider.socket(), move |wire| {
            wire.greet()?;
            let stream = wire.request()?;
            wire.write(&wire::answer_head(stream))?;
            for bytes in messages {
                let length = if *bytes == b"cut" { 100 } else { 0 };
                let wrapped = [&[0, 0, 0, 0, length][..], *bytes].concat();
                wire.write(&wire::frame(wire::DATA, 0, stream, &wrapped))?;
            }
            wire.write(&wire::trailers(stream, "0"))?;
            wire.linger()
        });
        scene.publish();
        let (is_abnormal, condition) = scene.world.kubelet.condition(&scene.pod);
        assert!(is_abnormal && condition.contains(words), "{words}: {condition}");
        assert_eq!(scene.pod.read("password"), "old");
        drop(wire);
    }
    scene.answer_with(new());
    scene.publish();
    assert_eq!(scene.pod.read("password"), "new");
    assert_eq!(scene.world.driver().count_log("panicked"), 0, "{}", scene.world.driver().log());
}
