//! API servers that refuse, hang, or talk without an end.

use std::time::{Duration, Instant};

use rpc::status::Code;

use crate::node::Node;
use crate::runner::{Case, case};
use crate::sheet::Sheet;
use api_server::{Matcher, Then};
use kit::world::Pod;

/// In the order of the table.
pub const CASES: [Case; 13] = [
    case("API server: refuses connections", refuses),
    case("API server: hangs before the answer", hangs),
    case("API server: hangs in the head of the answer", hangs_in_the_head),
    case("API server: hangs in the body", hangs_in_the_body),
    case("API server: cuts the body", cuts_the_body),
    case("API server: a line without an end", endless_line),
    case("API server: a chunked body without an end", endless_chunks),
    case("API server: headers without an end", endless_headers),
    case("API server: 500", || status(500)),
    case("API server: 503", || status(503)),
    case("API server: 503, three times", three_times),
    case("API server: 429, Retry-After 1 s", retry_after_a_second),
    case("API server: 429, Retry-After an hour", retry_after_an_hour),
];

fn refuses() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.world.api.stop();
    node.refused(&fresh, Code::Unknown, "Connection refused");
    without_api_server(&mut node, &live, "code=error,verb=get");
    node.world.api.resume();
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn hangs() -> Sheet {
    silent("no answer in time", |node| node.world.api.hang(Matcher::any()))
}

fn hangs_in_the_head() -> Sheet {
    silent("no answer in time", |node| {
        node.world.api.answer_raw(Matcher::any(), "HTTP/1.1 200 OK\r\nContent-Type: app", Then::Silence);
    })
}

fn hangs_in_the_body() -> Sheet {
    silent("no answer in time", |node| {
        node.world.api.answer_raw(
            Matcher::any(),
            format!("{HEAD}Content-Length: 1000\r\n\r\n{{\"kind\":"),
            Then::Silence,
        );
    })
}

/// It takes what the driver gives a request, and no longer.
fn silent(words: &str, inject: fn(&Node)) -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    inject(&node);
    node.world.api.close_connections();
    let begun = Instant::now();
    node.idle_while(|node| node.refused(&fresh, Code::Unknown, words));
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(8) && waited < Duration::from_secs(15), "{waited:?}");
    node.sheet.pod(format!("kubelet had its answer after {:.0} s", waited.as_secs_f64()));
    without_api_server(&mut node, &live, "code=error,verb=get");
    node.world.api.clear_faults();
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn cuts_the_body() -> Sheet {
    let inject = |node: &Node| {
        node.world.api.answer_raw(
            Matcher::any(),
            format!("{HEAD}Content-Length: 1000\r\n\r\n{{\"kind\":"),
            Then::Close,
        );
    };
    spoilt("connection", inject, |node, live| without_api_server(node, live, "code=error,verb=get"))
}

fn endless_line() -> Sheet {
    endless("larger than 67108864 bytes", FAILED_REQUESTS, |node| {
        let bytes = format!("{HEAD}Connection: close\r\n\r\n{{\"kind\":\"");
        node.world.api.answer_raw(Matcher::any(), bytes, Then::Again(vec![b'a'; 65_536]));
    })
}

fn endless_chunks() -> Sheet {
    // Its first byte shows that it is none, under a head that was good.
    endless("it is not JSON", &[], |node| {
        let chunk = format!("8000\r\n{}\r\n", "a".repeat(0x8000)).into_bytes();
        node.world.api.answer_raw(
            Matcher::any(),
            format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n"),
            Then::Again(chunk),
        );
    })
}

fn endless_headers() -> Sheet {
    endless("the answer is malformed", FAILED_REQUESTS, |node| {
        node.world.api.answer_raw(Matcher::any(), HEAD, Then::Again(b"X-Header: value\r\n".repeat(1000)));
    })
}

/// No more of it is read than an answer may have. Whoever answers so is not one that is away for a while, so the class
/// as it was last known is not used.
fn endless(words: &'static str, requests: &'static [&'static str], inject: fn(&Node)) -> Sheet {
    spoilt(words, inject, |node, live| {
        node.comes_to_keep(live, "old", words);
        let failures = [
            "failing_volumes +1",
            "node_publish_error_total{error_type=SecretProviderClassNotFound,provider=} +2",
            "rotation_reconcile_error_total{error_type=SecretProviderClassNotFound,provider=} +1",
        ];
        node.rose_at_least(&[requests, &failures].concat());
    })
}

/// Of any code.
const FAILED_REQUESTS: &[&str] = &["api_requests_total{code=+"];

/// It is seen at once that this is no answer.
fn spoilt(words: &str, inject: fn(&Node), refresh: impl Fn(&mut Node, &Pod)) -> Sheet {
    let mut node = Node::start();
    node.may_grow(ANSWERS);
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    inject(&node);
    node.world.api.close_connections();
    let begun = Instant::now();
    node.refused(&fresh, Code::Unknown, words);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    refresh(&mut node, &live);
    node.world.api.clear_faults();
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn status(code: u16) -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.world.api.fail_always(Matcher::any(), code);
    node.world.api.close_connections();
    node.refused(&fresh, Code::Unknown, "");
    without_api_server(&mut node, &live, &format!("code={code},verb=get"));
    node.world.api.clear_faults();
    node.recovers(&[&live, &fresh]);
    node.end()
}

/// What a live volume makes of an API server that is away: it is refreshed by the class as it was last known. New
/// content is there for the pod, and since the pod status cannot say so, the volume is not called well.
fn without_api_server(node: &mut Node, live: &Pod, series: &str) {
    node.refreshed(live, "old");
    node.answer_with(crate::node::new());
    let answered = node.world.kubelet.publish(live);
    answered.unwrap_or_else(|status| panic!("a refresh with news: {status}"));
    node.shows(live, "new");
    node.is_failing(live, "could not write the pod status");
    node.sheet
        .pod("refresh with news: OK, password=new, condition \"could not write the pod status\"".to_owned());
    node.rose_at_least(&[
        &format!("api_requests_total{{{series}+"),
        "failing_volumes +1",
        "node_publish_error_total{error_type=,provider=test} +1",
        "node_publish_error_total{error_type=SecretProviderClassNotFound,provider=} +1",
        "rotation_reconcile_error_total{error_type=,provider=test} +1",
    ]);
}

fn three_times() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.world.api.fail_next(3, Matcher::path("secretproviderclasses/"), 503, None);
    node.published(&fresh, "old");
    node.refreshed(&live, "old");
    node.rose(&["api_requests_total{code=503,verb=get} +3"]);
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn retry_after_a_second() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.world.api.fail_next(2, Matcher::path("secretproviderclasses/"), 429, Some(1));
    let begun = Instant::now();
    node.published(&fresh, "old");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(2), "it came back after {waited:?}");
    node.sheet.pod(format!("kubelet had its answer after {:.1} s", waited.as_secs_f64()));
    node.refreshed(&live, "old");
    node.rose(&["api_requests_total{code=429,verb=get} +2"]);
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn retry_after_an_hour() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.world.api.fail_next(1, Matcher::path("secretproviderclasses/"), 429, Some(3600));
    let begun = Instant::now();
    node.refused(&fresh, Code::Unknown, "");
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits an hour: {:?}", begun.elapsed());
    node.refreshed(&live, "old");
    node.rose(&[
        "api_requests_total{code=429,verb=get} +1",
        "node_publish_error_total{error_type=SecretProviderClassNotFound,provider=} +1",
    ]);
    node.recovers(&[&live, &fresh]);
    node.end()
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
/// In MiB: of a few answers at their limit, in buffers that grow by doubling.
const ANSWERS: usize = 96;
