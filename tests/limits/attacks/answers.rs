//! A provider, or a tenant through an honest one, whose answers are larger than anybody can use.

use rpc::status::Code;
use serde_json::json;

use crate::node::Node;
use crate::table::Report;
use kit::raw::RawProvider;

use super::Attack;

pub const ALL: [Attack; 5] = [
    ("an honest answer of 60 MiB, with room for it", honest),
    ("an answer of 2 GiB", || huge("huge", 2 << 30)),
    ("answers of 64 MiB from ten pods at a time", many_large),
    ("an answer of two million empty files", || crowd("files", &[0x1a, 0])),
    ("an answer of a million unknown fields", || crowd("fields", UNKNOWN)),
];

/// One answer of zeros, beside honest ones of another provider.
fn huge(name: &str, bytes: usize) -> Report {
    let node = Node::start(name);
    let _hostile = RawProvider::start(&node.world.path(SOCKET), move || vec![0; bytes - 1]);
    node.world.class("huge", "hostile", json!({"a": "b"}));
    let refused =
        node.world.kubelet.publish(&node.world.pod("attacker", "huge")).expect_err("it is too large");
    assert_eq!(refused.code, Code::ResourceExhausted, "{refused}");
    assert!(refused.message.contains("raise --max-call-recv-msg-size"), "{refused}");
    node.report("refused: RESOURCE_EXHAUSTED, what to raise".to_owned())
}

/// Where the flag and the memory are raised, it arrives.
fn honest() -> Report {
    let node = Node::start_with("honest", 2 << 30, RAISED);
    node.world.class("large", "honest", json!({"bytes": LARGE_BYTES.to_string()}));
    let pod = node.world.pod("large", "large");
    node.world.kubelet.publish(&pod).expect("there is room for it");
    assert_eq!(pod.read("secret").len(), LARGE_BYTES);
    node.report(format!("mounted, with {} and 2 GiB", RAISED[0]))
}

/// Through the provider that the neighbours use, over the same connection.
fn many_large() -> Report {
    let node = Node::start("many-large");
    node.world.class("large", "honest", json!({"bytes": "67108864"}));
    let pods: Vec<_> = (0..10).map(|number| node.world.pod(&format!("attacker-{number}"), "large")).collect();
    for outcome in node.publish_all(&pods) {
        let refused = outcome.expect_err("it is too large");
        assert_eq!(refused.code, Code::ResourceExhausted, "{refused}");
        assert!(refused.message.contains("raise --max-call-recv-msg-size"), "{refused}");
    }
    node.report("10 of 10 refused: RESOURCE_EXHAUSTED".to_owned())
}

/// Within the limit of size, and made of the smallest parts that there are.
fn crowd(name: &str, part: &'static [u8]) -> Report {
    let node = Node::start(name);
    let _hostile =
        RawProvider::start(&node.world.path(SOCKET), move || part.repeat((4 << 20) / part.len() - 1));
    node.world.class("crowd", "hostile", json!({"a": "b"}));
    let refused =
        node.world.kubelet.publish(&node.world.pod("attacker", "crowd")).expect_err("it is no answer");
    let came_of_it = format!("refused: {}", refused.code);
    node.report(came_of_it)
}

const LARGE_BYTES: usize = 60 << 20;
const RAISED: &[&str] = &["--max-call-recv-msg-size=67108864", "--volume-size-limit=64Mi"];
/// Of the provider `hostile`.
const SOCKET: &str = "providers/hostile.sock";
/// Field 19 as a number.
const UNKNOWN: &[u8] = &[0x98, 0x01, 1];
