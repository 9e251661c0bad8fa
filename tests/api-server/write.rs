//! Create, update, patch, delete: the checks that every object passes, in the order of the original.

use serde_json::{Value, json};

use super::apply;
use super::immutable;
use super::kinds::{has_status, is_cluster_scoped, is_custom, kind};
use super::media::Form;
use super::merge::merge;
use super::metadata;
use super::request::{Key, Place, Request};
use super::secret::{self, unmarshal_into};
use super::status::{self, About, Answer, Problem};
use super::store::Store;

/// Answers POST to a collection.
pub fn create(store: &mut Store, place: &Place, request: &Request) -> Answer {
    if place.namespace.is_empty() && !is_cluster_scoped(&place.plural) {
        return status::method_not_allowed();
    }
    let (form, mut object) = match (Form::negotiated(&request.accept, false), parsed(place, &request.body)) {
        (Ok(form), Ok(object)) => (form, object),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    let mut name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
    let prefix = object["metadata"]["generateName"].as_str().unwrap_or("");
    if name.is_empty() && !prefix.is_empty() {
        name = format!("{prefix}{:05x}", store.version());
    }
    object["metadata"]["name"] = json!(name);
    let named = Place { name: name.clone(), ..place.clone() };
    let problems = problems(&named, &object, None);
    if !problems.is_empty() {
        return named.about().invalid(&kind(&place.plural), &problems);
    }
    if version_of(&object).is_some() {
        return status::unforeseen("resourceVersion should not be set on objects to be created");
    }
    let key = place.key_of(&name);
    if store.get(&key).is_some() {
        return named.about().already_exists();
    }
    if place.plural == "pods" {
        object["status"] = json!({"phase": "Pending"});
    } else if has_status(&place.plural)
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("status");
    }
    if request.parameter("dryRun") == "All" {
        return Answer::json(201, &form.object(&object));
    }
    Answer::json(201, &form.object(&store.create(key, object, &request.manager())))
}

/// Answers PUT to an object.
pub fn update(store: &mut Store, place: &Place, key: Key, request: &Request) -> Answer {
    let object = match parsed(place, &request.body) {
        Ok(object) => object,
        Err(answer) => return answer,
    };
    if let Some(answer) = name_mismatch(place, &object) {
        return answer;
    }
    let Some(stored) = store.get(&key) else {
        return place.about().not_found();
    };
    let sent = object["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty());
    let stored_uid = stored["metadata"]["uid"].as_str().unwrap_or("");
    if let Some(uid) = sent.filter(|uid| *uid != stored_uid) {
        return place.about().uid_conflict(&storage_path(place), uid, stored_uid);
    }
    if is_custom(&place.group) && version_of(&object).is_none() {
        let problem = Problem::invalid("metadata.resourceVersion", "0", "must be specified for an update");
        return place.about().invalid(&place.plural, &[problem]);
    }
    store_over(store, place, key, object, request)
}

/// Answers PATCH of an object.
pub fn patch(store: &mut Store, place: &Place, key: Key, request: &Request) -> Answer {
    if request.content_type == apply::CONTENT_TYPE && place.subresource == "status" {
        return apply::status(store, place, key, request);
    }
    if request.content_type != MERGE_PATCH {
        return status::unsupported_media_type();
    }
    let Some(stored) = store.get(&key) else {
        return place.about().not_found();
    };
    let patch: Value = match serde_json::from_slice(&request.body) {
        Ok(Value::Object(patch)) => Value::Object(patch),
        Ok(other) => {
            let why = unmarshal_into(&other, "Go value of type map[string]interface {}");
            return status::bad_request(&format!("error decoding patch: {why}"));
        }
        Err(_) => return status::bad_request("invalid JSON patch"),
    };
    let mut merged = stored.clone();
    merge(&mut merged, &patch);
    let shown = merged.to_string();
    if let Err(why) = decode(place, &mut merged) {
        // The original repeats the whole object here, whatever it holds.
        let problem = Problem::invalid("patch", &metadata::quoted(&shown), &why);
        return About { group: "", plural: "", name: "" }.invalid("", &[problem]);
    }
    if let Some(answer) = name_mismatch(place, &merged).or_else(|| namespace_mismatch(place, &merged)) {
        return answer;
    }
    store_over(store, place, key, merged, request)
}

/// Answers DELETE of an object.
pub fn delete(store: &mut Store, place: &Place, key: &Key, request: &Request) -> Answer {
    let Some(stored) = store.get(key) else {
        return place.about().not_found();
    };
    let options: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let kind = kind(&place.plural);
    let about = About { plural: &kind, ..place.about() };
    let text = |field: &str| stored["metadata"][field].as_str().unwrap_or("").to_owned();
    let (uid, version) = (text("uid"), text("resourceVersion"));
    // In the body, or where there is none in the query.
    let wanted = |field: &str| match options["preconditions"][field].as_str() {
        Some(wanted) => Some(wanted.to_owned()),
        None => Some(request.parameter(field)).filter(|wanted| request.body.is_empty() && !wanted.is_empty()),
    };
    if let Some(wanted) = wanted("uid").filter(|wanted| *wanted != uid) {
        return about.conflict_because(&format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might \
             have been deleted and then recreated"
        ));
    }
    if let Some(wanted) = wanted("resourceVersion").filter(|wanted| *wanted != version) {
        return about.conflict_because(&format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        ));
    }
    if !metadata::is_empty(&stored["metadata"]["finalizers"]) {
        return store
            .mark_deleted(key)
            .map_or_else(status::no_such_resource, |object| Answer::json(200, &object));
    }
    store.remove(key);
    status::deleted(place.about(), &uid)
}

/// Puts an object in the place of the stored one, if its version allows that and it is valid.
fn store_over(store: &mut Store, place: &Place, key: Key, object: Value, request: &Request) -> Answer {
    let (form, stored) = match (Form::negotiated(&request.accept, false), store.get(&key)) {
        (Ok(form), Some(stored)) => (form, stored),
        (Ok(_), None) => return place.about().not_found(),
        (Err(answer), _) => return answer,
    };
    let object = part_for(place, object, stored);
    if let Some(version) = version_of(&object) {
        if version.parse::<u64>().is_err() {
            let message = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
            return status::unforeseen(&message);
        }
        if stored["metadata"]["resourceVersion"] != version {
            return place.about().conflict();
        }
    }
    let problems = problems(place, &object, Some(stored));
    if !problems.is_empty() {
        return place.about().invalid(&kind(&place.plural), &problems);
    }
    let is_going = !stored["metadata"]["deletionTimestamp"].is_null()
        && !metadata::is_empty(&stored["metadata"]["finalizers"])
        && metadata::is_empty(&object["metadata"]["finalizers"]);
    let replaced = store.replace(key.clone(), object, &request.manager());
    if is_going {
        store.remove(&key);
    }
    replaced.map_or_else(|| place.about().not_found(), |stored| Answer::json(200, &form.object(&stored)))
}

/// What a request to this place may change: the status by its own path alone, and by that nothing else.
fn part_for(place: &Place, mut object: Value, stored: &Value) -> Value {
    if !has_status(&place.plural) {
        return object;
    }
    if place.subresource == "status" {
        let version = object["metadata"]["resourceVersion"].take();
        let mut whole = stored.clone();
        whole["status"] = object["status"].take();
        whole["metadata"]["resourceVersion"] = version;
        return whole;
    }
    match stored.get("status") {
        Some(status) => object["status"] = status.clone(),
        None => drop(object.as_object_mut().and_then(|fields| fields.remove("status"))),
    }
    object
}

/// The object in the body, with kind and version checked and filled in.
fn parsed(place: &Place, body: &[u8]) -> Result<Value, Answer> {
    let expected_kind = kind(&place.plural);
    let unrecognized = |why: &str| {
        let shown = if body.is_empty() { "<empty>".into() } else { String::from_utf8_lossy(body) };
        status::bad_request(&format!(
            "the object provided is unrecognized (must be of type {expected_kind}): {why} ({shown})"
        ))
    };
    let mut object: Value = match serde_json::from_slice(body) {
        Ok(object @ Value::Object(_)) => object,
        Ok(_) => {
            return Err(unrecognized("couldn't get version/kind; json parse error: json: cannot unmarshal"));
        }
        Err(_) => {
            let why = "couldn't get version/kind; json parse error: unexpected end of JSON input";
            return Err(unrecognized(why));
        }
    };
    let unhandled = |sent_kind: &str, sent: &str, why: &str| {
        status::bad_request(&format!(
            "{sent_kind} in version \"{sent}\" cannot be handled as a {expected_kind}: {why}"
        ))
    };
    let expected = place.api_version();
    let sent = object["apiVersion"].as_str().unwrap_or(&expected).to_owned();
    let sent_kind = object["kind"].as_str().unwrap_or("").to_owned();
    if is_custom(&place.group) {
        if sent_kind.is_empty() {
            return Err(unrecognized("Object 'Kind' is missing"));
        }
        if sent != expected {
            return Err(status::bad_request(&format!(
                "the API version in the data ({sent}) does not match the expected API version ({expected})"
            )));
        }
        if sent_kind != expected_kind {
            let problem =
                Problem::invalid("kind", &metadata::quoted(&sent_kind), &format!("must be {expected_kind}"));
            let name = object["metadata"]["name"].as_str().unwrap_or("");
            return Err(About { name, ..place.about() }.invalid(&sent_kind, &[problem]));
        }
    } else if sent != expected {
        let why = format!("no kind \"{expected_kind}\" is registered for version \"{sent}\" in scheme");
        return Err(unhandled(&expected_kind, &sent, &why));
    } else if !sent_kind.is_empty() && sent_kind != expected_kind {
        let why = format!("converting (v1.{sent_kind}) to (core.{expected_kind}): unknown conversion");
        return Err(unhandled(&sent_kind, &sent, &why));
    }
    object["apiVersion"] = json!(expected);
    object["kind"] = json!(expected_kind);
    decode(place, &mut object).map_err(|why| unhandled(&expected_kind, &expected, &why))?;
    match namespace_mismatch(place, &object) {
        Some(answer) => Err(answer),
        None => Ok(object),
    }
}

/// Brings an object into the form in which its kind is stored; an error is what no such object can hold.
fn decode(place: &Place, object: &mut Value) -> Result<(), String> {
    let metadata = &object["metadata"];
    if !metadata.is_object() && !metadata.is_null() {
        return Err(unmarshal_into(metadata, "Go struct field .metadata of type v1.ObjectMeta"));
    }
    for field in ["labels", "annotations"] {
        let mut values = metadata[field].as_object().into_iter().flatten().map(|(_, value)| value);
        if let Some(wrong) = values.find(|value| !value.is_string() && !value.is_null()) {
            return Err(unmarshal_into(
                wrong,
                &format!("Go struct field ObjectMeta.metadata.{field} of type string"),
            ));
        }
    }
    for field in ["name", "namespace", "uid", "resourceVersion"] {
        let value = &metadata[field];
        if !value.is_string() && !value.is_null() {
            return Err(unmarshal_into(
                value,
                &format!("Go struct field ObjectMeta.metadata.{field} of type string"),
            ));
        }
    }
    if place.group.is_empty() && place.plural == "secrets" { secret::prepare(object) } else { Ok(()) }
}

fn name_mismatch(place: &Place, object: &Value) -> Option<Answer> {
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    (name != place.name).then(|| {
        status::bad_request(&format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            place.name
        ))
    })
}

fn namespace_mismatch(place: &Place, object: &Value) -> Option<Answer> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&place.namespace);
    (namespace != place.namespace).then(|| {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        status::bad_request(message)
    })
}

/// What is wrong with an object that is to take the place of `stored`.
fn problems(place: &Place, object: &Value, stored: Option<&Value>) -> Vec<Problem> {
    let mut problems = metadata::problems(object);
    let uid = object["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty());
    if let Some(uid) = uid.filter(|uid| stored.is_some_and(|stored| stored["metadata"]["uid"] != *uid)) {
        problems.push(Problem::invalid("metadata.uid", &metadata::quoted(uid), "field is immutable"));
    }
    if place.group.is_empty() && place.plural == "secrets" {
        problems.extend(secret::problems(object, stored));
    }
    problems.extend(stored.into_iter().flat_map(|stored| immutable::problems(place, object, stored)));
    let namespace = object["involvedObject"]["namespace"].as_str().unwrap_or("");
    if place.plural == "events" && namespace != place.namespace {
        let why = "does not match event.namespace";
        problems.push(Problem::invalid("involvedObject.namespace", &metadata::quoted(namespace), why));
    }
    problems
}

/// The version that an object names, if it does.
fn version_of(object: &Value) -> Option<&str> {
    object["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty())
}

/// Where the original keeps the object, which one of its messages tells.
fn storage_path(place: &Place) -> String {
    let Place { group, plural, namespace, name, .. } = place;
    let steps = ["/registry", group, plural, namespace, name];
    let steps: Vec<&str> = steps.into_iter().filter(|step| !step.is_empty()).collect();
    steps.join("/")
}

/// The one kind of patch that the double understands.
const MERGE_PATCH: &str = "application/merge-patch+json";
