//! Providers that take a call and say nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc::status::Code;

use crate::hold::Hold;
use crate::node::{Node, old};
use crate::runner::{Case, Lane, case};
use crate::sheet::Sheet;

/// In the order of the table.
pub const CASES: [Case; 2] = [
    case("provider hangs: a first publish", first_publish),
    Case { name: "provider hangs: a refresh, for as long as kubelet waits", lane: Lane::Long, play: refresh },
];

fn first_publish() -> Sheet {
    let mut node = Node::start();
    let hold = Hold::of(&node.provider, old());
    let pod = node.pod("web");
    let begun = Instant::now();
    node.refused_within(&pod, Duration::from_secs(2), Code::DeadlineExceeded, "");
    assert!(begun.elapsed() < Duration::from_secs(4), "kubelet waited {:?}", begun.elapsed());
    node.quiet();
    node.rose(&[
        "node_publish_error_total{error_type=GRPCProviderError,provider=test} +1",
        "provider_call_duration_seconds_count{code=DeadlineExceeded,provider=test} +1",
    ]);
    drop(hold);
    node.recovers(&[&pod]);
    node.end()
}

fn refresh() -> Sheet {
    let mut node = Node::start();
    let pod = node.live_pod();
    let hold = Arc::new(Hold::of(&node.provider, old()));
    let begun = Instant::now();
    node.idle_while(|node| node.kept(&pod, "old", "gave no answer in time"));
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(100) && waited < Duration::from_secs(119), "{waited:?}");
    node.sheet.pod(format!("kubelet, which waits 120 s, had it after {:.0} s", waited.as_secs_f64()));
    node.rose(&[
        "failing_volumes +1",
        "node_publish_error_total{error_type=GRPCProviderError,provider=test} +1",
        "provider_call_duration_seconds_count{code=DeadlineExceeded,provider=test} +1",
        "rotation_reconcile_error_total{error_type=GRPCProviderError,provider=test} +1",
    ]);
    drop(hold);
    node.recovers(&[&pod]);
    node.end()
}
