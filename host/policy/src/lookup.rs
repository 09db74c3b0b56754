//! What the bridge asks of a policy beside its decisions.

use super::{AskRule, Call, Policy};

impl Policy {
    /// The `[[ask]]` rule of that name.
    pub fn ask_rule(&self, rule: &str) -> Option<&AskRule> {
        self.asks.iter().find(|ask| ask.rule == rule)
    }

    /// Whether any rule could let a guest make a connection.
    pub fn reaches_the_network(&self) -> bool {
        use super::When::{Fetch, WebSocket};
        let asked = self.asks.iter().any(|ask| matches!(ask.when, Fetch | WebSocket));
        asked || self.fetch.iter().next().is_some() || self.websocket.iter().next().is_some()
    }
}

impl Call<'_> {
    /// Whether the call counts as open under its rule until it is settled.
    pub fn stays_open(&self) -> bool {
        matches!(self, Self::Fetch { .. } | Self::WebSocket { .. })
    }
}
