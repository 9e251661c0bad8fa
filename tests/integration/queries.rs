//! The queries of the alerts and of the dashboard ask for what the driver really exposes: a name or a label that is
//! misspelt gives no error anywhere, only silence.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use kit::yaml;

#[test]
fn every_metric_and_label_in_alerts_and_dashboard_is_one_that_the_driver_has() {
    let (names, labels) = exposed();
    let queries = queries();
    assert!(queries.len() > 30, "{} queries", queries.len());
    for query in queries {
        let asked = Asked::of(&query);
        assert!(!asked.names.is_empty(), "{query} asks for nothing");
        for name in asked.names {
            let is_known = names.contains(&name)
                || ["_bucket", "_sum", "_count"]
                    .iter()
                    .any(|part| name.strip_suffix(part).is_some_and(|name| names.contains(name)));
            assert!(is_known, "nothing exposes {name}, of {query}");
        }
        for label in asked.labels {
            assert!(labels.contains(&label), "no series has the label {label}, of {query}");
        }
    }
}

#[test]
fn a_query_is_taken_apart() {
    let asked = Asked::of(
        "sum by (le, job) (rate(a_total{x=~\"b c\",y!=\"d\"}[5m])) / on (z) group_left e:f > 1e3 or vector(0)",
    );
    let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(asked.names, set(&["a_total", "e:f"]));
    assert_eq!(asked.labels, set(&["le", "job", "x", "y", "z"]));
}

/// Names of metrics and of labels in a query.
#[derive(Default)]
struct Asked {
    names: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Asked {
    fn of(query: &str) -> Asked {
        let mut asked = Asked::default();
        let (mut rest, mut before) = (query, String::new());
        // Whether what comes are names of labels, and until which character.
        let mut until = None;
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            if first == '"' {
                let end = rest[1..].find('"').expect("a text ends") + 2;
                rest = &rest[end..];
            } else if first == '[' {
                rest = &rest[rest.find(']').expect("a range ends")..];
            } else if is_word(first) {
                let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
                rest = &rest[word.len()..];
                let is_call = ["(", "by ", "without "].iter().any(|next| rest.trim_start().starts_with(next));
                if until.is_some() {
                    asked.labels.insert(word.to_owned());
                } else if !first.is_ascii_digit() && !is_call && !KEYWORDS.contains(&word) {
                    asked.names.insert(word.to_owned());
                }
                before = word.to_owned();
                continue;
            } else {
                match first {
                    '{' => until = Some('}'),
                    '(' if GROUPINGS.contains(&before.as_str()) => until = Some(')'),
                    _ if until == Some(first) => until = None,
                    _ => {}
                }
                rest = &rest[first.len_utf8()..];
            }
            if !first.is_whitespace() {
                before.clear();
            }
        }
        asked
    }
}

fn queries() -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a query is a text").to_owned();
    let [rule] = &yaml::read(&Path::new(MONITORING).join("prometheusrule.yaml"))[..] else {
        panic!("one object")
    };
    let alerts = rule["spec"]["groups"][0]["rules"].as_array().expect("a list").iter();
    let dashboard = std::fs::read_to_string(format!("{MONITORING}/dashboard.json")).expect("it is there");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("a list").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    alerts.chain(targets).map(|one| text(&one["expr"])).collect()
}

/// What the tables of series say, and what the kernel's numbers are called.
fn exposed() -> (BTreeSet<String>, BTreeSet<String>) {
    let source = ["series.rs", "scrape.rs"].map(|file| {
        let file = format!("{}/src/metrics/{file}", kit::repository::ROOT);
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"))
    });
    let quoted = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let names = source.iter().flat_map(|text| quoted(text)).filter(|name| name.contains('_')).collect();
    let tables =
        source.iter().flat_map(|text| text.lines()).filter(|line| line.trim().starts_with("labels: "));
    let mut labels: BTreeSet<String> = tables.flat_map(quoted).collect();
    // Of every histogram, and those that Prometheus gives.
    labels.extend(["le", "job", "instance"].map(str::to_owned));
    (names, labels)
}

const KEYWORDS: [&str; 10] =
    ["and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"];
const GROUPINGS: [&str; 4] = ["by", "without", "on", "ignoring"];
const MONITORING: &str = kit::in_repository!("/deploy/monitoring");
