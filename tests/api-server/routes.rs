//! From a request to an answer: reads here, writes next door, and what the server says about itself.

use serde_json::json;

use super::discovery;
use super::kinds::has_status;
use super::list;
use super::media::Form;
use super::request::Request;
use super::status::{self, Answer};
use super::store::Store;
use super::write;

/// Carries the request out. A watch is not answered here.
pub fn answer(store: &mut Store, request: &Request) -> Answer {
    let Some(place) = &request.place else {
        return discovery::answer(store, &request.path).unwrap_or_else(|| information(&request.path));
    };
    if !store.serves(&place.plural) {
        return if place.group.is_empty() { status::no_such_resource() } else { status::page_not_found() };
    }
    let is_path = match place.subresource.as_str() {
        "" => true,
        "status" => has_status(&place.plural),
        _ => false,
    };
    if !is_path {
        return status::no_such_resource();
    }
    match (request.method.as_str(), place.key()) {
        ("GET" | "HEAD", Some(key)) => match (Form::negotiated(&request.accept, false), store.get(&key)) {
            (Ok(form), Some(object)) => Answer::json(200, &form.object(object)),
            (Ok(_), None) => place.about().not_found(),
            (Err(answer), _) => answer,
        },
        ("GET" | "HEAD", None) => list::answer(store, place, request),
        ("POST", None) => write::create(store, place, request),
        ("PUT", Some(key)) => write::update(store, place, key, request),
        ("PATCH", Some(key)) => write::patch(store, place, key, request),
        ("DELETE", Some(key)) => write::delete(store, place, &key, request),
        _ => status::method_not_allowed(),
    }
}

fn information(path: &str) -> Answer {
    match path {
        "/version" => Answer::json(200, &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3"})),
        "/readyz" | "/livez" | "/healthz" => Answer::text(200, "ok"),
        _ => status::page_not_found(),
    }
}
