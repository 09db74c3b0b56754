//! The rules that grant what an import needs.

use everstep::Need;
use everstep::policy::tools::starting_rule;

/// The rule for one need.
pub(super) struct Grant {
    pub(super) toml: String,
    /// What is to be filled in before the rule is used, if it reaches something outside.
    pub(super) open: Option<&'static str>,
}

/// An environment is no call.
const ENVIRONMENT: &str = "[env]\nLANG = \"C.UTF-8\"\n";

/// The rule for a need.
pub(super) fn of(need: Need) -> Grant {
    let (capability, subject, open) = match need {
        Need::Clock => ("clock", "", None),
        Need::Random => ("random", "", None),
        Need::Print => ("print", "", None),
        Need::Input => ("input", "", None),
        Need::Promise => ("promise", "", None),
        Need::Env => {
            let open = Some("the environment, which is empty otherwise:");
            return Grant { toml: ENVIRONMENT.to_owned(), open };
        }
        Need::Call => ("call", "", Some("calls of other functions:")),
        Need::Capability => ("ticket-lookup", "", Some("each capability that a client or the embedder serves:")),
        Need::Files => ("files.read", "/data/report.txt", Some("each folder:")),
        Need::Fetch => ("fetch", "GET https://api.example.org/items", Some("each address:")),
        Need::Websocket => ("websocket", "wss://feed.example.org/v1", Some("each address of a WebSocket:")),
    };
    Grant { toml: starting_rule(capability, subject).unwrap_or_default(), open }
}

/// The rule in one line, without what is only an example.
pub(super) fn short(need: Need) -> String {
    let grant = of(need);
    match grant.open {
        Some(_) if need != Need::Call => grant.toml.lines().next().unwrap_or_default().to_owned(),
        _ => grant.toml.trim_end().replace('\n', " "),
    }
}

/// Every need.
#[cfg(test)]
pub(super) const ALL: [Need; 11] = [
    Need::Clock,
    Need::Random,
    Need::Env,
    Need::Print,
    Need::Input,
    Need::Promise,
    Need::Call,
    Need::Capability,
    Need::Files,
    Need::Fetch,
    Need::Websocket,
];
