//! The narrowest rule that would allow a call.

use super::Question;
use super::render::{quote, quote_list};
use crate::address;
use crate::url::{Pattern, Target};
use crate::{Access, FileOperation, Policy, path};

/// Names that stand for machines of the host's own network.
const PRIVATE_NAMES: [&str; 5] = ["localhost", "local", "internal", "lan", "home.arpa"];

/// Why no rule is offered for a call, whatever the policy says.
pub(super) fn refusal(policy: &Policy, question: &Question) -> Option<&'static str> {
    match question {
        Question::Fetch(method, url) => {
            let grantable = !method.is_empty()
                && method.len() <= 32
                && method
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
                && !matches!(method.as_str(), "CONNECT" | "TRACE");
            if grantable { private(url) } else { Some("the method is none that can be granted") }
        }
        Question::WebSocket(url) => private(url),
        Question::Files(operation, path) => files_refusal(policy, *operation, path),
        Question::Capability(name) => {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
            let is_name = !name.is_empty() && name.len() <= 128 && name.bytes().all(allowed);
            (!is_name).then_some("no capability can have this name")
        }
        Question::Clock | Question::Random => None,
    }
}

fn private(url: &Target) -> Option<&'static str> {
    if url.ip().is_some_and(|ip| address::Rules::default().check(ip).is_err()) {
        return Some(
            "the address is not a global one; only [network] allow can open it, which is for a person to decide",
        );
    }
    let name = url.host();
    let private = |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let is_private = url.ip().is_none() && (!name.contains('.') || PRIVATE_NAMES.into_iter().any(private));
    is_private.then_some("the name stands for a machine of the host's own network")
}

fn files_refusal(policy: &Policy, operation: FileOperation, path: &str) -> Option<&'static str> {
    if path::check(path).is_err() {
        return Some("no file can have this path");
    }
    let (grant, below) = policy.resolve(path)?;
    let writable = policy.files.get(grant).is_some_and(|grant| grant.access != Access::Read);
    let changes = matches!(operation, FileOperation::Write | FileOperation::Remove);
    match (changes, below.is_empty(), writable) {
        (true, true, _) => Some("the root of a rule is neither written nor removed"),
        (true, false, true) => Some("a rule covers it; a quota stands in the way"),
        _ => None,
    }
}

/// The rule, as the file writes it, for `calls` such calls. None when a rule matches the call already and is narrower than it.
pub(super) fn narrowest(policy: &Policy, question: &Question, calls: u64) -> Option<String> {
    match question {
        Question::Fetch(method, url) => {
            let used = policy.fetch.first(url, |grant| grant.methods.contains(method)).is_some();
            (!used).then(|| fetch(policy, &[method.as_str()], url, calls))
        }
        Question::WebSocket(url) => policy.websocket.first(url, |_| true).is_none().then(|| websocket(policy, url)),
        Question::Files(operation, path) => Some(files(policy, *operation, path)),
        Question::Capability(name) => {
            let used = policy.capabilities.iter().any(|grant| grant.name() == name);
            (!used).then(|| format!("[[capability]]\nname = {}\nmax_calls = {calls}\n", quote(name)))
        }
        Question::Clock => Some("[clock]\nmode = \"recorded\"\n".to_owned()),
        Question::Random => Some("[random]\nmode = \"seeded\"\n".to_owned()),
    }
}

pub(super) fn fetch(policy: &Policy, methods: &[&str], url: &Target, calls: u64) -> String {
    let (id, pattern) = (free_id(policy, url), Pattern::exactly(url));
    let methods = quote_list(methods);
    format!(
        "[[fetch]]\nid = {}\nurl = {}\nmethods = {methods}\nmax_calls = {calls}\n",
        quote(&id),
        quote(pattern.as_str())
    )
}

pub(super) fn websocket(policy: &Policy, url: &Target) -> String {
    let (id, pattern) = (free_id(policy, url), Pattern::exactly(url));
    format!("[[websocket]]\nid = {}\nurl = {}\nmax_open = 1\n", quote(&id), quote(pattern.as_str()))
}

/// For a path that a rule covers, what its access would have to be; otherwise a rule about its folder.
fn files(policy: &Policy, operation: FileOperation, path: &str) -> String {
    let changes = matches!(operation, FileOperation::Write | FileOperation::Remove);
    if let Some(grant) = policy.resolve(path).and_then(|(index, _)| policy.files.get(index)) {
        return format!(
            "[[files]]\nid = {}\naccess = \"write\"   # or \"overlay\", which leaves the folder as it is\n",
            quote(&grant.id)
        );
    }
    let folder = match path.rsplit_once('/') {
        _ if operation == FileOperation::List => path,
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    };
    let (id, access) = (free(policy, "folder"), if changes { "write" } else { "read" });
    let bounds = if changes { "max_files = 1\n" } else { "" };
    format!(
        "[[files]]\nid = {}\nguest = {}\nhost = \"./folder\"   # the folder that it stands for\naccess = \"{access}\"\n{bounds}",
        quote(&id),
        quote(folder)
    )
}

/// An id that no rule has, after the host.
fn free_id(policy: &Policy, url: &Target) -> String {
    let plain = |one: char| if one.is_ascii_alphanumeric() { one } else { '-' };
    let name = url.host().chars().map(plain).take(40).collect::<String>();
    free(policy, name.trim_matches('-'))
}

fn free(policy: &Policy, name: &str) -> String {
    let taken = |id: &str| {
        policy.fetch.iter().any(|grant| grant.id == id)
            || policy.websocket.iter().any(|grant| grant.id == id)
            || policy.files.iter().any(|grant| grant.id == id)
            || policy.asks.iter().any(|ask| ask.rule == id)
    };
    if !taken(name) {
        return name.to_owned();
    }
    (2_u64..).map(|number| format!("{name}-{number}")).find(|id| !taken(id)).unwrap_or_default()
}
