//! The operator's ports: health for kubelet in plain HTTP, and metrics over HTTPS.
//!
//! Ready is a process that has reached the API server, whether or not it leads. Alive is one whose loop turns.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::https::{self, Terms};
use crate::command_line::OperatorConfig;
use config::BindAddress;
use kube::client::Client;
use metrics::OperatorMetrics;
use web::health::Readiness;
use web::http::{Response, Routes, Server, Status};

/// Listens for questions about health, where it is to.
///
/// # Errors
/// The system's, when the address cannot be used.
pub(super) fn health(
    address: Option<&BindAddress>,
    metrics: &Arc<OperatorMetrics>,
    readiness: Readiness,
) -> io::Result<Option<Server>> {
    let Some(address) = address else { return Ok(None) };
    let server = Server::start(&address.listen_addr(), "admin", routes(metrics, readiness))?;
    log::info!(address:% = server.local_addr(); "serving health");
    Ok(Some(server))
}

/// Serves metrics, where it is to.
///
/// # Errors
/// The system's, when the address cannot be used.
pub(super) fn metrics(
    config: &OperatorConfig,
    terms: &Arc<Terms>,
    client: &Client,
    metrics: &Arc<OperatorMetrics>,
) -> io::Result<()> {
    let Some(address) = &config.metrics_listen else { return Ok(()) };
    let (certificate, key) = config.serving_files.clone();
    let files = https::Files { certificate, key };
    let page = Arc::clone(metrics);
    let page = move || Response::new(Status::Ok, METRICS_TYPE, page.render());
    let local = https::start(&address.listen_addr(), files, Arc::clone(terms), client.clone(), page)?;
    log::info!(address:% = local; "serving metrics over HTTPS");
    Ok(())
}

fn routes(metrics: &Arc<OperatorMetrics>, readiness: Readiness) -> Routes {
    let turns = Arc::clone(metrics);
    Routes::at_once(move |request| answer(request.path(), &turns, &readiness, Instant::now()))
}

fn answer(path: &str, metrics: &OperatorMetrics, readiness: &Readiness, now: Instant) -> Response {
    match path {
        "/healthz" | "/livez" => match metrics.last_turn() {
            // Who does not lead has no turns.
            Some(at) if now.saturating_duration_since(at) > LONGEST_TURN => {
                Response::text(Status::ServiceUnavailable, "the loop does not turn\n")
            }
            _ => Response::text(Status::Ok, "ok"),
        },
        "/readyz" => match readiness.pending().join(", ") {
            pending if pending.is_empty() => Response::text(Status::Ok, "ok"),
            pending => Response::text(Status::ServiceUnavailable, format!("waiting for {pending}\n")),
        },
        _ => Response::not_found(),
    }
}

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A turn waits for the API server ten seconds at a time, and for some dozen answers at most.
const LONGEST_TURN: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use web::http::parse_head;

    #[test]
    fn alive_is_whose_loop_turns_and_ready_is_who_has_reached_the_api_server() {
        let (metrics, readiness) = (OperatorMetrics::new("v1", "abc").unwrap(), Readiness::new());
        let latch = readiness.latch("the API server");
        let now = Instant::now();
        let get = |path: &str, now: Instant| answer(path, &metrics, &readiness, now).status();
        assert_eq!(get("/readyz", now), Status::ServiceUnavailable);
        latch.release();
        assert_eq!(get("/readyz", now), Status::Ok);
        assert_eq!(get("/livez", now + LONGEST_TURN * 2), Status::Ok, "who waits for the lease has no turns");
        metrics.turned(true, Duration::ZERO, now);
        assert_eq!(get("/healthz", now + LONGEST_TURN), Status::Ok);
        assert_eq!(get("/healthz", now + LONGEST_TURN * 2), Status::ServiceUnavailable);
        assert_eq!(get("/", now), Status::NotFound);
        let request = parse_head(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap().unwrap();
        let plain = routes(&Arc::new(metrics), readiness).answer(&request).status();
        assert_eq!(plain, Status::NotFound, "metrics are not for everybody");
    }
}
