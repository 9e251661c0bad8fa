//! What the original does not let be changed, of the kinds that a test changes.

use serde_json::Value;

use super::metadata;
use super::request::Place;
use super::status::Problem;

/// The fields that may not differ and do.
pub fn problems(place: &Place, object: &Value, stored: &Value) -> Vec<Problem> {
    let fields: &[&str] = match place.plural.as_str() {
        "csidrivers" => &["/spec/attachRequired", "/spec/volumeLifecycleModes"],
        "clusterrolebindings" => &["/roleRef"],
        "daemonsets" => &["/spec/selector"],
        _ => &[],
    };
    let differs = |field: &&&str| object.pointer(field) != stored.pointer(field);
    let problem = |field: &&str| {
        let shown = object.pointer(field).unwrap_or(&Value::Null).to_string();
        let name = field.trim_start_matches('/').replace('/', ".");
        Problem::invalid(&name, &metadata::quoted(&shown), "field is immutable")
    };
    fields.iter().filter(differs).map(problem).collect()
}
