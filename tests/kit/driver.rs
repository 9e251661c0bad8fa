//! The driver as a process, and what it says.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base::build_info::BuildInfo;

use super::{eventually, umask_lock};

/// A running driver. Dropping it kills it, as a crash would.
pub struct DriverProcess {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl DriverProcess {
    /// Starts a program and collects what it writes to standard error.
    pub fn spawn(program: &Path, arguments: &[String]) -> DriverProcess {
        DriverProcess::spawn_with(program, arguments, &[])
    }

    /// The same with these variables in its environment.
    pub fn spawn_with(program: &Path, arguments: &[String], variables: &[(&str, &str)]) -> DriverProcess {
        let umask = umask_lock();
        let mut child = Command::new(program)
            .args(arguments)
            .envs(variables.iter().copied())
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {}: {error}", program.display()));
        drop(umask);
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        DriverProcess { child, log, reader: Some(reader) }
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// How many lines of the log so far contain `text`.
    pub fn count_log(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until a line of the log contains `text`.
    pub fn wait_for_log(&self, text: &str) {
        eventually(&format!("the log says {text:?}"), || self.log().contains(text));
    }

    /// Sends a signal by its name, as in `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "could not send SIG{name}");
    }

    /// Waits for the end and returns how it ended.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        if let Some(reader) = self.reader.take() {
            // A process that it has started has its standard error as well.
            eventually("the last who writes to its log ends", || reader.is_finished());
            reader.join().expect("the log reader does not panic");
        }
        status.expect("it ended")
    }

    /// Stops it as kubelet does and expects a clean exit.
    pub fn terminate(mut self) -> String {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "exit status {status}, log:\n{}", self.log());
        self.log()
    }

    /// Kills it on the spot, and does not wait for those that it has started.
    pub fn strike(&mut self) {
        self.child.kill().expect("a running child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Kills it on the spot.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("a running child can be killed");
        self.wait();
        self.log()
    }
}

impl Drop for DriverProcess {
    fn drop(&mut self) {
        // Ended already is fine; there is nobody to tell otherwise.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program of the project: built beside the running test, or of another build, in the directory TEST_PROGRAMS.
pub fn program(name: &str) -> PathBuf {
    let program = match std::env::var_os("TEST_PROGRAMS") {
        Some(directory) => PathBuf::from(directory).join(name),
        None => built_programs().join(name),
    };
    // Cargo builds a test without the programs of other packages.
    assert!(
        program.exists(),
        "there is no {}: run `make build`, or this test by its command of make",
        program.display()
    );
    program
}

/// Where cargo puts the programs that it builds along with this one.
fn built_programs() -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a path");
    let directory = this.parent().expect("a program is in a directory");
    // A test is in target/<profile>/deps, a program in target/<profile>.
    let profile = if directory.ends_with("deps") { directory.parent() } else { Some(directory) };
    profile.expect("tests run from the target directory").to_owned()
}

/// True when the tested programs are the static ones, and not those built with the test.
pub fn is_another_build() -> bool {
    std::env::var_os("TEST_PROGRAMS").is_some()
}

/// Version, commit and date of the tested program: of another build than this one, `make` knows them.
pub fn build() -> [String; 3] {
    if is_another_build() {
        let told = ["TEST_BUILD_VERSION", "TEST_GIT_COMMIT", "TEST_BUILD_DATE"];
        return told.map(|name| std::env::var(name).unwrap_or_default());
    }
    let BuildInfo { version, commit, date } = BuildInfo::current();
    [version, commit, date].map(str::to_owned)
}
