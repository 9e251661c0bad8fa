//! What an administrator sees and does.

use serde_json::{Value, json};

use super::Case;
use crate::driver::Installed;
use crate::objects::{class, pod, reader};
use crate::stage::{A_POD, A_REFRESH, Stage};
use e2e::patience::within;

/// The cases.
pub const CASES: &[Case] = &[
    Case { sentence: "the doctor finds nothing to complain of in the driver's own container", play: doctor },
    Case { sentence: "kubelet tells of each volume how large it is", play: statistics },
    Case { sentence: "no probe of a driver that starts fails", play: probes },
    Case {
        sentence: "it takes the place of the upstream driver and gives it back, while pods of both live",
        play: upstream,
    },
    Case {
        sentence: "an operator installs it, rolls a setting out, and removes it, while a pod lives",
        play: operator,
    },
    Case {
        sentence: "installed by the chart in place of the manifests, it takes the volumes over",
        play: chart,
    },
];

fn doctor(stage: &mut Stage) {
    let here = stage.namespace("doctor");
    here.apply(&[class("plain", "foo")]);
    here.run(&pod("patient", "plain"));
    let told = stage.driver.exec(&["doctor"]);
    assert!(told.is_good, "{}{}", told.out, told.error);
    let counts = told.out.lines().last().unwrap_or_default().to_owned();
    stage.remark(counts);
}

fn statistics(stage: &mut Stage) {
    let here = stage.namespace("statistics");
    here.apply(&[class("plain", "foo")]);
    here.run(&pod("measured", "plain"));
    let path = format!("/api/v1/nodes/{}/proxy/stats/summary", crate::node::NAME);
    let kubectl = stage.node.kubectl.clone();
    within(A_REFRESH, "kubelet tells of the volume", || {
        let summary: Value = serde_json::from_str(&kubectl.good(&["get", "--raw", &path])).expect("JSON");
        let pods = summary["pods"].as_array().cloned().unwrap_or_default();
        let pod = pods.iter().find(|pod| pod["podRef"]["name"] == "measured").cloned().unwrap_or_default();
        let volumes = pod["volume"].as_array().cloned().unwrap_or_default();
        volumes.iter().any(|volume| {
            volume["name"] == "secrets"
                && volume["usedBytes"].as_u64() > Some(0)
                && volume["inodesUsed"].as_u64() > Some(0)
        })
    });
}

fn probes(stage: &mut Stage) {
    stage.driver.replace_pod();
    let pod = stage.driver.pod();
    let name = pod["metadata"]["name"].as_str().expect("a pod has a name").to_owned();
    let selector = format!("involvedObject.name={name}");
    let events =
        stage.node.kubectl.get(&["events", "--namespace=kube-system", "--field-selector", &selector]);
    let events = events.expect("a list")["items"].as_array().cloned().unwrap_or_default();
    let warnings: Vec<&Value> = events.iter().filter(|event| event["type"] == "Warning").collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(!events.is_empty(), "kubelet tells of its start");
}

fn upstream(stage: &mut Stage) {
    let here = stage.namespace("upstream");
    stage.driver.install(Installed::Upstream);
    here.apply(&[class("plain", "foo")]);
    here.run(&reader("theirs", "plain"));
    stage.driver.install(Installed::Manifests);
    here.run(&reader("ours", "plain"));
    stage.provider.put("foo", "two");
    here.saw("theirs", "two");
    here.saw("ours", "two");
    // And back, where what this driver has mounted is upstream's to refresh and to take down.
    here.run(&pod("late", "plain"));
    stage.driver.install(Installed::Upstream);
    stage.provider.put("foo", "three");
    here.saw("theirs", "three");
    here.saw("ours", "three");
    let late = here.uid("late");
    here.delete("late");
    here.nothing_left(stage, "late", &late);
    stage.driver.install(Installed::Manifests);
    for pod in ["theirs", "ours"] {
        let uid = here.uid(pod);
        here.never_lost(pod);
        here.delete(pod);
        here.nothing_left(stage, pod, &uid);
    }
}

fn operator(stage: &mut Stage) {
    let here = stage.namespace("operator");
    stage.driver.install(Installed::Operator);
    here.apply(&[class("plain", "foo")]);
    here.run(&reader("stays", "plain"));
    let before = stage.driver.pod();
    let patch = json!({"spec": {"driverConfig": {"secretsStore": {"secretRotation": {"custom": {
        "minimumRefreshAge": 30}}}}}});
    let object = "clustercsidriver/secrets-store.csi.k8s.io";
    stage.node.kubectl.good(&["patch", object, "--type=merge", "--patch", &patch.to_string()]);
    within(A_REFRESH, "another pod of the driver has the setting", || {
        let pods = stage.driver.pods();
        pods.len() == 1
            && pods[0]["metadata"]["uid"] != before["metadata"]["uid"]
            && pods[0]["spec"]["containers"][0]["args"].to_string().contains("--rotation-poll-interval=30s")
    });
    stage.driver.wait_until_ready();
    stage.provider.put("foo", "two");
    here.saw("stays", "two");
    let uid = here.uid("stays");
    stage.driver.remove();
    here.never_lost("stays");
    stage.driver.install(Installed::Manifests);
    here.delete("stays");
    here.nothing_left(stage, "stays", &uid);
}

fn chart(stage: &mut Stage) {
    let here = stage.namespace("chart");
    here.apply(&[class("plain", "foo")]);
    here.run(&reader("stays", "plain"));
    // The definitions of the kinds stay, and with them the classes: they are in the manifests and in the chart.
    stage.driver.install(Installed::Chart);
    here.apply(&[class("plain", "foo")]);
    here.run(&pod("charted", "plain"));
    assert_eq!(here.read("charted", "foo"), "one");
    stage.provider.put("foo", "two");
    here.saw("stays", "two");
    here.never_lost("stays");
    let told = stage.driver.exec(&["doctor"]);
    assert!(told.is_good, "{}{}", told.out, told.error);
    assert_eq!(stage.driver.restarts(), 0);
    here.delete("stays");
    within(A_POD, "a pod of the manifests' time ends", || here.get("pod", "stays").is_none());
}
