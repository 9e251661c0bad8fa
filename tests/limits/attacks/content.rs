//! Honest pods with large secrets, whose content is charged to the driver's pod and stays so when its container
//! restarts.

use std::path::Path;

use secrets_store_csi_driver::rpc::status::{Code, Status};
use serde_json::json;

use crate::node::{Node, sized};
use crate::support::eventually;
use crate::support::provider::versions_only;
use crate::support::world::Pod;
use crate::table::Report;

use super::Attack;

pub const ALL: [Attack; 4] = [
    ("41 volumes of 3.5 MiB in one pod", one_pod),
    ("volumes of 3.5 MiB until none fits, all due", until_full),
    ("60 volumes of 3.5 MiB that the provider writes", by_provider),
    ("110 volumes of 1 MiB, all due", || due("megabytes", 110, 1 << 20)),
];

const LARGE_BYTES: usize = 3_670_016;

fn one_pod() -> Report {
    let node = Node::start("one-pod");
    let pods = pods(&node, 41, LARGE_BYTES);
    let mut mounted = 0;
    // Kubelet tries again, and what fits is mounted after a while.
    for _ in 0..3 {
        let left: Vec<Pod> = pods.iter().filter(|pod| !pod.is_mounted()).cloned().collect();
        mounted += settle(&node.publish_all(&left));
    }
    assert!((30..41).contains(&mounted), "{mounted} were mounted");
    node.report(format!("{mounted} mounted, {} refused: RESOURCE_EXHAUSTED", 41 - mounted))
}

/// As many as fit, then all of them with new content at once, then a new container, and once more.
fn until_full() -> Report {
    let mut node = Node::start("until-full");
    let pods = pods(&node, 60, LARGE_BYTES);
    let mut live = Vec::new();
    for pod in &pods {
        match node.world.kubelet.publish(pod) {
            Ok(()) => live.push(pod.clone()),
            Err(refused) => {
                assert_eq!(refused.code, Code::ResourceExhausted, "{refused}");
                assert!(refused.message.contains("raise the memory limit"), "{refused}");
                break;
            }
        }
    }
    assert!(live.len() < pods.len(), "all were mounted, with {} MiB", node.usage_mib());
    refresh(&node, &live, 1);
    node.restart();
    refresh(&node, &live, 2);
    let next = &pods[live.len()];
    let refused = node.world.kubelet.publish(next).expect_err("the content is still there");
    assert_eq!(refused.code, Code::ResourceExhausted, "{refused}");
    node.report(format!("{} mounted and twice refreshed, over a restart; the next refused", live.len()))
}

/// Their content is charged to the provider's pod, so the driver's has room for all of them.
fn by_provider() -> Report {
    let node = Node::start("by-provider");
    let content = vec![b'a'; LARGE_BYTES];
    let _writer = node.world.provider("writer", move |request| {
        std::fs::write(Path::new(&request.target_path).join("secret"), &content)
            .expect("the volume is mounted");
        Ok(versions_only("1", &["secret"]))
    });
    node.world.class("written", "writer", json!({"a": "b"}));
    let pods: Vec<Pod> =
        (0..60).map(|number| node.world.pod(&format!("written-{number}"), "written")).collect();
    assert_eq!(settle(&node.publish_all(&pods)), pods.len());
    node.report("60 mounted".to_owned())
}

fn due(name: &str, count: usize, bytes: usize) -> Report {
    let node = Node::start(name);
    let pods = pods(&node, count, bytes);
    let mounted = settle(&node.publish_all(&pods));
    assert_eq!(mounted, count, "they fit");
    refresh(&node, &pods, 1);
    node.report(format!("{count} mounted and refreshed"))
}

fn pods(node: &Node, count: usize, bytes: usize) -> Vec<Pod> {
    node.world.class("large", "honest", json!({"bytes": bytes.to_string()}));
    (0..count).map(|number| node.world.pod(&format!("large-{number}"), "large")).collect()
}

/// How many were mounted; the others were refused for want of memory.
fn settle(outcomes: &[Result<(), Status>]) -> usize {
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(refused.code, Code::ResourceExhausted, "{refused}");
    }
    outcomes.iter().filter(|outcome| outcome.is_ok()).count()
}

/// All of them have another content in the end.
fn refresh(node: &Node, pods: &[Pod], round: u8) {
    node.provider.script(move |request| Ok(sized(&request, round)));
    let wanted = char::from(b'a' + round).to_string();
    let is_new = |pod: &Pod| pod.read("secret").starts_with(&wanted);
    eventually("every volume is refreshed", || {
        let old: Vec<Pod> = pods.iter().filter(|pod| !is_new(pod)).cloned().collect();
        for outcome in node.publish_all(&old) {
            outcome.expect("what lives is kept");
        }
        old.is_empty()
    });
}
