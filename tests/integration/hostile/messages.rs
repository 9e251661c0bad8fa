//! Messages that no library would write, of callers and of providers: nested without end, numbers and lengths that are
//! lies, millions of entries. Each is an error in time or means nothing, and takes no more memory than it is long.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use grpcio::{CallOption, ChannelBuilder, Client, EnvBuilder, Environment, Error};

use super::*;
use kit::raw::{RawProvider, method};

/// What is hostile about a message, and the message.
type Row = (&'static str, Vec<u8>);

/// Messages that are none whatever their type is.
fn broken() -> Vec<Row> {
    vec![
        ("a group in a group in a group", [0x0b].repeat(DEEP)),
        ("groups that end as they began", [[0x0b].repeat(DEEP), [0x0c].repeat(DEEP)].concat()),
        ("groups of an unknown field", [0xf3, 0x3f].repeat(DEEP)),
        ("an end without a group", vec![0x0c]),
        ("a number of eleven bytes", [&[0x08][..], &[0xff; 10], &[1]].concat()),
        ("a number that does not end", vec![0x08, 0xff]),
        ("a length past the end", [&[0x0a][..], &[0xff, 0xff, 0x7f], b"x"].concat()),
        ("a length of minus one", [&[0x0a][..], &[0xff; 9], &[1]].concat()),
        ("the field 0", vec![0x00, 0x01]),
        ("a type that does not exist", vec![0x0e, 0x01]),
        ("another that does not exist", vec![0x0f, 0x01]),
        ("a field that is cut off", vec![0x0d, 0, 0]),
        ("bytes", vec![0xff; 1 << 20]),
        ("text that is none", vec![0x0a, 2, 0xff, 0xfe]),
    ]
}

#[test]
fn a_message_that_is_none_is_refused_in_time_and_does_nothing() {
    let (world, provider) = node(&[]);
    let (_environment, client) = client(&world);
    for (name, message) in broken() {
        for path in ["/csi.v1.Node/NodePublishVolume", "/csi.v1.Node/NodeUnpublishVolume"] {
            let error = send(&client, path, &message).expect_err(name);
            assert!(matches!(error, Error::RpcFailure(_)), "{name}: {error}");
            assert_eq!(world.kubelet.probe(), Ok(true), "{name}");
        }
    }
    assert_eq!(provider.calls(), 0);
    assert!(world.mounts().is_empty());
    assert_log_is_whole(&world);
}

#[test]
fn a_message_of_millions_of_parts_takes_a_bounded_time_and_memory() {
    let (world, _provider) = node(&[]);
    let (_environment, client) = client(&world);
    let pod = world.pod("web", "db");
    let good = {
        use protobuf::Message;
        publish_request(&pod).write_to_bytes().unwrap()
    };
    // Field 8 is a map, 6 a message, 4 a text.
    let rows: [Row; 5] = [
        ("empty entries of a map", [0x42, 0].repeat(MANY)),
        ("an entry a million times", [0x42, 2, 0x0a, 0].repeat(MANY / 2)),
        ("a capability a million times", [0x32, 0].repeat(MANY)),
        ("a path a million times", [0x22, 0].repeat(MANY)),
        ("unknown fields", [0x98, 0x3f, 1].repeat(MANY)),
    ];
    for (name, parts) in rows {
        let begun = Instant::now();
        // Of what is there many times the last one counts.
        let outcome = send(&client, "/csi.v1.Node/NodePublishVolume", &[parts, good.clone()].concat());
        println!("{name}: {:?}, then {}", begun.elapsed(), shown(&outcome));
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
        assert!(outcome.is_ok(), "{name}: {}", shown(&outcome));
        assert_is_good(&pod, name);
        world.kubelet.unpublish(&pod).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.driver().id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    println!("{peak}");
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < MOST_KIB, "{peak} KiB");
}

#[test]
fn an_answer_that_is_no_message_leaves_a_live_volume_as_it_is() {
    let (world, provider, pod) = live_node();
    let socket = provider.socket().to_owned();
    drop(provider);
    let answer = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&answer);
    let _raw = RawProvider::start(&socket, move || said.lock().unwrap().clone());
    for (name, message) in broken() {
        *answer.lock().unwrap() = message;
        let begun = Instant::now();
        world.kubelet.publish(&pod).unwrap_or_else(|status| panic!("{name}: {status}"));
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
        assert_is_good(&pod, name);
        let condition = world.kubelet.stats(&pod).unwrap().volume_condition;
        let why = "not a valid protocol buffer message";
        assert!(condition.abnormal && condition.message.contains(why), "{name}: {}", condition.message);
    }
    assert_log_is_whole(&world);
}

fn client(world: &World) -> (Arc<Environment>, Client) {
    let environment = Arc::new(EnvBuilder::new().cq_count(1).build());
    let channel = ChannelBuilder::new(Arc::clone(&environment)).default_authority("localhost");
    let channel = channel.connect(&format!("unix:{}", world.path("csi/csi.sock").display()));
    (environment, Client::new(channel))
}

fn send(client: &Client, path: &'static str, message: &[u8]) -> grpcio::Result<Vec<u8>> {
    let option = CallOption::default().timeout(Duration::from_secs(30));
    client.unary_call(&method(path), &message.to_vec(), option)
}

fn shown(outcome: &grpcio::Result<Vec<u8>>) -> String {
    outcome.as_ref().err().map_or_else(|| "published".to_owned(), ToString::to_string)
}

const DEEP: usize = 100_000;
const MANY: usize = 1_000_000;
/// What the driver may have held at most.
const MOST_KIB: u64 = 256 << 10;
