//! Proxies that the environment names: neither requests to the API server, nor calls of providers, go there.

use std::io::ErrorKind;
use std::net::TcpListener;

use api_server::{ApiServer, Settings};
use kit::driver::{DriverProcess, program};
use kit::objects::objects;
use kit::provider::answer;
use kit::world::World;

/// Every name by which any of our libraries looks for one.
const NAMES: [&str; 7] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "grpc_proxy"];

/// Publishes a volume with a driver whose environment names a proxy, where nobody may call.
fn assert_no_proxy_is_asked(mut world: World) {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let variables: Vec<_> = NAMES.map(|name| (name, url.as_str())).into();
    let variables = [variables, vec![("NO_PROXY", ""), ("no_proxy", "")]].concat();
    let program = program("secrets-store-csi-driver");
    world.start_driver_as(DriverProcess::spawn_with(&program, &world.arguments(), &variables));
    let _provider = world.provider("test", |_| Ok(answer("v1", &[("password", 0, b"hunter2")])));
    world.class("db", "test", objects(&["password"]));
    let pod = world.pod("web", "db");
    let published = world.kubelet.publish(&pod);
    let called = proxy.accept();
    assert!(
        called.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "somebody called the proxy: {called:?}"
    );
    published.unwrap();
    assert_eq!(pod.read("password"), "hunter2");
}

#[test]
fn a_proxy_of_the_environment_sees_no_plain_request() {
    assert_no_proxy_is_asked(World::without_driver(&[]));
}

#[test]
fn a_proxy_of_the_environment_sees_no_request_in_tls() {
    let files = tempfile::tempdir().unwrap();
    let api = ApiServer::with(Settings { tls: true, token: None });
    let authority = files.path().join("ca.crt");
    std::fs::write(&authority, api.ca_pem()).unwrap();
    let mut world = World::without_driver(&[&format!("--kube-ca-file={}", authority.display())]);
    world.api = api.into();
    assert_no_proxy_is_asked(world);
}
