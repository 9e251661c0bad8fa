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

mod hardening;
mod lines;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use rules::{Owner, Part};
use source::Source;

/// Of some crates another may name a part alone. Whom a crate may name at all stands in its manifest, and the compiler
/// keeps it.
const PARTS: &[Part<'_>] = &[
    // The program is the driver and its doctor; the driver knows nothing of the other.
    ("driver", "doctor", &[]),
    ("csi", "doctor", &[]),
    ("registration", "doctor", &[]),
    ("driver", "volume", &["limits", "target"]),
    ("csi", "kube", &["event", "pod_tokens"]),
    ("csi", "volume", &["target"]),
    ("csi", "sys", &["mount"]),
    ("registration", "sys", &["at", "socket"]),
    ("registration", "web", &["health"]),
    ("doctor", "mounter", &["program"]),
    ("doctor", "provider", &["name", "socket"]),
    ("doctor", "volume", &["limits"]),
    ("operator", "sys", &["at"]),
    ("publish", "config", &["Rotation"]),
    ("publish", "mounter", &["client"]),
    ("publish", "rpc", &["deadline", "status"]),
    ("sync", "sys", &["at"]),
    ("provider", "config", &["ProviderTrust", "SocketCheck", "SocketOwner"]),
    ("provider", "sys", &["at", "socket"]),
    ("volume", "mounter", &["client", "whose"]),
    ("mounter", "config", &["Seccomp"]),
    ("confinement", "config", &["Seccomp"]),
    ("rpc", "sys", &["at", "socket"]),
    ("web", "sys", &["epoll", "tcp"]),
];

/// Who may name what is not ours, where a whole crate is too much: what a manifest lists and only some of its files may
/// name, and the parts of the standard library that reach out.
const OWNERS: &[Owner<'_>] = &[
    ("futures_core", &["rpc/channel.rs"]),
    ("protobuf", &["rpc/", "csi/", "provider/answer.rs"]),
    ("ureq", &["kube/transport.rs", "kube/wiping.rs"]),
    ("rustls", &["kube/config.rs", "kube/transport.rs", "operator/digest.rs", "operator/https/"]),
    ("serde", &["kube/"]),
    ("serde_json", &["kube/", "operator/", "publish/attributes.rs"]),
    // `volume` walks by the kernel's error numbers.
    ("nix", &["sys/socket.rs"]),
    ("rustix", &["sys/", "volume/content.rs", "volume/tree.rs"]),
    (
        "log",
        &[
            "driver.rs",
            "driver/",
            "web/http/",
            "kube/",
            "base/logging.rs",
            "metrics/",
            "operator/",
            "base/panics.rs",
            "provider/",
            "publish/",
            "registration/",
            "rpc/",
            "base/shutdown.rs",
            "sync/",
            "volume/",
        ],
    ),
    ("env_logger", &["base/logging.rs"]),
    ("signal_hook", &["base/shutdown.rs"]),
    ("httparse", &["web/http/request.rs"]),
    (
        "zeroize",
        &[
            "base/secret.rs",
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
    // The roots take the arguments, `config` the variables; the others name the machine that they were built for.
    (
        "std::env",
        &[
            "base/build_info.rs",
            "config/lib.rs",
            "confinement/filter.rs",
            "doctor/lib.rs",
            "driver.rs",
            "metrics/lib.rs",
            "mounter/program.rs",
            "operator/lib.rs",
        ],
    ),
    (
        "std::fs",
        &[
            "kube/config.rs",
            "kube/token.rs",
            "metrics/process.rs",
            "operator/https/certificate.rs",
            "operator/lib.rs",
            "sys/",
        ],
    ),
    (
        "std::net",
        &[
            "config/",
            "doctor/page.rs",
            "driver/csi_endpoint.rs",
            "web/http/",
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
            "base/logging.rs",
            "base/panics.rs",
            "mounter/program.rs",
            "operator/lib.rs",
            "operator/main.rs",
        ],
    ),
    ("std::panic", &["base/panics.rs"]),
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

const SETTLED_IN_LOCK: &[(&str, &str)] =
    &[("PoisonError", "a panic ends the process, and lock.rs says so for every lock: use its types")];

fn tree() -> Vec<Source> {
    Source::tree(&Path::new(kit::repository::ROOT).join("src"))
}

fn manifest() -> String {
    std::fs::read_to_string(Path::new(kit::repository::ROOT).join("Cargo.toml")).unwrap()
}

#[track_caller]
fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn of_some_crates_another_names_a_part_alone() {
    assert_none(rules::parts(&tree(), PARTS));
}

/// The crates, from the top down, as the manifest of the workspace lists them.
fn crates_from_the_top(manifest: &str) -> Vec<&str> {
    let (_, list) = manifest.split_once("\n# Ours, from the top down.\n").unwrap();
    let names = list.lines().map_while(|line| line.strip_prefix("secrets-store-")?.split(' ').next());
    names.collect()
}

#[test]
fn crates_depend_on_what_is_below_them_and_on_nothing_that_they_do_not_use() {
    let manifest = manifest();
    let order = crates_from_the_top(&manifest);
    assert!(order.len() > 10, "{order:?}");
    let sources = tree();
    let crates: Vec<_> = order
        .iter()
        .map(|name| {
            let own = sources.iter().filter(|source| source.module().first() == Some(name));
            let text: String = own.map(|source| source.text.as_str()).collect();
            (*name, hardening::read(&format!("src/{name}/Cargo.toml")), text)
        })
        .collect();
    assert_none(rules::walls(&order, &crates));
    // The list by which the log tells them from libraries, and this test too.
    let mut logged: Vec<&str> = base::logging::OURS.to_vec();
    logged.retain(|name| !["reference_provider", "secrets_store_csi_driver"].contains(name));
    assert_eq!(logged, order.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
}

#[test]
fn the_outside_world_is_named_where_it_belongs() {
    assert_none(rules::owners(&tree(), OWNERS));
}

#[test]
fn messages_are_never_formatted_field_by_field() {
    assert_none(rules::printed_messages(&tree()));
}

#[test]
fn there_is_no_unsafe_and_the_compiler_forbids_it() {
    let tree = tree();
    assert_none(rules::words_without_a_place(&tree, NO_UNSAFE));
    assert!(manifest().contains("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"));
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
fn poison_is_settled_in_one_place() {
    let tree = tree();
    assert!(!rules::words_without_a_place(&tree, SETTLED_IN_LOCK).is_empty(), "lock.rs is that place");
    let others = tree.iter().filter(|source| source.path != "base/lock.rs");
    assert_none(rules::words_without_a_place(others, SETTLED_IN_LOCK));
}

#[test]
fn every_dependency_says_what_it_is_for_and_leaves_out_what_is_not_needed() {
    assert_none(rules::dependencies(&manifest()));
    for member in hardening::files("Cargo.toml") {
        let manifest = hardening::read(&member);
        let own = rules::direct_dependencies(&manifest).into_iter().filter(|(_, line, _)| !is_shared(line));
        if member != "Cargo.toml" && manifest.contains("\n[lints]\nworkspace = true\n") {
            assert_none(own.map(|(name, ..)| format!("{member}: {name} is none of the workspace")).collect());
        }
    }
}

fn is_shared(line: &str) -> bool {
    line.ends_with(".workspace = true")
}

#[test]
fn files_stay_short_enough_to_read() {
    assert_none(rules::sizes(&tree(), LONGEST_FILE, LONGER_FILES));
}

#[test]
fn every_file_begins_by_saying_what_it_is_for() {
    assert_none(rules::headers(&tree()));
    assert_none(rules::headers(&Source::tree(&Path::new(kit::repository::ROOT).join("tests"))));
}

#[test]
fn every_file_is_in_some_crate() {
    let roots: Vec<String> = hardening::files("Cargo.toml")
        .iter()
        .flat_map(|file| rules::crate_roots(file, &hardening::read(file)))
        .collect();
    assert!(roots.len() > 10, "{roots:?}");
    for directory in ["src", "tests"] {
        let mut tree = Source::tree(&Path::new(kit::repository::ROOT).join(directory));
        // A made-up source, which is read and never compiled.
        tree.retain(|source| !source.path.starts_with("parity/ours/"));
        assert_none(rules::in_no_crate(directory, &tree, &roots));
    }
}

/// What attributes say that make one file a part of several programs, each of which uses a part of it.
const SHARED: [&str; 4] = ["path", "dead_code", "unused", "unused_imports"];

#[test]
fn every_file_is_in_one_crate_at_its_place_and_the_compiler_says_what_is_unused() {
    let [src, tests] =
        ["src", "tests"].map(|directory| Source::tree(&Path::new(kit::repository::ROOT).join(directory)));
    assert_none(rules::attributes(&src, &SHARED[..1]));
    assert_none(rules::attributes(&tests, &SHARED));
}

/// Each rule against sources that break it, so that a rule which sees nothing is seen.
mod the_rules_bite {
    use super::*;

    fn made_up(files: &[(&str, &str)]) -> Vec<Source> {
        files.iter().map(|(path, text)| Source::new(path, text)).collect()
    }

    #[test]
    fn a_path_into_a_part_that_is_not_listed_is_found_in_every_form() {
        let table: &[Part<'_>] = &[("publish", "kube", &["client"]), ("csi", "kube", &["event"])];
        let rows = [
            ("a use", "publish/a.rs", "use kube::gate::G;", "publish must not know kube::gate::G"),
            ("a group", "publish/a.rs", "use kube::{gate::G};", "publish must not know kube::gate::G"),
            (
                "in the code",
                "publish/a.rs",
                "fn f() { kube::gate::g() }",
                "publish must not know kube::gate::g",
            ),
            ("all of it", "publish/a.rs", "use kube::*;", "publish must not know kube"),
            ("a module", "csi/a.rs", "use kube::client::C;", "csi must not know kube::client::C"),
        ];
        let sound = [
            ("publish/lib.rs", "use kube::client::{self, C};"),
            ("csi/mod.rs", "use kube::event::E;\n#[cfg(test)]\nmod tests { use kube::gate; }"),
            ("kube/lib.rs", "use crate::gate::G;"),
        ];
        assert_none(rules::parts(&made_up(&sound), table));
        for (name, path, text, complaint) in rows {
            let complaints = rules::parts(&made_up(&[&sound[..], &[(path, text)]].concat()), table);
            assert!(complaints.len() == 1 && complaints[0].ends_with(complaint), "{name}: {complaints:?}");
        }
        let idle = rules::parts(&made_up(&sound[..1]), table);
        assert_eq!(idle, ["the table lets csi name kube::event, which it does not"]);
    }

    #[test]
    fn a_crate_that_sees_what_is_above_it_or_what_it_does_not_use_is_found() {
        let order = ["publish", "kube"];
        let of = |name, dependency: &str, text: &str| {
            let manifest = format!("[dependencies]\n{dependency}.workspace = true\n");
            rules::walls(&order, &[(name, manifest, text.to_owned())])
        };
        assert_none(of("publish", "secrets-store-kube", "use kube::K;"));
        assert_none(of("publish", "serde-json", "use serde_json::Value;"));
        assert_eq!(
            of("kube", "secrets-store-publish", "use publish::P;"),
            ["kube must not know publish, which stands above it"]
        );
        assert_eq!(of("publish", "secrets-store-kube", ""), ["publish depends on kube and does not name it"]);
        assert_eq!(of("new", "log", "log::info!()"), ["new is not in the list of crates from the top down"]);
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
    fn a_file_that_is_taken_from_elsewhere_and_a_warning_that_is_off_are_found() {
        let texts = [
            "#[path = \"../b.rs\"]\nmod b;",
            "#[cfg_attr(test, path = \"../b.rs\")]\nmod b;",
            "#[allow(dead_code, reason = \"x\")]\nmod b;",
            "#![allow(clippy::panic, unused_imports)]\nmod b;",
            "// #[path = \"b.rs\"] dead_code\nfn f(path: &str) { path = \"x\" }",
        ];
        let found = texts.map(|text| rules::attributes(&made_up(&[("x.rs", text)]), &SHARED).len());
        assert_eq!(found, [1, 1, 1, 1, 0]);
    }

    #[test]
    fn a_file_that_no_other_names_is_found() {
        let files = [
            ("kit/lib.rs", "mod a;\npub mod b;"),
            ("kit/a.rs", "mod c;"),
            ("kit/a/c.rs", ""),
            ("kit/b/mod.rs", "mod d;"),
            ("kit/b/d.rs", ""),
            ("kit/e.rs", "// mod e;"),
            ("kit/b/c.rs", ""),
            ("other.rs", ""),
        ];
        let manifest = "[lib]\npath = \"lib.rs\"\n";
        let roots = rules::crate_roots("tests/kit/Cargo.toml", manifest);
        assert_eq!(roots, ["tests/kit/lib.rs", "tests/kit/src/lib.rs", "tests/kit/src/main.rs"]);
        assert_eq!(
            rules::in_no_crate("tests", &made_up(&files), &roots),
            ["tests/kit/e.rs", "tests/kit/b/c.rs", "tests/other.rs"]
                .map(|file| format!("{file}: is in no crate"))
        );
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        let files = [("a.rs", "//! A.\n"), ("b.rs", "use x;\n"), ("c.rs", "// c\n// @generated\n")];
        assert_eq!(rules::headers(&made_up(&files)), ["b.rs: does not begin with what it is for (//!)"]);
    }
}
