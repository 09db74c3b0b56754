//! The imports of a component: which are offered, what they need of a policy, and what would serve those that are not offered.

use super::error::list_with;
use super::shape::is_patch;
use super::wasi;

/// The package of our own imports, and the versions that are compatible with those we link.
const HOST: (&str, &str) = ("everstep:host/", "0.1.");
/// The world of a guest; it has a line for each interface of that package.
const WORLD: &str = include_str!("../../../wit/world.wit");

/// What the policy has to grant before the calls of an interface are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Time.
    Clock,
    /// Randomness.
    Random,
    /// The environment, which is empty otherwise.
    Env,
    /// The capability `print`.
    Print,
    /// The capability `input`.
    Input,
    /// The capability `promise`, for promises that are settled from outside.
    Promise,
    /// The capability `call`.
    Call,
    /// Each capability that the embedder or a client serves, by its name.
    Capability,
    /// Folders.
    Files,
    /// Addresses of requests.
    Fetch,
    /// Addresses of WebSockets.
    Websocket,
}

/// What the calls of an imported interface need; nothing for one that is pure, has no grant of its own, or refuses every call.
pub fn needs(import: &str) -> &'static [Need] {
    match import.split_once('@').map_or(import, |(interface, _)| interface) {
        "wasi:clocks/monotonic-clock" | "wasi:clocks/wall-clock" | "everstep:host/timers" => &[Need::Clock],
        "wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed" | "everstep:host/random" => {
            &[Need::Random]
        }
        "wasi:cli/environment" => &[Need::Env],
        "wasi:cli/stdin" => &[Need::Input],
        "wasi:cli/stdout" | "wasi:cli/stderr" => &[Need::Print],
        "wasi:filesystem/preopens" | "wasi:filesystem/types" | "everstep:host/files" => &[Need::Files],
        "everstep:host/console" => &[Need::Print, Need::Input],
        "everstep:host/promises" => &[Need::Promise],
        "everstep:host/functions" => &[Need::Call],
        "everstep:host/bridge" => &[Need::Capability],
        "wasi:http/outgoing-handler" | "everstep:host/http" => &[Need::Fetch],
        "everstep:host/websocket" => &[Need::Websocket],
        _ => &[],
    }
}

/// Whether the host links an import.
pub(super) fn is_offered(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else { return false };
    match interface.strip_prefix(HOST.0) {
        Some(interface) => is_in_world(interface) && is_patch(version, HOST.1),
        None => wasi::INTERFACES.contains(&interface) && is_patch(version, wasi::VERSION),
    }
}

/// Whether the world of a guest imports this interface of our package.
fn is_in_world(interface: &str) -> bool {
    let imported = |line: &'static str| line.trim().strip_prefix("import ")?.strip_suffix(';');
    WORLD.lines().filter_map(imported).any(|name| name == interface)
}

/// Imports that the host does not offer, each with what would serve it.
pub(super) fn unserved(imports: &[String]) -> String {
    list_with(imports, |name| Some(remedy(name)))
}

fn remedy(name: &str) -> &'static str {
    let (interface, version) = name.split_once('@').unwrap_or((name, ""));
    match interface.split_once('/').map_or(interface, |(package, _)| package) {
        "everstep:host" if interface.strip_prefix(HOST.0).is_some_and(is_in_world) => "this host has version 0.1 of it",
        "everstep:host" => "version 0.1 has no such interface",
        package if package.starts_with("wasi:") && !is_patch(version, wasi::VERSION) => {
            "build for WASI 0.2, as the target wasm32-wasip2 does"
        }
        "wasi:http" => "this host answers no requests; it makes them, with wasi:http/outgoing-handler",
        package if package.starts_with("wasi:") => {
            "compose the component with one that exports it, or reach the service through everstep:host/bridge"
        }
        _ => "compose the component with one that exports it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interface_needs_does_not_depend_on_its_version() {
        assert_eq!(needs("wasi:clocks/wall-clock@0.2.3"), [Need::Clock]);
        assert_eq!(needs("everstep:host/console@0.1.0"), [Need::Print, Need::Input]);
        assert_eq!(needs("wasi:http/outgoing-handler@0.2.4"), [Need::Fetch]);
        assert_eq!(needs("wasi:http/types@0.2.4"), []);
        assert_eq!(needs("wasi:io/poll@0.2.0"), []);
        assert_eq!(needs("init"), []);
    }

    #[test]
    fn every_interface_of_the_world_that_has_a_grant_is_known() {
        let without = ["types", "memo", "context"];
        let imports = WORLD.lines().filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';'));
        for interface in imports {
            assert_eq!(needs(&format!("everstep:host/{interface}@0.1.0")).is_empty(), without.contains(&interface));
        }
    }
}
