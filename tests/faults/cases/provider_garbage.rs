//! Providers whose answers are well-formed messages that no volume should be, and answers at their size limit.

use protobuf::Message;
use rpc::pb::provider as pb;
use rpc::status::Code;

use crate::node::{Node, holding};
use crate::runner::{Case, case};
use crate::sheet::Sheet;
use kit::provider::{answer, error_code, versions_only};

/// In the order of the table.
pub const CASES: [Case; 9] = [
    case("provider answers: paths that lead out", paths_that_lead_out),
    case("provider answers: one path twice", one_path_twice),
    case("provider answers: a file that is also a directory", file_and_directory),
    case("provider answers: 20,000 files", many_files),
    case("provider answers: 100,000 files", too_many_files),
    case("provider answers: no object", no_object),
    case("provider answers: an error code of a megabyte", long_error_code),
    case("provider answers: exactly as much as is allowed", at_the_limit),
    case("provider answers: one byte more than is allowed", beyond_the_limit),
];

fn paths_that_lead_out() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let outside = node.world.path("pods/escaped");
    let up = format!("{}pods/escaped", "../".repeat(8));
    let absolute = outside.display().to_string();
    let paths =
        ["../../../../../escaped", &absolute, &up, "a/../../b", "..data/x", "..data_tmp", ".", "", "a\0b"];
    for path in paths {
        node.answer_with(answer("v2", &[("password", 0, b"new"), (path, 0, b"hostile")]));
        node.kept(&live, "old", "invalid filepath");
        node.refused(&fresh, Code::Unknown, "invalid filepath");
    }
    assert!(!outside.exists() && !node.world.path("escaped").exists(), "something was written outside");
    let count = paths.len();
    node.sheet.pod(format!("the same for {count} paths, nothing is outside"));
    node.rose(&[
        // A pod is told different things at most every half minute.
        "events_dropped_total +",
        "failing_volumes +1",
        &format!("node_publish_error_total{{error_type=FileWriteError,provider=test}} +{}", 2 * count),
        &format!("rotation_reconcile_error_total{{error_type=FileWriteError,provider=test}} +{count}"),
    ]);
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn one_path_twice() -> Sheet {
    let mut node = Node::start();
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.answer_with(answer("v2", &[("password", 0, b"first"), ("password", 0, b"last")]));
    node.refreshed(&live, "last");
    node.published(&fresh, "last");
    node.rose(&[]);
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn file_and_directory() -> Sheet {
    let files = answer("v2", &[("password", 0, b"new"), ("password/x", 0, b"x")]);
    refused(files, "is both a file and a directory", "FileWriteError")
}

fn many_files() -> Sheet {
    refused(files(20_000), "more than --volume-size-limit", "FileWriteError")
}

fn too_many_files() -> Sheet {
    let words = "more than 65536 objects and files";
    refused_with(Code::ResourceExhausted, files(100_000), words, "GRPCProviderError")
}

fn no_object() -> Sheet {
    refused(pb::MountResponse::default(), "missing object versions", "GRPCProviderError")
}

fn long_error_code() -> Sheet {
    let code = "x".repeat(1 << 20);
    refused(error_code(&code), "provider error code xxx", &code[..LONGEST_LABEL])
}

/// The picture that all of them give.
fn refused(response: pb::MountResponse, words: &str, error_type: &str) -> Sheet {
    refused_with(Code::Unknown, response, words, error_type)
}

fn refused_with(code: Code, response: pb::MountResponse, words: &str, error_type: &str) -> Sheet {
    let mut node = Node::start();
    node.may_grow(LARGE);
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.answer_with(response);
    node.kept(&live, "old", words);
    node.refused(&fresh, code, words);
    let called = format!("provider_call_duration_seconds_count{{code={code},provider=test}} +2");
    let mut rose = vec!["failing_volumes +1"];
    // Of those that are refused later, the call itself went well.
    if code != Code::Unknown {
        rose.push(&called);
    }
    let failed = [
        format!("node_publish_error_total{{error_type={error_type},provider=test}} +2"),
        format!("rotation_reconcile_error_total{{error_type={error_type},provider=test}} +1"),
    ];
    rose.extend(failed.iter().map(String::as_str));
    node.rose(&rose);
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn at_the_limit() -> Sheet {
    let mut node = Node::start();
    node.may_grow(LARGE);
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    let response = of_size(ANSWER_LIMIT);
    let content = String::from_utf8(response.files[0].contents.clone()).unwrap();
    node.answer_with(response);
    node.refreshed(&live, &content);
    node.published(&fresh, &content);
    node.rose(&[]);
    node.recovers(&[&live, &fresh]);
    node.end()
}

fn beyond_the_limit() -> Sheet {
    let mut node = Node::start();
    node.may_grow(LARGE);
    let (live, fresh) = (node.live_pod(), node.pod("web"));
    node.answer_with(of_size(ANSWER_LIMIT + 1));
    node.kept(&live, "old", "raise --max-call-recv-msg-size");
    node.refused(&fresh, Code::ResourceExhausted, &format!("({} vs. {ANSWER_LIMIT})", ANSWER_LIMIT + 1));
    node.rose(&[
        "failing_volumes +1",
        "node_publish_error_total{error_type=GRPCProviderError,provider=test} +2",
        "provider_call_duration_seconds_count{code=ResourceExhausted,provider=test} +2",
        "rotation_reconcile_error_total{error_type=GRPCProviderError,provider=test} +1",
    ]);
    node.recovers(&[&live, &fresh]);
    node.end()
}

/// An answer of so many bytes on the wire.
fn of_size(bytes: u64) -> pb::MountResponse {
    let with = |length: u64| holding("v2", &vec![b'x'; usize::try_from(length).unwrap()]);
    let overhead = with(bytes / 2).compute_size() - bytes / 2;
    let response = with(bytes - overhead);
    assert_eq!(response.compute_size(), bytes);
    response
}

fn files(count: usize) -> pb::MountResponse {
    let file = |n: usize| pb::File { path: n.to_string(), contents: b"x".to_vec(), ..Default::default() };
    pb::MountResponse { files: (0..count).map(file).collect(), ..versions_only("v2", &["password"]) }
}

/// Label values are cut.
const LONGEST_LABEL: usize = 64;
/// The default of --max-call-recv-msg-size.
const ANSWER_LIMIT: u64 = 4 << 20;
/// An answer is in memory a few times while it is read and written.
const LARGE: usize = 64;
