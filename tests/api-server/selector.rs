//! Label and field selectors of list and watch, and the texts that refuse them.

use serde_json::Value;

use super::metadata::{VALUE_RULE, is_qualified, quoted};
use super::request::{Place, Request};

/// Both selectors of one request.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Vec<Term>,
    fields: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// The selectors of a request for that place; an error is why the server refuses them.
    pub fn of(request: &Request, place: &Place) -> Result<Selector, String> {
        let labels = label_terms(&request.parameter("labelSelector"))?;
        let fields = field_terms(&request.parameter("fieldSelector"), place)?;
        Ok(Selector { labels, fields })
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the object is selected. Fields are looked up by their dotted path; one that is not there is empty.
    pub fn selects(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        let field = |path: &str| {
            let value = path.split('.').try_fold(object, |value, step| value.get(step));
            Some(value.and_then(Value::as_str).unwrap_or(""))
        };
        self.labels.iter().all(|term| term.holds(label)) && self.fields.iter().all(|term| term.holds(field))
    }
}

impl Term {
    fn holds<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        let is_in =
            |key: &str, values: &[String]| value(key).is_some_and(|found| values.iter().any(|v| v == found));
        match self {
            Term::In(key, values) => is_in(key, values),
            Term::NotIn(key, values) => !is_in(key, values),
            Term::Exists(key) => value(key).is_some(),
            Term::Absent(key) => value(key).is_none(),
        }
    }
}

fn field_terms(text: &str, place: &Place) -> Result<Vec<Term>, String> {
    let mut terms = Vec::new();
    for term in text.split(',').filter(|term| !term.is_empty()) {
        let split = |operator: &str| term.split_once(operator);
        let (field, value, is_wanted) = if let Some((field, value)) = split("!=") {
            (field, value, false)
        } else if let Some((field, value)) = split("==").or_else(|| split("=")) {
            (field, value, true)
        } else {
            return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
        };
        if value.contains('=') {
            return Err("invalid field selector: unescaped character in value: 61".to_owned());
        }
        if !is_selectable(place, field) {
            return Err(format!("field label not supported: {field}"));
        }
        let (field, values) = (field.to_owned(), vec![value.to_owned()]);
        terms.push(if is_wanted { Term::In(field, values) } else { Term::NotIn(field, values) });
    }
    Ok(terms)
}

fn is_selectable(place: &Place, field: &str) -> bool {
    let known: &[&str] = match (place.group.as_str(), place.plural.as_str()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "secrets") => &["type"],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("", "namespaces") => &["status.phase"],
        _ => &[],
    };
    matches!(field, "metadata.name" | "metadata.namespace") || known.contains(&field)
}

fn label_terms(text: &str) -> Result<Vec<Term>, String> {
    let mut terms = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = end_of_term(rest);
        let (term, after) = rest.split_at(end);
        if term.trim().is_empty() {
            let expected =
                if terms.is_empty() { "!, identifier, or 'end of string'" } else { "identifier after ','" };
            return Err(format!("found ',', expected: {expected}"));
        }
        terms.push(label_term(term.trim())?);
        rest = after.trim_start_matches(',').trim_start();
        if after.starts_with(",,") {
            return Err("found ',', expected: identifier after ','".to_owned());
        }
    }
    Ok(terms)
}

/// Up to the next comma outside parentheses.
fn end_of_term(text: &str) -> usize {
    let mut depth = 0_i32;
    for (position, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => return position,
            _ => {}
        }
    }
    text.len()
}

fn label_term(term: &str) -> Result<Term, String> {
    if let Some(key) = term.strip_prefix('!') {
        return Ok(Term::Absent(key.trim().to_owned()));
    }
    let equality = [("!=", false), ("==", true), ("=", true)];
    for (operator, is_wanted) in equality {
        let Some((key, value)) = term.split_once(operator) else { continue };
        let (key, value) = (key.trim().to_owned(), value.trim());
        if let Some((_, more)) = value.split_once([' ', '=']) {
            let found = if value.contains('=') { "=" } else { more };
            return Err(format!("found '{found}', expected: ',' or 'end of string'"));
        }
        if !value.is_empty() && !is_qualified(value) {
            let shown = quoted(value);
            return Err(format!(
                "unable to parse requirement: values[0][{key}]: Invalid value: {shown}: {VALUE_RULE}"
            ));
        }
        let values = vec![value.to_owned()];
        return Ok(if is_wanted { Term::In(key, values) } else { Term::NotIn(key, values) });
    }
    let Some((key, rest)) = term.split_once(' ') else {
        return Ok(Term::Exists(term.to_owned()));
    };
    let rest = rest.trim();
    let (operator, list) = rest.split_once([' ', '(']).unwrap_or((rest, ""));
    if !matches!(operator, "in" | "notin") {
        return Err(format!(
            "unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt"
        ));
    }
    let list = list.trim().trim_start_matches('(');
    let Some(list) = list.strip_suffix(')') else {
        return Err(format!("unable to parse requirement: found '{list}' expected: '('"));
    };
    let values: Vec<String> = list.split(',').map(|value| value.trim().to_owned()).collect();
    let key = key.to_owned();
    Ok(if operator == "in" { Term::In(key, values) } else { Term::NotIn(key, values) })
}
