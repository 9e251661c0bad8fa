//! The life of a pod, from its start to what is left of it.

use std::time::Duration;

use serde_json::json;

use super::Case;
use crate::images::SHELL;
use crate::objects::{MOUNT, add, class, mount, pod, pod_spec, reader};
use crate::stage::{A_POD, A_REFRESH, Stage};
use e2e::patience::within;

/// The cases.
pub const CASES: &[Case] = &[
    Case { sentence: "nothing is left of a pod that was deleted", play: deleted },
    Case { sentence: "nothing is left of a pod that was deleted by force", play: forced },
    Case { sentence: "a pod that ends by itself gives its volume back while its object stays", play: ended },
    Case { sentence: "an init container and two containers read the same volume", play: containers },
    Case {
        sentence: "a pod of a StatefulSet that comes back under its name gets a volume of its own",
        play: stateful,
    },
    Case {
        sentence: "each pod of a CronJob gets its secrets, and nothing is left of those that are done",
        play: cron,
    },
    Case { sentence: "a pod with users of its own reads its secrets", play: own_users },
    Case { sentence: "an ephemeral container reads the volume of its pod", play: ephemeral },
    Case {
        sentence: "a pod that is evicted for a drain leaves nothing, and its successor has its secrets",
        play: drained,
    },
];

fn deleted(stage: &mut Stage) {
    let here = stage.namespace("deleted");
    here.apply(&[class("plain", "foo")]);
    here.run(&pod("gone", "plain"));
    let uid = here.uid("gone");
    assert!(stage.node.mounts().contains(&uid), "its volume is a mount of the node");
    here.delete("gone");
    here.nothing_left(stage, "gone", &uid);
    let status = format!("gone-{}-plain", here.name());
    within(A_POD, "its pod status is gone", || here.get("secretproviderclasspodstatus", &status).is_none());
}

fn forced(stage: &mut Stage) {
    let here = stage.namespace("forced");
    here.apply(&[class("plain", "foo")]);
    here.run(&pod("gone", "plain"));
    let uid = here.uid("gone");
    here.good(&["delete", "pod", "gone", "--force", "--grace-period=0"]);
    here.nothing_left(stage, "gone", &uid);
}

fn ended(stage: &mut Stage) {
    let here = stage.namespace("ended");
    let mut pod = pod("done", "plain");
    pod["spec"]["restartPolicy"] = json!("Never");
    pod["spec"]["containers"][0]["command"] = json!(["cat", "/mnt/secrets/foo"]);
    here.apply(&[class("plain", "foo"), pod]);
    here.good(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/done", "--timeout=60s"]);
    let uid = here.uid("done");
    assert_eq!(here.log("done"), "one");
    within(A_REFRESH, "its mounts are gone", || !stage.node.mounts().contains(&uid));
    assert_eq!(here.pod("done")["status"]["phase"], "Succeeded");
}

fn containers(stage: &mut Stage) {
    let here = stage.namespace("containers");
    let mut pod = pod("three", "plain");
    let first = |name: &str, command: &[&str]| {
        json!({"name": name, "image": SHELL, "imagePullPolicy": "Never", "command": command,
            "volumeMounts": [mount("secrets", MOUNT)]})
    };
    add(&mut pod["spec"]["initContainers"], first("init", &["cat", "/mnt/secrets/foo"]));
    add(&mut pod["spec"]["containers"], first("second", &["sleep", "infinity"]));
    here.apply(&[class("plain", "foo")]);
    here.run(&pod);
    assert_eq!(here.good(&["logs", "three", "--container=init"]), "one");
    for container in ["main", "second"] {
        assert_eq!(
            here.good(&["exec", "three", "--container", container, "--", "cat", "/mnt/secrets/foo"]),
            "one"
        );
    }
}

fn stateful(stage: &mut Stage) {
    let here = stage.namespace("stateful");
    let labels = json!({"app": "set"});
    here.apply(&[
        class("plain", "foo"),
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "set"}, "spec": {
            "serviceName": "set",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec("plain")},
        }}),
    ]);
    within(A_POD, "the set makes its pod", || here.get("pod", "set-0").is_some());
    here.ready("set-0");
    let first = here.uid("set-0");
    stage.provider.put("foo", "two");
    here.delete("set-0");
    within(A_POD, "another pod has the name", || {
        here.get("pod", "set-0").is_some_and(|pod| pod["metadata"]["uid"] != first.as_str())
    });
    here.ready("set-0");
    assert_eq!(here.read("set-0", "foo"), "two");
    within(A_REFRESH, "the mounts of the first are gone", || !stage.node.mounts().contains(&first));
    let status = here.get("secretproviderclasspodstatus", &format!("set-0-{}-plain", here.name()));
    let status = status.expect("a mounted pod has one");
    assert_eq!(status["metadata"]["ownerReferences"][0]["uid"], here.uid("set-0").as_str());
}

fn cron(stage: &mut Stage) {
    let here = stage.namespace("cron");
    let mut spec = pod_spec("plain");
    spec["restartPolicy"] = json!("Never");
    spec["containers"][0]["command"] = json!(["grep", "-qx", "one", "/mnt/secrets/foo"]);
    here.apply(&[
        class("plain", "foo"),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "every-minute"}, "spec": {
            "schedule": "* * * * *",
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": spec}}},
        }}),
    ]);
    // One at once, as an operator tries it, and the next by the clock.
    here.good(&["create", "job", "by-hand", "--from=cronjob/every-minute"]);
    here.good(&["wait", "--for=condition=Complete", "job/by-hand", "--timeout=60s"]);
    within(Duration::from_secs(120), "a job that was made by the clock is done", || {
        let jobs = here.good(&[
            "get",
            "jobs",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name} {.status.succeeded}\n{end}",
        ]);
        jobs.lines().any(|line| line.starts_with("every-minute-") && line.ends_with(" 1"))
    });
    here.good(&["delete", "cronjob", "every-minute"]);
    within(A_REFRESH, "no volume is left on the node", || !stage.node.mounts().contains("kubernetes.io~csi"));
}

fn own_users(stage: &mut Stage) {
    let here = stage.namespace("own-users");
    let mut pod = pod("mapped", "plain");
    pod["spec"]["hostUsers"] = json!(false);
    here.apply(&[class("plain", "foo")]);
    here.run(&pod);
    assert_eq!(here.read("mapped", "foo"), "one");
    let map = here.exec("mapped", &["cat", "/proc/self/uid_map"]);
    assert!(!map.trim_start().starts_with("0          0"), "root is somebody else on the node: {map}");
}

fn ephemeral(stage: &mut Stage) {
    let here = stage.namespace("ephemeral");
    here.apply(&[class("plain", "foo")]);
    here.run(&pod("observed", "plain"));
    let container = json!({"spec": {"ephemeralContainers": [{
        "name": "debugger", "image": SHELL, "imagePullPolicy": "Never", "command": ["cat", "/mnt/secrets/foo"],
        "volumeMounts": [mount("secrets", MOUNT)],
    }]}});
    here.good(&[
        "patch",
        "pod",
        "observed",
        "--subresource=ephemeralcontainers",
        "--patch",
        &container.to_string(),
    ]);
    within(A_POD, "the debugger has ended", || {
        here.pod("observed")["status"]["ephemeralContainerStatuses"][0]["state"]["terminated"]["exitCode"]
            == 0
    });
    assert_eq!(here.good(&["logs", "observed", "--container=debugger"]), "one");
}

fn drained(stage: &mut Stage) {
    let here = stage.namespace("drained");
    let labels = json!({"app": "served"});
    here.apply(&[
        class("plain", "foo"),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "served"}, "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec("plain")},
        }}),
        reader("stays", "plain"),
    ]);
    here.good(&["rollout", "status", "deployment/served", "--timeout=60s"]);
    here.ready("stays");
    let of_deployment =
        || here.good(&["get", "pods", "--selector=app=served", "-o", "jsonpath={.items[*].metadata.name}"]);
    let before = of_deployment();
    let uid = here.uid(&before);
    let node = crate::node::NAME;
    here.good(&["drain", node, "--ignore-daemonsets", "--pod-selector=app=served", "--timeout=60s"]);
    here.nothing_left(stage, &before, &uid);
    assert!(here.kubectl(&["uncordon", node]).is_good);
    here.good(&["rollout", "status", "deployment/served", "--timeout=60s"]);
    assert_eq!(here.read(&of_deployment(), "foo"), "one");
    here.never_lost("stays");
}
