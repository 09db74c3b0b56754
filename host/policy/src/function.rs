//! What `[functions.NAME]` says: the part of a policy that one function keeps.

use super::ask::{AskRule, When};
use super::list::RuleList;
use super::{Limits, Policy};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `[functions.NAME]`: which rules an execution of one function keeps, and which limits. A list that is missing keeps all rules.
///
/// The rules that are left out do not match: of those that are kept the first one decides, with its own bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionSection {
    /// Ids of `[[fetch]]` rules, and of `[[ask]]` rules whose approval is enough.
    pub fetch: Option<Vec<String>>,
    /// Ids of `[[websocket]]` rules, and of `[[ask]]` rules whose approval is enough.
    pub websocket: Option<Vec<String>>,
    /// Ids of `[[files]]` rules.
    pub files: Option<Vec<String>>,
    /// Names of capabilities.
    pub capability: Option<Vec<String>>,
    /// No wider than those of the policy.
    pub limits: Limits,
}

impl FunctionSection {
    /// What a section that narrows nothing says.
    pub fn of(limits: &Limits) -> Self {
        Self { fetch: None, websocket: None, files: None, capability: None, limits: limits.clone() }
    }
}

impl Policy {
    /// The policy as it holds for an execution of one function. Narrowing twice narrows no further; a function that is called is
    /// narrowed from what its caller has.
    pub fn for_function(&self, name: &str) -> Cow<'_, Self> {
        match self.functions.get(name) {
            None => Cow::Borrowed(self),
            Some(section) => Cow::Owned(self.narrowed_by(section)),
        }
    }

    fn narrowed_by(&self, section: &FunctionSection) -> Self {
        let mut policy = self.clone();
        let keeps =
            |list: &Option<Vec<String>>, id: &str| list.as_ref().is_none_or(|list| list.iter().any(|one| one == id));
        policy.limits = self.limits.narrowed(&section.limits);
        policy.capabilities.retain(|grant| keeps(&section.capability, grant.name()));
        policy.files.retain(|grant| keeps(&section.files, &grant.id));
        policy.fetch = self.fetch.iter().filter(|grant| keeps(&section.fetch, &grant.id)).cloned().collect();
        policy.websocket =
            self.websocket.iter().filter(|grant| keeps(&section.websocket, &grant.id)).cloned().collect();
        // An approval must not take the place of a grant, with its quotas, that the function does not keep.
        let ask = |ask: &AskRule| {
            let kept = match ask.when {
                When::Fetch => {
                    let mut grants = self.fetch.iter().filter(|grant| ask.overlaps_fetch(grant));
                    keeps(&section.fetch, &ask.rule) && grants.all(|grant| keeps(&section.fetch, &grant.id))
                }
                When::WebSocket => {
                    let mut grants = self.websocket.iter().filter(|grant| ask.overlaps_websocket(grant));
                    keeps(&section.websocket, &ask.rule) && grants.all(|grant| keeps(&section.websocket, &grant.id))
                }
                _ => true,
            };
            AskRule { sufficient: ask.sufficient && kept, ..ask.clone() }
        };
        policy.asks = self.asks.iter().map(ask).collect::<RuleList<_>>();
        policy
    }
}
