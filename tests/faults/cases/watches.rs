//! Watches that are cut, or never end a line, while Secrets have to be kept.

use serde_json::json;

use crate::node::Node;
use crate::runner::{Case, case};
use crate::sheet::Sheet;
use api_server::{Matcher, Then};
use kit::mirror::{object, secret_path, value};
use kit::world::Pod;
use kit::{PATIENCE, eventually, objects};

/// In the order of the table.
pub const CASES: [Case; 3] = [
    case("watch of Secrets: cut in the middle of a frame", cut),
    case("watch of Secrets: a line without an end", endless),
    case("watch of Secrets: hangs without a head", silent),
];

fn cut() -> Sheet {
    let frame = r#"{"type":"DELETED","object":{"metadata":{"na"#;
    let bytes = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n200\r\n{frame}");
    spoilt(move |node| node.world.api.answer_raw(watches(), bytes.clone(), Then::Close))
}

fn endless() -> Sheet {
    let bytes = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("8000\r\n{}\r\n", "a".repeat(0x8000)).into_bytes();
    spoilt(move |node| node.world.api.answer_raw(watches(), bytes.clone(), Then::Again(chunk.clone())))
}

fn silent() -> Sheet {
    spoilt(|node| node.world.api.answer_raw(watches(), "", Then::Silence))
}

/// While the watch is bad, the volume goes on as ever, and the driver asks again without haste. Once it is good, the
/// driver learns what it has missed: somebody deleted the Secret.
fn spoilt(inject: impl Fn(&Node)) -> Sheet {
    let mut node = Node::start();
    node.may_grow(LONG_LINE);
    let pod = mirrored(&mut node);
    inject(&node);
    node.world.api.close_connections();
    let asked = |node: &Node| node.world.api.count("watch", "v1/secrets");
    let before = asked(&node);
    eventually("the watch is asked for again", || asked(&node) > before);
    assert!(node.world.api.delete(&secret_path("default", "db-secret")));
    node.refreshed(&pod, "old");
    node.idle_while(|_| std::thread::sleep(std::time::Duration::from_secs(5)));
    let again = asked(&node) - before;
    assert!(again < 20, "asked {again} times");
    node.sheet.pod(format!("Secret deleted meanwhile; watch asked for {again} times in 5 s"));
    node.rose_at_least(&[]);
    node.world.api.clear_faults();
    let find = |node: &Node| node.world.api.get(&secret_path("default", "db-secret"));
    let is_back =
        node.world.api.wait(2 * PATIENCE, |api| api.get(&secret_path("default", "db-secret")).is_some());
    assert!(is_back, "the Secret does not come back; log:\n{}", node.world.driver().log());
    assert_eq!(find(&node).and_then(|secret| value(&secret, "pass")).as_deref(), Some("old"));
    node.sheet.pod("afterwards: the Secret is back".to_owned());
    node.recovers(&[&pod]);
    let is_new = || find(&node).and_then(|secret| value(&secret, "pass")).as_deref() == Some("new");
    eventually("the Secret is new", is_new);
    node.sheet.pod("Secret: pass=new".to_owned());
    node.end()
}

/// A pod whose class asks for a Secret, which is there and followed.
fn mirrored(node: &mut Node) -> Pod {
    let mut class = objects::class("default", "mirrored", "test", json!({"objects": "some"}));
    class["spec"]["secretObjects"] = json!([object("db-secret", &[("password", "pass")])]);
    node.world.api.put(class);
    let stored = node.world.api.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"nodeName": "node-1", "volumes": [{"name": "secrets", "csi": {
            "driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "mirrored"}}}]},
        "status": {"phase": "Pending"},
    }));
    let uid = stored["metadata"]["uid"].as_str().expect("the double gives uids");
    let pod = node.keep(node.world.pod_of_uid("web", "mirrored", uid));
    node.published(&pod, "old");
    assert!(node.world.api.get(&secret_path("default", "db-secret")).is_some());
    for resource in ["v1/secrets", "v1/pods"] {
        eventually("a watch is open", || node.world.api.count("watch", resource) > 0);
    }
    node.is_as_it_should_be();
    pod
}

fn watches() -> Matcher {
    Matcher::verb("watch").and_path("v1/secrets")
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
/// In MiB: a line may be as long as any answer, and grows by doubling.
const LONG_LINE: usize = 64;
