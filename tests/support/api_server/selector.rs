//! Label and field selectors of list and watch.

use serde_json::Value;

/// Both selectors of one request.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Vec<Term>,
    fields: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    Is(String, String),
    IsNot(String, String),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// The selectors as they stand in a query, decoded; set-based terms are not supported.
    pub fn new(labels: &str, fields: &str) -> Selector {
        Selector { labels: terms(labels), fields: terms(fields) }
    }

    /// Whether the object is selected. Fields are looked up by their dotted path.
    pub fn selects(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        let field = |path: &str| path.split('.').try_fold(object, |value, step| value.get(step))?.as_str();
        self.labels.iter().all(|term| term.holds(label)) && self.fields.iter().all(|term| term.holds(field))
    }
}

impl Term {
    fn holds<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        match self {
            Term::Is(key, wanted) => value(key) == Some(wanted),
            Term::IsNot(key, unwanted) => value(key) != Some(unwanted),
            Term::Exists(key) => value(key).is_some(),
            Term::Absent(key) => value(key).is_none(),
        }
    }
}

fn terms(text: &str) -> Vec<Term> {
    let term = |term: &str| {
        let pair = |(key, value): (&str, &str)| (key.trim().to_owned(), value.trim().to_owned());
        if let Some((key, value)) = term.split_once("!=").map(pair) {
            Term::IsNot(key, value)
        } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')).map(pair) {
            Term::Is(key, value)
        } else if let Some(key) = term.strip_prefix('!') {
            Term::Absent(key.trim().to_owned())
        } else {
            Term::Exists(term.to_owned())
        }
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(term).collect()
}
