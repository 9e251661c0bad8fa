//! The tables of docs/metrics.md against what the program exposes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use metrics::{MemoryUse, Metrics, PublishKind, VolumeSummary};

use documents::markdown::Document;
use kit::repository::root;

/// What is not true in the document, and what it does not say.
pub fn complaints(document: &Document) -> Vec<String> {
    let (documented, aliases) = documented(document);
    let exposed = exposed();
    let mut complaints = Vec::new();
    for (name, shape) in &exposed {
        match documented.get(name) {
            None if aliases.contains(name) => {}
            None => complaints.push(format!("{name} is exposed and not documented")),
            Some(said) if said != shape => complaints.push(format!("{name} is {shape:?} and not {said:?}")),
            Some(_) => {}
        }
    }
    let spelt = spelt();
    complaints.extend(
        spelt
            .iter()
            .filter(|name| !documented.contains_key(*name) && !aliases.contains(*name))
            .map(|name| format!("{name} is in src/metrics and not documented")),
    );
    let said = documented.keys().chain(&aliases);
    complaints.extend(said.filter(|name| !spelt.contains(*name)).map(|name| format!("there is no {name}")));
    complaints
}

/// Type, and labels beyond those that say nothing.
pub type Shape = (String, BTreeSet<String>);

/// The rows with a type, and the second names.
fn documented(document: &Document) -> (BTreeMap<String, Shape>, BTreeSet<String>) {
    let (mut series, mut aliases) = (BTreeMap::new(), BTreeSet::new());
    let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    for row in document.rows() {
        let names = code(&row[0]);
        let [name] = &names[..] else { continue };
        match row.get(1).map(String::as_str) {
            Some(kind @ ("counter" | "gauge" | "histogram")) => {
                let labels = if row.len() > 3 { code(&row[2]) } else { Vec::new() };
                series.insert(name.clone(), (kind.to_owned(), labels.into_iter().collect()));
            }
            Some(other) if code(other).len() == 1 && row.len() == 2 => drop(aliases.insert(name.clone())),
            _ => {}
        }
    }
    (series, aliases)
}

/// Every series with its labels, after each thing that can happen has happened once.
pub fn exposed() -> BTreeMap<String, Shape> {
    let metrics = Metrics::new("v1", "abc").expect("the names are good");
    let second = Duration::from_secs(1);
    metrics.publish_succeeded("vault", PublishKind::First, second);
    metrics.publish_failed("vault", "GRPCProviderError");
    metrics.unpublish_succeeded();
    metrics.unpublish_failed();
    metrics.rotation_succeeded("vault", true, second);
    metrics.rotation_failed("vault", "GRPCProviderError");
    metrics.provider_called("vault", "OK", second);
    metrics.api_request("get", "200");
    metrics.sync_succeeded("vault", second);
    metrics.sync_failed("vault", "Forbidden");
    metrics.sync_permitted(true);
    metrics.kubelet_registered(true);
    metrics.watch_volumes(|| VolumeSummary {
        live: 1,
        failing: 1,
        stalest_refresh_age: Some(Duration::ZERO),
        memory: Some(MemoryUse { used: 100 << 20, kept_free: 48 << 20, limit: 200 << 20 }),
    });
    let page = metrics.render();
    let mut series: BTreeMap<String, Shape> = BTreeMap::new();
    let mut current = String::new();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            current = name.to_owned();
            series.insert(current.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = line.split_once('{')
            && let Some((_, known)) = series.get_mut(&current)
        {
            let names = labels.split(',').filter_map(|label| Some(label.split_once("=\"")?.0));
            known.extend(names.filter(|name| !TELL_NOTHING.contains(name)).map(str::to_owned));
        }
    }
    series
}

/// Every name that the tables in src/metrics spell, whether or not something has happened.
pub fn spelt() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["src/metrics/series.rs", "src/metrics/scrape.rs"] {
        let source = std::fs::read_to_string(root().join(file)).expect("the source is there");
        let texts = source.split('"').skip(1).step_by(2);
        let is_name = |text: &&str| {
            PREFIXES.iter().any(|prefix| text.starts_with(prefix))
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        names.extend(texts.filter(is_name).map(str::to_owned));
    }
    names
}

const TELL_NOTHING: [&str; 5] =
    ["le", "os_type", "otel_scope_name", "otel_scope_schema_url", "otel_scope_version"];
const PREFIXES: [&str; 8] = [
    "k8s_secret_",
    "node_publish",
    "node_unpublish",
    "process_",
    "rotation_",
    "secrets_store_csi_",
    "sync_k8s_",
    "total_",
];
