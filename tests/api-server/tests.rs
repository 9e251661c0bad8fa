//! What the double promises and no client test looks at: watches, selectors, patches, deletion, odd requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ApiServer, Matcher, Settings};

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends one request and returns status and body, chunks put together.
fn ask(server: &ApiServer, method: &str, target: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    if !head.contains("chunked") {
        return (code, body.to_owned());
    }
    let lines = body.split("\r\n").skip(1).step_by(2);
    (code, lines.collect())
}

fn pod(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "team", "labels": labels}, "spec": {"nodeName": "n1"},
    })
}

fn names(list: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(list).unwrap();
    let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn lists_honour_selectors_and_namespaces() {
    let server = ApiServer::start();
    server.put(pod("a", json!({"app": "x"})));
    server.put(pod("b", json!({"app": "y", "beta": ""})));
    let table = [
        ("all", "/api/v1/pods", vec!["a", "b"]),
        ("a namespace", "/api/v1/namespaces/team/pods", vec!["a", "b"]),
        ("another namespace", "/api/v1/namespaces/other/pods", vec![]),
        ("a label", "/api/v1/pods?labelSelector=app%3Dx", vec!["a"]),
        ("not a label", "/api/v1/pods?labelSelector=app!=x", vec!["b"]),
        ("a label's presence", "/api/v1/pods?labelSelector=beta,app", vec!["b"]),
        ("a label's absence", "/api/v1/pods?labelSelector=!beta", vec!["a"]),
        ("a name", "/api/v1/pods?fieldSelector=metadata.name%3Db", vec!["b"]),
        ("a node", "/api/v1/pods?fieldSelector=spec.nodeName=n1", vec!["a", "b"]),
    ];
    for (name, target, found) in table {
        let (code, body) = ask(&server, "GET", target, "", "");
        assert_eq!((code, names(&body)), (200, found.iter().map(ToString::to_string).collect()), "{name}");
    }
}

#[test]
fn a_watch_tells_changes_and_deletions_and_ends_in_time() {
    let server = ApiServer::start();
    let first = server.put(pod("a", json!({})));
    let from = first["metadata"]["resourceVersion"].as_str().unwrap();
    server.put(pod("b", json!({"app": "x"})));
    server.put(pod("b", json!({"app": "x", "new": "1"})));
    server.put(pod("ignored", json!({})));
    server.delete("/api/v1/namespaces/team/pods/b");
    let target = format!("/api/v1/pods?watch=1&timeoutSeconds=0&labelSelector=app=x&resourceVersion={from}");
    let (code, body) = ask(&server, "GET", &target, "", "");
    let kinds: Vec<String> = body
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((code, kinds), (200, ["ADDED", "MODIFIED", "DELETED"].map(str::to_owned).to_vec()));
    assert_eq!(server.count("watch", "/api/v1/pods"), 1);
}

#[test]
fn a_watch_hears_what_happens_while_it_waits() {
    let server = ApiServer::start();
    std::thread::scope(|scope| {
        let target = "/api/v1/pods?watch=true&timeoutSeconds=1";
        let watch = scope.spawn(|| ask(&server, "GET", target, "", ""));
        assert!(server.wait(PATIENCE, |server| server.count("watch", "pods") == 1));
        let mut number = 0;
        while !watch.is_finished() {
            server.put(pod(&format!("p{number}"), json!({})));
            number += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(watch.join().unwrap().1.contains("\"ADDED\""));
    });
}

#[test]
fn a_watch_from_a_forgotten_version_is_told_so() {
    let server = ApiServer::start();
    for number in 0..5000 {
        server.put(pod("a", json!({"n": number.to_string()})));
    }
    let (_, body) = ask(&server, "GET", "/api/v1/pods?watch=1&resourceVersion=1001", "", "");
    let line: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&line["type"], &line["object"]["code"]), (&json!("ERROR"), &json!(410)));
}

#[test]
fn a_merge_patch_merges_and_respects_the_version() {
    let server = ApiServer::start();
    server.put(pod("a", json!({"app": "x", "old": "1"})));
    let (path, merge) = ("/api/v1/namespaces/team/pods/a", "Content-Type: application/merge-patch+json\r\n");
    let patch = json!({"metadata": {"labels": {"old": null, "new": "1"}}}).to_string();
    assert_eq!(ask(&server, "PATCH", path, merge, &patch).0, 200);
    assert_eq!(server.get(path).unwrap()["metadata"]["labels"], json!({"app": "x", "new": "1"}));
    let stale = json!({"metadata": {"resourceVersion": "1", "labels": null}}).to_string();
    assert_eq!(ask(&server, "PATCH", path, merge, &stale).0, 409);
    assert_eq!(ask(&server, "PATCH", path, "", "{}").0, 415);
}

#[test]
fn objects_go_when_told_and_when_their_owners_are_gone() {
    let server = ApiServer::start();
    let owner = server.put(pod("owner", json!({})));
    let mut owned = pod("owned", json!({}));
    owned["metadata"]["ownerReferences"] = json!([{"uid": owner["metadata"]["uid"]}]);
    server.put(owned);
    assert_eq!(server.collect_garbage(), 0);
    let path = "/api/v1/namespaces/team/pods/owner";
    let other = json!({"preconditions": {"uid": "other"}}).to_string();
    assert_eq!(ask(&server, "DELETE", path, "", &other).0, 409);
    assert_eq!(ask(&server, "DELETE", path, "", "").0, 200);
    assert_eq!(ask(&server, "DELETE", path, "", "").0, 404);
    assert_eq!(server.collect_garbage(), 1);
}

#[test]
fn bad_objects_get_the_servers_own_words() {
    let server = ApiServer::start();
    let pods = "/api/v1/namespaces/team/pods";
    let named = |name: &str| json!({"metadata": {"name": name}}).to_string();
    let table = [
        ("no name", named(""), 422, "name or generateName is required"),
        ("a bad name", named("A"), 422, "a lowercase RFC 1123 subdomain must consist of"),
        ("a long name", named(&"a".repeat(254)), 422, "must be no more than 253 characters"),
        (
            "another namespace",
            json!({"metadata": {"name": "a", "namespace": "b"}}).to_string(),
            400,
            "does not match",
        ),
        ("not JSON", "{".to_owned(), 400, "unrecognized"),
        (
            "another version",
            json!({"apiVersion": "v2", "metadata": {"name": "a"}}).to_string(),
            400,
            "cannot be handled as a Pod",
        ),
    ];
    for (name, body, code, text) in table {
        let (answered, message) = ask(&server, "POST", pods, "", &body);
        assert!(answered == code && message.contains(text), "{name}: {answered} {message}");
    }
    assert_eq!(ask(&server, "PUT", &format!("{pods}/a"), "", &named("b")).0, 400);
    assert_eq!(ask(&server, "PUT", &format!("{pods}/a"), "", &named("a")).0, 404);
    assert_eq!(ask(&server, "BREW", pods, "", "").0, 405);
    assert_eq!(ask(&server, "GET", "/nothing", "", ""), (404, "404 page not found\n".to_owned()));
    assert_eq!(ask(&server, "GET", "/readyz", "", ""), (200, "ok".to_owned()));
}

#[test]
fn a_token_is_required_where_one_is_set_and_never_recorded() {
    let server = ApiServer::with(Settings { tls: false, token: Some("t0ken".to_owned()) });
    let path = "/api/v1/namespaces/team/pods";
    assert_eq!(ask(&server, "GET", path, "", "").0, 401);
    assert_eq!(ask(&server, "GET", path, "Authorization: Bearer other\r\n", "").0, 401);
    assert_eq!(ask(&server, "GET", path, "Authorization: Bearer t0ken\r\n", "").0, 200);
    assert!(!format!("{:?}", server.requests()).contains("t0ken"));
}

#[test]
fn a_fault_meets_the_requests_it_is_meant_for() {
    let server = ApiServer::start();
    server.fail_next(1, Matcher::verb("list").and_path("pods"), 503, Some(2));
    assert_eq!(ask(&server, "GET", "/api/v1/secrets", "", "").0, 200);
    assert_eq!(ask(&server, "GET", "/api/v1/pods", "", "").0, 503);
    assert_eq!(ask(&server, "GET", "/api/v1/pods", "", "").0, 200);
    server.fail_always(Matcher::path("secrets"), 403);
    let (code, body) = ask(&server, "GET", "/api/v1/secrets", "", "");
    assert!(code == 403 && body.contains("cannot list resource"), "{body}");
    server.clear_faults();
    assert_eq!(ask(&server, "GET", "/api/v1/secrets", "", "").0, 200);
}

#[test]
fn a_chunked_body_is_understood() {
    let server = ApiServer::start();
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    let body = "{\"metadata\": {\"name\": \"a\"}}";
    let (one, two) = body.split_at(10);
    let chunks = format!("a\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", two.len());
    let head = "POST /api/v1/namespaces/team/pods HTTP/1.1\r\nConnection: close\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    stream.write_all((head.to_owned() + &chunks).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(server.get("/api/v1/namespaces/team/pods/a").is_some());
}

#[test]
fn what_is_denied_is_forbidden_until_it_is_allowed() {
    let server = ApiServer::start();
    server.deny("list", "secrets");
    server.deny("*", "events");
    let (code, body) = ask(&server, "GET", "/api/v1/secrets", "", "");
    let user = "system:serviceaccount:kube-system:secrets-store-csi-driver";
    let message = format!(
        "secrets is forbidden: User \"{user}\" cannot list resource \"secrets\" in API group \"\" at the \
         cluster scope"
    );
    assert_eq!((code, &status(&body)["message"]), (403, &json!(message)));
    let events = "/api/v1/namespaces/team/events";
    for (method, target, code) in [
        ("GET", "/api/v1/secrets?watch=1&timeoutSeconds=0", 200),
        ("GET", "/api/v1/pods", 200),
        ("GET", events, 403),
        ("POST", events, 403),
        ("GET", "/api/v1/events?watch=1", 403),
    ] {
        assert_eq!(ask(&server, method, target, "", "{}").0, code, "{method} {target}");
    }
    server.allow("list", "secrets");
    assert_eq!(ask(&server, "GET", "/api/v1/secrets", "", "").0, 200);
}

#[test]
fn a_forgotten_history_expires_watches_versions_and_tokens() {
    let server = ApiServer::start();
    let old = server.put(pod("a", json!({})))["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    server.put(pod("b", json!({})));
    server.put(pod("c", json!({})));
    let (_, first) = ask(&server, "GET", "/api/v1/pods?limit=1", "", "");
    let token = status(&first)["metadata"]["continue"].as_str().unwrap().to_owned();
    server.delete("/api/v1/namespaces/team/pods/b");
    server.forget_history();

    let (_, body) = ask(&server, "GET", &format!("/api/v1/pods?watch=1&resourceVersion={old}"), "", "");
    assert_eq!(status(&body)["object"]["reason"], "Expired");
    let (code, body) = ask(&server, "GET", &format!("/api/v1/pods?limit=1&resourceVersion={old}"), "", "");
    let message = "The resourceVersion for the provided list is too old.";
    assert_eq!((code, &status(&body)["message"]), (410, &json!(message)));
    let (code, body) = ask(&server, "GET", &format!("/api/v1/pods?limit=9&continue={token}"), "", "");
    let message = status(&body)["message"].as_str().unwrap().to_owned();
    assert!(code == 410 && message.starts_with("The provided continue parameter is too old"), "{body}");
    // What the refusal offers goes on with the latest version.
    let token = status(&body)["metadata"]["continue"].as_str().unwrap().to_owned();
    let (code, body) = ask(&server, "GET", &format!("/api/v1/pods?limit=9&continue={token}"), "", "");
    assert_eq!((code, names(&body)), (200, vec!["c".to_owned()]));
    let latest = status(&body)["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let target = format!("/api/v1/pods?watch=1&timeoutSeconds=0&resourceVersion={latest}");
    assert_eq!(ask(&server, "GET", &target, "", ""), (200, String::new()));
}

#[test]
fn a_watch_that_runs_survives_a_forgotten_history_gets_bookmarks_and_can_be_ended() {
    let server = ApiServer::start();
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let target = "/api/v1/pods?watch=1&allowWatchBookmarks=true&resourceVersion=1000";
    write!(stream, "GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut event = || status(&lines.by_ref().find(|line| line.starts_with('{')).unwrap());
    for name in ["a", "b"] {
        server.put(pod(name, json!({})));
        assert_eq!(event()["object"]["metadata"]["name"], name);
        server.forget_history();
    }
    server.send_bookmarks();
    let object = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "1002"}});
    assert_eq!(event(), json!({"type": "BOOKMARK", "object": object}));
    server.end_watches();
    assert_eq!(lines.find(|line| line.starts_with('{')), None);
}

#[test]
fn what_a_test_puts_has_the_manager_that_it_names() {
    let server = ApiServer::start();
    server.put_as("kubectl", pod("a", json!({"app": "x"})));
    let labelled = server.put(pod("a", json!({"app": "y"})));
    let managers: Vec<&str> = labelled["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["kubectl", "test"]);
}

fn status(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}
