//! The reference provider, a program for tests and demonstrations: it hands out fixed secrets, or the files of a
//! directory, to whoever asks. Never part of the driver's image.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod command_line;
pub mod control;
pub mod directory;
pub mod mount;
pub mod objects;

use std::process::ExitCode;
use std::sync::Arc;

use base::logging;
use base::shutdown::Shutdown;
use config::Endpoint;
use metrics::Metrics;
use rpc::Environment;
use rpc::pb::provider as pb;
use rpc::pool::Pool;
use rpc::server::{Call, Methods, Server};
use rpc::status::{Code, Status};
use web::http;

use command_line::ProviderConfig;
use control::Control;
use directory::SecretsDir;
use mount::{Answer, MountCall, ObjectVersion, Source};

/// Runs the provider with the process's arguments until it is told to stop.
pub fn main() -> ExitCode {
    let config = match ProviderConfig::parse(std::env::args_os().skip(1)) {
        Ok(config) => config,
        Err(error) => {
            eprint!("{error}");
            return ExitCode::from(error.exit_code());
        }
    };
    match logging::init(logging::Format::Text, 0)
        .map_err(|error| error.to_string())
        .and_then(|()| run(config))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: ProviderConfig) -> Result<(), String> {
    let shutdown = Shutdown::new();
    let _signals = shutdown.on_signals().map_err(|error| error.to_string())?;
    let control = Arc::new(Control::new());
    let routes = Arc::clone(&control);
    let _http = config
        .control_addr
        .map(|address| {
            let switches = http::Routes::at_once(move |request| {
                let (status, body) = routes.route(request.path(), request.pairs());
                let status = match status {
                    200 => http::Status::Ok,
                    404 => http::Status::NotFound,
                    _ => http::Status::BadRequest,
                };
                http::Response::text(status, body)
            });
            http::Server::start(&address.listen_addr(), "control", switches)
        })
        .transpose()
        .map_err(|error| error.to_string())?;
    if let Some(http) = &_http {
        log::info!(address:% = http.local_addr(); "serving switches");
    }
    let provider = Arc::new(Provider { control, secrets: config.secrets_dir.map(SecretsDir::new) });
    let metrics = Arc::new(Metrics::new("", "").map_err(|error| error.to_string())?);
    let pool = Pool::start(MAX_CALLS, MAX_CALLS).map_err(|error| error.to_string())?;
    let methods = provider.methods(pool.clone(), metrics);
    let environment = Environment::start();
    let server = match &config.endpoint {
        Endpoint::Unix(path) => Server::start_unix(&environment, path, pool, vec![methods]),
        Endpoint::Tcp(address) => Server::start(&environment, address, pool, vec![methods]),
    };
    let server = server.map_err(|error| error.to_string())?;
    log::info!(endpoint:% = config.endpoint; "serving secrets for tests");
    shutdown.wait();
    server.stop(std::time::Duration::from_secs(1));
    Ok(())
}

struct Provider {
    control: Arc<Control>,
    secrets: Option<SecretsDir>,
}

impl Provider {
    fn methods(self: Arc<Self>, pool: Pool, metrics: Arc<Metrics>) -> Methods {
        let provider = self;
        Methods::new(pool, metrics)
            .unary("/v1alpha1.CSIDriverProvider/Version", |call, _: pb::VersionRequest| {
                only_localhost(&call)?;
                Ok(pb::VersionResponse {
                    version: "v1alpha1".to_owned(),
                    runtime_name: "E2EMockProvider".to_owned(),
                    runtime_version: "v0.0.10".to_owned(),
                    ..Default::default()
                })
            })
            .unary("/v1alpha1.CSIDriverProvider/Mount", move |call, request: pb::MountRequest| {
                only_localhost(&call)?;
                provider.mount(&request)
            })
    }

    fn mount(&self, request: &pb::MountRequest) -> Result<pb::MountResponse, Status> {
        let call = MountCall {
            attributes: &request.attributes,
            secrets: &request.secrets,
            permission: &request.permission,
            target_path: &request.target_path,
        };
        let current: Vec<_> = request
            .current_object_version
            .iter()
            .map(|object| ObjectVersion { id: object.id.clone(), version: object.version.clone() })
            .collect();
        let arrival = self.control.arrive(&call, &current);
        // A provider that takes its time, as a test asked for.
        #[expect(clippy::disallowed_methods, reason = "for tests, which end the process")]
        std::thread::sleep(arrival.delay);
        if let Some(failure) = arrival.failure {
            let text = format!("failing with {} as a test asked for", failure.name);
            return Err(Status::new(Code::from_wire(failure.number), text));
        }
        let unknown = |error: &dyn std::fmt::Display| Status::new(Code::Unknown, error.to_string());
        let files =
            self.secrets.as_ref().map(SecretsDir::read).transpose().map_err(|error| unknown(&error))?;
        let source = files.as_deref().map_or(Source::Fixed, Source::Files);
        self.control.mount(&call, source).map(to_message).map_err(|error| unknown(&error))
    }
}

/// The driver's contract: this authority and no other, as providers in the field insist.
fn only_localhost(call: &Call) -> Result<(), Status> {
    if call.is_for_localhost {
        Ok(())
    } else {
        Err(Status::new(Code::Internal, "the call's authority is not localhost"))
    }
}

fn to_message(answer: Answer) -> pb::MountResponse {
    let file = |file: mount::File| pb::File {
        path: file.path,
        mode: file.mode,
        contents: file.contents.expose().to_vec(),
        ..Default::default()
    };
    let object = |object: ObjectVersion| pb::ObjectVersion {
        id: object.id,
        version: object.version,
        ..Default::default()
    };
    pb::MountResponse {
        object_version: answer.versions.into_iter().map(object).collect(),
        files: answer.files.into_iter().map(file).collect(),
        ..Default::default()
    }
}

/// Calls at a time: more than any test makes.
const MAX_CALLS: usize = 256;
