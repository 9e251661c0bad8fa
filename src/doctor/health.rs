//! What the running driver says of its health and in its metrics.

use std::time::Duration;

use super::finding::Finding;
use super::lapse::Lapse;
use super::page;
use super::subject::{ANSWER_TIME, Subject};
use config::{BindAddress, Rotation};

/// `/healthz` and `/readyz`.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let own = &subject.options.health_addr;
    let address = match own.as_str() {
        "" | "0" => subject.config().metrics_addr.clone(),
        text => BindAddress::parse(text),
    };
    let Some(address) = address else {
        let what = "neither --metrics-addr nor --health-addr names a listener: kubelet has nothing to probe";
        return vec![Finding::unknown("healthz", what)];
    };
    if address.port() == 0 {
        return vec![Finding::unknown("healthz", CHOSEN)];
    }
    ["healthz", "readyz"]
        .into_iter()
        .map(|name| judge_health(name, &address, page::get(&address, &format!("/{name}"), ANSWER_TIME)))
        .collect()
}

/// `/metrics`, and what stands there.
pub fn check_metrics(subject: &Subject) -> Vec<Finding> {
    let Some(address) = &subject.config().metrics_addr else {
        return vec![Finding::unknown(METRICS, "--metrics-addr=0: there are none")];
    };
    if address.port() == 0 {
        return vec![Finding::unknown(METRICS, CHOSEN)];
    }
    match page::get(address, "/metrics", ANSWER_TIME) {
        Ok((200, metrics)) => judge_metrics(&metrics, address, subject.config().rotation),
        Ok((code, _)) => {
            let what = format!("{} answers HTTP {code}", address.listen_addr());
            vec![Finding::wrong(METRICS, what, "look at what listens there, and at --metrics-addr")]
        }
        Err(error) => vec![Finding::wrong(METRICS, format!("{}: {error}", address.listen_addr()), LISTENER)],
    }
}

fn judge_health(name: &'static str, address: &BindAddress, answer: Result<(u16, String), String>) -> Finding {
    match answer {
        Ok((200, _)) => Finding::good(name, "ok"),
        Ok((code, body)) => {
            let told: String = body.trim().chars().take(LONGEST_WORDS).collect();
            let remedy = match name {
                "readyz" => "it waits for what it names: see api-server, and the driver's log",
                _ => "the driver is stuck, and kubelet restarts it: look at its log",
            };
            Finding::wrong(name, format!("HTTP {code}: {told}"), remedy)
        }
        Err(error) => Finding::wrong(name, format!("{}: {error}", address.listen_addr()), LISTENER),
    }
}

fn judge_metrics(metrics: &str, address: &BindAddress, rotation: Rotation) -> Vec<Finding> {
    let value = |family: &str| value(metrics, family);
    let live = value("secrets_store_csi_live_volumes");
    let Some(live) = live else {
        let what = format!("{} serves others' metrics, or an older driver's", address.listen_addr());
        return vec![Finding::unknown(METRICS, what)];
    };
    let mut found = vec![Finding::good(METRICS, format!("{live} live volumes"))];
    found.push(judge_failing(value("secrets_store_csi_failing_volumes").unwrap_or_default()));
    found.push(judge_staleness(value("secrets_store_csi_stalest_refresh_age_seconds"), live, rotation));
    let memory =
        ["used", "kept_free", "limit"].map(|what| value(&format!("secrets_store_csi_memory_{what}_bytes")));
    found.push(judge_memory(memory));
    found.extend(value("secrets_store_csi_sync_permitted").map(judge_sync));
    found.extend(value("secrets_store_csi_kubelet_registered").map(judge_registered));
    found
}

fn judge_failing(failing: f64) -> Finding {
    const FAILING: &str = "failing-volumes";
    if failing > 0.0 {
        return Finding::wrong(
            FAILING,
            format!("{failing} volumes could not be refreshed the last time; their pods keep what they have"),
            "kubectl describe pod shows a Warning event with the reason; see also provider",
        );
    }
    Finding::good(FAILING, "every volume's last refresh succeeded")
}

fn judge_staleness(age: Option<f64>, live: f64, rotation: Rotation) -> Finding {
    const REFRESH: &str = "refresh-age";
    let Rotation::Every(interval) = rotation else {
        return Finding::good(REFRESH, "nothing is refreshed: --enable-secret-rotation is not given");
    };
    let Some(age) = age.filter(|_| live > 0.0) else {
        return Finding::good(REFRESH, "no volume waits for a refresh");
    };
    let due = interval.as_secs_f64() * SPREAD + KUBELETS_TURN.as_secs_f64();
    let since = Lapse(Duration::try_from_secs_f64(age).unwrap_or(Duration::MAX));
    let what =
        format!("the stalest volume was refreshed {since} ago, every {} is asked for", Lapse(interval));
    if age > due {
        return Finding::warning(
            REFRESH,
            what,
            "kubelet calls about every 75 seconds: see csidriver-republish, failing-volumes and kubelet's log",
        );
    }
    Finding::good(REFRESH, what)
}

/// Used, kept free and the limit, in bytes.
fn judge_memory(memory: [Option<f64>; 3]) -> Finding {
    const MEMORY: &str = "memory";
    let [Some(used), Some(kept_free), Some(limit)] = memory else {
        return Finding::good(MEMORY, "nothing limits the memory of volumes but the node's");
    };
    let mib = |bytes: f64| bytes / 1_048_576.0;
    let what = format!(
        "{:.0} MiB of {:.0} MiB are in use, and {:.0} MiB are kept free for refreshes",
        mib(used),
        mib(limit),
        mib(kept_free)
    );
    if used > (limit - kept_free) * SHORT_OF_MEMORY {
        return Finding::warning(
            MEMORY,
            what,
            "further volumes will be refused: raise the memory limit of the driver's container, or mount less on this \
             node; what an earlier container has left goes when the driver's pod is deleted",
        );
    }
    Finding::good(MEMORY, what)
}

fn judge_sync(permitted: f64) -> Finding {
    if permitted > 0.0 {
        return Finding::good("sync-permitted", "no class asks for a Secret in vain");
    }
    Finding::wrong(
        "sync-permitted",
        "a class of this node asks for Secrets, which the service account may not write",
        "kubectl apply -f deploy/rbac-secretprovidersyncing.yaml (chart: syncSecret.enabled=true), or take \
         secretObjects out of the class",
    )
}

fn judge_registered(registered: f64) -> Finding {
    if registered > 0.0 {
        return Finding::good("kubelet-registered", "kubelet has told the driver that it is registered");
    }
    Finding::wrong(
        "kubelet-registered",
        "kubelet has not registered the driver: pods end with \"not found in the list of registered CSI drivers\"",
        "the driver's log has kubelet's reason; look at --kubelet-registration-dir and --kubelet-registration-path",
    )
}

/// The value of a family's one series.
fn value(metrics: &str, family: &str) -> Option<f64> {
    let rest = metrics
        .lines()
        .find_map(|line| line.strip_prefix(family).filter(|rest| rest.starts_with(['{', ' '])))?;
    rest.rsplit(' ').next()?.parse().ok()
}

const METRICS: &str = "metrics";
const CHOSEN: &str = "the port is chosen by the kernel: name the one that the log tells with --metrics-addr";
const LISTENER: &str =
    "look whether the driver runs with this address, and whether another process took the port";
/// Of a peer's words.
const LONGEST_WORDS: usize = 300;
/// From this part of what volumes may have on, it is time to act.
const SHORT_OF_MEMORY: f64 = 0.8;
/// Refreshes are spread by up to a tenth of the interval.
const SPREAD: f64 = 1.1;
/// Kubelet comes by about every 75 seconds, later under load; three of its turns are plenty.
const KUBELETS_TURN: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    const PAGE: &str = "# HELP secrets_store_csi_live_volumes x\n# TYPE secrets_store_csi_live_volumes gauge\n\
                        secrets_store_csi_live_volumes 3\nsecrets_store_csi_live_volumes_more 9\n\
                        secrets_store_csi_failing_volumes{a=\"b c\"} 1\nsecrets_store_csi_stalest_refresh_age_seconds 500\n";

    fn address() -> BindAddress {
        BindAddress::parse("127.0.0.1:8095").unwrap()
    }

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        assert_eq!(value(PAGE, "secrets_store_csi_live_volumes"), Some(3.0));
        assert_eq!(value(PAGE, "secrets_store_csi_failing_volumes"), Some(1.0));
        assert_eq!(value(PAGE, "secrets_store_csi_live"), None);
    }

    #[test]
    fn what_the_metrics_say_has_its_lines() {
        let every = Rotation::Every(Duration::from_secs(120));
        let lines = |page: &str, rotation| -> Vec<(&'static str, Verdict)> {
            let found = judge_metrics(page, &address(), rotation);
            found.iter().map(|finding| (finding.check, finding.verdict)).collect()
        };
        let expected = [
            ("metrics", Verdict::Good),
            ("failing-volumes", Verdict::Wrong),
            ("refresh-age", Verdict::Warning),
            ("memory", Verdict::Good),
        ];
        assert_eq!(lines(PAGE, every), expected);
        let more =
            format!("{PAGE}secrets_store_csi_sync_permitted 0\nsecrets_store_csi_kubelet_registered 0\n");
        let both = [("sync-permitted", Verdict::Wrong), ("kubelet-registered", Verdict::Wrong)];
        assert_eq!(lines(&more, every)[4..], both);
        let more = more.replace(" 0\n", " 1\n");
        let both = [("sync-permitted", Verdict::Good), ("kubelet-registered", Verdict::Good)];
        assert_eq!(lines(&more, every)[4..], both);
        assert_eq!(lines("up 1\n", every), [("metrics", Verdict::Unknown)]);
    }

    #[test]
    fn memory_is_short_from_four_fifths_of_what_volumes_may_have() {
        let rows = [
            ([Some(121.0), Some(48.0), Some(200.0)], Verdict::Good),
            ([Some(122.0), Some(48.0), Some(200.0)], Verdict::Warning),
            ([None, None, None], Verdict::Good),
        ];
        for (memory, verdict) in rows {
            assert_eq!(judge_memory(memory).verdict, verdict, "{memory:?}");
        }
    }

    #[test]
    fn a_volume_is_stale_when_it_is_later_than_spread_and_kubelet_explain() {
        let every = Rotation::Every(Duration::from_secs(100));
        let rows = [
            (Some(410.0), 1.0, every, Verdict::Good),
            (Some(411.0), 1.0, every, Verdict::Warning),
            (Some(411.0), 0.0, every, Verdict::Good),
            (Some(9999.0), 1.0, Rotation::Off, Verdict::Good),
            (None, 1.0, every, Verdict::Good),
        ];
        for (age, live, rotation, verdict) in rows {
            assert_eq!(judge_staleness(age, live, rotation).verdict, verdict, "{age:?} {live} {rotation:?}");
        }
    }

    #[test]
    fn who_is_not_well_says_so() {
        let rows = [
            (Ok((200, "ok".to_owned())), Verdict::Good),
            (Ok((503, "waiting for the API server\n".to_owned())), Verdict::Wrong),
            (Err("Connection refused".to_owned()), Verdict::Wrong),
        ];
        for (answer, verdict) in rows {
            assert_eq!(judge_health("readyz", &address(), answer).verdict, verdict);
        }
    }
}
