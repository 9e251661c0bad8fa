//! Who may do what: everything, except what a test denies and what a stranger asks for.

use super::request::Request;
use super::status::{About, Answer};

/// The rules that stand.
#[derive(Default)]
pub struct Access {
    denied: Vec<(String, String)>,
}

impl Access {
    /// Denies that verb on that resource; `*` stands for every verb or every resource.
    pub fn deny(&mut self, verb: &str, plural: &str) {
        self.denied.push((verb.to_owned(), plural.to_owned()));
    }

    /// Takes a denial back, as it was given.
    pub fn allow(&mut self, verb: &str, plural: &str) {
        self.denied.retain(|denied| *denied != (verb.to_owned(), plural.to_owned()));
    }

    /// Whether that verb on that resource is denied.
    pub fn is_denied(&self, verb: &str, plural: &str) -> bool {
        let is_met = |rule: &str, value: &str| rule == "*" || rule == value;
        self.denied.iter().any(|(denied, of)| is_met(denied, verb) && is_met(of, plural))
    }

    /// The refusal of a request; `None` when it is allowed. Who impersonates another has that one's rights:
    /// none.
    pub fn refusal(&self, request: &Request) -> Option<Answer> {
        let place = request.place.as_ref()?;
        let is_denied = self.is_denied(request.verb(), &place.plural);
        let user = request.impersonated.as_deref().or(is_denied.then_some(USER))?;
        Some(forbidden(request, user))
    }
}

/// 403 for that user, worded as the server's rules word it.
pub fn forbidden(request: &Request, user: &str) -> Answer {
    let Some(place) = &request.place else {
        return super::status::of_code(403, None);
    };
    // A list or watch of one name is asked for by that name.
    let selected = request.selected_name();
    let name = if place.name.is_empty() { &selected } else { &place.name };
    let about = About { name, ..place.about() };
    let resource = if place.subresource.is_empty() {
        place.plural.clone()
    } else {
        format!("{}/{}", place.plural, place.subresource)
    };
    let scope = if place.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", place.namespace)
    };
    let (verb, group) = (request.verb(), &place.group);
    about.forbidden(&format!(
        "User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {scope}"
    ))
}

/// Whom permissions are asked for.
pub const USER: &str = "system:serviceaccount:kube-system:secrets-store-csi-driver";
