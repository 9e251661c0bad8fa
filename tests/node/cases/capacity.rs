//! Many pods, much content, and the whole node at once.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Case;
use crate::driver::is_ready;
use crate::objects::{add, class, mount, pod, pod_spec, volume};
use crate::stage::Stage;
use e2e::patience::within;

/// The cases.
pub const CASES: &[Case] = &[
    Case {
        sentence: "110 pods start at once, and again after a power failure, none without its file",
        play: crowd,
    },
    Case {
        sentence: "a pod with 40 volumes of 3.5 MiB does not have the driver killed at its limit",
        play: heavy_pod,
    },
    Case {
        sentence: "40 pods with a volume of 3.5 MiB each do not have the driver killed at its limit",
        play: heavy_pods,
    },
];

fn crowd(stage: &mut Stage) {
    let mut here = stage.namespace("crowd");
    let labels = json!({"app": "crowd"});
    let mut spec = pod_spec("plain");
    spec["containers"][0]["command"] =
        json!(["sh", "-c", "grep -qx one /mnt/secrets/foo && exec sleep infinity"]);
    let begun = Instant::now();
    here.apply(&[
        class("plain", "foo"),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "crowd"}, "spec": {
            "replicas": PODS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        }}),
    ]);
    here.good(&["rollout", "status", "deployment/crowd", "--timeout=600s"]);
    stage.remark(format!("ready after {:.0} s; {}", begun.elapsed().as_secs_f64(), memory(stage)));
    let begun = Instant::now();
    stage.fail_power(&mut here);
    let pods = |stage: &Stage| {
        let found = stage.node.kubectl.get(&["pods", "--namespace", here.name(), "--selector=app=crowd"]);
        found.expect("a list")["items"].as_array().cloned().unwrap_or_default()
    };
    // Before kubelet has looked, they are as they were.
    let is_back = |pod: &serde_json::Value| {
        is_ready(pod) && pod["status"]["containerStatuses"][0]["restartCount"].as_u64() > Some(0)
    };
    within(A_BOOT, "all pods are ready again", || {
        stage.node.expect_running();
        pods(stage).iter().filter(|pod| is_back(pod)).count() == PODS
    });
    stage.driver.wait_until_ready();
    stage.remark(format!(
        "and after a power failure {:.0} s; {}",
        begun.elapsed().as_secs_f64(),
        memory(stage)
    ));
    for pod in pods(stage) {
        let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
        assert_eq!(*restarts, 1, "{} began without its file", pod["metadata"]["name"]);
    }
    assert_eq!(stage.driver.restarts(), 1, "the driver was started once again, with its machine");
    here.good(&["delete", "deployment", "crowd", "--cascade=foreground", "--timeout=300s"]);
    within(A_BOOT, "no volume is left on the node", || !stage.node.mounts().contains("kubernetes.io~csi"));
}

fn heavy_pod(stage: &mut Stage) {
    let here = stage.namespace("heavy-pod");
    stage.provider.put("big", big());
    // Memory that a container had stays with its pod: only another pod begins with nothing.
    stage.driver.replace_pod();
    let mut pod = pod("one", "big");
    for number in 1..VOLUMES {
        let name = format!("v{number}");
        add(&mut pod["spec"]["volumes"], volume(&name, "big"));
        add(&mut pod["spec"]["containers"][0]["volumeMounts"], mount(&name, &format!("/mnt/{name}")));
    }
    here.apply(&[class("big", "big"), class("small", "foo"), pod]);
    // It is more than fits. What matters is that the others of the node go on having a driver.
    here.told("one", "SecretsStorePublishFailed");
    let begun = Instant::now();
    here.run(&crate::objects::pod("neighbour", "small"));
    stage.remark(format!(
        "a neighbour was ready after {:.1} s; {}",
        begun.elapsed().as_secs_f64(),
        memory(stage)
    ));
    assert_eq!(stage.driver.restarts(), 0, "the driver was not killed");
    here.good(&["delete", "pod", "one", "neighbour", "--timeout=120s"]);
    stage.driver.replace_pod();
}

fn heavy_pods(stage: &mut Stage) {
    let here = stage.namespace("heavy-pods");
    stage.provider.put("big", big());
    stage.driver.replace_pod();
    here.apply(&[class("big", "big"), class("small", "foo")]);
    for number in 0..VOLUMES {
        here.apply(&[pod(&format!("big{number}"), "big")]);
    }
    within(A_BOOT, "as many are ready as fit", || {
        let pods = stage.node.kubectl.get(&["pods", "--namespace", here.name()]).expect("a list");
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let is_decided = |pod: &serde_json::Value| {
            is_ready(pod) || {
                let name = pod["metadata"]["name"].as_str().expect("a pod has a name");
                here.events(name).iter().any(|event| event.contains("SecretsStorePublishFailed"))
            }
        };
        pods.len() == VOLUMES && pods.iter().all(is_decided)
    });
    let pods = stage.node.kubectl.get(&["pods", "--namespace", here.name()]).expect("a list");
    let ready = pods["items"].as_array().into_iter().flatten().filter(|pod| is_ready(pod)).count();
    assert!(ready > 0, "some of them fit");
    here.run(&pod("neighbour", "small"));
    stage.remark(format!("{ready} of {VOLUMES} fit, and a neighbour; {}", memory(stage)));
    assert_eq!(stage.driver.restarts(), 0, "the driver was not killed");
    here.good(&["delete", "pods", "--all", "--timeout=180s"]);
    stage.driver.replace_pod();
}

/// What the driver's process has in memory, and had at most.
fn memory(stage: &Stage) -> String {
    let file = format!("/proc/{}/status", stage.driver.process());
    let status = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let of = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel tells");
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    };
    format!("the driver has {} MiB resident, {} MiB at most", of("VmRSS"), of("VmHWM"))
}

/// 3.5 MiB of text.
fn big() -> String {
    "0123456789abcdef".repeat(7 << 15)
}

const PODS: usize = 110;
const VOLUMES: usize = 40;
const A_BOOT: Duration = Duration::from_secs(600);
