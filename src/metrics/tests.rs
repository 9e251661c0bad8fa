//! The whole of the metrics, as a scraper sees it.

use super::*;

fn metrics() -> Metrics {
    Metrics::new("v1.2.3", "abc1234").unwrap()
}

/// The rendered lines without those of the process, which differ from run to run.
fn steady(metrics: &Metrics) -> String {
    let of_process =
        |line: &str| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with("process_");
    metrics.render().lines().filter(|line| !of_process(line)).map(|line| format!("{line}\n")).collect()
}

/// The value of the one sample whose line begins with `prefix`.
fn sample(text: &str, prefix: &str) -> Option<f64> {
    let mut lines = text.lines().filter(|line| line.starts_with(prefix));
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "{prefix} is ambiguous");
    line.rsplit(' ').next()?.parse().ok()
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn the_text_equals_the_golden_file() {
    let metrics = metrics();
    metrics.publish_succeeded("vault", PublishKind::First, milliseconds(250));
    metrics.publish_succeeded("vault", PublishKind::Refresh, milliseconds(125));
    metrics.publish_succeeded("vault", PublishKind::Skipped, milliseconds(1));
    metrics.publish_failed("", "SecretProviderClassNotFound");
    metrics.publish_failed("azure", "GRPCProviderError");
    metrics.rotation_succeeded("vault", true, milliseconds(125));
    metrics.rotation_succeeded("vault", false, milliseconds(1500));
    metrics.rotation_failed("azure", "GRPCProviderError");
    metrics.unpublish_succeeded();
    metrics.unpublish_failed();
    metrics.sync_succeeded("vault", milliseconds(500));
    metrics.kubelet_registered(false);
    metrics.kubelet_registered(true);
    metrics.provider_called("vault", "OK", milliseconds(62));
    metrics.provider_called("azure", "UNAVAILABLE", milliseconds(60_000));
    metrics.api_request("get", "200");
    metrics.api_request("watch", "connection reset");
    metrics.event_dropped();
    metrics.call_rejected();
    let _call = metrics.call_started();
    metrics.watch_volumes(|| VolumeSummary {
        live: 3,
        failing: 1,
        stalest_refresh_age: Some(milliseconds(90_500)),
        memory: Some(MemoryUse { used: 100 << 20, kept_free: 48 << 20, limit: 200 << 20 }),
    });

    let text = steady(&metrics);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN_PATH, &text).unwrap();
        return;
    }
    for (number, (shown, golden)) in text.lines().zip(GOLDEN.lines()).enumerate() {
        assert_eq!(shown, golden, "line {}; UPDATE_GOLDEN=1 writes the file anew", number + 1);
    }
    assert_eq!(text.lines().count(), GOLDEN.lines().count(), "one has more lines than the other");
}

#[test]
fn labelled_series_are_absent_until_their_first_event() {
    let metrics = metrics();
    let text = steady(&metrics);
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(
        names,
        [
            "secrets_store_csi_build_info",
            "secrets_store_csi_calls_in_flight",
            "secrets_store_csi_calls_rejected_total",
            "secrets_store_csi_events_dropped_total",
        ]
    );
}

#[test]
fn every_second_name_carries_the_numbers_of_the_first() {
    let metrics = metrics();
    metrics.publish_succeeded("vault", PublishKind::First, milliseconds(1));
    metrics.publish_failed("vault", "X");
    metrics.unpublish_succeeded();
    metrics.unpublish_failed();
    metrics.rotation_succeeded("vault", true, milliseconds(1));
    metrics.rotation_failed("vault", "X");
    metrics.sync_succeeded("vault", milliseconds(1));
    let text = steady(&metrics);
    for (counted, documented) in series::ALIASES {
        // A longer name that begins alike is another series.
        let own = |rest: &&str| ["{", "_bucket{", "_sum{", "_count{"].iter().any(|end| rest.starts_with(end));
        let of = |name: &str| -> Vec<&str> {
            text.lines().filter_map(|line| line.strip_prefix(name)).filter(own).collect()
        };
        assert!(!of(counted).is_empty(), "{counted}");
        assert_eq!(of(counted), of(documented), "{counted}");
    }
}

#[test]
fn names_that_never_answered_leave_room_for_providers_that_do() {
    let metrics = metrics();
    for number in 0..1000 {
        metrics.publish_failed(&format!("junk{number}"), &format!("Code{number}"));
        metrics.rotation_failed(&format!("more{number}"), "GRPCProviderError");
    }
    metrics.provider_called("vault", "OK", milliseconds(1));
    metrics.publish_failed("vault", "Code1");
    let text = steady(&metrics);
    assert_eq!(
        sample(
            &text,
            "secrets_store_csi_provider_call_duration_seconds_count{code=\"OK\",provider=\"vault\"}"
        ),
        Some(1.0)
    );
    let failed = |line: &str| line.contains("error_type=\"Code1\"") && line.contains("provider=\"vault\"} 1");
    assert!(text.lines().any(failed), "a provider that answered keeps its name when it fails");
    for label in ["provider", "error_type"] {
        let distinct: std::collections::BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.split_once(&format!("{label}=\""))?.1.split('"').next())
            .collect();
        assert!(distinct.contains("other") && distinct.len() <= 65, "{label}: {}", distinct.len());
    }
}

#[test]
fn hostile_label_values_cannot_forge_lines() {
    let metrics = metrics();
    metrics.publish_failed("a\"} 1\nforged{x=\"", "b\nforged 1\n");
    metrics.api_request("get\"\nforged", "99999");
    let text = steady(&metrics);
    assert!(text.lines().all(|line| !line.starts_with("forged")), "{text}");
    assert!(text.contains("code=\"error\",verb=\"get__forged\""), "{text}");
}

#[test]
fn a_refresh_that_changed_nothing_is_not_called_a_rotation() {
    let metrics = metrics();
    metrics.rotation_succeeded("vault", false, milliseconds(1));
    let text = steady(&metrics);
    assert!(
        text.lines()
            .any(|line| line.starts_with("rotation_reconcile_total{") && line.contains("rotated=\"false\""))
    );
    assert!(!text.contains("rotated=\"true\""));
}

#[test]
fn a_call_is_in_flight_until_its_guard_is_dropped() {
    let metrics = metrics();
    let (one, two) = (metrics.call_started(), metrics.call_started());
    assert_eq!(sample(&metrics.render(), "secrets_store_csi_calls_in_flight "), Some(2.0));
    drop((one, two));
    assert_eq!(sample(&metrics.render(), "secrets_store_csi_calls_in_flight "), Some(0.0));
}

#[test]
fn the_volume_gauges_are_read_at_each_scrape() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let metrics = metrics();
    let live = Arc::new(AtomicU64::new(0));
    let source = Arc::clone(&live);
    metrics
        .watch_volumes(move || VolumeSummary { live: source.load(Ordering::SeqCst), ..Default::default() });
    assert_eq!(sample(&metrics.render(), "secrets_store_csi_live_volumes "), Some(0.0));
    live.store(7, Ordering::SeqCst);
    let text = metrics.render();
    assert_eq!(sample(&text, "secrets_store_csi_live_volumes "), Some(7.0));
    assert!(!text.contains("secrets_store_csi_stalest_refresh_age_seconds"), "no volume has an age");
}

#[test]
fn process_series_are_there_and_unread_ones_are_not() {
    let text = metrics().render();
    for name in ["resident_memory_bytes", "cpu_seconds_total", "open_fds", "start_time_seconds"] {
        assert!(sample(&text, &format!("process_{name} ")).is_some(), "{name}");
    }
    assert!(scrape::process(Process::default()).is_empty());
}

#[test]
fn no_name_is_shown_twice_and_lines_end_properly() {
    let text = metrics().render();
    let mut names: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let shown = names.len();
    names.dedup();
    assert_eq!(names.len(), shown);
    assert!(text.ends_with('\n'));
}

const GOLDEN: &str = include_str!("../../tests/golden/metrics.txt");
const GOLDEN_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/metrics.txt");
