//! What is reported on the ClusterCSIDriver: conditions and generations under the names that the OpenShift operator has
//! for them, since people and pipelines wait for these. Pure: the time is an argument.

use serde_json::{Map, Value, json};

use super::identity::{NODE, NODE_CONTROLLER, STATIC_CONTROLLER};
use super::pace::{Change, differ_in_figures};
use super::plan::{Rollout, generation, rollout};

/// What a turn of the loop has found out. What it has not looked at is reported as before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Findings<'a> {
    /// Why the management state cannot be acted on.
    pub management: Option<&'a str>,
    /// What went wrong with the static objects, one line each; `None` where nobody looked.
    pub statics: Option<&'a [String]>,
    /// What went wrong with the DaemonSet, one line each.
    pub node: &'a [String],
    /// What went wrong with reading the cluster's own settings.
    pub observation: Option<&'a str>,
    /// The driver on the nodes.
    pub driver: Driver<'a>,
    /// There is no CSIDriver object, and it could not be made.
    pub lacks_csi_driver: bool,
}

/// What is known of the driver on the nodes.
#[derive(Clone, Copy, Debug, Default)]
pub enum Driver<'a> {
    /// Nobody looked.
    #[default]
    Unknown,
    /// The operator has taken it down.
    Removed,
    /// The DaemonSet as the server stored it last.
    Installed(&'a Value),
}

/// The part of the status that is the operator's.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    conditions: Vec<Value>,
    generations: Vec<Value>,
}

/// How one condition stands.
struct Standing {
    is_true: bool,
    reason: &'static str,
    message: String,
}

impl Status {
    /// What the object says already.
    pub fn read(object: &Value) -> Status {
        let list = |name: &str| {
            let list = object.get("status").and_then(|status| status.get(name)).and_then(Value::as_array);
            list.cloned().unwrap_or_default()
        };
        let types = condition_types();
        let stored = list("conditions");
        // In the order in which they are written: the server keeps the one that it found.
        let of_type = |known: &String| stored.iter().find(|condition| condition["type"] == known.as_str());
        let conditions =
            types.iter().filter_map(of_type).map(|condition| whole(condition, &CONDITION_FIELDS)).collect();
        let mut generations = list("generations");
        generations.retain(is_of_the_driver);
        let generations = generations.iter().map(|entry| whole(entry, &GENERATION_FIELDS)).collect();
        Status { conditions, generations }
    }

    /// Whether the driver has an entry here that it has not there.
    pub fn has_more_generations_than(&self, other: &Status) -> bool {
        !self.generations.iter().all(|entry| other.has_generation(entry))
    }

    /// The generations of the object without those of the driver, if any of these is not in this status. Who wrote them
    /// was another operator, and only who replaces the list takes them away.
    pub fn generations_of_others(&self, object: &Value) -> Option<Vec<Value>> {
        let stored = object.pointer("/status/generations").and_then(Value::as_array)?;
        let (of_the_driver, others): (Vec<_>, Vec<_>) =
            stored.iter().partition(|entry| is_of_the_driver(entry));
        let is_stale = !of_the_driver.iter().all(|entry| self.has_generation(entry));
        is_stale.then(|| others.into_iter().cloned().collect())
    }

    /// Whether there is an entry for the same DaemonSet.
    fn has_generation(&self, entry: &Value) -> bool {
        let is_same = |ours: &Value| ["namespace", "group"].iter().all(|key| ours[*key] == entry[*key]);
        self.generations.iter().any(is_same)
    }

    /// What it should say now. `now` is the time as the API writes it.
    pub fn next(&self, findings: Findings<'_>, namespace: &str, now: &str) -> Status {
        let mut conditions = Vec::new();
        for (name, found) in condition_types().iter().zip(standings(findings)) {
            let before = self.conditions.iter().find(|condition| condition["type"] == name.as_str());
            match (found, before) {
                (Some(standing), before) => conditions.push(standing.condition(name, before, now)),
                (None, Some(before)) => conditions.push(before.clone()),
                (None, None) => {}
            }
        }
        let generations = match findings.driver {
            Driver::Unknown => self.generations.clone(),
            Driver::Removed => Vec::new(),
            Driver::Installed(object) => {
                generation(object).map(|at| entry(namespace, at)).into_iter().collect()
            }
        };
        Status { conditions, generations }
    }

    /// What is new in `next`; none where nothing is.
    pub fn change_to(&self, next: &Status) -> Option<Change> {
        if self == next {
            return None;
        }
        let is_one =
            |one: &Value, other: &Value| CONDITION_MARKS.iter().all(|mark| one[*mark] == other[*mark]);
        let both = || self.conditions.iter().zip(&next.conditions);
        let stands =
            self.conditions.len() == next.conditions.len() && both().all(|(one, other)| is_one(one, other));
        if !stands || self.generations != next.generations {
            return Some(Change::Standing);
        }
        let message = |condition: &Value| condition["message"].as_str().unwrap_or_default().to_owned();
        let is_figures = both().all(|(one, other)| differ_in_figures(&message(one), &message(other)));
        Some(if is_figures { Change::Figures } else { Change::Words })
    }

    /// The generation at which the operator left the DaemonSet of that namespace.
    pub fn recorded_generation(&self, namespace: &str) -> Option<i64> {
        let entry = self.generations.iter().find(|entry| entry["namespace"] == namespace)?;
        entry.get("lastGeneration")?.as_i64()
    }

    /// For the API. Everything that is the operator's is in it, since what is left out would go.
    pub fn json(&self) -> Value {
        json!({"conditions": self.conditions, "generations": self.generations})
    }

    /// The conditions that are about something being wrong, and are true.
    pub fn degraded(&self) -> impl Iterator<Item = &str> {
        let is_degraded = |condition: &&Value| condition["status"] == "True";
        let names =
            self.conditions.iter().filter(is_degraded).filter_map(|condition| condition["type"].as_str());
        names.filter(|name| name.ends_with("Degraded"))
    }
}

/// In the order of [`standings`].
fn condition_types() -> [String; 6] {
    [
        "ManagementStateDegraded".to_owned(),
        format!("{STATIC_CONTROLLER}Degraded"),
        "ConfigObservationDegraded".to_owned(),
        format!("{NODE_CONTROLLER}Available"),
        format!("{NODE_CONTROLLER}Progressing"),
        format!("{NODE_CONTROLLER}Degraded"),
    ]
}

fn standings(findings: Findings<'_>) -> [Option<Standing>; 6] {
    let Findings { management, statics, node, observation, driver, lacks_csi_driver } = findings;
    let problem = |problem: Option<&str>, reason, fine| match problem {
        Some(message) => Standing { is_true: true, reason, message: message.to_owned() },
        None => Standing { is_true: false, reason: fine, message: String::new() },
    };
    let lines = |lines: &[String]| (!lines.is_empty()).then(|| lines.join("\n"));
    let (available, progressing) = match driver {
        Driver::Unknown => (None, None),
        Driver::Removed => {
            let removed = || Standing { is_true: false, reason: "Removed", message: String::new() };
            (Some(removed()), Some(removed()))
        }
        Driver::Installed(object) if lacks_csi_driver => (Some(no_csi_driver()), Some(progress(object))),
        Driver::Installed(object) => (Some(availability(object)), Some(progress(object))),
    };
    [
        Some(problem(management, "Unknown", "")),
        statics.map(|found| problem(lines(found).as_deref(), "SyncError", "AsExpected")),
        Some(problem(observation, "Error", "")),
        available,
        progressing,
        Some(problem(lines(node).as_deref(), "SyncError", "AsExpected")),
    ]
}

fn no_csi_driver() -> Standing {
    let message =
        "There is no CSIDriver object, and it cannot be made: no pod with a volume of this driver can start";
    Standing { is_true: false, reason: "NoCSIDriver", message: message.to_owned() }
}

fn availability(daemon_set: &Value) -> Standing {
    let available = daemon_set.pointer("/status/numberAvailable").and_then(Value::as_i64).unwrap_or(0);
    if available > 0 {
        return Standing { is_true: true, reason: "AsExpected", message: String::new() };
    }
    let message = "No node has a pod of the driver that is available yet".to_owned();
    Standing { is_true: false, reason: "Deploying", message }
}

fn progress(daemon_set: &Value) -> Standing {
    match rollout(daemon_set) {
        Rollout::Complete => Standing { is_true: false, reason: "AsExpected", message: String::new() },
        under_way => Standing { is_true: true, reason: "Deploying", message: under_way.to_string() },
    }
}

impl Standing {
    fn condition(self, name: &str, before: Option<&Value>, now: &str) -> Value {
        let Standing { is_true, reason, message } = self;
        let status = if is_true { "True" } else { "False" };
        let before = before.filter(|before| before["status"] == status);
        let since = before.and_then(|before| before["lastTransitionTime"].as_str()).unwrap_or(now);
        // The empty texts too: what is not written keeps the text of whoever reported before.
        json!({
            "type": name, "status": status, "lastTransitionTime": since, "reason": reason, "message": message,
        })
    }
}

fn entry(namespace: &str, at: i64) -> Value {
    json!({
        "group": "apps", "resource": "daemonsets", "namespace": namespace, "name": NODE,
        "lastGeneration": at, "hash": "",
    })
}

fn is_of_the_driver(entry: &Value) -> bool {
    entry["resource"] == "daemonsets" && entry["name"] == NODE
}

/// The entry with these fields and no others. One that is not there reads as empty: servers and clients differ in
/// whether they write what is empty.
fn whole(entry: &Value, fields: &[&str]) -> Value {
    let value = |field: &&str| {
        let value = entry.get(*field).filter(|value| !value.is_null()).cloned();
        ((*field).to_owned(), value.unwrap_or_else(|| json!("")))
    };
    Value::Object(fields.iter().map(value).collect::<Map<_, _>>())
}

const CONDITION_FIELDS: [&str; 5] = ["type", "status", "lastTransitionTime", "reason", "message"];
const CONDITION_MARKS: [&str; 4] = ["type", "status", "lastTransitionTime", "reason"];
const GENERATION_FIELDS: [&str; 6] = ["group", "resource", "namespace", "name", "lastGeneration", "hash"];

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-04-01T09:08:07Z";
    const LATER: &str = "2026-04-01T10:00:00Z";

    fn daemon_set(available: i64, unavailable: i64) -> Value {
        json!({
            "metadata": {"generation": 4},
            "status": {
                "observedGeneration": 4, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2,
                "numberAvailable": available, "numberUnavailable": unavailable,
            },
        })
    }

    fn next(before: &Status, findings: Findings<'_>, now: &str) -> Status {
        before.next(findings, "storage", now)
    }

    fn nothing() -> Status {
        Status::read(&json!({}))
    }

    fn told(status: &Status) -> Vec<String> {
        let text = |condition: &Value, name: &str| match condition[name].as_str() {
            Some("") | None => "-".to_owned(),
            Some(text) => text.to_owned(),
        };
        let told = |c: &Value| format!("{} {} {}", text(c, "type"), text(c, "status"), text(c, "reason"));
        status.conditions.iter().map(told).collect()
    }

    #[test]
    fn an_installation_that_works_is_reported_under_the_upstream_names() {
        let object = daemon_set(2, 0);
        let findings =
            Findings { statics: Some(&[]), driver: Driver::Installed(&object), ..Findings::default() };
        let status = next(&nothing(), findings, NOW);
        assert_eq!(
            told(&status),
            [
                "ManagementStateDegraded False -",
                "SecretsStoreConditionalStaticResourcesControllerDegraded False AsExpected",
                "ConfigObservationDegraded False -",
                "SecretsStoreDriverNodeServiceControllerAvailable True AsExpected",
                "SecretsStoreDriverNodeServiceControllerProgressing False AsExpected",
                "SecretsStoreDriverNodeServiceControllerDegraded False AsExpected",
            ]
        );
        assert_eq!(
            status.json()["generations"],
            json!([{
                "group": "apps", "resource": "daemonsets", "namespace": "storage",
                "name": "secrets-store-csi-driver-node", "lastGeneration": 4, "hash": "",
            }])
        );
        assert_eq!(status.recorded_generation("storage"), Some(4));
        assert_eq!(status.recorded_generation("elsewhere"), None);
        assert_eq!(status.degraded().count(), 0);
    }

    #[test]
    fn every_failure_has_its_condition_and_a_line_for_each() {
        let lines = ["ClusterRole a: no".to_owned(), "CSIDriver b: no".to_owned()];
        let node = ["DaemonSet c: no".to_owned()];
        let findings = Findings {
            management: Some("Force is not known"),
            statics: Some(&lines),
            node: &node,
            observation: Some("could not get proxies"),
            driver: Driver::Unknown,
            lacks_csi_driver: false,
        };
        let status = next(&nothing(), findings, NOW);
        assert_eq!(
            told(&status),
            [
                "ManagementStateDegraded True Unknown",
                "SecretsStoreConditionalStaticResourcesControllerDegraded True SyncError",
                "ConfigObservationDegraded True Error",
                "SecretsStoreDriverNodeServiceControllerDegraded True SyncError",
            ]
        );
        assert_eq!(status.conditions[1]["message"], "ClusterRole a: no\nCSIDriver b: no");
        assert_eq!(status.degraded().count(), 4);
    }

    #[test]
    fn a_driver_without_a_pod_is_not_available_and_need_not_be_progressing() {
        let rows = [
            ("no node", daemon_set(0, 0), "False Deploying", "False AsExpected"),
            ("starting", daemon_set(0, 2), "False Deploying", "True Deploying"),
            ("half", daemon_set(1, 1), "True AsExpected", "True Deploying"),
            ("not seen", json!({"metadata": {"generation": 1}}), "False Deploying", "True Deploying"),
        ];
        for (name, object, available, progressing) in rows {
            let findings = Findings { driver: Driver::Installed(&object), ..Findings::default() };
            let told = told(&next(&nothing(), findings, NOW)).join("\n");
            assert!(told.contains(&format!("Available {available}")), "{name}: {told}");
            assert!(told.contains(&format!("Progressing {progressing}")), "{name}: {told}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_last_change_of_status_and_of_nothing_else() {
        let (starting, half, done) = (daemon_set(0, 2), daemon_set(1, 1), daemon_set(2, 0));
        let findings = |object| Findings { driver: Driver::Installed(object), ..Findings::default() };
        let first = next(&nothing(), findings(&starting), NOW);
        let second = next(&first, findings(&half), LATER);
        let time = |status: &Status, suffix: &str| {
            let mut all = status.conditions.iter();
            let found = all.find(|c| c["type"].as_str().unwrap().ends_with(suffix)).unwrap();
            found["lastTransitionTime"].as_str().unwrap().to_owned()
        };
        assert_eq!(time(&second, "Available"), LATER);
        assert_eq!(time(&second, "Progressing"), NOW, "its message alone has changed");
        assert_ne!(first, second);
        let third = next(&second, findings(&done), LATER);
        assert_eq!(time(&third, "Progressing"), LATER);
        assert_eq!(next(&third, findings(&done), "2027-01-01T00:00:00Z"), third, "nothing is new");
    }

    #[test]
    fn a_status_changes_in_how_it_stands_or_in_words_or_in_figures_alone() {
        let (five, four, done) = (daemon_set(1, 5), daemon_set(1, 4), daemon_set(2, 0));
        let findings = |object| Findings {
            statics: Some(&[]),
            driver: Driver::Installed(object),
            ..Findings::default()
        };
        let before = next(&nothing(), findings(&five), NOW);
        let errors = |text: &str| vec![text.to_owned()];
        let with =
            |statics: &[String]| next(&before, Findings { statics: Some(statics), ..findings(&five) }, LATER);
        let (one, other) = (with(&errors("denied: request 17")), with(&errors("not found")));
        let change = |one: &Status, other: &Status| one.change_to(other);
        assert_eq!(change(&before, &before), None);
        assert_eq!(change(&before, &next(&before, findings(&four), LATER)), Some(Change::Figures));
        assert_eq!(change(&before, &next(&before, findings(&done), LATER)), Some(Change::Standing));
        assert_eq!(change(&before, &one), Some(Change::Standing));
        assert_eq!(change(&one, &with(&errors("denied: request 18"))), Some(Change::Figures));
        assert_eq!(change(&one, &other), Some(Change::Words));
        let mut generation = before.clone();
        generation.generations[0]["lastGeneration"] = json!(5);
        assert_eq!(change(&before, &generation), Some(Change::Standing));
        assert_eq!(change(&nothing(), &before), Some(Change::Standing));
    }

    #[test]
    fn what_nobody_looked_at_stays_and_what_is_taken_down_is_said_to_be() {
        let object = daemon_set(2, 0);
        let all = Findings { statics: Some(&[]), driver: Driver::Installed(&object), ..Findings::default() };
        let installed = next(&nothing(), all, NOW);
        let unmanaged = next(&installed, Findings::default(), LATER);
        assert_eq!(unmanaged, installed);
        let removed = next(
            &installed,
            Findings { statics: Some(&[]), driver: Driver::Removed, ..Findings::default() },
            LATER,
        );
        let told = told(&removed).join("\n");
        assert!(
            told.contains("Available False Removed") && told.contains("Progressing False Removed"),
            "{told}"
        );
        assert_eq!(removed.json()["generations"], json!([]));
    }

    #[test]
    fn what_the_object_says_is_read_as_it_was_written_whoever_wrote_the_empty_fields() {
        let object = daemon_set(2, 0);
        let all = Findings { statics: Some(&[]), driver: Driver::Installed(&object), ..Findings::default() };
        let written = next(&nothing(), all, NOW);
        let mut stored = json!({"status": written.json()});
        stored["status"]["conditions"].as_array_mut().unwrap().reverse();
        for condition in stored["status"]["conditions"].as_array_mut().unwrap() {
            condition.as_object_mut().unwrap().retain(|_, value| *value != json!(""));
        }
        stored["status"]["generations"][0].as_object_mut().unwrap().remove("hash");
        stored["status"]["conditions"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "Foreign", "status": "True"}));
        assert_eq!(Status::read(&stored), written);
    }

    #[test]
    fn an_empty_text_is_written_so_that_none_of_another_operators_stays() {
        let object = daemon_set(2, 0);
        let all = Findings { statics: Some(&[]), driver: Driver::Installed(&object), ..Findings::default() };
        let written = next(&nothing(), all, NOW);
        let mut of_another = json!({"status": written.json()});
        of_another["status"]["conditions"][1]["message"] = json!("AsExpected: of the former operator");
        of_another["status"]["generations"][0]["hash"] = json!("x");
        let before = Status::read(&of_another);
        let after = next(&before, all, LATER);
        assert_ne!(before, after, "there is something to write");
        assert_eq!(after, written);
        for condition in after.json()["conditions"].as_array().unwrap() {
            assert!(condition["reason"].is_string() && condition["message"].is_string(), "{condition}");
        }
    }

    #[test]
    fn generations_of_the_driver_that_another_operator_left_go_and_others_stay() {
        let object = daemon_set(2, 0);
        let all = Findings { statics: Some(&[]), driver: Driver::Installed(&object), ..Findings::default() };
        let (installed, removed) = (
            next(&nothing(), all, NOW),
            next(&nothing(), Findings { driver: Driver::Removed, ..Findings::default() }, NOW),
        );
        let theirs = json!({"group": "apps", "resource": "deployments", "namespace": "storage", "name": "x"});
        let with = |entries: Value| json!({"status": {"generations": entries}});
        let (ours, elsewhere) = (entry("storage", 4), entry("elsewhere", 9));
        let rows = [
            ("none", with(json!([])), &installed, None),
            ("ours", with(json!([ours, theirs])), &installed, None),
            ("elsewhere", with(json!([elsewhere, ours, theirs])), &installed, Some(vec![theirs.clone()])),
            ("after removal", with(json!([ours, theirs])), &removed, Some(vec![theirs.clone()])),
            ("no status", json!({}), &removed, None),
        ];
        for (name, object, status, expected) in rows {
            assert_eq!(status.generations_of_others(&object), expected, "{name}");
        }
    }

    #[test]
    fn without_a_csi_driver_nothing_is_available_however_many_pods_run() {
        let object = daemon_set(2, 0);
        let findings =
            Findings { driver: Driver::Installed(&object), lacks_csi_driver: true, ..Findings::default() };
        assert!(told(&next(&nothing(), findings, NOW)).join("\n").contains("Available False NoCSIDriver"));
    }
}
