//! The switches by which a test steers the reference provider, and the record of what reached it.
//!
//! `route` is the whole control endpoint as a function of path and query; it refuses to know HTTP itself, gRPC and
//! time. The endpoint has no authentication and belongs on a test cluster or a loopback address: whoever reaches
//! it decides what the pods of the node get from this provider. It hands out names, counts and versions, and
//! never a value.

use std::time::Duration;

use serde_json::json;

use base::lock::{Mutex, MutexGuard};
use base::secret::SecretString;

use super::mount::{self, Answer, MountCall, MountError, ObjectVersion, SetContents, Source, State};

/// The provider's state, shared by the control endpoint and the Mount calls.
#[derive(Debug, Default)]
pub struct Control(Mutex<Inner>);

impl Control {
    /// Everything off, nothing recorded.
    pub fn new() -> Control {
        Control::default()
    }

    /// Answers a GET of the control endpoint with an HTTP status and a body; the query comes decoded.
    ///
    /// | path | query | effect |
    /// |---|---|---|
    /// | `/rotation` | `rotated=true\|false` | fixed objects of pods mounted before are rotated |
    /// | `/validate-token-requests` | `audience=a,b,c` | calls must carry a token for each; none: no check |
    /// | `/contents` | `object=foo&value=...` | the object's contents; without `value`, its own again |
    /// | `/fail` | `code=UNAVAILABLE&times=3` | the next calls fail with that code; `times` is 1 if absent |
    /// | `/delay` | `ms=...` | every call from now on takes that much longer |
    /// | `/calls` | | JSON: number of calls, and versions and attribute keys of the last one |
    pub fn route(&self, path: &str, query: &[(String, String)]) -> (u16, String) {
        let query = Query(query);
        let result = match path {
            "/rotation" => self.rotation(&query),
            "/validate-token-requests" => Ok(self.audiences(&query)),
            "/contents" => self.contents(&query),
            "/fail" => self.fail(&query),
            "/delay" => self.delay(&query),
            "/calls" => Ok(self.calls()),
            _ => return (404, "no such switch\n".to_owned()),
        };
        match result {
            Ok(body) => (200, body),
            Err(text) => (400, format!("{text}\n")),
        }
    }

    /// Records a call as it comes in, and says what a test wants to be done with it before it is answered.
    pub fn arrive(&self, call: &MountCall<'_>, current: &[ObjectVersion]) -> Arrival {
        let attribute_keys = mount::attribute_keys(call.attributes);
        let mut inner = self.lock();
        inner.calls = inner.calls.saturating_add(1);
        inner.last_versions = current.to_vec();
        inner.last_attribute_keys = attribute_keys;
        let failure = match inner.failure {
            Some((code, times)) => {
                inner.failure = times.checked_sub(1).filter(|left| *left > 0).map(|left| (code, left));
                Some(code)
            }
            None => None,
        };
        Arrival { delay: inner.delay, failure }
    }

    /// Answers a call that arrived and is not to fail; a success makes the pod one that was mounted before.
    ///
    /// # Errors
    /// Those of [`mount::mount`].
    pub fn mount(&self, call: &MountCall<'_>, source: Source<'_>) -> Result<Answer, MountError> {
        let mut inner = self.lock();
        let answer = mount::mount(call, &inner.state, source)?;
        let pods = &mut inner.state.mounted_pods;
        if pods.len() >= MAX_PODS {
            pods.clear();
        }
        pods.insert(answer.pod_uid.clone());
        Ok(answer)
    }

    fn rotation(&self, query: &Query<'_>) -> Result<String, &'static str> {
        let rotation = match query.last("rotated") {
            Some("true") => true,
            Some("false") => false,
            _ => return Err("expected rotated=true or rotated=false"),
        };
        self.lock().state.rotation = rotation;
        Ok(format!("rotation is {}\n", if rotation { "on" } else { "off" }))
    }

    fn audiences(&self, query: &Query<'_>) -> String {
        let audiences: Vec<String> = query
            .all("audience")
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .filter(|audience| !audience.is_empty())
            .map(str::to_owned)
            .collect();
        let body = format!("audiences checked: {}\n", audiences.len());
        self.lock().state.audiences = audiences;
        body
    }

    fn contents(&self, query: &Query<'_>) -> Result<String, &'static str> {
        let object =
            query.last("object").filter(|object| !object.is_empty()).ok_or("expected object=<name>")?;
        let mut inner = self.lock();
        let Some(value) = query.last("value") else {
            inner.state.contents.remove(object);
            return Ok("contents are the object's own\n".to_owned());
        };
        if inner.state.contents.len() >= MAX_SET_OBJECTS && !inner.state.contents.contains_key(object) {
            return Err("the contents of 1024 objects are set already");
        }
        inner.set_count = inner.set_count.saturating_add(1);
        let version = format!("v{}", inner.set_count.saturating_add(LAST_FIXED_VERSION));
        let body = format!("contents are set, version {version}\n");
        let set = SetContents { value: SecretString::new(value.to_owned()), version };
        inner.state.contents.insert(object.to_owned(), set);
        Ok(body)
    }

    fn fail(&self, query: &Query<'_>) -> Result<String, &'static str> {
        let code = query
            .last("code")
            .and_then(FailureCode::named)
            .ok_or("expected code=<name of a gRPC status code other than OK>")?;
        let times = match query.last("times") {
            None => 1,
            Some(text) => text.parse::<u32>().map_err(|_| "expected times=<number of calls>")?,
        };
        self.lock().failure = Some((code, times)).filter(|(_, times)| *times > 0);
        Ok(format!("calls to fail with {}: {times}\n", code.name))
    }

    fn delay(&self, query: &Query<'_>) -> Result<String, &'static str> {
        let delay = query
            .last("ms")
            .and_then(|text| text.parse::<u64>().ok())
            .map(Duration::from_millis)
            .filter(|delay| *delay <= MAX_DELAY)
            .ok_or("expected ms=<milliseconds, at most 600000>")?;
        self.lock().delay = delay;
        Ok(format!("calls take {} ms longer\n", delay.as_millis()))
    }

    fn calls(&self) -> String {
        let inner = self.lock();
        let versions: Vec<_> = inner
            .last_versions
            .iter()
            .map(|known| json!({"id": known.id, "version": known.version}))
            .collect();
        let body = json!({
            "mounts": inner.calls,
            "current_object_version": versions,
            "attribute_keys": inner.last_attribute_keys,
        });
        format!("{body}\n")
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

/// What is to be done with a call before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// To be waited for first.
    pub delay: Duration,
    /// The code to fail with, instead of an answer.
    pub failure: Option<FailureCode>,
}

/// A gRPC status code other than OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureCode {
    /// The name in capitals, as gRPC's documents write it.
    pub name: &'static str,
    /// The number on the wire, 1 to 16.
    pub number: i32,
}

impl FailureCode {
    /// The code of that name, in capitals.
    pub fn named(name: &str) -> Option<FailureCode> {
        FAILURE_CODES.iter().find(|code| code.name == name).copied()
    }
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// How often contents were set; each time makes a new version.
    set_count: u64,
    failure: Option<(FailureCode, u32)>,
    delay: Duration,
    calls: u64,
    last_versions: Vec<ObjectVersion>,
    last_attribute_keys: Vec<String>,
}

/// A decoded query, in which a key may stand more than once.
struct Query<'a>(&'a [(String, String)]);

impl<'a> Query<'a> {
    fn all(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn last(&self, key: &str) -> Option<&'a str> {
        self.all(key).last()
    }
}

/// The fixed objects have the versions `v1` and `v2`; contents that are set begin after them.
const LAST_FIXED_VERSION: u64 = 2;

/// Pods remembered for rotation. When they are that many, all are forgotten, and count as new once more.
const MAX_PODS: usize = 10_000;

/// Objects with contents of a test's own.
const MAX_SET_OBJECTS: usize = 1024;

/// Five times kubelet's deadline; more would only look like a hang.
const MAX_DELAY: Duration = Duration::from_secs(600);

/// In the order of their numbers, from 1.
const FAILURE_CODES: [FailureCode; 16] = [
    FailureCode { name: "CANCELLED", number: 1 },
    FailureCode { name: "UNKNOWN", number: 2 },
    FailureCode { name: "INVALID_ARGUMENT", number: 3 },
    FailureCode { name: "DEADLINE_EXCEEDED", number: 4 },
    FailureCode { name: "NOT_FOUND", number: 5 },
    FailureCode { name: "ALREADY_EXISTS", number: 6 },
    FailureCode { name: "PERMISSION_DENIED", number: 7 },
    FailureCode { name: "RESOURCE_EXHAUSTED", number: 8 },
    FailureCode { name: "FAILED_PRECONDITION", number: 9 },
    FailureCode { name: "ABORTED", number: 10 },
    FailureCode { name: "OUT_OF_RANGE", number: 11 },
    FailureCode { name: "UNIMPLEMENTED", number: 12 },
    FailureCode { name: "INTERNAL", number: 13 },
    FailureCode { name: "UNAVAILABLE", number: 14 },
    FailureCode { name: "DATA_LOSS", number: 15 },
    FailureCode { name: "UNAUTHENTICATED", number: 16 },
];

#[cfg(test)]
mod tests {
    use super::*;

    const ATTRIBUTES: &str = r#"{"objects":"array:\n- objectName: foo\n","csi.storage.k8s.io/pod.uid":"uid-1","secret":"hunter2"}"#;

    fn call() -> MountCall<'static> {
        MountCall { attributes: ATTRIBUTES, secrets: "null", permission: "420", target_path: "/target" }
    }

    fn ask(control: &Control, path: &str, query: Asked<'_>) -> (u16, String) {
        let query: Vec<_> = query.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        control.route(path, &query)
    }

    type Asked<'a> = &'a [(&'a str, &'a str)];

    /// Contents and version of `foo` in the next mount.
    fn foo(control: &Control) -> (String, String) {
        let answer = control.mount(&call(), Source::Fixed).unwrap();
        let contents = String::from_utf8(answer.files[0].contents.expose().to_vec()).unwrap();
        (contents, answer.versions[0].version.clone())
    }

    fn pair(contents: &str, version: &str) -> (String, String) {
        (contents.into(), version.into())
    }

    #[test]
    fn rotation_begins_with_the_second_mount_of_a_pod_and_can_be_switched_back() {
        let control = Control::new();
        assert_eq!(ask(&control, "/rotation", &[("rotated", "true")]), (200, "rotation is on\n".into()));
        assert_eq!(foo(&control), pair("secret", "v1"));
        assert_eq!(foo(&control), pair("rotated", "v2"));
        assert_eq!(ask(&control, "/rotation", &[("rotated", "false")]), (200, "rotation is off\n".into()));
        assert_eq!(foo(&control), pair("secret", "v1"));
    }

    #[test]
    fn a_mount_that_fails_does_not_count_as_the_pods_first() {
        let control = Control::new();
        ask(&control, "/rotation", &[("rotated", "true")]);
        let broken = MountCall { target_path: "", ..call() };
        assert_eq!(control.mount(&broken, Source::Fixed), Err(MountError::NoTargetPath));
        assert_eq!(foo(&control), pair("secret", "v1"));
    }

    #[test]
    fn audiences_are_split_at_commas_and_an_empty_list_ends_the_check() {
        let control = Control::new();
        let list = "aud1, sts.amazonaws.com,,api://AzureADTokenExchange";
        let (status, body) = ask(&control, "/validate-token-requests", &[("audience", list)]);
        assert_eq!((status, body.as_str()), (200, "audiences checked: 3\n"));
        assert_eq!(control.mount(&call(), Source::Fixed), Err(MountError::NoTokens));
        ask(&control, "/validate-token-requests", &[("audience", "")]);
        assert_eq!(foo(&control), pair("secret", "v1"));
    }

    #[test]
    fn contents_that_are_set_get_a_new_version_each_time_and_can_be_taken_back() {
        let control = Control::new();
        assert_eq!(ask(&control, "/contents", &[("object", "foo"), ("value", "a&b")]).0, 200);
        assert_eq!(foo(&control), pair("a&b", "v3"));
        let (_, body) = ask(&control, "/contents", &[("object", "foo"), ("value", "")]);
        assert_eq!(body, "contents are set, version v4\n");
        assert_eq!(foo(&control), pair("", "v4"));
        ask(&control, "/contents", &[("object", "foo")]);
        assert_eq!(foo(&control), pair("secret", "v1"));
    }

    #[test]
    fn the_number_of_objects_with_set_contents_is_bounded() {
        let control = Control::new();
        let set = |name: &str| ask(&control, "/contents", &[("object", name), ("value", "x")]).0;
        for index in 0..MAX_SET_OBJECTS {
            assert_eq!(set(&index.to_string()), 200);
        }
        assert_eq!(set("one more"), 400);
        assert_eq!(set("0"), 200);
    }

    #[test]
    fn exactly_the_next_calls_fail() {
        let control = Control::new();
        let failures = |control: &Control| {
            let arrivals: Vec<_> = (0..4).map(|_| control.arrive(&call(), &[]).failure).collect();
            arrivals.into_iter().map(|failure| failure.map(|code| code.number)).collect::<Vec<_>>()
        };
        assert_eq!(ask(&control, "/fail", &[("code", "UNAVAILABLE"), ("times", "3")]).0, 200);
        assert_eq!(failures(&control), [Some(14), Some(14), Some(14), None]);
        ask(&control, "/fail", &[("code", "INTERNAL")]);
        assert_eq!(failures(&control), [Some(13), None, None, None]);
        ask(&control, "/fail", &[("code", "INTERNAL"), ("times", "5")]);
        ask(&control, "/fail", &[("code", "INTERNAL"), ("times", "0")]);
        assert_eq!(failures(&control), [None; 4]);
    }

    #[test]
    fn a_delay_stays_until_it_is_changed() {
        let control = Control::new();
        ask(&control, "/delay", &[("ms", "1500")]);
        assert_eq!(control.arrive(&call(), &[]).delay, Duration::from_millis(1500));
        assert_eq!(control.arrive(&call(), &[]).delay, Duration::from_millis(1500));
        ask(&control, "/delay", &[("ms", "0")]);
        assert_eq!(control.arrive(&call(), &[]).delay, Duration::ZERO);
    }

    #[test]
    fn calls_tell_counts_keys_and_versions_of_the_last_call_and_no_value() {
        let control = Control::new();
        let none = r#"{"attribute_keys":[],"current_object_version":[],"mounts":0}"#;
        assert_eq!(ask(&control, "/calls", &[]), (200, format!("{none}\n")));
        let known = ObjectVersion { id: "secret/foo".into(), version: "v1".into() };
        control.arrive(&call(), &[known.clone(), known.clone()]);
        control.arrive(&call(), &[known]);
        let (_, body) = ask(&control, "/calls", &[]);
        assert_eq!(
            body,
            concat!(
                r#"{"attribute_keys":["csi.storage.k8s.io/pod.uid","objects","secret"],"#,
                r#""current_object_version":[{"id":"secret/foo","version":"v1"}],"mounts":2}"#,
                "\n"
            )
        );
        control.arrive(&MountCall { attributes: "hunter2", ..call() }, &[]);
        assert!(ask(&control, "/calls", &[]).1.contains(r#""attribute_keys":[]"#));
    }

    #[test]
    fn a_wrong_request_changes_nothing_and_says_what_was_expected() {
        let control = Control::new();
        let table: [(&str, Asked<'_>, u16, &str); 12] = [
            ("/", &[], 404, "no such switch\n"),
            ("/rotation/", &[("rotated", "true")], 404, "no such switch\n"),
            ("/rotation", &[], 400, "expected rotated=true or rotated=false\n"),
            ("/rotation", &[("rotated", "yes")], 400, "expected rotated=true or rotated=false\n"),
            ("/contents", &[("value", "x")], 400, "expected object=<name>\n"),
            ("/contents", &[("object", ""), ("value", "x")], 400, "expected object=<name>\n"),
            ("/fail", &[], 400, "expected code=<name of a gRPC status code other than OK>\n"),
            ("/fail", &[("code", "OK")], 400, "expected code=<name of a gRPC status code other than OK>\n"),
            ("/fail", &[("code", "ABORTED"), ("times", "-1")], 400, "expected times=<number of calls>\n"),
            ("/delay", &[], 400, "expected ms=<milliseconds, at most 600000>\n"),
            ("/delay", &[("ms", "600001")], 400, "expected ms=<milliseconds, at most 600000>\n"),
            ("/delay", &[("ms", "1.5")], 400, "expected ms=<milliseconds, at most 600000>\n"),
        ];
        for (path, query, status, text) in table {
            assert_eq!(ask(&control, path, query), (status, text.to_owned()), "{path} {query:?}");
        }
        let untouched = control.arrive(&call(), &[]);
        assert_eq!(untouched, Arrival { delay: Duration::ZERO, failure: None });
        assert_eq!(foo(&control), pair("secret", "v1"));
        assert_eq!(foo(&control), pair("secret", "v1"));
    }

    #[test]
    fn the_failure_codes_are_numbered_from_one() {
        let numbers: Vec<i32> = FAILURE_CODES.iter().map(|code| code.number).collect();
        assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_printed_about_the_state_shows_contents_that_were_set() {
        let control = Control::new();
        ask(&control, "/contents", &[("object", "foo"), ("value", "hunter2")]);
        assert!(!format!("{control:?}").contains("hunter2"));
    }
}
