//! Alerts and the dashboard, as the programs that read them take them.

use serde_json::{Value, json};

use super::Case;
use crate::manifest::{self, DEPLOY};
use crate::site::{CASES as FILES, Site};
use crate::stage::Stage;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "Prometheus takes the rules, and each alert fires when it should and only then",
        play: alerts,
    },
    Case { sentence: "the API server takes what the Prometheus operator reads", play: operator },
    Case {
        sentence: "Grafana's own types take the dashboard, and Prometheus every query in it",
        play: dashboard,
    },
];

fn alerts(stage: &mut Stage) {
    let site = stage.site();
    let [rule] = &manifest::shipped_in("monitoring/prometheusrule.yaml")[..] else { panic!("one object") };
    let mut rules = rule["spec"].clone();
    promtool_takes(site, &rules);
    let mut names = Vec::new();
    for alert in rules["groups"][0]["rules"].as_array_mut().expect("a list") {
        let description = alert["annotations"]["description"].take();
        let description = description.as_str().expect("an alert says what to do");
        assert!(!description.contains("{{"), "of every alert of the name: {description}");
        alert["annotations"].as_object_mut().expect("a map").remove("description");
        names.push(alert["alert"].as_str().expect("an alert has a name").to_owned());
    }
    let tests = std::fs::read_to_string(format!("{FILES}/alerts.yaml")).expect("it is there");
    for name in names {
        assert!(tests.contains(&format!("- alertname: {name}\n")), "{name} is never seen to fire");
        assert!(tests.contains(&format!("- {{alertname: {name}, ")), "{name} is never seen to be quiet");
    }
    let directory = site.directory.join("alerts");
    std::fs::create_dir_all(&directory).expect("the site takes directories");
    for (name, content) in [("rules.yaml", &rules.to_string()), ("alerts.yaml", &tests)] {
        std::fs::write(directory.join(name), content).expect("it takes files");
    }
    site.tool("promtool").run(&["test", "rules", "alerts/alerts.yaml"]).expect_good();
}

fn operator(stage: &mut Stage) {
    let site = stage.site();
    for file in ["podmonitor.yaml", "prometheusrule.yaml"] {
        for object in manifest::shipped_in(&format!("monitoring/{file}")) {
            site.examine(&object).unwrap_or_else(|refusal| panic!("{file}: {refusal}"));
            let mut misspelt = object.clone();
            misspelt["spec"]["selectors"] = json!({});
            site.examine(&misspelt).expect_err("the definitions know which fields there are");
        }
    }
}

fn dashboard(stage: &mut Stage) {
    let site = stage.site();
    let file = format!("{DEPLOY}/monitoring/dashboard.json");
    site.tool("dashboard").run(&[&file]).expect_good();
    let text = std::fs::read_to_string(&file).expect("it is there");
    let dashboard: Value = serde_json::from_str(&text).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("a list").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    // What Grafana puts in their places.
    let query = |target: &Value| {
        let query = target["expr"].as_str().expect("a target has a query");
        query.replace("$__rate_interval", "5m").replace("$instance", ".*")
    };
    let rules =
        targets.enumerate().map(|(i, target)| json!({"record": format!("query_{i}"), "expr": query(target)}));
    let rules: Vec<Value> = rules.collect();
    assert!(rules.len() > 20, "{} queries", rules.len());
    promtool_takes(site, &json!({"groups": [{"name": "queries", "rules": rules}]}));
    let spoiled = text.replace("\"schemaVersion\"", "\"schemaVersions\"");
    let file = site.directory.join("spoiled.json");
    std::fs::write(&file, spoiled).expect("the site takes files");
    let complaint = site.tool("dashboard").run(&["spoiled.json"]).expect_bad();
    assert!(complaint.contains("schemaVersions"), "{complaint}");
}

fn promtool_takes(site: &Site, rules: &Value) {
    std::fs::write(site.directory.join("rules.json"), rules.to_string()).expect("the site takes files");
    site.tool("promtool").run(&["check", "rules", "--lint-fatal", "rules.json"]).expect_good();
}
