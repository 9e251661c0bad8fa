//! The API server double and the provider as processes of their own: this very program, started again.
//!
//! A part says one line when it is up and then answers each line of its standard input with one line; it ends
//! with its input, and so with the benchmark.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use secrets_store_csi_driver::rpc::Environment;

use crate::support::api_server::{ApiServer, Settings};
use crate::support::objects;
use crate::support::provider::{ScriptedProvider, answer};

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
    println!("{}", server.url());
    for question in std::io::stdin().lines().map_while(Result::ok) {
        match question.as_str() {
            "count" => println!("{}", server.requests().len()),
            "forget" => {
                server.forget_requests();
                println!("forgotten");
            }
            other => panic!("the API server double is not asked {other:?}"),
        }
    }
}

fn play_provider(directory: &Path) {
    let environment = Environment::start();
    let contents = [b'x'; FILE_BYTES];
    let _provider = ScriptedProvider::start(&environment, directory, PROVIDER, move |_| {
        Ok(answer("v1", &[(FILES[0], 0o644, &contents), (FILES[1], 0o400, &contents)]))
    });
    println!("ready");
    for _ in std::io::stdin().lines().map_while(Result::ok) {}
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
/// What the provider answers: two files of a kibibyte.
pub const FILES: [&str; 2] = ["password", "key.pem"];
/// Where the API server double leaves its authority.
pub const CA_FILE: &str = "ca.pem";
/// Where it leaves the token that it takes.
pub const TOKEN_FILE: &str = "token";
const FILE_BYTES: usize = 1024;
/// As long as a service account's.
const TOKEN: &str = concat!(
    "bench.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567",
);
