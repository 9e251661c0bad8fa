//! strace, attached to one thread for the time of one call of kubelet's.
//!
//! Its counts begin with the attachment and are the thread's own, so that the n-th call of a name is the n-th of this
//! publish. The signal of an injection arrives when the call begins: that call is not made any more.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A running strace.
pub struct Strace {
    child: Child,
    /// Kept open, since strace says something when it detaches.
    _messages: BufReader<ChildStderr>,
    log: PathBuf,
}

/// What is done to a system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injection {
    /// Nothing: it is only written down.
    None,
    /// The process is killed when it makes the call for the n-th time.
    Kill { call: String, nth: usize },
    /// The n-th call fails, or all from the n-th on.
    Error { call: String, nth: usize, errno: &'static str, and_later: bool },
}

impl Strace {
    /// Attaches to a thread and waits until that is done.
    pub fn attach(thread: u32, injection: &Injection, log: &Path) -> Result<Strace, String> {
        let mut command = Command::new("strace");
        command.args(["-s", "64", "-e", "signal=none", "-o"]).arg(log);
        match injection {
            Injection::None => &mut command,
            Injection::Kill { call, nth } => {
                command.args(["-e".to_owned(), format!("inject={call}:signal=SIGKILL:when={nth}")])
            }
            Injection::Error { call, nth, errno, and_later } => {
                let plus = if *and_later { "+" } else { "" };
                command.args(["-e".to_owned(), format!("inject={call}:error={errno}:when={nth}{plus}")])
            }
        };
        command.args(["-p", &thread.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let spawned = command.stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| format!("could not start strace: {error}"))?;
        let mut messages = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut said = String::new();
        while !said.contains("attached") {
            match messages.read_line(&mut said) {
                Ok(read) if read > 0 => {}
                _ => {
                    drop(child.wait());
                    return Err(format!("strace could not attach: {}", said.trim()));
                }
            }
        }
        Ok(Strace { child, _messages: messages, log: log.to_owned() })
    }

    /// Detaches and returns what was written down. Fine if the traced process has ended.
    pub fn detach(mut self) -> String {
        let id = Pid::from_raw(self.child.id().cast_signed()).expect("a process has an id");
        let _ended_already = kill_process(id, Signal::INT);
        drop(self.child.wait());
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The calls of a log in their order, by name and as they were written down.
pub fn calls(log: &str) -> Vec<(&str, &str)> {
    let named = log.lines().filter_map(|line| Some((line.split_once('(')?.0, line)));
    named
        .filter(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
        .collect()
}

/// True when the log shows that an error has been injected.
pub fn has_struck(log: &str) -> bool {
    log.contains("(INJECTED)")
}
