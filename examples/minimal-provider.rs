//! `minimal-provider SOCKET DIRECTORY`: a whole provider, whose secrets are the files of a directory.
//!
//! `docs/writing-a-provider.md` quotes it from the first import on, and a test sees to it that the two are the same.

#![allow(clippy::disallowed_methods, reason = "a program of its own, whose store is read by paths")]

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base::shutdown::Shutdown;
use metrics::Metrics;
use rpc::Environment;
use rpc::pb::provider as pb;
use rpc::pool::Pool;
use rpc::server::{Call, Methods, Server};
use rpc::status::{Code, Status};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(socket), Some(store)) = (arguments.next(), arguments.next()) else {
        return Err("usage: minimal-provider SOCKET DIRECTORY".into());
    };
    let shutdown = Shutdown::new();
    let _signals = shutdown.on_signals()?;
    // Calls that run, and calls that wait for one of those to end; beyond that callers hear RESOURCE_EXHAUSTED.
    let pool = Pool::start(32, 128)?;
    let methods = Methods::new(pool.clone(), Arc::new(Metrics::new("", "")?))
        .unary("/v1alpha1.CSIDriverProvider/Version", |call, _: pb::VersionRequest| version(&call))
        .unary("/v1alpha1.CSIDriverProvider/Mount", move |call, request| mount(&call, &request, &store));
    let environment = Environment::start();
    let server = Server::start_unix(&environment, &socket, pool, vec![methods])?;
    shutdown.wait();
    server.stop(Duration::from_secs(10));
    Ok(())
}

/// Drivers call with this authority, so what has another was meant for somebody else.
fn only_localhost(call: &Call) -> Result<(), Status> {
    if call.is_for_localhost {
        return Ok(());
    }
    Err(Status::new(Code::PermissionDenied, "the call's authority is not localhost"))
}

fn version(call: &Call) -> Result<pb::VersionResponse, Status> {
    only_localhost(call)?;
    let [version, runtime_name, runtime_version] = ["v1alpha1", "minimal", "v0.1.0"].map(str::to_owned);
    Ok(pb::VersionResponse { version, runtime_name, runtime_version, ..Default::default() })
}

fn mount(call: &Call, request: &pb::MountRequest, store: &Path) -> Result<pb::MountResponse, Status> {
    only_localhost(call)?;
    let invalid = |message: String| Status::new(Code::InvalidArgument, message);
    // The parser's own words could quote a token.
    let attributes: HashMap<String, String> = serde_json::from_str(&request.attributes)
        .map_err(|_| invalid("attributes are not a JSON object of texts".to_owned()))?;
    let names =
        attributes.get("objects").ok_or_else(|| invalid("parameter objects is missing".to_owned()))?;
    let mut answer = pb::MountResponse::default();
    for name in names.split(',').map(str::trim) {
        // Whoever may write a class chose the name: it must not lead out of the store.
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(invalid(format!("{name:?} is no name of an object")));
        }
        let (contents, version) = read(&store.join(name))
            .map_err(|error| Status::new(Code::NotFound, format!("could not read object {name}: {error}")))?;
        let (id, path) = (name.to_owned(), name.to_owned());
        answer.object_version.push(pb::ObjectVersion { id, version, ..Default::default() });
        // The upstream driver takes a mode that is not set for one that lets nobody read.
        answer.files.push(pb::File { path, mode: 0o644, contents, ..Default::default() });
    }
    Ok(answer)
}

/// Content and version: the time of the last change, since pod statuses show it and a hash would tell of the secret.
fn read(path: &Path) -> Result<(Vec<u8>, String), Box<dyn Error>> {
    let mut file = File::open(path)?;
    let changed = file.metadata()?.modified()?.duration_since(SystemTime::UNIX_EPOCH)?;
    let mut contents = Vec::new();
    file.read_to_end(&mut contents)?;
    Ok((contents, changed.as_nanos().to_string()))
}
