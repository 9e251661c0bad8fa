//! Reviews of access: may the one who asks do that? They are answered, and not kept.

use serde_json::{Value, json};

use super::access::Access;
use super::request::Request;
use super::status::Answer;

/// The answer to a SelfSubjectAccessReview; `None` for every other request.
pub fn answer(access: &Access, request: &Request) -> Option<Answer> {
    let place = request.place.as_ref()?;
    let is_review = place.group == "authorization.k8s.io" && place.plural == "selfsubjectaccessreviews";
    if !is_review || request.method != "POST" {
        return None;
    }
    let mut review: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let asked = &review["spec"]["resourceAttributes"];
    let text = |field: &str| asked[field].as_str().unwrap_or_default().to_owned();
    let is_allowed = !access.is_denied(&text("verb"), &text("resource"));
    review["apiVersion"] = json!("authorization.k8s.io/v1");
    review["kind"] = json!("SelfSubjectAccessReview");
    review["metadata"] = json!({"creationTimestamp": null});
    review["status"] = json!({"allowed": is_allowed});
    Some(Answer::json(201, &review))
}
