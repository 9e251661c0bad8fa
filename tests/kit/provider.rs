//! Providers: the reference provider as a process, and one in this process that answers as a test scripts it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::Metrics;
use protobuf::MessageField;
use rpc::Environment;
use rpc::pb::provider as pb;
use rpc::pool::Pool;
use rpc::server::{Methods, Server};
use rpc::status::Status;

use super::umask_lock;

type Script = dyn Fn(pb::MountRequest) -> Result<pb::MountResponse, Status> + Send + Sync;

/// A provider in this process on a real socket.
pub struct ScriptedProvider {
    socket: PathBuf,
    /// In a mutex, so that threads may share the provider.
    server: Mutex<Option<Server>>,
    script: Arc<Mutex<Arc<Script>>>,
    calls: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<pb::MountRequest>>>,
}

impl ScriptedProvider {
    /// Listens on `<directory>/<name>.sock` and answers with `script`.
    pub fn start(
        environment: &Environment,
        directory: &Path,
        name: &str,
        script: impl Fn(pb::MountRequest) -> Result<pb::MountResponse, Status> + Send + Sync + 'static,
    ) -> ScriptedProvider {
        let socket = directory.join(format!("{name}.sock"));
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(Arc::new(script)));
        let calls = Arc::new(AtomicUsize::new(0));
        let last = Arc::new(Mutex::new(None));
        let (current, counter, seen) = (Arc::clone(&script), Arc::clone(&calls), Arc::clone(&last));
        let pool = Pool::start(256, 64).expect("threads can be started");
        let metrics = Arc::new(Metrics::new("", "").expect("the table of series is sound"));
        let methods = Methods::new(pool.clone(), metrics)
            .unary("/v1alpha1.CSIDriverProvider/Version", |_, _: pb::VersionRequest| {
                let version = "v1alpha1".to_owned();
                Ok(pb::VersionResponse { version, ..Default::default() })
            })
            .unary("/v1alpha1.CSIDriverProvider/Mount", move |call, request: pb::MountRequest| {
                assert!(call.is_for_localhost, "the authority is localhost");
                counter.fetch_add(1, Ordering::SeqCst);
                *seen.lock().unwrap() = Some(request.clone());
                let script = Arc::clone(&current.lock().unwrap());
                script(request)
            });
        let umask = umask_lock();
        let server = Server::start_unix(environment, &socket, pool, vec![methods]);
        drop(umask);
        let server = server.unwrap_or_else(|error| panic!("scripted provider: {error}"));
        let server = Mutex::new(Some(server));
        ScriptedProvider { socket, server, script, calls, last }
    }

    /// Answers differently from now on.
    pub fn script(
        &self,
        script: impl Fn(pb::MountRequest) -> Result<pb::MountResponse, Status> + Send + Sync + 'static,
    ) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// Calls so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The last request.
    pub fn last(&self) -> pb::MountRequest {
        self.last.lock().unwrap().clone().expect("the provider was called")
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Stops listening, cutting off whatever is in hand; the socket file stays, as after a crash.
    pub fn stop(&mut self) {
        let server = self.server.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(server) = server {
            server.stop(Duration::ZERO);
        }
    }
}

impl Drop for ScriptedProvider {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The reference provider as a process that is not root's. Dropping it kills it.
pub struct ForeignProvider(Child);

impl ForeignProvider {
    /// Listens on `<directory>/<name>.sock` as `uid`, for which the directory has to be one that it may write to and
    /// come to. `program` is where a copy of the program may be that it may run.
    pub fn start(directory: &Path, name: &str, uid: u32, program: &Path) -> ForeignProvider {
        std::fs::copy(super::driver::program("e2e-provider"), program).expect("the provider was built");
        std::fs::set_permissions(program, Permissions::from_mode(0o755)).expect("it is this test's");
        let socket = directory.join(format!("{name}.sock"));
        let umask = umask_lock();
        let mut command = Command::new(program);
        command.arg(format!("--endpoint=unix://{}", socket.display())).arg("--control-addr=0");
        let child = command.uid(uid).gid(uid).stdin(Stdio::null()).spawn().expect("root may become anybody");
        drop(umask);
        super::eventually("the provider listens", || UnixStream::connect(&socket).is_ok());
        ForeignProvider(child)
    }
}

impl Drop for ForeignProvider {
    fn drop(&mut self) {
        // Gone already is as well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An answer with these files; each file is also an object of version `version`.
pub fn answer(version: &str, files: &[(&str, i32, &[u8])]) -> pb::MountResponse {
    let mut response = versions_only(version, &files.iter().map(|(path, ..)| *path).collect::<Vec<_>>());
    response.files = files
        .iter()
        .map(|(path, mode, contents)| pb::File {
            path: (*path).to_owned(),
            mode: *mode,
            contents: contents.to_vec(),
            ..Default::default()
        })
        .collect();
    response
}

/// An answer without files, as of a provider that writes them itself.
pub fn versions_only(version: &str, ids: &[&str]) -> pb::MountResponse {
    let object = |id: &&str| pb::ObjectVersion {
        id: (*id).to_owned(),
        version: version.to_owned(),
        ..Default::default()
    };
    pb::MountResponse { object_version: ids.iter().map(object).collect(), ..Default::default() }
}

/// An answer that carries an error code of the provider's own.
pub fn error_code(code: &str) -> pb::MountResponse {
    let error = MessageField::some(pb::Error { code: code.to_owned(), ..Default::default() });
    pb::MountResponse { error, ..Default::default() }
}
