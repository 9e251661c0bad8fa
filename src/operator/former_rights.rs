//! Rights of the driver's role that another operator gave, kept as long as its pods run. Pure.
//!
//! A role that is taken over becomes narrower, since this driver needs less. Until the roll-out has replaced the former
//! pods they would lose what they still do, such as writing Secrets. So what the former role had besides is written down
//! in an annotation and stays in the role, and goes when the roll-out is complete. The annotation is also how a role
//! that this operator has written is told from a former one's: whoever adds rules to it by hand finds them taken back.

use serde_json::{Value, json};

/// Adds to the role that is desired what is to be kept of the live one, and the annotation.
pub fn keep(role: &mut Value, live: Option<&Value>, is_rolling_out: bool) {
    let ours = rules(role);
    let former: Vec<Value> = match live {
        Some(live) if is_rolling_out => match annotation(live) {
            Some(text) => serde_json::from_str(text).unwrap_or_default(),
            None => rules(live).into_iter().filter(|rule| !ours.contains(rule)).collect(),
        },
        _ => Vec::new(),
    };
    let text = json!(former).to_string();
    if let Some(fields) = role.as_object_mut() {
        fields.insert("rules".to_owned(), json!([ours, former].concat()));
    }
    if let Some(metadata) = role.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("annotations".to_owned(), json!({FORMER_RIGHTS: text}));
    }
}

/// True where the role that is desired has more than this driver needs.
pub fn are_kept(role: &Value) -> bool {
    annotation(role).is_some_and(|text| text != NONE)
}

fn annotation(role: &Value) -> Option<&str> {
    role.pointer("/metadata/annotations")?.get(FORMER_RIGHTS)?.as_str()
}

fn rules(role: &Value) -> Vec<Value> {
    role.get("rules").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// On the driver's role: the rules of a former operator's that are kept, in JSON.
const FORMER_RIGHTS: &str = "secrets-store-csi-driver-operator.operator.openshift.io/former-rules";
const NONE: &str = "[]";

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(resource: &str, verbs: &[&str]) -> Value {
        json!({"apiGroups": [""], "resources": [resource], "verbs": verbs})
    }

    fn role(rules: &[Value]) -> Value {
        json!({"metadata": {"name": "x"}, "rules": rules})
    }

    fn kept(live: Option<&Value>, is_rolling_out: bool) -> Value {
        let mut desired = role(&[rule("pods", &["get"])]);
        keep(&mut desired, live, is_rolling_out);
        desired
    }

    #[test]
    fn what_a_former_role_had_stays_until_the_roll_out_is_complete_and_what_is_added_by_hand_does_not() {
        let (pods, secrets) = (rule("pods", &["get"]), rule("secrets", &["delete"]));
        let former = role(&[secrets.clone(), pods.clone()]);
        let taken_over = kept(Some(&former), true);
        assert_eq!(rules(&taken_over), [pods.clone(), secrets.clone()]);
        assert!(are_kept(&taken_over));
        assert_eq!(kept(Some(&taken_over), true), taken_over, "the next turn changes nothing");

        let mut by_hand = taken_over.clone();
        by_hand["rules"].as_array_mut().unwrap().push(rule("nodes", &["*"]));
        assert_eq!(kept(Some(&by_hand), true), taken_over);

        let complete = kept(Some(&taken_over), false);
        assert_eq!(rules(&complete), [pods]);
        assert!(!are_kept(&complete));
        let mut by_hand = complete.clone();
        by_hand["rules"] = json!([secrets]);
        assert_eq!(kept(Some(&by_hand), true), complete, "it is this operator's role by now");
    }

    #[test]
    fn a_new_role_and_one_whose_annotation_cannot_be_read_have_what_is_needed_alone() {
        let pods = rule("pods", &["get"]);
        assert_eq!(rules(&kept(None, true)), std::slice::from_ref(&pods));
        let mut odd = role(&[rule("secrets", &["delete"])]);
        odd["metadata"]["annotations"] = json!({FORMER_RIGHTS: "{"});
        assert_eq!(rules(&kept(Some(&odd), true)), [pods]);
    }
}
