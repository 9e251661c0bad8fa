//! Secrets that change while pods run.

use super::Case;
use crate::objects::{DRIVER, add, class, pod, reader};
use crate::stage::{A_POD, A_REFRESH, Stage};
use e2e::patience::within;

use serde_json::json;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        sentence: "a running container sees each new version, and has its file at every moment",
        play: rotation,
    },
    Case {
        sentence: "tokens of the pod's account reach the provider, as attributes or as secrets",
        play: tokens,
    },
    Case {
        sentence: "variables come from mirrored Secrets, which follow, and go with their last pod",
        play: mirrored,
    },
];

fn rotation(stage: &mut Stage) {
    let here = stage.namespace("rotation");
    here.apply(&[class("rotating", "foo")]);
    here.run(&reader("watch", "rotating"));
    let mut pod = pod("sub", "rotating");
    let mounts = &mut pod["spec"]["containers"][0]["volumeMounts"];
    add(mounts, json!({"name": "secrets", "mountPath": "/opt/foo", "subPath": "foo", "readOnly": true}));
    here.run(&pod);
    for value in ["two", "three"] {
        let begun = std::time::Instant::now();
        stage.provider.put("foo", value);
        here.saw("watch", value);
        stage.remark(format!("seen after {:.0} s", begun.elapsed().as_secs_f64()));
    }
    here.never_lost("watch");
    assert_eq!(here.exec("sub", &["cat", "/opt/foo"]), "one", "by subPath the file of the start stays");
    // Whatever the driver did was without a word to the administrator.
    assert!(
        here.events("watch").iter().all(|event| !event.contains("SecretsStore")),
        "{:?}",
        here.events("watch")
    );
}

fn tokens(stage: &mut Stage) {
    let here = stage.namespace("tokens");
    here.apply(&[class("token", "foo")]);
    let kubectl = stage.node.kubectl.clone();
    let patch = |change: &serde_json::Value| {
        kubectl.good(&["patch", "csidriver", DRIVER, "--patch", &change.to_string()]);
    };
    let requests = json!([{"audience": "rig"}, {"audience": "other", "expirationSeconds": 3600}]);
    for (pod_name, in_secrets) in [("attributes", false), ("secrets", true)] {
        patch(&json!({"spec": {"tokenRequests": requests, "serviceAccountTokenInSecrets": in_secrets}}));
        // Kubelet hears of the change in its own time, so a pod that was made too early is made again.
        within(A_REFRESH, "both tokens reach the provider", || {
            here.run(&pod(pod_name, "token"));
            let calls = stage.provider.calls(pod_name);
            here.good(&["delete", "pod", pod_name, "--timeout=60s"]);
            calls.last().is_some_and(|call| call.tokens_in_attributes == ["other", "rig"])
        });
    }
    patch(&json!({"spec": {"tokenRequests": [], "serviceAccountTokenInSecrets": null}}));
}

fn mirrored(stage: &mut Stage) {
    const COUNT: usize = 10;
    let here = stage.namespace("mirrored");
    let names: Vec<String> = (0..COUNT).map(|number| format!("pod{number}")).collect();
    for name in &names {
        let mut class = class(name, "foo");
        let data = json!([{"objectName": "foo", "key": "word"}]);
        class["spec"]["secretObjects"] = json!([{"secretName": name, "type": "Opaque", "data": data}]);
        let mut pod = pod(name, name);
        let variable = json!({"name": "WORD", "valueFrom": {"secretKeyRef": {"name": name, "key": "word"}}});
        add(&mut pod["spec"]["containers"][0]["env"], variable);
        here.apply(&[class, pod]);
    }
    here.ready_within(A_POD, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let complaints = here.good(&["get", "events", "--field-selector=type=Warning", "-o", "name"]);
    assert_eq!(complaints, "", "each Secret was there before its pod asked for it");
    assert_eq!(here.shell("pod7", "echo $WORD").trim(), "one");
    stage.provider.put("foo", "two");
    within(A_REFRESH, "a Secret follows", || {
        here.good(&["get", "secret", "pod7", "-o", "go-template={{.data.word | base64decode}}"]) == "two"
    });
    here.good(&["delete", "pods", "--all", "--timeout=120s"]);
    within(A_REFRESH, "the Secrets go with their pods", || {
        here.good(&["get", "secrets", "--selector=secrets-store.csi.k8s.io/managed=true", "-o", "name"])
            .is_empty()
    });
}
