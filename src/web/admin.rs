//! The routes that every one of our servers offers to the cluster: `/metrics`, `/healthz` and `/readyz`.
//!
//! It is the only place that knows both HTTP and what is served. Anybody who reaches the port may read these,
//! so they show numbers and names of subsystems, and never anything about a volume.

use std::sync::Arc;
use std::time::Duration;

use crate::health::{Liveness, Readiness};
use crate::http::{Response, Routes, Status};
use metrics::Metrics;

/// `/metrics` in Prometheus' text format; `/healthz`: 200 `ok`, or 503 and what is stuck; `/readyz`: 200
/// `ok`, or 503 and what is waited for; `/readyz?wait`: the same, but not ready only after some seconds of waiting.
pub fn routes(metrics: Arc<Metrics>, readiness: Readiness, liveness: Liveness) -> Routes {
    health_routes(readiness, liveness)
        .page("/metrics", move || Response::new(Status::Ok, METRICS_TYPE, metrics.render()))
}

/// `/healthz` and `/readyz` alone, for a port that is open to whoever probes.
pub fn health_routes(readiness: Readiness, liveness: Liveness) -> Routes {
    let awaited = readiness.clone();
    Routes::at_once(move |request| match request.path() {
        "/readyz" => readiness_answer(&readiness.pending()),
        _ => Response::not_found(),
    })
    // A start takes some seconds, most of them kubelet's. A probe that waits for its end finds a driver that is ready,
    // and kubelet has nothing to report as unhealthy.
    .page_if_asked("/readyz", "wait", move || readiness_answer(&awaited.await_ready(PATIENCE)))
    .page("/healthz", move || match liveness.check() {
        Ok(()) => Response::text(Status::Ok, "ok"),
        Err(stuck) => Response::text(Status::ServiceUnavailable, format!("{stuck}\n")),
    })
}

fn readiness_answer(pending: &[&str]) -> Response {
    match pending.join(", ") {
        pending if pending.is_empty() => Response::text(Status::Ok, "ok"),
        pending => Response::text(Status::ServiceUnavailable, format!("waiting for {pending}\n")),
    }
}

/// How long `/readyz?wait` waits: less than the ten seconds that the manifests give this probe.
pub const PATIENCE: Duration = Duration::from_secs(8);
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::http::parse_head;

    fn get(routes: &Routes, path: &str) -> (Status, String) {
        let head = format!("GET {path} HTTP/1.0\r\n\r\n");
        let response = routes.answer(&parse_head(head.as_bytes()).unwrap().unwrap());
        (response.status(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    #[test]
    fn readyz_names_what_is_missing_until_nothing_is() {
        let readiness = Readiness::new();
        let (pods, server) = (readiness.latch("pods"), readiness.latch("csi server"));
        let metrics = Arc::new(Metrics::new("v1", "abc").unwrap());
        let routes = routes(metrics, readiness, Liveness::new(|| Ok(())));
        let waiting = "waiting for pods, csi server\n".to_string();
        assert_eq!(get(&routes, "/readyz"), (Status::ServiceUnavailable, waiting));
        pods.release();
        server.release();
        assert_eq!(get(&routes, "/readyz"), (Status::Ok, "ok".to_string()));
    }

    #[test]
    fn a_readyz_that_may_wait_is_answered_when_the_last_latch_is_released() {
        let readiness = Readiness::new();
        let pods = readiness.latch("pods");
        let routes = health_routes(readiness, Liveness::new(|| Ok(())));
        let (asked, waits) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let probe = scope.spawn(|| {
                asked.send(()).unwrap();
                get(&routes, "/readyz?wait")
            });
            waits.recv().unwrap();
            pods.release();
            assert_eq!(probe.join().unwrap(), (Status::Ok, "ok".to_string()));
        });
    }

    #[test]
    fn healthz_asks_each_time() {
        let stuck = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stuck);
        let liveness = Liveness::new(move || match seen.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err("could not reach the csi server: timed out".to_string()),
        });
        let routes = routes(Arc::new(Metrics::new("v1", "abc").unwrap()), Readiness::new(), liveness);
        assert_eq!(get(&routes, "/healthz"), (Status::Ok, "ok".to_string()));
        stuck.store(true, Ordering::SeqCst);
        let text = "could not reach the csi server: timed out\n".to_string();
        assert_eq!(get(&routes, "/healthz"), (Status::ServiceUnavailable, text));
    }

    #[test]
    fn metrics_are_served_as_prometheus_text() {
        let metrics = Arc::new(Metrics::new("v1", "abc").unwrap());
        let routes = routes(Arc::clone(&metrics), Readiness::new(), Liveness::new(|| Ok(())));
        metrics.event_dropped();
        let (status, text) = get(&routes, "/metrics?ignored=1");
        assert_eq!(status, Status::Ok);
        assert!(text.contains("\nsecrets_store_csi_events_dropped_total 1\n"), "{text}");
        let request = parse_head(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap().unwrap();
        assert_eq!(routes.answer(&request).content_type(), "text/plain; version=0.0.4; charset=utf-8");
    }

    #[test]
    fn the_health_routes_have_no_metrics() {
        let readiness = Readiness::new();
        let _pods = readiness.latch("pods");
        let routes = health_routes(readiness, Liveness::new(|| Ok(())));
        assert_eq!(get(&routes, "/healthz"), (Status::Ok, "ok".to_string()));
        assert_eq!(get(&routes, "/readyz"), (Status::ServiceUnavailable, "waiting for pods\n".to_string()));
        assert_eq!(get(&routes, "/metrics").0, Status::NotFound);
    }

    #[test]
    fn other_paths_are_not_found() {
        let metrics = Arc::new(Metrics::new("v1", "abc").unwrap());
        let routes = routes(metrics, Readiness::new(), Liveness::new(|| Ok(())));
        for path in ["/", "/metrics/", "/Metrics", "/debug/pprof/"] {
            assert_eq!(get(&routes, path).0, Status::NotFound, "{path}");
        }
    }
}
