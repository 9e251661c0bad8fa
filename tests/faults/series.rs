//! The driver's metrics page, cut down to the series that tell of a fault.

use std::collections::BTreeMap;

use kit::world::http_get;

/// One reading: the series that tell of faults, by name and labels.
#[derive(Clone, Default)]
pub struct Series(BTreeMap<String, f64>);

impl Series {
    /// Reads the page.
    pub fn read(address: &str) -> Series {
        let (code, page) = http_get(address, "/metrics");
        assert_eq!(code, 200, "the metrics page: {page}");
        Series::parse(&page)
    }

    fn parse(page: &str) -> Series {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let series = short(series);
            tells_of_a_fault(&series).then_some((series, value.parse().ok()?))
        });
        Series(values.collect())
    }

    /// What has risen since, each as `series +1`.
    pub fn risen(&self, later: &Series) -> Vec<String> {
        let before = |series: &str| self.0.get(series).copied().unwrap_or_default();
        let rises = later.0.iter().map(|(series, value)| (series, value - before(series)));
        rises.filter(|(_, rise)| *rise > 0.0).map(|(series, rise)| format!("{series} +{rise}")).collect()
    }
}

/// Names without the driver's own prefix, labels without those that are always the same.
fn short(series: &str) -> String {
    let series = series.strip_prefix("secrets_store_csi_").unwrap_or(series);
    let Some((name, labels)) = series.split_once('{') else { return series.to_owned() };
    let labels = labels.trim_end_matches('}').split(',').filter(|label| {
        let name = label.split('=').next().unwrap_or_default();
        !name.starts_with("otel_") && !["os_type", "rotated", "le"].contains(&name)
    });
    let labels: Vec<String> = labels.map(|label| label.replace('"', "")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

fn tells_of_a_fault(series: &str) -> bool {
    let name = series.split('{').next().unwrap_or_default();
    match name {
        // The same by other names.
        _ if name.starts_with("total_") => false,
        "provider_call_duration_seconds_count" => !series.contains("code=OK"),
        "api_requests_total" => !series.contains("code=2"),
        "failing_volumes" => true,
        _ => name.ends_with("_total") && ["error", "rejected", "dropped"].iter().any(|w| name.contains(w)),
    }
}

/// True when exactly what is expected rose.
pub fn is_met(expected: &[&str], risen: &[String]) -> bool {
    risen.iter().all(|risen| expected.iter().any(|expected| matches(expected, risen)))
        && expected.iter().all(|expected| risen.iter().any(|risen| matches(expected, risen)))
}

/// An expectation that ends with `+` stands for everything that begins like it, whatever the number.
pub fn matches(expected: &str, risen: &str) -> bool {
    expected == risen || expected.strip_suffix('+').is_some_and(|begin| risen.starts_with(begin))
}
