//! kubectl and Helm, as the cluster's administrator uses them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::machine::Machine;

/// The programs, and where they find the cluster.
#[derive(Clone)]
pub struct Kubectl {
    tools: PathBuf,
    client: String,
    /// Where they keep what they remember.
    home: PathBuf,
    /// The first process of the machine, on whose network they are.
    network: String,
}

/// What came of a command.
pub struct Told {
    what: String,
    /// Whether it ended well.
    pub is_good: bool,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub error: String,
}

impl Kubectl {
    /// Those in the directory `tools`, for whom the file is about.
    pub fn new(machine: &Machine, tools: &Path, client: String, home: &Path) -> Kubectl {
        let network = machine.see("").parent().expect("it is in /proc").join("ns/net").display().to_string();
        Kubectl { tools: tools.to_owned(), client, home: home.to_owned(), network }
    }

    /// Runs kubectl to its end.
    pub fn run(&self, arguments: &[&str]) -> Told {
        let output = self.command("kubectl").args(arguments).stdin(Stdio::null()).output();
        told(format!("kubectl {}", arguments.join(" ")), output.expect("kubectl can be started"))
    }

    /// The same; panics when it does not end well. Returns what it printed.
    pub fn good(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect_good()
    }

    /// Runs Helm to its end.
    pub fn helm(&self, arguments: &[&str]) -> Told {
        let output = self.command("helm").args(arguments).stdin(Stdio::null()).output();
        told(format!("helm {}", arguments.join(" ")), output.expect("helm can be started"))
    }

    /// Applies an object.
    pub fn apply(&self, object: &Value) {
        self.with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &object.to_string())
            .expect_good();
    }

    /// Runs kubectl with something to read.
    pub fn with_input(&self, arguments: &[&str], input: &str) -> Told {
        let mut child = self
            .command("kubectl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl can be started");
        let mut pipe = child.stdin.take().expect("a pipe was asked for");
        // When it does not read to the end, it says why.
        drop(pipe.write_all(input.as_bytes()));
        drop(pipe);
        let output = child.wait_with_output().expect("a child can be waited for");
        told(format!("kubectl {}", arguments.join(" ")), output)
    }

    /// The object, if there is one.
    pub fn get(&self, arguments: &[&str]) -> Option<Value> {
        let told = self.run(&[&["get", "-o", "json"], arguments].concat());
        if !told.is_good && told.error.contains("NotFound") {
            return None;
        }
        Some(serde_json::from_str(&told.expect_good()).expect("kubectl prints JSON"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.network))
            .arg("--")
            .arg(self.tools.join(program))
            .current_dir(&self.home)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.client);
        command
    }
}

impl Told {
    /// What it printed, without the end of its last line; panics when it did not end well.
    pub fn expect_good(self) -> String {
        assert!(self.is_good, "{}\n{}{}", self.what, self.out, self.error);
        self.out.trim_end().to_owned()
    }
}

fn told(what: String, output: Output) -> Told {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Told { what, is_good: output.status.success(), out: text(output.stdout), error: text(output.stderr) }
}
