//! The lines of a policy that grant what an import needs.

use everstep::Need;

/// The lines for one need.
pub(super) struct Grant {
    pub(super) toml: &'static str,
    /// What is to be filled in before the lines are used, if they reach something outside.
    pub(super) open: Option<&'static str>,
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

/// The lines for a need.
pub(super) fn of(need: Need) -> Grant {
    let (toml, open) = match need {
        Need::Clock => ("[clock]\nmode = \"recorded\"", None),
        Need::Random => ("[random]\nmode = \"seeded\"", None),
        Need::Print => ("[[capability]]\nname = \"print\"", None),
        Need::Input => ("[[capability]]\nname = \"input\"", None),
        Need::Promise => ("[[capability]]\nname = \"promise\"", None),
        Need::Env => ("[env]\nLANG = \"C.UTF-8\"", Some("the environment, which is empty otherwise:")),
        Need::Call => ("[[capability]]\nname = \"call\"", Some("calls of other functions:")),
        Need::Capability => (
            "[[capability]]\nname = \"ticket-lookup\"\nmax_calls = 20",
            Some("each capability that a client or the embedder serves:"),
        ),
        Need::Files => {
            ("[[files]]\nid = \"data\"\nguest = \"/data\"\nhost = \"./data\"\naccess = \"read\"", Some("each folder:"))
        }
        Need::Fetch => (
            "[[fetch]]\nid = \"api\"\nurl = \"https://api.example.org/**\"\nmethods = [\"GET\"]",
            Some("each address:"),
        ),
        Need::Websocket => {
            ("[[websocket]]\nid = \"feed\"\nurl = \"wss://feed.example.org/v1\"", Some("each address of a WebSocket:"))
        }
    };
    Grant { toml, open }
}

/// The lines in one, without what is only an example.
pub(super) fn short(need: Need) -> String {
    let grant = of(need);
    match grant.open {
        None => grant.toml.replace('\n', " "),
        Some(_) if matches!(need, Need::Call) => grant.toml.replace('\n', " "),
        Some(_) => grant.toml.lines().next().unwrap_or_default().to_owned(),
    }
}
