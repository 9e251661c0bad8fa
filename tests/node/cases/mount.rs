//! What a container has of its volume.

use serde_json::json;

use super::Case;
use crate::objects::{MOUNT, add, class, mount, pod, volume};
use crate::stage::Stage;

/// The cases.
pub const CASES: &[Case] = &[
    Case { sentence: "a pod reads the files of its class", play: files },
    Case { sentence: "a file that is mounted by subPath is there alone", play: sub_path },
    Case { sentence: "nobody in a container writes to its volume", play: read_only },
    Case { sentence: "mode 0400 keeps other users out, and fsGroup lets a group in", play: modes },
    Case {
        sentence: "a pod has the volumes of two classes, and a Secret for one of them reaches its provider",
        play: two,
    },
    Case { sentence: "the pod status names what is mounted", play: pod_status },
];

fn files(stage: &mut Stage) {
    let here = stage.namespace("files");
    here.apply(&[class("plain", "foo,bar")]);
    here.run(&pod("plain", "plain"));
    assert_eq!(here.read("plain", "foo"), "one");
    assert_eq!(here.read("plain", "bar"), "other");
    assert_eq!(here.exec("plain", &["stat", "-Lc", "%a %u:%g", "/mnt/secrets/foo"]), "644 0:0");
}

fn sub_path(stage: &mut Stage) {
    let here = stage.namespace("sub-path");
    let mut pod = pod("sub", "plain");
    let mounts = &mut pod["spec"]["containers"][0]["volumeMounts"];
    add(mounts, json!({"name": "secrets", "mountPath": "/opt/foo", "subPath": "foo", "readOnly": true}));
    here.apply(&[class("plain", "foo,bar")]);
    here.run(&pod);
    assert_eq!(here.exec("sub", &["cat", "/opt/foo"]), "one");
}

fn read_only(stage: &mut Stage) {
    let here = stage.namespace("read-only");
    here.apply(&[class("plain", "foo")]);
    here.run(&pod("plain", "plain"));
    for attempt in ["touch /mnt/secrets/new", "echo x >/mnt/secrets/foo", "rm /mnt/secrets/foo"] {
        let told = here.shell("plain", attempt);
        assert!(told.contains("Read-only file system"), "{attempt}: {told}");
    }
    assert_eq!(here.read("plain", "foo"), "one");
}

fn modes(stage: &mut Stage) {
    let here = stage.namespace("modes");
    let mut closed = class("closed", "foo");
    closed["spec"]["parameters"]["mode"] = json!("0400");
    here.apply(&[closed]);
    let user = json!({"runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": true});
    let mut other = pod("other", "closed");
    other["spec"]["securityContext"] = user.clone();
    let mut group = pod("group", "closed");
    group["spec"]["securityContext"] = user;
    group["spec"]["securityContext"]["fsGroup"] = json!(2000);
    here.apply(&[pod("root", "closed"), other, group]);
    here.ready_within(crate::stage::A_POD, &["root", "other", "group"]);
    let file = format!("{MOUNT}/foo");
    let looks = |pod: &str| here.exec(pod, &["stat", "-Lc", "%a %u:%g", &file]);
    assert_eq!(looks("root"), "400 0:0");
    let told = here.shell("other", &format!("cat {file}"));
    assert!(told.contains("Permission denied"), "{told}");
    assert_eq!(looks("group"), "440 0:2000");
    assert_eq!(here.read("group", "foo"), "one");
}

fn two(stage: &mut Stage) {
    let here = stage.namespace("two");
    here.good(&[
        "create",
        "secret",
        "generic",
        "credentials",
        "--from-literal=client=me",
        "--from-literal=key=mine",
    ]);
    here.apply(&[class("first", "foo"), class("second", "bar")]);
    let mut pod = pod("two", "first");
    let mut second = volume("more", "second");
    second["csi"]["nodePublishSecretRef"] = json!({"name": "credentials"});
    add(&mut pod["spec"]["volumes"], second);
    add(&mut pod["spec"]["containers"][0]["volumeMounts"], mount("more", "/mnt/more"));
    here.run(&pod);
    assert_eq!(here.read("two", "foo"), "one");
    assert_eq!(here.exec("two", &["cat", "/mnt/more/bar"]), "other");
    let calls = stage.provider.calls("two");
    assert!(calls.iter().any(|call| call.secrets == ["client", "key"]), "{calls:?}");
    assert!(calls.iter().any(|call| call.secrets.is_empty()), "only the one volume has it: {calls:?}");
}

fn pod_status(stage: &mut Stage) {
    let here = stage.namespace("status");
    here.apply(&[class("plain", "foo,bar")]);
    here.run(&pod("plain", "plain"));
    let name = format!("plain-{}-plain", here.name());
    let status = here.get("secretproviderclasspodstatus", &name).expect("a mounted pod has one");
    let mut objects: Vec<&str> = status["status"]["objects"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    objects.sort_unstable();
    assert_eq!(objects, ["bar", "foo"]);
    assert_eq!(status["status"]["mounted"], true);
}
