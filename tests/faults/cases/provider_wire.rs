//! Providers that say on the socket what no gRPC library would say.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use protobuf::Message;
use rpc::status::Code;

use crate::node::{Node, new, quoted};
use crate::runner::{Case, case};
use crate::sheet::Sheet;
use kit::wire::{self, Wire, WireProvider, answer_head, frame, literal, message, trailers};

/// In the order of the table.
pub const CASES: [Case; 15] = [
    case("provider answers: bad protobuf", bad_protobuf),
    case("provider answers: not HTTP/2 at all", not_http2),
    case("provider answers: random bytes", random_bytes),
    case("provider answers: a frame larger than agreed", large_frame),
    case("provider answers: a message shorter than it says", short_message),
    case("provider answers: OK, and no message", no_message),
    case("provider answers: two messages", two_messages),
    case("provider answers: a message of 4 GiB, on and on", endless_message),
    case("provider answers: a compressed message, by no known method", compressed),
    case("provider answers: headers that cannot be decoded", bad_headers),
    case("provider answers: headers without an end", endless_headers),
    case("provider answers: pings on and on", pings),
    case("provider answers: no trailers", no_trailers),
    case("provider answers: a status that is none", bad_status),
    case("provider answers: stream reset, then go away", reset),
];

fn bad_protobuf() -> Sheet {
    let words = "not a valid protocol buffer message";
    answered(Code::Internal, words, |wire, stream| {
        wire.write(&[answer_head(stream), message(stream, &[0xff; 64]), trailers(stream, "0")].concat())
    })
}

fn not_http2() -> Sheet {
    let mut node = Node::start();
    let script = |wire: &mut Wire| {
        wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>")?;
        wire.linger()
    };
    garbled(&mut node, script, &[(Code::Unavailable, "failed to connect to all addresses")]);
    node.end()
}

fn random_bytes() -> Sheet {
    let mut node = Node::start();
    // The same in each run, and nothing that begins like a frame of settings.
    let noise: Vec<u8> = (0..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0] | 1).collect();
    let script = move |wire: &mut Wire| {
        wire.write(&noise)?;
        wire.linger()
    };
    garbled(&mut node, script, &[(Code::Unavailable, "Failed parsing HTTP/2")]);
    node.end()
}

fn large_frame() -> Sheet {
    let ways = [(Code::Internal, "overflows local window"), LATE];
    flooded(&ways, |wire, stream| {
        let mut bytes = answer_head(stream);
        bytes.extend_from_slice(&[0xff, 0xff, 0xff, wire::DATA, 0]);
        bytes.extend_from_slice(&stream.to_be_bytes());
        wire.write(&bytes)?;
        wire.write_on_and_on(&[0; wire::LARGEST_FRAME])
    })
}

fn short_message() -> Sheet {
    answered(Code::Internal, "holds no message", |wire, stream| {
        let wrapped = [&[0, 0, 0, 1, 0][..], b"short"].concat();
        wire.write(
            &[answer_head(stream), frame(wire::DATA, 0, stream, &wrapped), trailers(stream, "0")].concat(),
        )
    })
}

fn no_message() -> Sheet {
    answered(Code::Internal, "the answer says OK and holds no message", |wire, stream| {
        wire.write(&[answer_head(stream), trailers(stream, "0")].concat())
    })
}

fn two_messages() -> Sheet {
    answered(Code::Internal, "more than one message", |wire, stream| {
        let whole = message(stream, &new().write_to_bytes().map_err(io::Error::other)?);
        wire.write(&[answer_head(stream), whole.clone(), whole, trailers(stream, "0")].concat())
    })
}

fn endless_message() -> Sheet {
    let ways = [(Code::Internal, "overflows local window"), LATE];
    flooded(&ways, |wire, stream| {
        let begin = frame(wire::DATA, 0, stream, &[0, 0xff, 0xff, 0xff, 0xff]);
        wire.write(&[answer_head(stream), begin].concat())?;
        wire.write_on_and_on(&frame(wire::DATA, 0, stream, &[b'x'; wire::LARGEST_FRAME]))
    })
}

fn compressed() -> Sheet {
    answered(Code::Internal, "", |wire, stream| {
        let wrapped = [&[1, 0, 0, 0, 5][..], b"short"].concat();
        wire.write(
            &[answer_head(stream), frame(wire::DATA, 0, stream, &wrapped), trailers(stream, "0")].concat(),
        )
    })
}

fn bad_headers() -> Sheet {
    answered(Code::Unknown, "Stream removed", |wire, stream| {
        wire.write(&frame(wire::HEADERS, wire::END_HEADERS, stream, &[0xff; 32]))
    })
}

fn endless_headers() -> Sheet {
    let ways = [(Code::ResourceExhausted, "received metadata size exceeds hard limit"), LATE];
    flooded(&ways, |wire, stream| {
        let header = literal("x-header", &"v".repeat(100));
        let block: Vec<u8> = header.iter().copied().cycle().take(header.len() * 100).collect();
        wire.write(&frame(wire::HEADERS, 0, stream, &block))?;
        wire.write_on_and_on(&frame(wire::CONTINUATION, 0, stream, &block))
    })
}

fn pings() -> Sheet {
    answered(Code::DeadlineExceeded, "", |wire, _| wire.write_on_and_on(&frame(wire::PING, 0, 0, &[7; 8])))
}

fn no_trailers() -> Sheet {
    answered(Code::Unknown, "", |wire, stream| {
        let whole = new().write_to_bytes().map_err(io::Error::other)?;
        let end = frame(wire::DATA, wire::END_STREAM, stream, &[]);
        wire.write(&[answer_head(stream), message(stream, &whole), end].concat())
    })
}

fn bad_status() -> Sheet {
    answered(Code::Unknown, "", |wire, stream| {
        let whole = new().write_to_bytes().map_err(io::Error::other)?;
        wire.write(&[answer_head(stream), message(stream, &whole), trailers(stream, "banana")].concat())
    })
}

fn reset() -> Sheet {
    answered(Code::Unavailable, "", |wire, stream| {
        // Refused streams may be tried again.
        wire.write(&frame(wire::RST_STREAM, 0, stream, &[0, 0, 0, 7]))?;
        wire.write(&frame(wire::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]))
    })
}

/// Requests are understood; what is said to each is wrong.
fn answered(
    code: Code,
    words: &'static str,
    say: impl Fn(&mut Wire, u32) -> io::Result<()> + Send + Sync + 'static,
) -> Sheet {
    flooded(&[(code, words)], say)
}

/// The same where a call may end in more than one way.
fn flooded(
    expected: &[Ending],
    say: impl Fn(&mut Wire, u32) -> io::Result<()> + Send + Sync + 'static,
) -> Sheet {
    let mut node = Node::start();
    let script = move |wire: &mut Wire| {
        wire.greet()?;
        loop {
            let stream = wire.request()?;
            say(wire, stream)?;
        }
    };
    garbled(&mut node, script, expected);
    node.end()
}

/// The picture that all of them give: a live volume keeps what it has, a first publish fails, and both are well as soon
/// as the provider is. Each call ends in one of the `expected` ways.
fn garbled(
    node: &mut Node,
    script: impl Fn(&mut Wire) -> io::Result<()> + Send + Sync + 'static,
    expected: &[Ending],
) {
    // The library reads ahead of what it has looked at, and its buffers come and go.
    node.may_grow(FLOODED);
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let provider = WireProvider::instead_of(node.provider.socket(), script);
    let begun = Instant::now();
    let generation = live.generation();
    // Where nothing else ends the call, kubelet's patience does.
    let refreshed = node.world.kubelet.publish_within(&live, PATIENCE);
    node.quiet();
    node.shows(&live, "old");
    assert_eq!(live.generation(), generation, "nothing was written");
    let (_, condition) = node.world.kubelet.condition(&live);
    let ended = |text: &str| {
        let is_so =
            |(code, words): &&Ending| text.contains(&format!("code = {code} ")) && text.contains(words);
        *expected.iter().find(is_so).unwrap_or_else(|| panic!("none of {expected:?}: {text}"))
    };
    let (code, words) = ended(&condition);
    let is_late = code == Code::DeadlineExceeded;
    assert!(refreshed.is_ok() || is_late, "kubelet was told of a refresh: {refreshed:?}");
    let answer = if is_late { "kubelet gave up" } else { "OK" };
    node.sheet.pod(format!("refresh: {answer}, password=old stays, condition {code}{}", quoted(words)));
    let answered = node.world.kubelet.publish_within(&fresh, PATIENCE);
    let (refusal, words) = ended(&format!("{}", answered.clone().expect_err("a first publish of garbage")));
    node.was_refused(&fresh, answered, refusal, words);
    node.quiet();
    assert!(begun.elapsed() < PATIENCE * 3, "it took {:?}", begun.elapsed());
    assert!(provider.connections.load(Ordering::SeqCst) > 0);
    let series = |code: Code| format!("provider_call_duration_seconds_count{{code={code},provider=test}} +");
    node.rose(&[
        &series(code),
        &series(refusal),
        "failing_volumes +1",
        "node_publish_error_total{error_type=GRPCProviderError,provider=test} +2",
        "rotation_reconcile_error_total{error_type=GRPCProviderError,provider=test} +1",
    ]);
    drop(provider);
    node.recovers(&[&live, &fresh]);
}

/// How a call ends, and what is said of it.
type Ending = (Code, &'static str);

/// How it also ends where the peer leaves the library no time, or the machine none.
const LATE: Ending = (Code::DeadlineExceeded, "");
/// Longer than the three attempts take.
const PATIENCE: Duration = Duration::from_secs(6);
/// In MiB: what a provider that writes as fast as it can has in the driver's buffers, with room for a slow machine.
const FLOODED: usize = 512;
