//! Callers that are not kubelet, or not well.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rpc::channel::Channel;
use rpc::deadline::Deadline;
use rpc::pb::registration as pb;
use rpc::status::{Code, Status};

use super::{NAME, REGISTERED, await_registered, await_unregistered, kubelet, node, socket};
use kit::eventually;
use kit::plugin_watcher::{GET_INFO, NOTIFY};
use kit::world::World;

/// A driver that waits for kubelet, and a connection to its registration socket.
fn offered() -> (World, Channel) {
    let mut world = node(&[]);
    world.start_driver();
    await_unregistered(&world);
    eventually("the socket is there", || socket(&world).exists());
    let channel = Channel::to_socket(&world.environment, &socket(&world), 4 << 20);
    (world, channel)
}

fn ask(channel: &Channel) -> Result<pb::PluginInfo, Status> {
    channel.call(GET_INFO, &pb::InfoRequest::default(), Deadline::after(Duration::from_secs(20)))
}

fn tell(channel: &Channel, plugin_registered: bool, error: &str) -> Result<(), Status> {
    let status = pb::RegistrationStatus { plugin_registered, error: error.to_owned(), ..Default::default() };
    let deadline = Deadline::after(Duration::from_secs(20));
    channel.call::<_, pb::RegistrationStatusResponse>(NOTIFY, &status, deadline).map(drop)
}

#[test]
fn who_did_not_ask_has_nothing_to_tell() {
    let (world, channel) = offered();
    for plugin_registered in [true, false] {
        let code = tell(&channel, plugin_registered, "").unwrap_err().code;
        assert_eq!(code, Code::FailedPrecondition, "{plugin_registered}");
    }
    await_unregistered(&world);
    assert_eq!(ask(&channel).unwrap().name, NAME);
    tell(&channel, true, "").unwrap();
    await_registered(&world);
}

#[test]
fn a_text_too_long_for_a_reason_is_refused_and_a_long_one_cut() {
    let (world, channel) = offered();
    ask(&channel).unwrap();
    let code = tell(&channel, false, &"x".repeat(128 << 10)).unwrap_err().code;
    assert_eq!(code, Code::ResourceExhausted);
    assert!(socket(&world).exists(), "it does not count");
    tell(&channel, false, &"y".repeat(32 << 10)).unwrap();
    world.driver().wait_for_log("kubelet did not register the driver");
    let log = world.driver().log();
    assert!(log.contains(&"y".repeat(1024)) && !log.contains(&"y".repeat(1025)), "{log}");
}

#[test]
fn a_reason_cannot_forge_the_log() {
    let (world, channel) = offered();
    ask(&channel).unwrap();
    tell(&channel, false, "no\nI0101 00:00:00.000000 1 x.rs:1] \"forged\"\u{1b}[2K\u{202e}").unwrap();
    world.driver().wait_for_log("kubelet did not register the driver");
    let log = world.driver().log();
    let line = log.lines().find(|line| line.contains("kubelet did not register the driver")).unwrap();
    assert!(line.contains(r#"no\nI0101"#) && line.contains(r"\x1b[2K\u202e"), "{line}");
    assert!(!log.lines().any(|line| line.starts_with("I0101 00:00:00.000000")), "{log}");
}

#[test]
fn bytes_that_are_no_call_disturb_nobody() {
    let (world, channel) = offered();
    let junk: [&[u8]; 4] =
        [b"", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 4096], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"];
    let mut open = Vec::new();
    for bytes in junk.iter().cycle().take(40) {
        let mut stream = UnixStream::connect(socket(&world)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        // It may hang up at any time.
        drop(stream.write_all(bytes).and_then(|()| stream.read(&mut [0; 64])));
        open.push(stream);
    }
    let deadline = Deadline::after(Duration::from_secs(20));
    let other = channel.call::<_, pb::InfoRequest>("/x.Y/Z", &pb::InfoRequest::default(), deadline);
    assert_eq!(other.unwrap_err().code, Code::Unimplemented);
    let _kubelet = kubelet(&world);
    await_registered(&world);
    assert_eq!(world.metric(REGISTERED), Some(1.0));
    let mut world = world;
    world.take_driver().terminate();
}

#[test]
fn a_crowd_of_answers_counts_once() {
    let (world, channel) = offered();
    ask(&channel).unwrap();
    let told: Vec<_> = (0..200).map(|_| tell(&channel, true, "")).collect();
    assert!(told.iter().any(Result::is_ok), "{told:?}");
    assert!(
        told.iter()
            .all(|told| told.as_ref().err().is_none_or(|status| status.code == Code::ResourceExhausted)),
        "{told:?}"
    );
    await_registered(&world);
    assert_eq!(world.driver().count_log("kubelet registered the driver"), 1);
}
