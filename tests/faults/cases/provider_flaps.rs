//! Providers that come and go.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use protobuf::Message;
use rpc::status::Code;

use crate::node::{Node, old};
use crate::runner::{Case, case};
use crate::sheet::Sheet;
use kit::wire::{Wire, WireProvider, answer_head, message};

/// In the order of the table.
pub const CASES: [Case; 6] = [
    case("provider flaps: its socket is gone", socket_gone),
    case("provider flaps: nobody listens on its socket", nobody_listens),
    case("provider flaps: connection cut once, before the answer", cut_once),
    case("provider flaps: connection cut every time, before the answer", cut_always),
    case("provider flaps: connection cut in the middle of the answer", cut_in_the_middle),
    case("provider flaps: socket comes and goes under twenty pods", comes_and_goes),
];

fn socket_gone() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let aside = node.world.path("aside.sock");
    std::fs::rename(node.provider.socket(), &aside).unwrap();
    node.kept(&live, "old", "provider not found");
    node.refused(&fresh, Code::Unknown, "provider not found");
    node.rose(&[
        "failing_volumes +1",
        "node_publish_error_total{error_type=,provider=test} +2",
        "rotation_reconcile_error_total{error_type=,provider=test} +1",
    ]);
    std::fs::rename(&aside, node.provider.socket()).unwrap();
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn nobody_listens() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let socket = node.provider.socket().to_owned();
    let aside = node.world.path("aside.sock");
    std::fs::rename(&socket, &aside).unwrap();
    // The file of a socket stays when its listener is gone.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    node.kept(&live, "old", "nobody listens on");
    // A first publish waits for a provider that is starting, as long as kubelet does.
    node.refused_within(&fresh, Duration::from_secs(4), Code::DeadlineExceeded, "");
    node.quiet();
    node.rose(&[
        "failing_volumes +1",
        "node_publish_error_total{error_type=GRPCProviderError,provider=test} +2",
        "rotation_reconcile_error_total{error_type=GRPCProviderError,provider=test} +1",
    ]);
    std::fs::rename(&aside, &socket).unwrap();
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn cut_once() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let wire = WireProvider::instead_of(node.provider.socket(), move |wire| {
        wire.greet()?;
        loop {
            let stream = wire.request()?;
            if seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                return Ok(());
            }
            say(wire, stream)?;
        }
    });
    node.refreshed(&live, "old");
    node.published(&fresh, "old");
    assert_eq!(requests.load(Ordering::SeqCst), 4, "each was asked twice");
    node.rose(&["provider_call_duration_seconds_count{code=Unavailable,provider=test} +2"]);
    drop(wire);
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn cut_always() -> Sheet {
    cut(|_, _| Ok(()))
}

fn cut_in_the_middle() -> Sheet {
    cut(|wire, stream| {
        let whole =
            [answer_head(stream), message(stream, &old().write_to_bytes().map_err(io::Error::other)?)];
        let bytes = whole.concat();
        wire.write(&bytes[..bytes.len() - 5])
    })
}

/// The connection is cut at each request, after something was said.
fn cut(say: impl Fn(&mut Wire, u32) -> io::Result<()> + Send + Sync + 'static) -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let wire = WireProvider::instead_of(node.provider.socket(), move |wire| {
        wire.greet()?;
        let stream = wire.request()?;
        say(wire, stream)
    });
    node.kept(&live, "old", "code = Unavailable");
    node.refused(&fresh, Code::Unavailable, "");
    node.rose(&[
        "failing_volumes +1",
        "node_publish_error_total{error_type=GRPCProviderError,provider=test} +2",
        "provider_call_duration_seconds_count{code=Unavailable,provider=test} +6",
        "rotation_reconcile_error_total{error_type=GRPCProviderError,provider=test} +1",
    ]);
    drop(wire);
    node.recovers(&[&live, &fresh]);
    node.end()
}

/// A whole, good answer.
fn say(wire: &mut Wire, stream: u32) -> io::Result<()> {
    let whole = old().write_to_bytes().map_err(io::Error::other)?;
    let end = kit::wire::trailers(stream, "0");
    wire.write(&[answer_head(stream), message(stream, &whole), end].concat())
}

fn comes_and_goes() -> Sheet {
    let mut node = Node::start();
    let pods: Vec<_> = (0..PODS).map(|number| node.pod(&format!("web-{number}"))).collect();
    let (socket, aside) = (node.provider.socket().to_owned(), node.world.path("aside.sock"));
    let is_over = AtomicBool::new(false);
    let failures = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                std::fs::rename(&socket, &aside).unwrap();
                thread::sleep(GONE);
                std::fs::rename(&aside, &socket).unwrap();
                thread::sleep(THERE);
            }
        });
        let kubelet = &node.world.kubelet;
        let callers: Vec<_> = pods
            .iter()
            .map(|pod| {
                let failures = &failures;
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        while let Err(status) = kubelet.publish(pod) {
                            assert!(status.message.contains("provider not found"), "{status}");
                            assert!(!pod.is_mounted(), "nothing half done is left");
                            failures.fetch_add(1, Ordering::SeqCst);
                            thread::sleep(KUBELETS_PAUSE);
                        }
                        assert_eq!(pod.read("password"), "old");
                        kubelet.unpublish(pod).unwrap();
                        thread::sleep(KUBELETS_PAUSE / 4);
                    }
                    while kubelet.publish(pod).is_err() {
                        failures.fetch_add(1, Ordering::SeqCst);
                        thread::sleep(KUBELETS_PAUSE);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = callers.into_iter().map(|caller| caller.join()).collect();
        is_over.store(true, Ordering::SeqCst);
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    pods.iter().for_each(|pod| node.shows(pod, "old"));
    let failures = failures.into_inner();
    assert!(failures > 0, "the socket was always there");
    let published = PODS * (ROUNDS + 1);
    node.sheet.pod(format!(
        "{failures} of {} first publishes: Unknown \"provider not found\"",
        published + failures
    ));
    node.sheet.pod(format!("{published}: OK, password=old, at the latest when kubelet came back"));
    node.rose(&[
        // The pods are published again under their names, and one pod is told the same once in five minutes.
        "api_requests_total{code=409,verb=create} +",
        "events_dropped_total +",
        &format!("node_publish_error_total{{error_type=,provider=test}} +{failures}"),
    ]);
    node.recovers(&pods.iter().collect::<Vec<_>>());
    node.end()
}

const PODS: usize = 20;
const ROUNDS: usize = 20;
const GONE: Duration = Duration::from_millis(40);
const THERE: Duration = Duration::from_millis(60);
/// Kubelet waits longer; the case need not.
const KUBELETS_PAUSE: Duration = Duration::from_millis(20);
