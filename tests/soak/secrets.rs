//! What the API server has because of the volumes: Secrets, which have to hold what the volumes hold, and events.

use crate::mounted::Ended;
use crate::stage::{CANARIES, Class, Stage};
use crash::content::State;
use crash::copy::state;
use kit::PATIENCE;
use kit::mirror::SECRETS_PATH;

/// The Secret of a class, if it asks for one, comes to hold the class's current state.
pub fn is_up_to_date(stage: &Stage, class: &Class) -> Result<(), Ended> {
    let Some(name) = &class.secret else { return Ok(()) };
    let number = stage.store.number(&class.name).expect("a class is there for as long as its pods");
    let wanted = State { pod: class.name.clone(), number };
    let api = &stage.mirror.world.api;
    let path = format!("{SECRETS_PATH}/{name}");
    let found = || api.get(&path).ok_or("there is none".to_owned()).and_then(|secret| state(&secret));
    stage.ledger.secrets.add();
    if api.wait(PATIENCE, |_| found().as_ref() == Ok(&wanted)) {
        return Ok(());
    }
    let found = found().map_or_else(|why| why, |state| state.to_string());
    stage.ledger.fault(format!("Secret {name} is of {wanted} no copy: {found}"));
    Err(Ended)
}

/// Counts the events and has them go, as they do in a cluster after an hour. They speak of providers that were away.
pub fn forget_events(stage: &Stage) -> Result<(), Ended> {
    let api = &stage.mirror.world.api;
    for event in api.list("/api/v1/events") {
        let text = event.to_string();
        let is_of_absence = REASONS.iter().any(|reason| event["reason"] == **reason);
        if !is_of_absence || CANARIES.iter().any(|canary| text.contains(canary)) {
            stage.ledger.fault(format!("an event that nobody expects: {text}"));
            return Err(Ended);
        }
        let field = |name: &str| event["metadata"][name].as_str().unwrap_or_default().to_owned();
        api.delete(&format!("/api/v1/namespaces/{}/events/{}", field("namespace"), field("name")));
        stage.ledger.events.add();
    }
    Ok(())
}

/// Of publishes and refreshes that failed.
const REASONS: [&str; 3] =
    ["SecretsStorePublishFailed", "SecretsStoreProviderAbsent", "SecretsStoreRefreshFailed"];
