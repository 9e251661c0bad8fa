//! The architecture as a test: who may import whom, who may name what of the outside world, and the habits that no
//! lint knows.
//!
//! The tables below are the rules of this tree; a change to one is a change of the design and reads as such in a
//! review. Allowances that nobody uses are complained about too, so that the tables stay true.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop there"
)]
#![allow(clippy::disallowed_methods, reason = "tests set their own stage")]

#[path = "architecture/hardening.rs"]
mod hardening;
#[path = "architecture/lines.rs"]
mod lines;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use std::path::Path;

use rules::{Layer, Owner};
use source::Source;

/// From the top down: a module and what it may name. `src/lib.rs` shows the same picture with fewer words.
const LAYERS: &[Layer<'_>] = &[
    ("bin", &["doctor", "driver", "mounter", "operator", "reference_provider"]),
    // For the targets in fuzz/ alone, and compiled for nothing else.
    ("fuzzing", &["provider::answer", "volume::live", "kube::watch", "sys::at"]),
    (
        "driver",
        &[
            "csi",
            "registration",
            "publish",
            "sync",
            "admin",
            "provider",
            "rpc",
            "volume::limits",
            "volume::target",
            "kube",
            "health",
            "http",
            "metrics",
            "mounter",
            "confinement",
            "sys",
            "config",
            "build_info",
            "logging",
            "shutdown",
        ],
    ),
    (
        "doctor",
        &[
            "provider::name",
            "provider::socket",
            "rpc",
            "kube",
            "volume::limits",
            "mounter::program",
            "sys",
            "config",
            "cli",
            "build_info",
            "escape",
        ],
    ),
    (
        "operator",
        &[
            "kube",
            "health",
            "http",
            "metrics",
            "confinement",
            "sys::at",
            "config",
            "build_info",
            "logging",
            "secret",
            "shutdown",
            "timestamp",
        ],
    ),
    ("reference_provider", &["rpc", "http", "metrics", "config", "logging", "shutdown", "secret"]),
    (
        "csi",
        &[
            "publish",
            "rpc",
            "volume::target",
            "kube::event",
            "kube::pod_tokens",
            "metrics",
            "sys::mount",
            "secret",
        ],
    ),
    ("registration", &["rpc", "health", "metrics", "sys::at", "sys::socket"]),
    (
        "publish",
        &[
            "sync",
            "provider",
            "rpc::deadline",
            "rpc::status",
            "volume",
            "kube",
            "metrics",
            "mounter::client",
            "sys",
            "config::Rotation",
            "secret",
            "semaphore",
            "timestamp",
        ],
    ),
    ("sync", &["volume", "kube", "metrics", "sys::at", "places", "secret", "timestamp"]),
    ("admin", &["health", "http", "metrics"]),
    (
        "provider",
        &[
            "rpc",
            "sys::at",
            "sys::socket",
            "config::ProviderTrust",
            "config::SocketCheck",
            "config::SocketOwner",
            "places",
            "secret",
            "semaphore",
        ],
    ),
    ("rpc", &["escape", "metrics", "sys::at", "sys::socket"]),
    ("volume", &["mounter::client", "mounter::whose", "sys", "secret", "timestamp"]),
    ("mounter", &["confinement", "sys", "config::Seccomp", "shutdown"]),
    ("confinement", &["sys", "config::Seccomp"]),
    ("kube", &["secret", "timestamp"]),
    ("health", &[]),
    ("http", &["sys::epoll", "sys::tcp"]),
    ("metrics", &[]),
    ("sys", &[]),
    ("config", &["cli", "go_duration"]),
    ("cli", &["escape", "go_duration"]),
    ("build_info", &["escape"]),
    ("logging", &["escape", "timestamp"]),
    ("escape", &[]),
    ("go_duration", &[]),
    ("places", &[]),
    ("secret", &[]),
    ("semaphore", &[]),
    ("shutdown", &[]),
    ("timestamp", &[]),
];

/// Who may name what is not ours. Every dependency is here, and the parts of the standard library that reach out.
const OWNERS: &[Owner<'_>] = &[
    ("grpcio", &["rpc/"]),
    ("futures_core", &["rpc/channel.rs"]),
    ("protobuf", &["fuzzing.rs", "rpc/", "csi/", "provider/answer.rs"]),
    ("ureq", &["kube/transport.rs", "kube/wiping.rs"]),
    ("rustls", &["kube/config.rs", "kube/transport.rs", "operator/digest.rs", "operator/https/"]),
    ("serde", &["kube/", "reference_provider/mount.rs"]),
    (
        "serde_json",
        &[
            "kube/",
            "operator/",
            "publish/attributes.rs",
            "reference_provider/control.rs",
            "reference_provider/mount.rs",
        ],
    ),
    // `volume` walks by the kernel's error numbers.
    ("nix", &["sys/socket.rs"]),
    ("rustix", &["sys/", "volume/content.rs", "volume/tree.rs"]),
    (
        "log",
        &[
            "driver.rs",
            "driver/",
            "http/",
            "kube/",
            "logging.rs",
            "metrics/",
            "operator/",
            "provider/",
            "publish/",
            "reference_provider/",
            "registration/",
            "rpc/",
            "shutdown.rs",
            "sync/",
            "volume/",
        ],
    ),
    ("env_logger", &["logging.rs"]),
    ("signal_hook", &["shutdown.rs"]),
    ("httparse", &["http/request.rs"]),
    (
        "zeroize",
        &[
            "secret.rs",
            "kube/",
            "operator/https/",
            "provider/client.rs",
            "sync/pem.rs",
            "sync/tls.rs",
            "volume/content.rs",
            "volume/writer/compare.rs",
        ],
    ),
    ("base64", &["kube/claims.rs", "kube/types/secret.rs", "sync/pem.rs"]),
    ("pkcs1", &["sync/tls.rs"]),
    ("pkcs8", &["sync/tls.rs"]),
    ("sec1", &["sync/tls.rs"]),
    ("prometheus", &["metrics/"]),
    ("seccompiler", &["confinement/filter.rs"]),
    ("libc", &["confinement/"]),
    ("zeroizing_alloc", &["bin/"]),
    // The roots take the arguments, `config` the variables; the others name the machine that they were built for.
    (
        "std::env",
        &[
            "build_info.rs",
            "config/mod.rs",
            "confinement/filter.rs",
            "doctor/mod.rs",
            "driver.rs",
            "metrics/mod.rs",
            "mounter/program.rs",
            "operator/mod.rs",
            "reference_provider/mod.rs",
        ],
    ),
    (
        "std::fs",
        &[
            "kube/config.rs",
            "kube/token.rs",
            "metrics/process.rs",
            "operator/https/certificate.rs",
            "operator/mod.rs",
            "reference_provider/directory.rs",
            "sys/",
        ],
    ),
    (
        "std::net",
        &[
            "config/",
            "doctor/page.rs",
            "driver/csi_endpoint.rs",
            "http/",
            "kube/config.rs",
            "kube/transport.rs",
            "operator/https/",
        ],
    ),
    (
        "std::process",
        &[
            "bin/",
            "confinement/",
            "doctor/",
            "driver.rs",
            "logging.rs",
            "mounter/program.rs",
            "operator/mod.rs",
            "reference_provider/mod.rs",
        ],
    ),
];

/// Longer files hide things. Lines outside tests.
const LONGEST_FILE: usize = 450;

/// Files that may be longer, how long, and why.
const LONGER_FILES: &[(&str, usize, &str)] = &[];

const NO_UNSAFE: &[(&str, &str)] = &[("unsafe", "there is none in this crate, generated code included")];

const WITHOUT_A_PLACE: &[(&str, &str)] = &[
    ("static", "there is no global state: pass it"),
    ("thread_local", "there is no global state: pass it"),
    ("LazyLock", "there is no global state: pass it"),
    ("OnceLock", "there is no global state: pass it"),
];

fn tree() -> Vec<Source> {
    Source::tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn manifest() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap()
}

#[track_caller]
fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn modules_import_only_what_is_below_them_and_listed() {
    assert_none(rules::layers(&tree(), LAYERS));
}

#[test]
fn the_outside_world_is_named_where_it_belongs() {
    assert_none(rules::owners(&tree(), OWNERS));
}

#[test]
fn every_dependency_of_the_program_has_an_owner() {
    let manifest = manifest();
    let dev = manifest.find("[dev-dependencies]").unwrap_or(manifest.len());
    for (name, ..) in rules::direct_dependencies(&manifest[..dev]) {
        let name = name.replace('-', "_");
        assert!(OWNERS.iter().any(|(owned, _)| *owned == name), "{name} is in nobody's hands: see OWNERS");
    }
}

#[test]
fn messages_are_never_formatted_field_by_field() {
    assert_none(rules::printed_messages(&tree()));
}

#[test]
fn there_is_no_unsafe_and_the_compiler_forbids_it() {
    let tree = tree();
    assert_none(rules::words_without_a_place(&tree, NO_UNSAFE));
    let root = tree.iter().find(|source| source.path == "lib.rs").unwrap();
    assert!(root.text.contains("\n#![forbid(unsafe_code)]\n"));
    assert!(manifest().contains("[lints.rust]\nunsafe_code = \"forbid\"\n"));
}

#[test]
fn there_is_no_global_state() {
    let tree = tree();
    // A program has one allocator, and names it as a static.
    let is_allocators = |source: &Source| source.path == "bin/secrets-store-csi-driver.rs";
    let ours = tree.iter().filter(|source| !source.is_generated() && !is_allocators(source));
    assert_none(rules::words_without_a_place(ours, WITHOUT_A_PLACE));
}

#[test]
fn every_dependency_says_what_it_is_for_and_leaves_out_what_is_not_needed() {
    assert_none(rules::dependencies(&manifest()));
}

#[test]
fn files_stay_short_enough_to_read() {
    assert_none(rules::sizes(&tree(), LONGEST_FILE, LONGER_FILES));
}

#[test]
fn every_file_begins_by_saying_what_it_is_for() {
    assert_none(rules::headers(&tree()));
    assert_none(rules::headers(&Source::tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))));
}

/// Each rule against sources that break it, so that a rule which sees nothing is seen.
mod the_rules_bite {
    use super::*;

    fn made_up(files: &[(&str, &str)]) -> Vec<Source> {
        files.iter().map(|(path, text)| Source::new(path, text)).collect()
    }

    #[test]
    fn a_forbidden_edge_is_found_in_every_form() {
        let table: &[Layer<'_>] = &[("publish", &["volume", "kube::client"]), ("volume", &[]), ("kube", &[])];
        let rows = [
            ("a use", "volume/a.rs", "use crate::kube::K;", "volume must not know kube::K"),
            ("a group", "volume/a.rs", "use crate::{kube::K};", "volume must not know kube::K"),
            ("in the code", "volume/a.rs", "fn f() { crate::kube::k() }", "volume must not know kube::k"),
            ("by super", "volume/a.rs", "use super::super::kube::K;", "volume must not know kube::K"),
            ("upwards", "kube/a.rs", "use crate::publish::P;", "kube must not know publish::P"),
            (
                "beyond a part",
                "publish/b.rs",
                "use crate::kube::gate::G;",
                "publish must not know kube::gate::G",
            ),
            ("a new module", "news.rs", "", "news.rs: module news is in no layer"),
        ];
        let sound = [
            ("publish/mod.rs", "use crate::{kube::client::C, volume};"),
            ("volume/mod.rs", "use crate::volume::x;\n#[cfg(test)]\nmod tests { use crate::kube; }"),
            ("kube/mod.rs", "//! crate::publish"),
        ];
        assert_none(rules::layers(&made_up(&sound), table));
        for (name, path, text, complaint) in rows {
            let complaints = rules::layers(&made_up(&[&sound[..], &[(path, text)]].concat()), table);
            assert!(complaints.len() == 1 && complaints[0].ends_with(complaint), "{name}: {complaints:?}");
        }
    }

    #[test]
    fn a_table_that_is_not_true_is_complained_about() {
        let sources = made_up(&[("a.rs", ""), ("b.rs", "use crate::a::A;")]);
        let rows: [(&str, &[Layer<'_>], &str); 3] = [
            ("upwards", &[("a", &[]), ("b", &["a"])], "the table lets b name a, which is not below it"),
            (
                "unused",
                &[("b", &["a"]), ("a", &["c"]), ("c", &[])],
                "the table lets a name c, which it does not",
            ),
            ("gone", &[("b", &["a"]), ("a", &[]), ("c", &[])], "the table has c, which does not exist"),
        ];
        for (name, table, complaint) in rows {
            assert!(rules::layers(&sources, table).contains(&complaint.to_owned()), "{name}");
        }
    }

    #[test]
    fn what_belongs_to_others_is_found_by_name() {
        let table: &[Owner<'_>] = &[("grpcio", &["rpc/"]), ("std::env", &["config.rs"])];
        let sound = [("rpc/a.rs", "use grpcio::Server;"), ("config.rs", "use std::env;")];
        assert_none(rules::owners(&made_up(&sound), table));
        let rows = [
            ("a use", "use grpcio::Server;", "x.rs:1: must not name grpcio"),
            ("in the code", "fn f() {\n grpcio::f() }", "x.rs:2: must not name grpcio"),
            ("in a group", "use std::{fmt, env};", "x.rs:1: must not name std::env"),
            ("of std", "fn f() { std::env::var(\"A\") }", "x.rs:1: must not name std::env"),
        ];
        for (name, text, complaint) in rows {
            let complaints = rules::owners(&made_up(&[&sound[..], &[("x.rs", text)]].concat()), table);
            assert_eq!(complaints, [complaint], "{name}");
        }
        let complaints = rules::owners(&made_up(&sound[..1]), table);
        assert_eq!(complaints, ["the table lets config.rs name std::env, which it does not"]);
    }

    #[test]
    fn a_message_that_could_be_printed_is_found() {
        let uses = "use crate::rpc::pb::csi as pb;";
        let rows = [
            ("inline", "fn f() { format!(\"{request:?}\") }", 1),
            ("positional", "fn f() { format!(\"{:#?}\", request) }", 1),
            ("in the log", "fn f() { log::info!(request:? = request; \"x\") }", 1),
            ("dbg", "fn f() { dbg!(request) }", 1),
            ("derived around", "#[derive(Clone, Debug)]\npub struct S {\n    inner: pb::Request,\n}", 1),
            ("derived around in a tuple", "#[derive(Debug)]\nstruct S(pb::Request);", 1),
            ("derived beside", "#[derive(Debug)]\nstruct S { a: u8 }\nstruct T { inner: pb::Request }", 0),
            ("displayed", "fn f() { format!(\"{request} {a:>5}\") }", 0),
            ("in a test", "#[cfg(test)]\nmod tests { fn f() { format!(\"{:?}\", x) } }", 0),
        ];
        for (name, text, count) in rows {
            let complaints = rules::printed_messages(&made_up(&[("x.rs", &format!("{uses}\n{text}"))]));
            assert_eq!(complaints.len(), count, "{name}: {complaints:?}");
            assert_none(rules::printed_messages(&made_up(&[("x.rs", text)])));
        }
    }

    #[test]
    fn words_without_a_place_are_found_in_code_alone() {
        let text = "//! unsafe\nfn f(a: &'static str) { \"unsafe\" }\nunsafe fn g() {}\nstatic A: u8 = 1;";
        let sources = made_up(&[("x.rs", text)]);
        assert_eq!(rules::words_without_a_place(&sources, NO_UNSAFE).len(), 1);
        assert_eq!(
            rules::words_without_a_place(&sources, WITHOUT_A_PLACE),
            ["x.rs:4: static: there is no global state: pass it"]
        );
        let generated = made_up(&[("pb.rs", "// @x\n// @generated\nunsafe impl X for Y {}")]);
        assert!(generated[0].is_generated());
        assert_eq!(rules::words_without_a_place(&generated, NO_UNSAFE).len(), 1);
    }

    #[test]
    fn a_dependency_without_a_sentence_or_with_default_features_is_found() {
        let manifest = "[dependencies]\n# What for.\na = { version = \"1\", default-features = false }\nb = \"1\"\n\
                        [dev-dependencies]\nc = { version = \"1\", default-features = false }\n\n[lints]\nd = \"1\"\n";
        assert_eq!(
            rules::dependencies(manifest),
            [
                "b: no comment above it says what it is for",
                "b: default-features = false is missing",
                "c: no comment above it says what it is for",
            ]
        );
    }

    #[test]
    fn a_long_file_and_an_idle_exception_are_found() {
        let long = "fn f() {}\n".repeat(10);
        let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        let sources = made_up(&[("long.rs", &long), ("tested.rs", &tested), ("tests.rs", &long)]);
        assert_eq!(rules::sizes(&sources, 9, &[]), ["long.rs: 10 lines, more than 9"]);
        assert_none(rules::sizes(&sources, 9, &[("long.rs", 10, "")]));
        let idle = rules::sizes(&sources, 10, &[("long.rs", 20, ""), ("gone.rs", 20, "")]);
        assert_eq!(
            idle,
            ["long.rs: needs no exception any more", "gone.rs: has an exception and does not exist"]
        );
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        let files = [("a.rs", "//! A.\n"), ("b.rs", "use x;\n"), ("c.rs", "// c\n// @generated\n")];
        assert_eq!(rules::headers(&made_up(&files)), ["b.rs: does not begin with what it is for (//!)"]);
    }
}
