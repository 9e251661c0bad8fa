//! A program of the control plane as a process, which ends with this one whatever happens.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The running process; dropping it kills it.
pub struct Daemon {
    name: &'static str,
    process: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `program`, whose output is appended to `<name>.log` in the directory of logs.
    ///
    /// To be called on a thread that lives as long as the process is to live: the kernel kills it with that thread.
    pub fn start(name: &'static str, program: &Path, arguments: &[String], logs: &Path) -> Daemon {
        let log = logs.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log);
        let out = out.unwrap_or_else(|error| panic!("could not open {}: {error}", log.display()));
        let err = out.try_clone().expect("a descriptor can be doubled");
        let process = Command::new(ENDS_WITH_PARENT[0])
            .args(&ENDS_WITH_PARENT[1..])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {}: {error}", program.display()));
        Daemon { name, process, log }
    }

    /// Panics with the end of the log if it has ended by itself.
    pub fn expect_running(&mut self) {
        if let Some(status) = self.process.try_wait().expect("a child can be waited for") {
            panic!("{} has ended: {status}; the end of its log:\n{}", self.name, self.log_tail());
        }
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already is fine; there is nobody to tell otherwise.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Asks the kernel to kill the process when the thread that started it ends, then becomes the program named next.
pub const ENDS_WITH_PARENT: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];
const LAST_LINES: usize = 20;
