//! The providers that docs/writing-a-provider.md quotes, asked as both drivers ask, and as neither does. What the driver
//! of this project makes of their answers is played with the document.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use grpcio::{
    CallOption, ChannelBuilder, Client, EnvBuilder, Error, Marshaller, Method, MethodType, RpcStatusCode,
};
use protobuf::Message;
use rpc::pb::provider as pb;

use super::Case;
use crate::stage::Stage;
use e2e::patience::until;
use kit::driver::{DriverProcess, program};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "they say which mode every file has, since the upstream driver would let nobody read it else",
        play: modes,
    },
    Case { sentence: "they take no call that was meant for another authority", play: authority },
];

fn modes(stage: &mut Stage) {
    for provider in providers(stage) {
        let answer = provider.mount("localhost").unwrap_or_else(|error| panic!("{}: {error}", provider.name));
        let files: Vec<(&str, i32)> =
            answer.files.iter().map(|file| (file.path.as_str(), file.mode)).collect();
        assert_eq!(files, [("token", 0o644), ("password", 0o644)], "{}", provider.name);
    }
}

fn authority(stage: &mut Stage) {
    for provider in providers(stage) {
        let name = provider.name;
        provider.version("localhost").unwrap_or_else(|error| panic!("{name}: {error}"));
        let refusals = [provider.mount("store.example").err(), provider.version("store.example").err()];
        for refusal in refusals {
            match refusal {
                Some(Error::RpcFailure(status)) => {
                    assert_eq!(status.code(), RpcStatusCode::PERMISSION_DENIED, "{name}");
                    assert_eq!(status.message(), "the call's authority is not localhost", "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

/// Both, each with a store that has two objects.
fn providers(stage: &Stage) -> Vec<Provider> {
    let programs =
        [("minimal", program("examples/minimal-provider")), ("go-provider", stage.programs.go_provider())];
    programs.map(|(name, program)| Provider::start(name, &program)).into()
}

struct Provider {
    name: &'static str,
    socket: PathBuf,
    _process: DriverProcess,
    _directory: tempfile::TempDir,
}

impl Provider {
    fn start(name: &'static str, program: &Path) -> Provider {
        let directory = tempfile::Builder::new().prefix("provider").tempdir().expect("a temporary directory");
        let [socket, store] = ["p.sock", "store"].map(|entry| directory.path().join(entry));
        std::fs::create_dir(&store).expect("an empty directory takes another");
        for object in ["token", "password"] {
            std::fs::write(store.join(object), "made up").expect("an empty directory takes files");
        }
        let process =
            DriverProcess::spawn(program, &[&socket, &store].map(|path| path.display().to_string()));
        until(&format!("{name} listens"), || socket.exists());
        Provider { name, socket, _process: process, _directory: directory }
    }

    fn mount(&self, authority: &str) -> Result<pb::MountResponse, Error> {
        let attributes = r#"{"objects": "token, password"}"#.to_owned();
        let request = pb::MountRequest {
            attributes,
            secrets: "null".to_owned(),
            permission: "420".to_owned(),
            ..Default::default()
        };
        self.call("/v1alpha1.CSIDriverProvider/Mount", authority, &request)
    }

    fn version(&self, authority: &str) -> Result<pb::VersionResponse, Error> {
        let request = pb::VersionRequest { version: "v1alpha1".to_owned(), ..Default::default() };
        self.call("/v1alpha1.CSIDriverProvider/Version", authority, &request)
    }

    fn call<Q: Message, R: Message + Unpin>(
        &self,
        name: &'static str,
        authority: &str,
        request: &Q,
    ) -> Result<R, Error> {
        let environment = Arc::new(EnvBuilder::new().cq_count(1).build());
        let channel = ChannelBuilder::new(environment).default_authority(authority);
        let channel = channel.connect(&format!("unix:{}", self.socket.display()));
        let method = Method {
            ty: MethodType::Unary,
            name,
            req_mar: Marshaller { ser: grpcio::pb_ser, de: grpcio::pb_de },
            resp_mar: Marshaller { ser: grpcio::pb_ser, de: grpcio::pb_de },
        };
        let option = CallOption::default().wait_for_ready(true).timeout(Duration::from_secs(30));
        Client::new(channel).unary_call(&method, request, option)
    }
}
