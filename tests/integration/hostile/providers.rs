//! Providers that answer what no volume can be, too much, or not at all.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use protobuf::Message;

use super::*;
use kit::eventually;
use kit::provider::{error_code, versions_only};

/// An answer with one file of that name beside two good ones.
fn with_file(path: &str) -> pb::MountResponse {
    answer("v2", &[("password", 0, b"new"), (path, 0, b"hostile"), ("tls/key", 0o400, b"new")])
}

/// What is hostile about an answer, the answer, and what people are told.
type Row = (&'static str, pb::MountResponse, &'static str);

fn unusable_answers() -> Vec<Row> {
    let file = |path: String| pb::File { path, contents: b"x".to_vec(), ..Default::default() };
    let with_files = |paths: &mut dyn Iterator<Item = String>| {
        let files = paths.map(file).collect();
        pb::MountResponse { files, ..versions_only("v2", &["password"]) }
    };
    let deep = |n: usize, depth: usize| format!("{}{n}", format!("d{n}/").repeat(depth));
    vec![
        ("control characters", with_file("/\n\u{1b}[31mE1123 forged\r\u{202e}"), "must be relative path"),
        ("a megabyte of a path", with_file(&"/\n".repeat(512 << 10)), "must be relative path"),
        ("a hostile error code", error_code("x\"} 1\nfake{a=\"b\u{1b}[2J"), "provider error code x"),
        ("a megabyte of an error code", error_code(&"\n\"".repeat(512 << 10)), "provider error code"),
        ("absolute", with_file("/etc/passwd"), "must be relative path"),
        ("the parent", with_file("../x"), "must not contain '..'"),
        ("far above", with_file("a/../../../../x"), "must not contain '..'"),
        ("back inside", with_file("a/../b"), "must not contain '..'"),
        ("the switch", with_file("..data"), "must not start with '..'"),
        ("the switch's target", with_file("..data/x"), "must not start with '..'"),
        ("a generation", with_file("..2026_01_01_00_00_00.1/x"), "must not start with '..'"),
        ("a temporary name", with_file("..data_tmp"), "must not start with '..'"),
        ("three dots", with_file("..."), "must not start with '..'"),
        ("nothing", with_file(""), "must not be empty"),
        ("the root", with_file("."), "must be clean"),
        ("unclean", with_file("a//b"), "must be clean"),
        ("a directory", with_file("a/"), "must be clean"),
        ("NUL", with_file("a\0b"), "NUL"),
        ("4097 bytes", with_file(&format!("{}b", "a/".repeat(2048))), "longer than 4096 bytes"),
        ("256 bytes in one component", with_file(&"x".repeat(256)), "longer than 255 bytes"),
        ("file and directory", with_file("password/x"), "is both a file and a directory"),
        ("directory and file", with_file("tls"), "is both a file and a directory"),
        ("a forest", with_files(&mut (0..40).map(|n| deep(n, 900))), "more than --volume-inode-limit"),
        ("a larger forest", with_files(&mut (0..80).map(|n| deep(n, 900))), "more than 65536 components"),
        (
            "100,000 files",
            with_files(&mut (0..100_000).map(|n| n.to_string())),
            "more than 65536 objects and",
        ),
        (
            "10,000 files",
            with_files(&mut (0..10_000).map(|n| n.to_string())),
            "more than --volume-size-limit",
        ),
        (
            "more than the volume holds",
            {
                let mut response = with_files(&mut std::iter::empty());
                let contents = vec![1; 3 << 20];
                response.files.push(pb::File { path: "large".to_owned(), contents, ..Default::default() });
                response
            },
            "more than --volume-size-limit",
        ),
        ("no object", pb::MountResponse::default(), "missing object versions"),
        (
            "files, but no object",
            pb::MountResponse { files: good().files, ..Default::default() },
            "missing object versions",
        ),
        ("not UTF-8", not_utf8(), "not a valid protocol buffer message"),
        ("a field of the wrong type", wrong_type(), "not a valid protocol buffer message"),
        ("an error code", error_code("AuthenticationFailed"), "provider error code AuthenticationFailed"),
    ]
}

/// A path that is not text. What the message type does not know is sent as it is, and on the wire nobody can
/// tell it from the field.
fn not_utf8() -> pb::MountResponse {
    let mut file = pb::File { contents: b"hostile".to_vec(), ..Default::default() };
    file.special_fields.mut_unknown_fields().add_length_delimited(FILE_PATH, b"a\xff\xfe".to_vec());
    pb::MountResponse { files: vec![file], ..versions_only("v2", &["password"]) }
}

/// A list of files that is a number.
fn wrong_type() -> pb::MountResponse {
    let mut response = versions_only("v2", &["password"]);
    response.special_fields.mut_unknown_fields().add_length_delimited(RESPONSE_FILES, vec![0xff; 64]);
    response
}

const FILE_PATH: u32 = 1;
const RESPONSE_FILES: u32 = 3;

#[test]
fn an_answer_that_cannot_be_a_volume_is_refused_as_a_whole() {
    let (world, provider) = node(&["--volume-size-limit=2097152"]);
    let victim = Victim::new(&world);
    for (number, (name, response, why)) in unusable_answers().into_iter().enumerate() {
        let pod = world.pod(&format!("pod-{number}"), "db");
        provider.script(move |_| Ok(response.clone()));
        let begun = Instant::now();
        let status = refusal(&world, &pod);
        assert!(begun.elapsed() < Duration::from_secs(30), "{name}: {:?}", begun.elapsed());
        assert!(status.message.contains(why), "{name}: {}", status.message);
        assert_is_presentable(&status, name);
        assert_is_gone(&pod, name);
        // Later ones may be over the node's limit of events.
        if number < 5 {
            eventually("the pod's owner is told", || !events(&world, &pod).is_empty());
        }
        victim.assert_is_untouched(&world, name);
        provider.script(|_| Ok(good()));
        world.kubelet.publish(&pod).expect(name);
        assert_is_good(&pod, name);
        world.kubelet.unpublish(&pod).expect(name);
    }
    assert_log_is_whole(&world);
}

#[test]
fn a_live_volume_keeps_its_content_whatever_the_provider_answers() {
    let (world, provider, pod) = live_node();
    let victim = Victim::new(&world);
    let generation = std::fs::read_link(pod.target.join("..data")).unwrap();
    for (name, response, why) in unusable_answers() {
        if name == "more than the volume holds" {
            continue; // Not under the default limit.
        }
        provider.script(move |_| Ok(response.clone()));
        let calls = provider.calls();
        world.kubelet.publish(&pod).unwrap_or_else(|status| panic!("{name}: {status}"));
        assert!(provider.calls() > calls, "{name}: the provider was asked");
        assert_is_good(&pod, name);
        assert_eq!(std::fs::read_link(pod.target.join("..data")).unwrap(), generation, "{name}");
        let condition = world.kubelet.stats(&pod).unwrap().volume_condition;
        assert!(condition.abnormal && condition.message.contains(why), "{name}: {}", condition.message);
        assert_is_printable(&condition.message, name);
        victim.assert_is_untouched(&world, name);
    }
    eventually("the pod's owner is told", || !events(&world, &pod).is_empty());
    provider.script(|_| Ok(answer("v2", &[("password", 0, b"fresh")])));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!((pod.visible(), pod.read("password")), (vec!["password".to_owned()], "fresh".to_owned()));
    assert!(!world.kubelet.stats(&pod).unwrap().volume_condition.abnormal);
    assert_log_is_whole(&world);
}

#[test]
fn of_duplicates_the_last_wins_and_special_bits_have_no_effect() {
    use std::os::unix::fs::PermissionsExt;
    let (world, provider) = node(&[]);
    let pod = world.pod("web", "db");
    provider.script(|_| {
        let files: &[(&str, i32, &[u8])] = &[
            ("twice", 0o600, b"first"),
            ("setuid", 0o6755, b""),
            ("sticky", 0o1644, b""),
            ("all", -1, b""),
            ("negative", i32::MIN, b""),
            ("twice", 0o640, b"last"),
        ];
        Ok(answer("v1", files))
    });
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("twice"), "last");
    let modes = [("twice", 0o640), ("setuid", 0o755), ("sticky", 0o644), ("all", 0o777), ("negative", 0)];
    for (name, mode) in modes {
        let found = std::fs::metadata(pod.target.join(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{name}");
    }
}

#[test]
fn an_answer_over_the_limit_says_which_flag_and_is_asked_for_again() {
    let (world, provider) = node(&[]);
    let pod = world.pod("web", "db");
    provider.script(|_| Ok(answer("v1", &[("large", 0, &vec![b'x'; 5 << 20])])));
    for call in 1..=2 {
        let status = world.kubelet.publish(&pod).unwrap_err();
        assert_eq!(status.code, Code::ResourceExhausted, "{status}");
        assert!(status.message.contains("--max-call-recv-msg-size"), "{status}");
        assert_eq!(provider.calls(), call, "a failed publish never counts as done");
        assert_is_gone(&pod, "too large");
    }
    let (world, provider) = node(&["--max-call-recv-msg-size=8388608"]);
    let pod = world.pod("web", "db");
    provider.script(|_| Ok(answer("v1", &[("large", 0, &vec![b'x'; 5 << 20])])));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(pod.read("large").len(), 5 << 20);
}

#[test]
fn a_failure_that_may_pass_is_never_taken_for_done() {
    let (world, provider) = node(&["--enable-secret-rotation=true", "--rotation-poll-interval=1h"]);
    let codes =
        [Code::Cancelled, Code::DeadlineExceeded, Code::ResourceExhausted, Code::Aborted, Code::Unavailable];
    for code in codes {
        let pod = world.pod(&format!("pod-{}", code.number()), "db");
        provider.script(move |_| Err(Status::new(code, "try again")));
        assert_eq!(world.kubelet.publish(&pod).unwrap_err().code, code);
        assert_is_gone(&pod, code.name());
        provider.script(|_| Ok(good()));
        world.kubelet.publish(&pod).unwrap();
        assert_is_good(&pod, code.name());
    }
}

#[test]
fn empty_contents_after_full_ones_are_content() {
    let (world, provider, pod) = live_node();
    provider.script(|_| Ok(answer("v2", &[("password", 0, b""), ("tls/key", 0o400, b"")])));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!((pod.read("password"), pod.read("tls/key")), (String::new(), String::new()));
}

#[test]
fn an_answer_without_files_leaves_the_volume_as_it_is() {
    let (world, provider, pod) = live_node();
    provider.script(|_| Ok(versions_only("v2", &["password"])));
    world.kubelet.publish(&pod).unwrap();
    assert_is_good(&pod, "no files");
}

#[test]
fn a_provider_that_hangs_costs_its_own_callers_only() {
    let (world, provider) = node(&[]);
    let (release, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    provider.script(move |_| {
        gate.lock().unwrap().recv().ok();
        Ok(good())
    });
    let other = ScriptedProvider::start(&world.environment, &world.providers(), "other", |_| Ok(good()));
    world.class("fine", "other", objects(&["password"]));
    let stuck = world.pod("stuck", "db");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| world.kubelet.publish_within(&stuck, Duration::from_secs(3)));
        eventually("the provider hangs", || provider.calls() == 1);
        let fine = world.pod("fine", "fine");
        world.kubelet.publish_within(&fine, Duration::from_secs(2)).unwrap();
        assert_is_good(&fine, "beside a provider that hangs");
        assert_eq!(waiting.join().unwrap().unwrap_err().code, Code::DeadlineExceeded);
    });
    eventually("the attempt is undone", || !stuck.is_mounted() && !stuck.target.exists());
    drop(release);
    eventually("the claim is free", || world.kubelet.publish(&stuck).is_ok());
    assert_is_good(&stuck, "the provider is back");
    drop(other);
}

#[test]
fn a_provider_that_dies_during_the_call_is_asked_again_when_it_is_back() {
    let (world, mut provider) = node(&[]);
    let pod = world.pod("web", "db");
    let (entered, is_entered) = mpsc::channel();
    let entered = std::sync::Mutex::new(entered);
    provider.script(move |_| {
        entered.lock().unwrap().send(()).ok();
        thread::sleep(Duration::from_millis(500));
        Ok(good())
    });
    thread::scope(|scope| {
        let publishing = scope.spawn(|| world.kubelet.publish(&pod));
        is_entered.recv_timeout(Duration::from_secs(30)).unwrap();
        provider.stop();
        let _back = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| Ok(good()));
        if let Err(status) = publishing.join().unwrap() {
            let may_pass =
                [Code::Cancelled, Code::Unavailable, Code::DeadlineExceeded].contains(&status.code);
            assert!(may_pass, "kubelet would give up: {status}");
            assert_is_gone(&pod, "died");
            world.kubelet.publish(&pod).unwrap();
        }
        assert_is_good(&pod, "the provider is back");
    });
}

#[test]
fn a_socket_that_speaks_something_else_is_an_error_in_time() {
    let (world, provider) = node(&[]);
    let socket = provider.socket().to_owned();
    drop(provider);
    type Talk = fn(std::os::unix::net::UnixStream);
    let rows: [(&str, Talk); 4] = [
        ("closes at once", drop),
        ("garbage", |mut stream| drop(stream.write_all(&[0xff; 100_000]))),
        ("HTTP/1", |mut stream| {
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
        }),
        ("listens and says nothing", |mut stream| drop(stream.read_to_end(&mut Vec::new()))),
    ];
    for (name, talk) in rows {
        std::fs::remove_file(&socket).ok();
        let listener = UnixListener::bind(&socket).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || talk(stream));
            }
        });
        let pod = world.pod(&name.replace(['/', ' '], "-").to_lowercase(), "db");
        let begun = Instant::now();
        let status = world.kubelet.publish_within(&pod, Duration::from_secs(2)).expect_err(name);
        assert!(begun.elapsed() < Duration::from_secs(4), "{name}: {:?}", begun.elapsed());
        assert_is_presentable(&status, name);
        eventually("the attempt is undone", || !pod.is_mounted() && !pod.target.exists());
        std::fs::remove_file(&socket).unwrap();
        let _back = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| Ok(good()));
        eventually("the claim is free", || world.kubelet.publish(&pod).is_ok());
        assert_is_good(&pod, name);
    }
}

#[test]
fn an_error_text_of_any_size_becomes_one_bounded_line() {
    let (world, provider, live) = live_node();
    let texts = [
        "could not log in".to_owned(),
        "first\nE1123 00:00:00.000000       1 forged.go:1] second\r\n\u{1b}]0;title\u{7}\u{202e}".to_owned(),
        "\u{85}\u{2028}\u{9b}31m".repeat(100),
        "x\n".repeat(2000),
        "x".repeat(100_000),
        "\n".repeat(2 << 20),
        String::new(),
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let name = format!("text {number}");
        provider.script(move |_| Err(Status::new(Code::PermissionDenied, text.clone())));
        let pod = world.pod(&format!("pod-{number}"), "db");
        let status = refusal(&world, &pod);
        assert_is_presentable(&status, &name);
        eventually("the attempt is undone", || !pod.is_mounted() && !pod.target.exists());
        eventually("the pod's owner is told", || !events(&world, &pod).is_empty());
        world.kubelet.publish_within(&live, Duration::from_secs(10)).expect(&name);
        assert_is_good(&live, &name);
    }
    assert_log_is_whole(&world);
}

#[test]
fn error_codes_of_every_kind_become_a_bounded_number_of_plain_labels() {
    let (world, provider) = node(&[]);
    let pod = world.pod("web", "db");
    let next = std::sync::atomic::AtomicUsize::new(0);
    provider.script(move |_| {
        let n = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(error_code(&format!("x\"}} 1\nfake_series{{a=\"{n}\" \u{1b}{}", "long".repeat(n))))
    });
    for _ in 0..300 {
        world.kubelet.publish(&pod).unwrap_err();
    }
    let (code, page) = world.http_get("/metrics");
    assert_eq!(code, 200);
    assert!(!page.contains("\nfake_series") && !page.contains('\u{1b}'));
    let codes: BTreeSet<&str> = page
        .split("error_type=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|code| code.contains("fake_series"))
        .collect();
    assert!((1..=64).contains(&codes.len()), "{} labels for 300 codes: {codes:?}", codes.len());
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    assert!(codes.iter().all(|code| code.len() <= 64 && code.chars().all(is_harmless)), "{codes:?}");
    assert!(page.lines().all(|line| line.len() < 600), "a label of any length");
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
}

#[test]
fn hostile_object_names_reach_the_pod_status_as_text_and_nothing_else() {
    let (world, provider, pod) = live_node();
    let hostile = "../../x\n\u{1b}[31m\"}]";
    provider.script(move |_| {
        let mut response = good();
        response.object_version = versions_only("v\u{0}\n\"", &[hostile]).object_version;
        Ok(response)
    });
    world.kubelet.publish(&pod).unwrap();
    let path = kit::objects::pod_status_path("default", "live", "db");
    let status = world.api.get(&path).unwrap();
    assert_eq!(status["status"]["objects"][0]["id"], hostile);
    assert_log_is_whole(&world);
}

#[test]
fn the_hand_made_answers_are_what_they_claim_to_be() {
    let bytes = not_utf8().write_to_bytes().unwrap();
    assert!(pb::MountResponse::parse_from_bytes(&bytes).is_err());
    assert!(bytes.windows(5).any(|window| window == [0x0a, 3, b'a', 0xff, 0xfe]));
}
