//! The API server: is it there, does it trust us and we it, and is it one that this driver can work with.

use std::time::{Duration, SystemTime};

use super::finding::Finding;
use super::lapse::Lapse;
use super::subject::{NoClient, Subject, budget};
use kube::ApiError;
use kube::claims;
use kube::config::ConfigError;
use kube::error::TransportError;
use kube::look::ServerVersion;

/// Reachability, version and clock.
pub fn check(subject: &Subject) -> Vec<Finding> {
    let client = match &subject.client {
        Ok(client) => client,
        Err(why) => return vec![without_client(why)],
    };
    let server = subject.options.cluster.as_ref().map(|source| source.server().as_str().to_owned());
    let server = server.as_deref().unwrap_or_default();
    let before = SystemTime::now();
    match client.server_version(budget()) {
        Ok(version) => vec![
            Finding::good(API_SERVER, format!("{server} answers with the driver's credentials")),
            judge_version(&version),
            judge_clock(version.date, before, SystemTime::now()),
        ],
        Err(error) => vec![
            judge_failure(server, &error),
            Finding::unknown("api-version", SEE),
            Finding::unknown("clock", SEE),
        ],
    }
}

/// The token's own word on how long it lasts.
pub fn check_token(subject: &Subject) -> Vec<Finding> {
    let Ok(source) = &subject.options.cluster else {
        return vec![Finding::unknown(TOKEN, SEE)];
    };
    let Some(file) = source.token_file() else {
        return vec![Finding::warning(
            TOKEN,
            "there is none: requests to the API server are anonymous",
            "name the service account's token with --kube-token-file",
        )];
    };
    vec![match claims::expiry(file) {
        Ok(expiry) => judge_expiry(expiry, SystemTime::now()),
        Err(error) => Finding::wrong(
            TOKEN,
            format!("{} cannot be used: {error}", file.display()),
            "automountServiceAccountToken must be true in the pod and in its service account",
        ),
    }]
}

fn without_client(why: &NoClient) -> Finding {
    match why {
        NoClient::Nowhere(problem) => Finding::wrong(
            API_SERVER,
            format!("it is not known where it is: {problem}"),
            "run the doctor by kubectl exec in the driver's pod, whose environment says so, or give these flags",
        ),
        NoClient::Unusable(error @ ConfigError::Token { .. }) => Finding::wrong(
            API_SERVER,
            error.to_string(),
            "the service account's token is not mounted: automountServiceAccountToken must be true",
        ),
        NoClient::Unusable(error) => Finding::wrong(
            API_SERVER,
            error.to_string(),
            "name the cluster's certificate authority and address with --kube-ca-file and --kube-api-server; in a pod \
             kubelet puts both there",
        ),
    }
}

/// Why the server gave no answer.
fn judge_failure(server: &str, error: &ApiError) -> Finding {
    let (what, remedy) = match error {
        ApiError::Transport { error: TransportError::Connect { cause }, .. } => (
            format!("no connection to {server}: {cause}"),
            "look whether the API server runs, and whether a network policy, kube-proxy or a wrong address stands in \
             between",
        ),
        ApiError::Transport { error: TransportError::Tls { cause }, .. } => (
            format!("the certificate of {server} is not trusted: {cause}"),
            "the bundle of --kube-ca-file (in a pod: kube-root-ca.crt) must hold the authority that signed the API \
             server's certificate; something may also stand in between",
        ),
        ApiError::Transport { error: TransportError::Timeout, .. } | ApiError::OutOfTime { .. } => (
            format!("{server} gave no answer in time"),
            "the API server is overloaded, or packets are dropped on the way: look at its health and at network \
             policies",
        ),
        error if error.is_unauthorized() => (
            format!("{server} does not accept the token (HTTP 401)"),
            "the token has expired or its service account was made anew: restart the pod, and look at the clock",
        ),
        error if error.is_forbidden() => (
            format!("{server} refuses even the question for its version (HTTP 403)"),
            "let authenticated accounts have the role system:public-info-viewer, as every cluster has it by default",
        ),
        error => (
            format!("{server} does not answer as an API server does: {error}"),
            "look whether the address is that of the API server",
        ),
    };
    Finding::wrong(API_SERVER, what, remedy)
}

fn judge_version(version: &ServerVersion) -> Finding {
    let text = &version.text;
    match version.release {
        Some(release) if release >= OLDEST => Finding::good("api-version", format!("Kubernetes {text}")),
        Some(_) => Finding::warning(
            "api-version",
            format!("Kubernetes {text} is older than the driver is made for"),
            format!("upgrade to {}.{} or later", OLDEST.0, OLDEST.1),
        ),
        None => Finding::unknown("api-version", format!("the server calls itself {text}")),
    }
}

/// `before` and `after` are when the question left and the answer came; the server cuts its time to whole seconds.
fn judge_clock(server: Option<SystemTime>, before: SystemTime, after: SystemTime) -> Finding {
    let Some(server) = server else {
        return Finding::unknown("clock", "the API server does not tell its time");
    };
    let ahead = before.duration_since(server + Duration::from_secs(1)).unwrap_or_default();
    let behind = server.duration_since(after).unwrap_or_default();
    let (skew, way) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    let what = format!("this node's clock is {} {way} the API server's", Lapse(skew));
    match skew {
        skew if skew > UNUSABLE_SKEW => Finding::wrong("clock", what, SYNCHRONISE),
        skew if skew > LARGE_SKEW => Finding::warning("clock", what, SYNCHRONISE),
        _ => Finding::good("clock", "this node's clock agrees with the API server's"),
    }
}

fn judge_expiry(expiry: Option<SystemTime>, now: SystemTime) -> Finding {
    let Some(expiry) = expiry else {
        return Finding::good(TOKEN, "it does not say when it expires");
    };
    match expiry.duration_since(now) {
        Ok(left) if left < SOON => Finding::warning(
            TOKEN,
            format!("it expires in {}, and kubelet has not renewed it", Lapse(left)),
            "look at the log of kubelet on this node",
        ),
        Ok(left) => Finding::good(TOKEN, format!("it lasts another {}", Lapse(left))),
        Err(past) => Finding::wrong(
            TOKEN,
            format!("it expired {} ago", Lapse(past.duration())),
            "kubelet renews it while the pod runs: restart the pod, and look at the log of kubelet and at the clock",
        ),
    }
}

const API_SERVER: &str = "api-server";
const TOKEN: &str = "token";
const SEE: &str = "not looked at: see api-server";
/// The first release whose kubelet calls again for inline volumes as this driver needs it, and that is still tested.
const OLDEST: (u32, u32) = (1, 30);
/// Tokens are refused by then here and there.
const LARGE_SKEW: Duration = Duration::from_secs(30);
/// Certificates and tokens are not valid yet, or not any longer.
const UNUSABLE_SKEW: Duration = Duration::from_secs(300);
/// Kubelet renews a token when a fifth of its life is left, which is never this little.
const SOON: Duration = Duration::from_secs(60);
const SYNCHRONISE: &str = "let chrony or systemd-timesyncd set the clocks of all nodes";

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::finding::Verdict;
    use kube::error::Call;

    fn call() -> Box<Call> {
        let (verb, resource) = ("get", "the API server's version".to_owned());
        Box::new(Call { verb, resource, namespace: String::new(), name: String::new() })
    }

    #[test]
    fn each_way_to_fail_has_its_words_and_its_remedy() {
        let transport = |error| ApiError::Transport { call: call(), error };
        let status = |code| ApiError::from_answer(call(), code, None, b"");
        let cause = || "because".to_owned();
        let rows = [
            (
                transport(TransportError::Connect { cause: cause() }),
                "no connection to S: because",
                "network policy",
            ),
            (
                transport(TransportError::Tls { cause: cause() }),
                "certificate of S is not trusted",
                "--kube-ca-file",
            ),
            (transport(TransportError::Timeout), "S gave no answer in time", "overloaded"),
            (ApiError::OutOfTime { call: call() }, "S gave no answer in time", "overloaded"),
            (status(401), "S does not accept the token", "has expired"),
            (status(403), "S refuses even", "public-info-viewer"),
            (status(500), "S does not answer as an API server does", "address"),
        ];
        for (error, what, remedy) in rows {
            let finding = judge_failure("S", &error);
            assert!(finding.what.contains(what), "{finding:?}");
            assert!(finding.remedy.as_ref().unwrap().contains(remedy), "{finding:?}");
            assert_eq!((finding.check, finding.verdict), ("api-server", Verdict::Wrong));
        }
    }

    #[test]
    fn old_servers_are_warned_about() {
        let rows = [
            (Some((1, 29)), Verdict::Warning),
            (Some((1, 30)), Verdict::Good),
            (Some((1, 36)), Verdict::Good),
            (Some((2, 0)), Verdict::Good),
            (Some((0, 99)), Verdict::Warning),
            (None, Verdict::Unknown),
        ];
        for (release, verdict) in rows {
            let version = ServerVersion { release, text: "v".to_owned(), date: None };
            assert_eq!(judge_version(&version).verdict, verdict, "{release:?}");
        }
    }

    #[test]
    fn a_clock_is_judged_by_its_distance_either_way() {
        let server = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let second = Duration::from_secs(1);
        let rows = [
            ("the same", server, server + second, Verdict::Good),
            ("a slow answer", server - 20 * second, server + 20 * second, Verdict::Good),
            ("a little ahead", server + 31 * second, server + 31 * second, Verdict::Good),
            ("ahead", server + 32 * second, server + 32 * second, Verdict::Warning),
            ("behind", server - 31 * second, server - 31 * second, Verdict::Warning),
            ("far ahead", server + 302 * second, server + 302 * second, Verdict::Wrong),
            ("far behind", server - 301 * second, server - 301 * second, Verdict::Wrong),
        ];
        for (name, before, after, verdict) in rows {
            assert_eq!(judge_clock(Some(server), before, after).verdict, verdict, "{name}");
        }
        assert_eq!(judge_clock(None, server, server).verdict, Verdict::Unknown);
        let far = judge_clock(Some(server), server - 400 * second, server - 400 * second);
        assert!(far.what.contains("6 min behind"), "{}", far.what);
    }

    #[test]
    fn a_token_is_judged_by_what_is_left_of_it() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let rows = [
            (Some(now + Duration::from_secs(3600)), Verdict::Good, "another 60 min"),
            (Some(now + Duration::from_secs(525_588 * 60)), Verdict::Good, "another 364 days"),
            (Some(now + Duration::from_secs(59)), Verdict::Warning, "in 59 s"),
            (Some(now - Duration::from_secs(5)), Verdict::Wrong, "expired 5 s ago"),
            (None, Verdict::Good, "does not say"),
        ];
        for (expiry, verdict, what) in rows {
            let finding = judge_expiry(expiry, now);
            assert_eq!(finding.verdict, verdict, "{what}");
            assert!(finding.what.contains(what), "{finding:?}");
        }
    }
}
