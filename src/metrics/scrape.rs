//! The series that are made at each scrape from values kept elsewhere, and second names for the others.
//!
//! It keeps nothing from one scrape to the next.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::process::Process;
use super::{VolumeSummary, series};

/// The series that go by a second name, under that name.
pub(super) fn aliases(families: &[MetricFamily]) -> Vec<MetricFamily> {
    let find = |name| families.iter().find(|family| family.name() == name);
    series::ALIASES
        .iter()
        .filter_map(|(counted, documented)| {
            let mut alias = find(*counted)?.clone();
            alias.set_name((*documented).to_string());
            alias.set_help(format!("the same as {counted}"));
            Some(alias)
        })
        .collect()
}

/// Which build this is.
pub(super) fn build_info(version: &str, commit: &str) -> MetricFamily {
    let (name, help) = series::BUILD_INFO;
    let mut family = single(name, help, MetricType::GAUGE, 1.0);
    for metric in family.mut_metric() {
        metric.set_label(vec![label("commit", commit), label("version", version)]);
    }
    family
}

/// The volume gauges; the age is left out where no volume has one, and memory where nothing limits it.
pub(super) fn volumes(summary: VolumeSummary) -> Vec<MetricFamily> {
    let rows = [
        (series::LIVE_VOLUMES, Some(whole(summary.live))),
        (series::FAILING_VOLUMES, Some(whole(summary.failing))),
        (series::STALEST_REFRESH, summary.stalest_refresh_age.map(|age| age.as_secs_f64())),
        (series::MEMORY_USED, summary.memory.map(|memory| whole(memory.used))),
        (series::MEMORY_KEPT_FREE, summary.memory.map(|memory| whole(memory.kept_free))),
        (series::MEMORY_LIMIT, summary.memory.map(|memory| whole(memory.limit))),
    ];
    rows.into_iter()
        .filter_map(|((name, help), value)| Some(single(name, help, MetricType::GAUGE, value?)))
        .collect()
}

/// What the kernel told; nothing for what it did not.
pub(super) fn process(process: Process) -> Vec<MetricFamily> {
    use MetricType::{COUNTER, GAUGE};
    let rows = [
        ("process_cpu_seconds_total", "user and system CPU time, in seconds", COUNTER, process.cpu_seconds),
        (
            "process_start_time_seconds",
            "when the process started, in seconds since the Unix epoch",
            GAUGE,
            process.start_time_seconds,
        ),
        ("process_resident_memory_bytes", "memory in RAM", GAUGE, process.resident_bytes.map(whole)),
        ("process_virtual_memory_bytes", "address space in use", GAUGE, process.virtual_bytes.map(whole)),
        ("process_threads", "threads", GAUGE, process.threads.map(whole)),
        ("process_open_fds", "open file descriptors", GAUGE, process.open_fds.map(whole)),
        ("process_max_fds", "how many file descriptors may be open", GAUGE, process.max_fds.map(whole)),
    ];
    rows.into_iter().filter_map(|(name, help, kind, value)| Some(single(name, help, kind, value?))).collect()
}

fn single(name: &str, help: &str, kind: MetricType, value: f64) -> MetricFamily {
    let mut metric = Metric::default();
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    let mut family = MetricFamily::default();
    family.set_name(name.to_string());
    family.set_help(help.to_string());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_string());
    pair.set_value(value.to_string());
    pair
}

#[allow(
    clippy::cast_precision_loss,
    reason = "Prometheus knows only floats; counts and sizes stay exact up to 2^53"
)]
fn whole(value: u64) -> f64 {
    value as f64
}
