//! A program of the machine that runs until it is ended.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::machine::only_child;
use e2e::patience::until_some;

/// The running program; dropping it kills it.
pub struct Daemon {
    name: &'static str,
    entering: Child,
    /// Its number on this machine.
    process: u32,
    log: PathBuf,
}

impl Daemon {
    /// Starts a command of the machine's, whose output is appended to `<name>.log` in the directory of logs.
    ///
    /// To be called on a thread that lives as long as the program is to live: the kernel kills it with that thread.
    pub fn start(name: &'static str, command: &mut Command, logs: &Path) -> Daemon {
        let log = logs.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log);
        let out = out.unwrap_or_else(|error| panic!("could not open {}: {error}", log.display()));
        let err = out.try_clone().expect("a descriptor can be doubled");
        let mut entering = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {name}: {error}"));
        let process = until_some(&format!("{name} runs"), || {
            assert!(
                entering.try_wait().expect("a child can be waited for").is_none(),
                "{}",
                tail(name, &log)
            );
            only_child(entering.id())
        });
        Daemon { name, entering, process, log }
    }

    /// Panics with the end of the log if it has ended by itself.
    pub fn expect_running(&mut self) {
        let ended = self.entering.try_wait().expect("a child can be waited for");
        assert!(ended.is_none(), "{}", tail(self.name, &self.log));
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) {
        let process = i32::try_from(self.process).ok().and_then(rustix::process::Pid::from_raw);
        let process = process.expect("a process has a number");
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it runs");
        self.entering.wait().expect("a child can be waited for");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already is fine; there is nobody to tell otherwise.
        drop(self.entering.kill());
        drop(self.entering.wait());
    }
}

fn tail(name: &str, log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!(
        "{name} has ended; the end of its log:\n{}",
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    )
}

const LAST_LINES: usize = 20;
