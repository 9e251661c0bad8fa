//! Honest pods with large secrets, whose content is charged to the driver's pod and stays so when its container
//! restarts.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rpc::status::{Code, Status};
use serde_json::json;

use crate::group::Sight;
use crate::node::{Node, sized};
use crate::table::Report;
use kit::eventually;
use kit::provider::versions_only;
use kit::world::Pod;

use super::Attack;

pub const ALL: [Attack; 6] = [
    ("41 volumes of 3.5 MiB in one pod", one_pod),
    ("volumes of 3.5 MiB until none fits, all due", until_full),
    ("the same, then in a fresh pod until none fits", || fresh_pod("fresh-pod", Sight::Node)),
    ("the same, seeing its own group alone", || fresh_pod("hidden-pod", Sight::Container)),
    ("60 volumes of 3.5 MiB that the provider writes", by_provider),
    ("110 volumes of 1 MiB, all due", || due("megabytes", 110, 1 << 20)),
];

const LARGE_BYTES: usize = 3_670_016;
/// What a restart makes room for are fewer of the large ones.
const FEW: usize = 5;

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
    let live = fill(&node, &pods);
    refresh(&node, live, 1);
    node.restart();
    refresh(&node, live, 2);
    let next = &pods[live.len()];
    let refused = node.world.kubelet.publish(next).expect_err("the content is still there");
    assert_eq!(refused.code, Code::ResourceExhausted, "{refused}");
    node.report(format!("{} mounted and twice refreshed, over a restart; the next refused", live.len()))
}

/// What an earlier pod has written takes no room of the next one, until it is written anew.
fn fresh_pod(name: &str, sight: Sight) -> Report {
    let mut node = Node::start_seeing(name, sight);
    let pods = pods(&node, 120, LARGE_BYTES);
    let earlier = fill(&node, &pods).len();
    // A process that has just begun has a little more room.
    node.restart_in_order();
    let earlier = earlier + few(fill(&node, &pods[earlier..]));
    let (earlier, rest) = pods.split_at(earlier);
    node.replace_pod();
    let later = fill(&node, rest).len();
    assert!(later + FEW > earlier.len(), "{later} after {}", earlier.len());
    // Another container of that pod knows only what was kept of them.
    node.restart_in_order();
    let later = later + few(fill(&node, &rest[later..]));
    let (later, rest) = rest.split_at(later);
    // What is as it was needs no room, and what is new needs all of it.
    answer_each(&node, earlier, 0);
    assert!(earlier.iter().all(|pod| !node.world.kubelet.condition(pod).0), "nothing is as it was");
    answer_each(&node, earlier, 1);
    let old = earlier.iter().filter(|pod| pod.read("secret").starts_with('a')).count();
    assert!(old + FEW > earlier.len(), "{old} of {} are as they were", earlier.len());
    let (gone, staying) = earlier.split_at(FEW);
    for pod in later.iter().chain(gone) {
        node.world.kubelet.unpublish(pod).expect("a volume can be taken down");
    }
    refresh(&node, staying, 1);
    let more = fill(&node, rest).len();
    assert!(more < 2 * FEW, "{more} were mounted where {FEW} have gone");
    node.report(format!("{} mounted, and {} more in a fresh pod", earlier.len(), later.len()))
}

/// Mounts one after the other until there is no room, and answers those that are mounted.
fn fill<'a>(node: &Node, pods: &'a [Pod]) -> &'a [Pod] {
    let is_mounted = |pod: &&Pod| match node.world.kubelet.publish(pod) {
        Ok(()) => true,
        Err(refused) => {
            assert_eq!(refused.code, Code::ResourceExhausted, "{refused}");
            assert!(refused.message.contains("raise the memory limit"), "{refused}");
            false
        }
    };
    let live = pods.iter().take_while(is_mounted).count();
    assert!(live < pods.len(), "all were mounted, with {} MiB", node.usage_mib());
    &pods[..live]
}

fn few(pods: &[Pod]) -> usize {
    assert!(pods.len() < FEW, "{} were mounted", pods.len());
    pods.len()
}

/// Has the provider answer the content of this round to each of them at least once.
fn answer_each(node: &Node, pods: &[Pod], round: u8) {
    let answered = Arc::new(Mutex::new(HashSet::new()));
    let seen = Arc::clone(&answered);
    node.provider.script(move |request| {
        seen.lock().expect("nobody panics").insert(request.target_path.clone());
        Ok(sized(&request, round))
    });
    eventually("every volume was due", || {
        for outcome in node.publish_all(pods) {
            outcome.expect("what lives is kept");
        }
        let answered = answered.lock().expect("nobody panics");
        pods.iter().all(|pod| answered.contains(pod.target.to_str().expect("paths are UTF-8")))
    });
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
