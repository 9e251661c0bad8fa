//! What is never said aloud. Canaries travel wherever a secret, a token or a payload does, the driver talks as much
//! as it can, every step succeeds and fails, and then nothing it ever said may hold a canary in any form.

use std::collections::HashMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use protobuf::Message;
use rpc::pb::{csi, provider as pb};
use rpc::status::{Code, Status};
use serde_json::json;

use crate::separation::mounter_of;
use api_server::{ApiServer, Matcher, Settings};
use kit::eventually;
use kit::kubelet::publish_request;
use kit::objects;
use kit::provider::{ScriptedProvider, answer, error_code, versions_only};
use kit::tokens::{TOKENS, bound_to};
use kit::world::{Pod, World};

const FIRST_CONTENT: &str = "canary-content-of-the-first-answer-51c7";
const NEXT_CONTENT: &str = "canary-content-at-rotation-93e0";
const REFUSED_CONTENT: &str = "canary-content-of-a-refused-answer-b2d8";
const MALFORMED_CONTENT: &str = "canary-content-of-a-malformed-answer-7a66";
const CONTEXT_TOKEN: &str = "canary-token-in-the-volume-context-0f3b";
const SECRETS_TOKEN: &str = "canary-token-among-the-secrets-c41e";
const PUBLISH_SECRET: &str = "canary-node-publish-secret-58d2";
const PARAMETER: &str = "canary-parameter-of-the-class-e6a9";
const ATTRIBUTE: &str = "canary-attribute-of-the-pod-2c05";
const COLLIDING: &str = "canary-attribute-that-loses-d97f";
const BEARER_TOKEN: &str = "canary-bearer-token-84b1";
const NEXT_BEARER_TOKEN: &str = "canary-bearer-token-after-rotation-16fc";
const UNKNOWN_FIELD: &str = "canary-field-of-a-newer-kubelet-aa37";

const CANARIES: [&str; 13] = [
    FIRST_CONTENT,
    NEXT_CONTENT,
    REFUSED_CONTENT,
    MALFORMED_CONTENT,
    CONTEXT_TOKEN,
    SECRETS_TOKEN,
    PUBLISH_SECRET,
    PARAMETER,
    ATTRIBUTE,
    COLLIDING,
    BEARER_TOKEN,
    NEXT_BEARER_TOKEN,
    UNKNOWN_FIELD,
];

#[test]
fn nothing_that_the_driver_says_holds_a_secret_in_text() {
    say_everything(&["-v=10"]);
}

#[test]
fn nothing_that_the_driver_says_holds_a_secret_in_json() {
    say_everything(&["-v=10", "--log-format-json=true"]);
}

/// Runs the driver through everything that can happen, and looks at all that it said.
fn say_everything(flags: &[&str]) {
    let mut stage = Stage::new(flags);
    stage.succeed();
    stage.fail_at_the_api_server();
    stage.fail_at_the_provider();
    stage.fail_at_the_volume();
    stage.fail_at_the_arguments();
    stage.fail_at_the_token();
    stage.assert_nothing_was_said();
}

/// The driver, its peers, and what it answered so far.
struct Stage {
    world: World,
    provider: ScriptedProvider,
    /// Speaks TLS and insists on the bearer token, which the world's own does not.
    api: ApiServer,
    token: tempfile::NamedTempFile,
    _authority: tempfile::NamedTempFile,
    answers: Vec<String>,
    pods: usize,
}

impl Stage {
    fn new(flags: &[&str]) -> Stage {
        let api = ApiServer::with(Settings { tls: true, token: Some(BEARER_TOKEN.to_owned()) });
        let (token, authority) = (file_with(BEARER_TOKEN), file_with(&api.ca_pem()));
        let mut all = vec![
            "--enable-secret-rotation=true".to_owned(),
            "--rotation-poll-interval=0s".to_owned(),
            format!("--kube-api-server={}", api.url()),
            format!("--kube-ca-file={}", authority.path().display()),
            format!("--kube-token-file={}", token.path().display()),
        ];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let world = World::start(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| {
            Ok(answer("v1", &[("password", 0, FIRST_CONTENT.as_bytes())]))
        });
        let parameters = json!({"objects": "password", "password": PARAMETER, "shared": "of the class"});
        api.put(objects::class("default", "db", "test", parameters));
        Stage { world, provider, api, token, _authority: authority, answers: Vec::new(), pods: 0 }
    }

    /// A new pod with canaries in all that kubelet passes on.
    fn pod(&mut self) -> Pod {
        self.pods += 1;
        let map = |entries: &[(&str, &str)]| -> HashMap<String, String> {
            entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let pod = self.world.pod(&format!("pod-{}", self.pods), "db");
        let context_tokens = bound_to(&pod.uid, CONTEXT_TOKEN);
        let mut pod = Pod {
            attributes: map(&[(TOKENS, &context_tokens), ("roleName", ATTRIBUTE), ("shared", COLLIDING)]),
            secrets: map(&[("clientsecret", PUBLISH_SECRET)]),
            ..pod
        };
        if self.pods.is_multiple_of(2) {
            // As newer clusters deliver them.
            pod.secrets.insert(TOKENS.to_owned(), bound_to(&pod.uid, SECRETS_TOKEN));
        }
        pod
    }

    fn live_pod(&mut self) -> Pod {
        let pod = self.pod();
        self.provider.script(|_| Ok(answer("v1", &[("password", 0, FIRST_CONTENT.as_bytes())])));
        self.world.kubelet.publish(&pod).unwrap();
        assert_eq!(pod.read("password"), FIRST_CONTENT);
        pod
    }

    /// Publishes for the first time, which must fail, and on a live volume, which must not.
    fn fail(&mut self, why: &str, live: &Pod) {
        let pod = self.pod();
        let status = self.world.kubelet.publish_within(&pod, PATIENCE).expect_err(why);
        self.answers.push(status.to_string());
        self.world.kubelet.publish(live).unwrap_or_else(|status| panic!("{why}: {status}"));
        self.answers.push(condition(&self.world, live));
    }

    fn succeed(&mut self) {
        for _ in 0..2 {
            let pod = self.live_pod();
            let request = self.provider.last();
            let travelling = [request.attributes, request.secrets].concat();
            let token = if self.pods == 1 { CONTEXT_TOKEN } else { SECRETS_TOKEN };
            for canary in [token, PUBLISH_SECRET, PARAMETER, ATTRIBUTE] {
                assert!(travelling.contains(canary), "{canary} did not reach the provider");
            }
            self.provider.script(|_| Ok(answer("v2", &[("password", 0, NEXT_CONTENT.as_bytes())])));
            self.world.kubelet.publish(&pod).unwrap();
            assert_eq!(pod.read("password"), NEXT_CONTENT);
            self.world.kubelet.publish(&pod).unwrap();
            self.answers.push(condition(&self.world, &pod));
            self.world.kubelet.unpublish(&pod).unwrap();
        }
    }

    fn fail_at_the_api_server(&mut self) {
        let live = self.live_pod();
        for resource in ["secretproviderclasses", "podstatuses"] {
            for code in [401, 403, 404, 409, 422, 429, 500] {
                self.api.fail_always(Matcher::path(resource), code);
                // Only a first publish must fail, and not even that where the pod status is merely gone.
                let pod = self.pod();
                let outcome = self.world.kubelet.publish_within(&pod, PATIENCE);
                self.answers.extend(outcome.err().map(|status| status.to_string()));
                self.world.kubelet.publish(&live).unwrap();
                self.answers.push(condition(&self.world, &live));
                self.api.clear_faults();
            }
        }
        self.api.answer_next(100, Matcher::path("secretproviderclasses"), 200, "{\"spec\":[1");
        // The watch of classes meets it as well.
        self.api.close_connections();
        self.fail("garbage", &live);
        self.api.clear_faults();
        self.api.stop();
        self.fail("no API server", &live);
        self.api.resume();
    }

    fn fail_at_the_provider(&mut self) {
        let live = self.live_pod();
        for (why, response) in refused_answers() {
            self.provider.script(move |_| Ok(response.clone()));
            self.fail(why, &live);
        }
        let codes = [Code::Unauthenticated, Code::Unavailable, Code::Internal, Code::DeadlineExceeded];
        for code in codes {
            self.provider.script(move |_| Err(Status::new(code, "the store said no")));
            self.fail(code.name(), &live);
        }
        self.provider.script(|_| {
            thread::sleep(PATIENCE + Duration::from_secs(1));
            Ok(answer("v1", &[("password", 0, REFUSED_CONTENT.as_bytes())]))
        });
        let pod = self.pod();
        let status = self.world.kubelet.publish_within(&pod, PATIENCE).expect_err("too late");
        self.answers.push(status.to_string());
        for (name, provider) in [("nowhere", "nobody-listens"), ("invalid", "../../x")] {
            self.api.put(objects::class("default", name, provider, json!({"objects": "x", "p": PARAMETER})));
            let pod = Pod { class: name.to_owned(), ..self.pod() };
            let status = self.world.kubelet.publish(&pod).expect_err(name);
            self.answers.push(status.to_string());
        }
        let reserved = json!({"csi.storage.k8s.io/pod.name": PARAMETER});
        self.api.put(objects::class("default", "reserved", "test", reserved));
        let pod = Pod { class: "reserved".to_owned(), ..self.pod() };
        self.answers.push(self.world.kubelet.publish(&pod).unwrap_err().to_string());
    }

    fn fail_at_the_volume(&mut self) {
        // A switch that is none, a target that is a link, and one that is mounted over.
        let live = self.live_pod();
        std::fs::remove_file(live.target.join("..data")).unwrap();
        std::fs::create_dir(live.target.join("..data")).unwrap();
        self.provider.script(|_| Ok(answer("v2", &[("password", 0, NEXT_CONTENT.as_bytes())])));
        self.world.kubelet.publish(&live).unwrap();
        self.answers.push(condition(&self.world, &live));

        let linked = self.pod();
        std::os::unix::fs::symlink("/", &linked.target).unwrap();
        self.answers.push(self.world.kubelet.publish(&linked).unwrap_err().to_string());

        let foreign = self.pod();
        std::fs::create_dir(&foreign.target).unwrap();
        rustix::mount::mount("proc", &foreign.target, "proc", rustix::mount::MountFlags::empty(), None)
            .unwrap();
        self.answers.push(self.world.kubelet.publish(&foreign).unwrap_err().to_string());
        self.answers.push(self.world.kubelet.unpublish(&foreign).unwrap_err().to_string());
        rustix::mount::unmount(&foreign.target, rustix::mount::UnmountFlags::empty()).unwrap();
    }

    fn fail_at_the_arguments(&mut self) {
        type Spoil = fn(&mut csi::NodePublishVolumeRequest);
        let rows: [(&str, Spoil); 8] = [
            ("capability", |request| request.volume_capability = protobuf::MessageField::none()),
            ("volume id", |request| request.volume_id.clear()),
            ("target", |request| request.target_path.clear()),
            ("relative target", |request| request.target_path = "x".to_owned()),
            ("class", |request| drop(request.volume_context.remove("secretProviderClass"))),
            ("writable", |request| request.readonly = false),
            ("group", |request| {
                let capability = request.volume_capability.mut_or_insert_default();
                capability.mut_mount().volume_mount_group = "x".to_owned();
            }),
            ("pod", |request| {
                request.volume_context.insert("csi.storage.k8s.io/pod.namespace".to_owned(), "/".to_owned());
            }),
        ];
        for (why, spoil) in rows {
            let mut request = publish_request(&self.pod());
            request.special_fields.mut_unknown_fields().add_length_delimited(900, UNKNOWN_FIELD.into());
            spoil(&mut request);
            self.answers.push(self.world.kubelet.publish_raw(&request).expect_err(why).to_string());
        }
        // A map entry that is no text: the decoder must not quote it.
        let mut broken = csi::NodePublishVolumeRequest::default();
        let entry =
            [b"\x0a\x01\xff\x12".to_vec(), vec![CONTEXT_TOKEN.len() as u8], CONTEXT_TOKEN.into()].concat();
        broken.special_fields.mut_unknown_fields().add_length_delimited(VOLUME_CONTEXT, entry);
        assert!(csi::NodePublishVolumeRequest::parse_from_bytes(&broken.write_to_bytes().unwrap()).is_err());
        self.answers.push(self.world.kubelet.publish_raw(&broken).unwrap_err().to_string());
    }

    fn fail_at_the_token(&mut self) {
        let live = self.live_pod();
        // Refused at first, then read anew from its file.
        self.api.set_token(NEXT_BEARER_TOKEN);
        self.fail("refused token", &live);
        std::fs::write(self.token.path(), NEXT_BEARER_TOKEN).unwrap();
        let pod = self.pod();
        eventually("the new token is in use", || self.world.kubelet.publish(&pod).is_ok());
        std::fs::write(self.token.path(), format!("{BEARER_TOKEN}\n{NEXT_BEARER_TOKEN}")).unwrap();
        self.api.set_token(BEARER_TOKEN);
        self.fail("unusable token", &live);
        std::fs::write(self.token.path(), BEARER_TOKEN).unwrap();
        let pod = self.pod();
        eventually("the old token is in use", || self.world.kubelet.publish(&pod).is_ok());
    }

    fn assert_nothing_was_said(mut self) {
        let events = "/api/v1/events";
        let collision = |event: &serde_json::Value| event["reason"] == "SecretsStoreAttributeConflict";
        eventually("the collision is reported", || self.api.list(events).iter().any(collision));
        let mut said = vec![("answers", self.answers.join("\n"))];
        for page in ["/metrics", "/healthz", "/readyz"] {
            said.push((page, self.world.http_get(page).1));
        }
        let log = self.world.take_driver().terminate();
        assert!(log.lines().count() > 200, "the driver said too little to be judged:\n{log}");
        assert!(log.contains("call ended"), "not at its most talkative");
        said.push(("log", log));
        for collection in [events, "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasspodstatuses"] {
            let stored = self.api.list(collection);
            assert!(!stored.is_empty(), "nothing at {collection}");
            said.push((collection, serde_json::to_string(&stored).unwrap()));
        }
        for canary in CANARIES {
            for (form, needle) in forms(canary) {
                for (place, text) in &said {
                    let line = text.lines().find(|line| line.contains(&needle));
                    assert!(line.is_none(), "{canary} as {form} in {place}: {}", line.unwrap_or_default());
                }
            }
        }
    }
}

/// Answers that are refused, each with a canary in it.
fn refused_answers() -> Vec<(&'static str, pb::MountResponse)> {
    let content = REFUSED_CONTENT.as_bytes();
    let file = |path: &str| answer("v2", &[("password", 0, content), (path, 0, content)]);
    let mut not_utf8 = versions_only("v2", &["password"]);
    let mut bad = pb::File { contents: MALFORMED_CONTENT.into(), ..Default::default() };
    bad.special_fields.mut_unknown_fields().add_length_delimited(1, b"\xff".to_vec());
    not_utf8.files.push(bad);
    let mut misplaced = versions_only("v2", &["password"]);
    misplaced.special_fields.mut_unknown_fields().add_length_delimited(3, MALFORMED_CONTENT.into());
    vec![
        ("absolute", file("/etc/x")),
        ("the parent", file("../x")),
        ("hidden", file("..data")),
        ("file and directory", file("password/x")),
        ("too large an answer", answer("v2", &[("password", 0, &content.repeat(200_000))])),
        ("too many files", {
            let mut response = answer("v2", &[("password", 0, content)]);
            let file =
                |n: i32| pb::File { path: n.to_string(), contents: content.to_vec(), ..Default::default() };
            response.files.extend((0..5000).map(file));
            response
        }),
        ("no objects", pb::MountResponse { files: file("x").files, ..Default::default() }),
        ("an error code", pb::MountResponse { files: file("x").files, ..error_code("Denied") }),
        ("not UTF-8", not_utf8),
        ("no file at all", misplaced),
    ]
}

fn condition(world: &World, pod: &Pod) -> String {
    world.kubelet.stats(pod).map(|stats| stats.volume_condition.message.clone()).unwrap()
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// The forms in which a text may be written without being noticed.
pub fn forms(canary: &str) -> Vec<(&'static str, String)> {
    let bytes = canary.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{bytes:?}");
    let mut forms = vec![
        ("text", canary.to_owned()),
        ("upper case hex", hex.to_uppercase()),
        ("hex", hex),
        ("a list of numbers", list.trim_matches(['[', ']']).to_owned()),
        ("reversed text", canary.chars().rev().collect()),
    ];
    for before in 0..3 {
        let standard = base64_within(bytes, before);
        forms.push(("URL-safe base64", standard.replace('+', "-").replace('/', "_")));
        forms.push(("base64", standard));
    }
    forms
}

/// The part of the base64 form that depends on `bytes` alone when `before` other bytes come first.
fn base64_within(bytes: &[u8], before: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = [&vec![0; before], bytes]
        .concat()
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let characters = bits.chunks_exact(6).skip((before * 8).div_ceil(6));
    let number = |bits: &[u8]| bits.iter().fold(0, |number, bit| number << 1 | usize::from(*bit));
    characters.map(|bits| char::from(ALPHABET[number(bits)])).collect()
}

#[test]
fn the_search_finds_what_it_looks_for() {
    assert_eq!(base64_within(b"canary", 0), "Y2FuYXJ5");
    // "xcanary", "xycanary" and something behind them.
    assert!("eGNhbmFyeQ==".contains(&base64_within(b"canary", 1)), "{}", base64_within(b"canary", 1));
    assert!("eHljYW5hcnl6".contains(&base64_within(b"canary", 2)), "{}", base64_within(b"canary", 2));
    assert!(forms("canary").iter().any(|(_, form)| form == "63616e617279"));
    assert!(forms("canary").iter().any(|(_, form)| form == "99, 97, 110, 97, 114, 121"));
    for (index, canary) in CANARIES.iter().enumerate() {
        let others = CANARIES.iter().skip(index + 1);
        assert!(others.into_iter().all(|other| !other.contains(canary)), "{canary} is part of another");
    }
}

#[test]
fn a_first_publish_is_closed_to_everybody_until_it_is_whole() {
    let world = World::start(&[]);
    let modes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&modes);
    let provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", move |request| {
        let target = Path::new(&request.target_path);
        let (root, above) = (target.metadata().unwrap(), target.parent().unwrap().metadata().unwrap());
        let is_empty = std::fs::read_dir(target).unwrap().next().is_none();
        seen.lock().unwrap().push((root.permissions().mode() & 0o7777, root.dev() != above.dev(), is_empty));
        let names: Vec<String> = (0..500).map(|n| format!("d{}/{n}", n % 7)).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), 0, FIRST_CONTENT.as_bytes())).collect();
        Ok(answer("v1", &files))
    });
    world.class("db", "test", objects::objects(&["password"]));
    for round in 0..20 {
        let pod = world.pod(&format!("pod-{round}"), "db");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&pod, &is_over));
            let outcome = world.kubelet.publish(&pod);
            is_over.store(true, Ordering::Relaxed);
            outcome.unwrap();
            let looks = watcher.join().unwrap();
            assert!(looks > 0, "round {round}: nobody watched");
        });
        assert_eq!(pod.target.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    }
    assert_eq!(*modes.lock().unwrap(), vec![(0o700, true, true); 20], "what the provider found");
    drop(provider);
}

/// Looks at a volume all the time: while anybody may enter its root, it must be whole. How often it looked.
fn watch(pod: &Pod, is_over: &AtomicBool) -> usize {
    let above = pod.target.parent().unwrap().metadata().unwrap();
    let mut looks = 0;
    loop {
        let ends = is_over.load(Ordering::Relaxed);
        if let Ok(root) = pod.target.metadata() {
            let is_open = root.permissions().mode() & 0o077 != 0;
            if root.dev() == above.dev() {
                assert!(std::fs::read_dir(&pod.target).unwrap().next().is_none() || pod.is_mounted());
            } else if is_open {
                let files = (0..500).filter(|n| pod.target.join(format!("d{}/{n}", n % 7)).is_file()).count();
                assert_eq!(files, 500, "open, but not whole");
            }
        }
        looks += 1;
        if ends {
            return looks;
        }
    }
}

#[test]
fn what_a_volume_held_is_gone_with_it_even_for_those_who_still_hold_it() {
    let world = World::start(&[]);
    let _provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| {
        Ok(answer("v1", &[("d/password", 0, FIRST_CONTENT.as_bytes())]))
    });
    world.class("db", "test", objects::objects(&["password"]));
    let pod = world.pod("web", "db");
    world.kubelet.publish(&pod).unwrap();
    let root = std::fs::File::open(&pod.target).unwrap();
    world.kubelet.unpublish(&pod).unwrap();
    let held = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root));
    assert_eq!(std::fs::read_dir(held).unwrap().count(), 0);
}

#[test]
fn a_driver_that_is_aborted_leaves_no_core() {
    let directory = tempfile::tempdir().unwrap();
    let sleep = || Command::new("sleep").arg("600").current_dir(&directory).spawn().unwrap();
    let mut other = without_tracing(sleep);
    permit_cores(other.id());
    let is_open = may_look_into(other.id());
    abort(other.id());
    let status = other.wait().unwrap();
    assert!(is_open, "into a process that does not forbid it, one may look");
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    // Where cores go elsewhere, it depends on that whether this shows anything.
    assert!(status.core_dumped() || pattern.trim() != "core", "of others this kernel keeps a core: {status}");

    for name in ["driver", "mounter"] {
        let mut world = World::start(&[]);
        let driver = world.driver().id();
        let process = if name == "driver" { driver } else { mounter_of(driver) };
        // Each of the two by itself. A kernel that hands cores to a program does not ask for the limit, and that of a
        // process which is not dumpable shows in who may look into it.
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{name}: {core}");
        assert!(!may_look_into(process), "{name}");
        permit_cores(process);
        abort(process);
        let mut ended = world.take_driver();
        let status = ended.wait();
        if process == driver {
            assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "{status}");
        } else {
            let log = ended.log();
            assert!(log.contains("the mounter has ended (signal: 6 (SIGABRT))"), "{log}");
        }
    }
}

fn abort(process: u32) {
    assert!(Command::new("kill").args(["-ABRT", &process.to_string()]).status().unwrap().success());
}

/// Lets a process leave a core, as far as this one may: to lift a hard limit takes a capability.
fn permit_cores(process: u32) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let process = Pid::from_raw(process.try_into().unwrap());
    if prlimit(process, Resource::Core, Rlimit { current: None, maximum: None }).is_err() {
        let own = rustix::process::getrlimit(Resource::Core);
        // Of a process whose hard limit is lower already, it stays so.
        let _stays = prlimit(process, Resource::Core, Rlimit { current: own.maximum, ..own });
    }
}

/// Whether root without the privilege to trace others may read what a process holds that has no more privileges.
fn may_look_into(process: u32) -> bool {
    without_tracing(|| std::fs::File::open(format!("/proc/{process}/mem")).is_ok())
}

/// Does something on a thread that may not trace others, and neither may what it starts.
fn without_tracing<T: Send>(deed: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set};
    let give_up = || {
        remove_capability_from_bounding_set(CapabilitySet::SYS_PTRACE).unwrap();
        let held = capabilities(None).unwrap();
        let less = held.effective.difference(CapabilitySet::SYS_PTRACE);
        let sets = CapabilitySets { effective: less, permitted: less, ..held };
        rustix::thread::set_capabilities(None, sets).unwrap();
        deed()
    };
    thread::scope(|scope| scope.spawn(give_up).join().unwrap())
}

/// Field number of `volume_context` in a publish request.
const VOLUME_CONTEXT: u32 = 8;
/// Of a kubelet in a hurry, so that failures which pass are over soon.
const PATIENCE: Duration = Duration::from_secs(2);
