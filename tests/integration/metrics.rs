//! The HTTP port: numbers after events, health, and clients that mean no good.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use rpc::pb::csi as pb;
use rpc::status::{Code, Status};
use serde_json::json;

use kit::driver::build;
use kit::eventually;
use kit::provider::{ScriptedProvider, answer, error_code};
use kit::world::{Pod, World};

/// A world with a provider, a class and a pod.
struct Scene {
    provider: ScriptedProvider,
    world: World,
    pod: Pod,
}

fn scene(flags: &[&str]) -> Scene {
    let world = World::start(flags);
    let provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| {
        Ok(answer("v1", &[("password", 0, b"hunter2")]))
    });
    world.class("db", "test", json!({"objects": "some"}));
    let pod = world.pod("web", "db");
    Scene { provider, world, pod }
}

fn page(world: &World) -> String {
    let (code, page) = world.http_get("/metrics");
    assert_eq!(code, 200);
    page
}

/// The values of the series of that name that have all of these labels.
fn values(page: &str, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
    let has = |line: &str, (label, value): &(&str, &str)| {
        let pair = format!("{label}=\"{value}\"");
        line.contains(&format!("{{{pair}")) || line.contains(&format!(",{pair}"))
    };
    page.lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name))
        .filter(|line| labels.iter().all(|label| has(line, label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect()
}

const ROTATES: [&str; 2] = ["--enable-secret-rotation", "--rotation-poll-interval=0"];

/// Both names of a series, labels that it has, and its value.
type Counted<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], f64);

#[test]
fn what_happens_is_counted_under_both_sets_of_names() {
    let Scene { provider, world, pod } = scene(&ROTATES);
    let kubelet = &world.kubelet;
    kubelet.publish(&pod).unwrap();
    kubelet.publish(&pod).unwrap();
    provider.script(|_| Ok(answer("v2", &[("password", 0, b"new")])));
    kubelet.publish(&pod).unwrap();
    provider.script(|_| Ok(error_code("AuthenticationFailed")));
    kubelet.publish(&pod).unwrap();
    kubelet.publish(&world.pod("lost", "missing")).unwrap_err();
    kubelet.unpublish(&pod).unwrap();
    let request = pb::NodeUnpublishVolumeRequest::default();
    let method = "/csi.v1.Node/NodeUnpublishVolume";
    kubelet.call::<_, pb::NodeUnpublishVolumeResponse>(method, &request).unwrap_err();

    let page = page(&world);
    let of_test = ("provider", "test");
    let rows: [Counted<'_>; 8] = [
        ("node_publish_total", "total_node_publish", &[of_test], 3.0),
        (
            "node_publish_error_total",
            "total_node_publish_error",
            &[of_test, ("error_type", "AuthenticationFailed")],
            1.0,
        ),
        (
            "node_publish_error_total",
            "total_node_publish_error",
            &[("provider", ""), ("error_type", "SecretProviderClassNotFound")],
            1.0,
        ),
        ("node_unpublish_total", "total_node_unpublish", &[], 1.0),
        ("node_unpublish_error_total", "total_node_unpublish_error", &[], 1.0),
        ("rotation_reconcile_total", "total_rotation_reconcile", &[of_test, ("rotated", "true")], 1.0),
        ("rotation_reconcile_total", "total_rotation_reconcile", &[of_test, ("rotated", "false")], 1.0),
        (
            "rotation_reconcile_error_total",
            "total_rotation_reconcile_error",
            &[of_test, ("error_type", "AuthenticationFailed")],
            1.0,
        ),
    ];
    for (name, alias, labels, value) in rows {
        let labels: Vec<_> = labels.iter().copied().chain([("os_type", "linux"), SCOPE]).collect();
        for name in [name, alias] {
            assert_eq!(values(&page, name, &labels), [value], "{name} {labels:?}\n{page}");
        }
    }
    assert_eq!(values(&page, "rotation_reconcile_duration_sec_count", &[("os_type", "linux"), SCOPE]), [2.0]);
    let publishes = "secrets_store_csi_publish_duration_seconds_count";
    assert_eq!(values(&page, publishes, &[of_test, ("kind", "first")]), [1.0]);
    assert_eq!(values(&page, publishes, &[of_test, ("kind", "refresh")]), [2.0]);
}

#[test]
fn a_call_with_nothing_to_do_counts_without_a_provider() {
    let Scene { provider, world, pod } = scene(&[]);
    world.kubelet.publish(&pod).unwrap();
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(provider.calls(), 1);
    let page = page(&world);
    assert_eq!(values(&page, "node_publish_total", &[("provider", "")]), [1.0], "{page}");
    assert_eq!(values(&page, "node_publish_total", &[("provider", "test")]), [1.0], "{page}");
    assert!(values(&page, "rotation_reconcile_total", &[]).is_empty(), "{page}");
}

#[test]
fn no_series_of_an_event_exists_before_its_first() {
    let page = page(&World::start(&[]));
    for name in
        ["node_publish_total", "total_node_publish", "node_unpublish_total", "rotation_reconcile_total"]
    {
        assert!(!page.contains(name), "{name}\n{page}");
    }
}

#[test]
fn live_and_failing_volumes_are_counted_as_they_come_and_go() {
    let Scene { provider, world, pod } = scene(&ROTATES);
    let volumes = || {
        let page = page(&world);
        let of = |name| values(&page, name, &[]);
        (of("secrets_store_csi_live_volumes"), of("secrets_store_csi_failing_volumes"))
    };
    assert_eq!(volumes(), (vec![0.0], vec![0.0]));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(volumes(), (vec![1.0], vec![0.0]));
    provider.script(|_| Err(Status::new(Code::Internal, "out of order")));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(volumes(), (vec![1.0], vec![1.0]));
    provider.script(|_| Ok(answer("v2", &[("password", 0, b"new")])));
    world.kubelet.publish(&pod).unwrap();
    assert_eq!(volumes(), (vec![1.0], vec![0.0]));
    world.kubelet.unpublish(&pod).unwrap();
    assert_eq!(volumes(), (vec![0.0], vec![0.0]));
}

#[test]
fn the_age_of_the_stalest_refresh_grows_and_survives_a_restart() {
    let Scene { provider: _provider, mut world, pod } = scene(&[]);
    let name = "secrets_store_csi_stalest_refresh_age_seconds";
    assert_eq!(world.metric(name), None, "there is no volume");
    world.kubelet.publish(&pod).unwrap();
    let first = world.metric(name).unwrap();
    assert!((0.0..60.0).contains(&first), "{first}");
    eventually("the refresh is older", || world.metric(name).unwrap() > first);

    pod.set_changed(SystemTime::now() - Duration::from_secs(7200));
    world.take_driver().kill();
    world.start_driver();
    let adopted = world.metric(name).unwrap();
    assert!(
        (7200.0..7300.0).contains(&adopted),
        "killed, so the volume's own change is what is known: {adopted}"
    );
}

#[test]
fn calls_to_providers_and_to_the_api_server_are_told_apart_by_their_ends() {
    let Scene { provider, world, pod } = scene(&[]);
    provider.script(|_| Err(Status::new(Code::PermissionDenied, "not for you")));
    world.kubelet.publish(&pod).unwrap_err();
    provider.script(|_| Ok(answer("v1", &[("password", 0, b"hunter2")])));
    world.kubelet.publish(&pod).unwrap();
    world.kubelet.publish(&world.pod("lost", "missing")).unwrap_err();

    let page = page(&world);
    let calls = |code| {
        let labels = [("provider", "test"), ("code", code)];
        values(&page, "secrets_store_csi_provider_call_duration_seconds_count", &labels)
    };
    assert_eq!((calls("OK"), calls("PermissionDenied")), (vec![1.0], vec![1.0]), "{page}");
    let requests = |verb, code| {
        values(&page, "secrets_store_csi_api_requests_total", &[("verb", verb), ("code", code)])
            .iter()
            .sum::<f64>()
    };
    assert!(requests("get", "200") >= 2.0, "{page}");
    assert!(requests("get", "404") >= 1.0, "{page}");
    assert!(requests("create", "201") >= 1.0, "{page}");
}

#[test]
fn the_build_and_the_process_are_described() {
    let world = World::start(&[]);
    let page = page(&world);
    let [version, commit, _] = build();
    let build = values(&page, "secrets_store_csi_build_info", &[("version", &version), ("commit", &commit)]);
    assert_eq!(build, [1.0], "{page}");
    for name in [
        "process_cpu_seconds_total",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    ] {
        let value = values(&page, name, &[]);
        assert!(value.len() == 1 && value[0] >= 0.0, "{name}: {value:?}");
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn ready_is_who_has_reached_the_api_server_once() {
    let mut world = World::without_driver(&[]);
    world.api.stop();
    world.start_driver();
    assert_eq!(world.http_get("/healthz"), (200, "ok".to_owned()), "alive without the API server");
    assert_eq!(world.http_get("/readyz"), (503, "waiting for the API server\n".to_owned()));
    world.api.resume();
    eventually("the driver is ready", || world.http_get("/readyz") == (200, "ok".to_owned()));
    world.api.stop();
    assert_eq!(world.http_get("/readyz").0, 200, "once is enough");
    assert_eq!(world.http_get("/nothing").0, 404);
}

#[test]
fn without_an_address_nothing_is_listened_on() {
    let world = World::start(&["--metrics-addr=0"]);
    world.driver().wait_for_log("\"ready\"");
    assert!(!world.driver().log().contains("serving metrics"), "{}", world.driver().log());
}

fn connect(world: &World) -> TcpStream {
    let address = world.driver().log();
    let address = address.lines().find(|line| line.contains("serving metrics and health")).unwrap();
    let address = address.split("address=\"").nth(1).unwrap().split('"').next().unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

#[test]
fn clients_that_say_nothing_or_little_do_not_keep_others_out() {
    let world = World::start(&[]);
    world.driver().wait_for_log("serving metrics and health");
    let mut slow: Vec<TcpStream> = (0..60).map(|_| connect(&world)).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        if number % 2 == 0 {
            // Those that were turned away are gone already.
            drop(stream.write_all(b"GET /metrics HT"));
        }
    }
    eventually("a scraper gets through", || {
        let mut stream = connect(&world);
        let asked = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
        let mut answer = String::new();
        asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.starts_with("HTTP/1.1 200 ")
    });
    assert_eq!(world.http_get("/healthz").0, 200);
}

#[test]
fn a_huge_head_is_refused_and_costs_no_memory() {
    let world = World::start(&[]);
    let resident = "process_resident_memory_bytes";
    let before = world.metric(resident).unwrap();
    for _ in 0..8 {
        let mut stream = connect(&world);
        let header = format!("X-Long: {}\r\n", "x".repeat(64 * 1024));
        let mut sent = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n");
        for _ in 0..64 {
            sent = sent.and_then(|()| stream.write_all(header.as_bytes()));
        }
        // The server stops reading at its limit, so that the rest may not get through.
        let mut answer = Vec::new();
        if stream.read_to_end(&mut answer).is_ok() && !answer.is_empty() {
            assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
        }
    }
    assert_eq!(world.http_get("/healthz").0, 200);
    let grown = world.metric(resident).unwrap() - before;
    assert!(grown < 8.0 * 1024.0 * 1024.0, "{grown} bytes more");
}

const SCOPE: (&str, &str) = ("otel_scope_name", "sigs.k8s.io/secrets-store-csi-driver");
