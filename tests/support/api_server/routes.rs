//! From a request to an answer: paths, verbs, and the checks that every object passes.

use serde_json::{Value, json};

use super::selector::Selector;
use super::status::{self, About, Answer};
use super::store::{Key, Store, is_custom, kind};

/// A parsed request line with its body.
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// A resource path taken apart; parts that are not there are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub plural: String,
    pub name: String,
    pub subresource: String,
}

impl Place {
    /// The object's key; `None` for a collection.
    pub fn key(&self) -> Option<Key> {
        let Place { group, namespace, plural, name, .. } = self;
        (!name.is_empty()).then(|| (group.clone(), plural.clone(), namespace.clone(), name.clone()))
    }

    fn about(&self) -> About<'_> {
        About { group: &self.group, plural: &self.plural, name: &self.name }
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

impl Request {
    /// The verb as access rules name it.
    pub fn verb(&self) -> &'static str {
        let is_collection = place(&self.path).is_some_and(|place| place.name.is_empty());
        match self.method.as_str() {
            "GET" | "HEAD" if is_collection && self.is_watch() => "watch",
            "GET" | "HEAD" if is_collection => "list",
            "GET" | "HEAD" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "other",
        }
    }

    /// Whether the answer is a stream of changes.
    pub fn is_watch(&self) -> bool {
        matches!(self.parameter("watch").as_str(), "1" | "true")
    }

    /// A parameter of the query, decoded; empty when absent.
    pub fn parameter(&self, name: &str) -> String {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map_or_else(String::new, |(_, value)| decoded(value))
    }

    /// The selectors of the query.
    pub fn selector(&self) -> Selector {
        Selector::new(&self.parameter("labelSelector"), &self.parameter("fieldSelector"))
    }
}

/// The resource path taken apart; `None` for every other path.
pub fn place(path: &str) -> Option<Place> {
    let decoded: Vec<String> = path.strip_prefix('/')?.split('/').map(decoded).collect();
    let steps: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (group, version, rest) = match steps.as_slice() {
        ["api", "v1", rest @ ..] => ("", "v1", rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, subresource] => (*plural, *name, *subresource),
        _ => return None,
    };
    let owned = str::to_owned;
    Some(Place {
        group: owned(group),
        version: owned(version),
        namespace: owned(namespace),
        plural: owned(plural),
        name: owned(name),
        subresource: owned(subresource),
    })
}

/// Carries the request out. A watch is not answered here.
pub fn answer(store: &mut Store, request: &Request) -> Answer {
    let Some(place) = place(&request.path) else {
        return information(&request.path);
    };
    if !store.serves(&place.plural) {
        return status::page_not_found();
    }
    if !place.subresource.is_empty() {
        return status::no_such_resource();
    }
    match (request.method.as_str(), place.key()) {
        ("GET", Some(key)) => match store.get(&key) {
            Some(object) => Answer::json(200, object),
            None => place.about().not_found(),
        },
        ("GET", None) => list(store, &place, &request.selector()),
        ("POST", None) => create(store, &place, &request.body),
        ("PUT", Some(key)) => update(store, &place, key, &request.body),
        ("PATCH", Some(key)) => patch(store, &place, key, request),
        ("DELETE", Some(key)) => delete(store, &place, &key, &request.body),
        _ => status::method_not_allowed(),
    }
}

fn information(path: &str) -> Answer {
    match path {
        "/version" => Answer::json(200, &json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0"})),
        "/readyz" | "/livez" | "/healthz" => Answer::text(200, "ok"),
        _ => status::page_not_found(),
    }
}

fn list(store: &Store, place: &Place, selector: &Selector) -> Answer {
    let objects = store.list(&place.group, &place.plural, &place.namespace);
    let items: Vec<&Value> = objects.filter(|object| selector.selects(object)).collect();
    Answer::json(
        200,
        &json!({
            "kind": format!("{}List", kind(&place.plural)),
            "apiVersion": place.api_version(),
            "metadata": {"resourceVersion": store.version().to_string()},
            "items": items,
        }),
    )
}

fn create(store: &mut Store, place: &Place, body: &[u8]) -> Answer {
    let mut object = match parsed(place, body) {
        Ok(object) => object,
        Err(answer) => return answer,
    };
    let mut name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
    if name.is_empty() {
        let prefix = object["metadata"]["generateName"].as_str().unwrap_or("");
        if !prefix.is_empty() {
            name = format!("{prefix}{:05x}", store.version());
            object["metadata"]["name"] = json!(name);
        }
    }
    let named = Place { name: name.clone(), ..place.clone() };
    if let Some(answer) = problem(&named, &object) {
        return answer;
    }
    if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
        return status::bad_request("resourceVersion should not be set on objects to be created");
    }
    let key = (place.group.clone(), place.plural.clone(), place.namespace.clone(), name);
    if store.get(&key).is_some() {
        return named.about().already_exists();
    }
    Answer::json(201, &store.create(key, object))
}

fn update(store: &mut Store, place: &Place, key: Key, body: &[u8]) -> Answer {
    let object = match parsed(place, body) {
        Ok(object) => object,
        Err(answer) => return answer,
    };
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    if name != place.name {
        return status::bad_request(&format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            place.name
        ));
    }
    if let Some(answer) = problem(place, &object) {
        return answer;
    }
    let Some(stored) = store.get(&key) else {
        return place.about().not_found();
    };
    let sent = |field: &str| object["metadata"][field].as_str().filter(|text| !text.is_empty());
    match sent("resourceVersion") {
        None if is_custom(&key) => {
            let problem = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update";
            return place.about().invalid(&kind(&place.plural), problem);
        }
        Some(version) if stored["metadata"]["resourceVersion"] != version => return place.about().conflict(),
        _ => {}
    }
    let stored_uid = stored["metadata"]["uid"].as_str().unwrap_or("");
    if let Some(uid) = sent("uid").filter(|uid| *uid != stored_uid) {
        return place.about().uid_conflict(uid, stored_uid);
    }
    store.replace(key, object).map_or_else(|| place.about().not_found(), |stored| Answer::json(200, &stored))
}

fn patch(store: &mut Store, place: &Place, key: Key, request: &Request) -> Answer {
    if request.content_type != status::MERGE_PATCH {
        return status::unsupported_media_type(&request.content_type);
    }
    let Some(stored) = store.get(&key) else {
        return place.about().not_found();
    };
    let Ok(patch) = serde_json::from_slice::<Value>(&request.body) else {
        return status::bad_request("error decoding patch: invalid character");
    };
    let version = &patch["metadata"]["resourceVersion"];
    if version.is_string() && *version != stored["metadata"]["resourceVersion"] {
        return place.about().conflict();
    }
    let mut merged = stored.clone();
    merge(&mut merged, &patch);
    if let Some(answer) = problem(place, &merged) {
        return answer;
    }
    store.replace(key, merged).map_or_else(|| place.about().not_found(), |stored| Answer::json(200, &stored))
}

fn delete(store: &mut Store, place: &Place, key: &Key, body: &[u8]) -> Answer {
    let Some(stored) = store.get(key) else {
        return place.about().not_found();
    };
    let uid = stored["metadata"]["uid"].as_str().unwrap_or("").to_owned();
    let options: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(wanted) = options["preconditions"]["uid"].as_str().filter(|wanted| *wanted != uid) {
        return place.about().uid_conflict(wanted, &uid);
    }
    store.remove(key);
    status::deleted(place.about(), &json!(uid))
}

/// RFC 7396: objects are merged, null removes, anything else replaces.
fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        match value {
            Value::Null => drop(into.as_object_mut().and_then(|into| into.remove(key))),
            value => merge(&mut into[key], value),
        }
    }
}

/// The object in the body, with kind and version checked and filled in.
fn parsed(place: &Place, body: &[u8]) -> Result<Value, Answer> {
    let mut object: Value = serde_json::from_slice(body)
        .map_err(|_| status::bad_request("the object provided is unrecognized (must be of type Object)"))?;
    if !object.is_object() || !(object["metadata"].is_object() || object["metadata"].is_null()) {
        return Err(status::bad_request("the object provided is unrecognized (must be of type Object)"));
    }
    let expected = place.api_version();
    let sent = object["apiVersion"].as_str().unwrap_or(&expected);
    if sent != expected {
        return Err(status::bad_request(&format!(
            "the API version in the data ({sent}) does not match the expected API version ({expected})"
        )));
    }
    object["apiVersion"] = json!(expected);
    if object["kind"].is_null() {
        object["kind"] = json!(kind(&place.plural));
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&place.namespace);
    if namespace != place.namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(status::bad_request(message));
    }
    Ok(object)
}

/// What is wrong with an object's metadata, if anything.
fn problem(place: &Place, object: &Value) -> Option<Answer> {
    let invalid = |problem: String| Some(place.about().invalid(&kind(&place.plural), &problem));
    let name = &place.name;
    if name.is_empty() {
        return invalid("metadata.name: Required value: name or generateName is required".to_owned());
    }
    if name.len() > 253 {
        return invalid(format!(
            "metadata.name: Invalid value: \"{name}\": must be no more than 253 characters"
        ));
    }
    if !name.split('.').all(is_label) {
        return invalid(format!("metadata.name: Invalid value: \"{name}\": {SUBDOMAIN_RULE}"));
    }
    for (_, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or("");
        let value_problem = if value.len() > 63 {
            "must be no more than 63 characters"
        } else if !is_label_value(value) {
            LABEL_RULE
        } else {
            continue;
        };
        return invalid(format!("metadata.labels: Invalid value: \"{value}\": {value_problem}"));
    }
    if place.plural == "events" && object["involvedObject"]["namespace"] != object["metadata"]["namespace"] {
        let namespace = object["involvedObject"]["namespace"].as_str().unwrap_or("");
        return invalid(format!(
            "involvedObject.namespace: Invalid value: \"{namespace}\": does not match event.namespace"
        ));
    }
    None
}

fn is_label(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_edge) && text.ends_with(is_edge) && text.chars().all(|c| is_edge(c) || c == '-')
}

fn is_label_value(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || text.starts_with(is_edge)
            && text.ends_with(is_edge)
            && text.chars().all(|c| is_edge(c) || matches!(c, '-' | '_' | '.'))
}

/// Percent-decoding, lenient.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '-' or '.', and must start and end with an alphanumeric character \
     (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
     '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
