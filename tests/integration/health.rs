//! The listener for health alone: what a liveness probe gets where no sidecar answers it.

use rpc::status::Code;

use kit::driver::{DriverProcess, program};
use kit::eventually;
use kit::world::{World, http_get};

const OWN: &str = "--health-addr=127.0.0.1:0";

#[test]
fn health_has_a_port_of_its_own_without_metrics() {
    let mut world = World::without_driver(&[OWN]);
    world.api.stop();
    world.start_driver();
    let address = world.health_address();
    assert_ne!(address, world.metrics_address());
    assert_eq!(http_get(&address, "/healthz"), (200, "ok".to_owned()));
    assert_eq!(http_get(&address, "/readyz"), (503, "waiting for the API server\n".to_owned()));
    for page in ["/metrics", "/", "/healthz/"] {
        assert_eq!(http_get(&address, page).0, 404, "{page}");
    }
    world.api.resume();
    eventually("the driver is ready", || http_get(&address, "/readyz") == (200, "ok".to_owned()));
    assert_eq!(world.http_get("/healthz"), (200, "ok".to_owned()), "beside the metrics as before");
}

#[test]
fn it_needs_no_metrics() {
    let world = World::start(&[OWN, "--metrics-addr=0"]);
    assert_eq!(http_get(&world.health_address(), "/healthz"), (200, "ok".to_owned()));
    assert!(!world.driver().log().contains("serving metrics"), "{}", world.driver().log());
}

#[test]
fn alive_is_who_answers_on_the_csi_socket() {
    let world = World::start(&[OWN]);
    // Before the driver's own client has connected: nobody will find the way to the socket.
    std::fs::remove_file(world.path("csi/csi.sock")).unwrap();
    let (code, text) = http_get(&world.health_address(), "/healthz");
    assert_eq!(code, 503);
    assert!(text.starts_with("the CSI socket does not answer: "), "{text}");
    assert!(
        text.contains(Code::DeadlineExceeded.name()) || text.contains(Code::Unavailable.name()),
        "{text}"
    );
}

#[test]
fn an_address_that_is_taken_is_told_with_its_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for flag in ["--health-addr", "--metrics-addr"] {
        let world = World::without_driver(&[&format!("{flag}={address}")]);
        let mut driver = DriverProcess::spawn(&program("secrets-store-csi-driver"), &world.arguments());
        assert_eq!(driver.wait().code(), Some(1), "{}", driver.log());
        let log = driver.log();
        assert!(log.contains(&format!("could not listen on {address}")), "{log}");
        assert!(log.contains(&format!("choose another {flag}")), "{log}");
    }
}
