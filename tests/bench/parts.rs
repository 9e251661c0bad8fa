//! The API server double and the provider as processes of their own: this very program, started again.
//!
//! A part says one line when it is up and then answers each line of its standard input with one line; it ends
//! with its input, and so with the benchmark.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rpc::Environment;
use rpc::pb::provider as pb;
use rpc::status::Status;
use serde_json::json;

use crate::shape::{PARAMETER, SHAPES, Shape};
use api_server::{ApiServer, Settings};
use kit::PATIENCE;
use kit::objects;
use kit::provider::{ScriptedProvider, answer};

/// A running part.
pub struct Part {
    child: Child,
    /// Taken when the part is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What it said when it was up.
    pub greeting: String,
}

impl Part {
    /// Starts the part of that name with a directory of its own choosing and waits until it is up.
    pub fn start(name: &str, directory: &Path) -> Part {
        let this = std::env::current_exe().expect("a running program has a path");
        let mut child = Command::new(this)
            .args([FLAG, name])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut part = Part { child, input, output, greeting: String::new() };
        part.greeting = part.listen();
        part
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line and returns the line that comes back.
    pub fn ask(&mut self, question: &str) -> String {
        let input = self.input.as_mut().expect("the part was not told to end");
        writeln!(input, "{question}").expect("the part reads");
        self.listen()
    }

    fn listen(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the part speaks UTF-8");
        assert!(line.ends_with('\n'), "a part of the benchmark ended early, see above");
        line.trim_end().to_owned()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.input = None;
        // It has nothing to lose; its end is only waited for to leave nothing behind.
        drop(self.child.wait());
    }
}

/// What a started-again benchmark does.
pub fn play(part: &str, directory: &Path) {
    match part {
        API_SERVER | API_SERVER_WITHOUT_TLS => play_api_server(directory, part == API_SERVER),
        PROVIDER => play_provider(directory),
        other => panic!("there is no part {other:?}"),
    }
}

fn play_api_server(directory: &Path, tls: bool) {
    let server = ApiServer::with(Settings { tls, token: tls.then(|| TOKEN.to_owned()) });
    if tls {
        std::fs::write(directory.join(CA_FILE), server.ca_pem()).expect("the directory takes a file");
        std::fs::write(directory.join(TOKEN_FILE), TOKEN).expect("the directory takes a file");
    }
    server.put(objects::class("default", CLASS, PROVIDER, objects::objects(&[FILES[0], FILES[1]])));
    for shape in SHAPES {
        let parameters = json!({PARAMETER: shape.parameter()});
        server.put(objects::class("default", &shape.class(), PROVIDER, parameters));
    }
    println!("{}", server.url());
    for question in std::io::stdin().lines().map_while(Result::ok) {
        println!("{}", answer_about(&server, &question));
    }
}

fn answer_about(server: &ApiServer, question: &str) -> String {
    let count = |verbs: &[&str], path: &str| {
        let counts = verbs.iter().map(|verb| server.count(verb, path));
        counts.sum::<usize>().to_string()
    };
    let words: Vec<&str> = question.split(' ').collect();
    match words.as_slice() {
        ["count"] => server.requests().len().to_string(),
        ["forget"] => {
            server.forget_requests();
            "forgotten".to_owned()
        }
        ["mirror", count] => {
            let count = count.parse().expect("a count is a number");
            let uids: Vec<String> = (0..count).map(|number| put_mirrored(server, number)).collect();
            uids.join(" ")
        }
        ["secrets", "there"] => server.list("/api/v1/secrets").len().to_string(),
        ["secret", "writes"] => count(WRITES, SECRETS),
        ["secret", "reads"] => count(READS, SECRETS),
        ["writes"] => count(WRITES, ""),
        ["reads"] => count(READS, ""),
        ["wait", "for", number, "patches"] => {
            let number = number.parse().expect("a count is a number");
            let has_come = server.wait(PATIENCE, |server| server.count("patch", SECRETS) >= number);
            assert!(has_come, "the Secrets are not patched");
            "patched".to_owned()
        }
        other => panic!("the API server double is not asked {other:?}"),
    }
}

/// Puts a class that asks for a Secret, and a pod that uses it. Answers the pod's uid.
fn put_mirrored(server: &ApiServer, number: usize) -> String {
    let name = mirrored(number);
    let mut class = objects::class("default", &name, PROVIDER, objects::objects(&[FILES[0], FILES[1]]));
    class["spec"]["secretObjects"] = json!([{
        "secretName": name, "type": "Opaque",
        "data": FILES.map(|file| json!({"objectName": file, "key": file})),
    }]);
    server.put(class);
    let volume = json!({"name": "secrets", "csi": {
        "driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": name}}});
    let pod = server.put(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "default", "name": name},
        "spec": {"nodeName": "node-1", "volumes": [volume]}, "status": {"phase": "Running"},
    }));
    pod["metadata"]["uid"].as_str().expect("a stored pod has a uid").to_owned()
}

/// Name of a pod with a Secret of its own, of its class and of the Secret.
pub fn mirrored(number: usize) -> String {
    format!("mirrored-{number}")
}

fn play_provider(directory: &Path) {
    let environment = Environment::start();
    let provider = ScriptedProvider::start(&environment, directory, PROVIDER, contents_of(0));
    println!("ready");
    let mut generation = 0;
    for question in std::io::stdin().lines().map_while(Result::ok) {
        assert_eq!(question, "rotate", "the provider is asked nothing else");
        generation += 1;
        provider.script(contents_of(generation));
        println!("rotated");
    }
}

/// Answers with as much as is asked for, which is another content in each generation.
fn contents_of(
    generation: u32,
) -> impl Fn(pb::MountRequest) -> Result<pb::MountResponse, Status> + Send + Sync + 'static {
    let letter = b"abcdefghijklmnopqrstuvwxyz"[usize::try_from(generation % 26).unwrap_or_default()];
    move |request| {
        let shape = Shape::asked(&request.attributes);
        let content = vec![letter; shape.bytes];
        let names: Vec<String> = (0..shape.files).map(file_name).collect();
        let modes = [0o644, 0o400].into_iter().cycle();
        let files: Vec<(&str, i32, &[u8])> =
            names.iter().zip(modes).map(|(name, mode)| (name.as_str(), mode, content.as_slice())).collect();
        Ok(answer(&format!("v{generation}"), &files))
    }
}

fn file_name(number: usize) -> String {
    FILES.get(number).map_or_else(|| format!("file-{number}"), |name| (*name).to_owned())
}

/// Starts this program as one of the parts: the flag, the part's name, a directory.
pub const FLAG: &str = "--play-part";
/// The API server double with TLS and a token, as in a cluster. Its greeting is its address.
pub const API_SERVER: &str = "api-server";
/// The same without either.
pub const API_SERVER_WITHOUT_TLS: &str = "api-server-without-tls";
/// The provider, under its name as in a class.
pub const PROVIDER: &str = "bench";
/// The class that every pod uses.
pub const CLASS: &str = "bench";
/// What the provider answers where nothing else is asked for.
pub const FILES: [&str; 2] = ["password", "key.pem"];
/// Where the API server double leaves its authority.
pub const CA_FILE: &str = "ca.pem";
/// Where it leaves the token that it takes.
pub const TOKEN_FILE: &str = "token";
/// Part of the path of a Secret, and of nothing else.
const SECRETS: &str = "/default/secrets";
const WRITES: &[&str] = &["create", "update", "patch", "delete"];
/// Watches are not counted: they are what makes reads unnecessary.
const READS: &[&str] = &["get", "list"];
/// As long as a service account's.
const TOKEN: &str = concat!(
    "bench.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567",
);
