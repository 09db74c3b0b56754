//! `everstep policy check`.

use crate::cli::{Exit, Failure, Outcome, print, print_json, text};
use everstep::Policy;
use everstep::policy::{
    Access, AskRule, ClockGrant, FetchGrant, FilesGrant, Limits, Lineage, RandomGrant, Remember, WebSocketGrant,
};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Load a policy file and say what it grants, one rule in a line
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep policy check policy.toml\n  everstep policy check policy.toml --json")]
pub(crate) struct Args {
    /// The policy file
    file: PathBuf,
    /// Print one JSON object {name, digest, policy, notes}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(Args { file, json }: &Args) -> Outcome {
    let policy = Policy::load(file)?;
    if *json {
        let canonical =
            serde_json::to_value(&policy).map_err(|error| Failure::io("cannot write JSON")(error.into()))?;
        let notes = policy.remarks();
        print_json(&json!({ "name": policy.name, "digest": policy.digest(), "policy": canonical, "notes": notes }))?;
    } else {
        print(&describe(&policy))?;
    }
    Ok(Exit::Done)
}

fn describe(policy: &Policy) -> String {
    let mut text = String::new();
    let mut rule = |name: &str, grants: String| text.push_str(&format!("{name:<12} {grants}\n"));
    rule("policy", text::line(&policy.name, 200));
    rule("digest", policy.digest().to_string());
    for capability in &policy.capabilities {
        let calls = capability.max_calls.map(|calls| format!(", at most {calls} calls"));
        let timeout = capability.timeout.map(|timeout| format!(", each within {timeout:?}"));
        let bounds = [calls, timeout].into_iter().flatten().collect::<String>();
        rule("capability", format!("{}{bounds}", text::line(capability.name(), 200)));
    }
    for grant in &policy.files {
        rule("files", files(grant));
    }
    for grant in &policy.fetch {
        rule("fetch", fetch(grant));
    }
    for grant in &policy.websocket {
        rule("websocket", websocket(grant));
    }
    for range in &policy.network.allow {
        rule("network", format!("{range} may be reached although it is not global"));
    }
    for range in &policy.network.block {
        rule("network", format!("{range} is not reached"));
    }
    for ask in &policy.asks {
        rule("ask", self::ask(ask));
    }
    for name in policy.functions.keys() {
        rule("function", format!("{} keeps a part of this", text::line(name, 200)));
    }
    match policy.clock {
        ClockGrant::Deny => {}
        ClockGrant::Recorded => rule("clock", "the time of the host, recorded".into()),
        ClockGrant::Frozen { at_ms } => rule("clock", format!("always {}", text::time(at_ms))),
    }
    if policy.random == RandomGrant::Seeded {
        rule("random", "from the recorded seed".into());
    }
    for (name, value) in &policy.env {
        rule("env", text::line(&format!("{name}={value}"), 200));
    }
    if let Some(audit) = &policy.audit {
        rule("audit", text::line(&audit.file.to_string_lossy(), 200));
    }
    rule("limits", limits(&policy.limits));
    rule("lineage", lineage(&policy.limits.shared()));
    for remark in policy.remarks() {
        rule("note", text::line(&remark, 500));
    }
    text.push_str("everything else is denied\n");
    text
}

fn files(grant: &FilesGrant) -> String {
    let FilesGrant { id, guest, host, access, max_file, max_written, max_files } = grant;
    let access = match access {
        Access::Read => format!("read; files up to {}", size(*max_file)),
        Access::Write | Access::Overlay => {
            let (file, written) = (size(*max_file), size(*max_written));
            let write = if *access == Access::Write { "write" } else { "write in memory" };
            format!("read and {write}; files up to {file}, {written} in {} files written", count(*max_files))
        }
    };
    text::line(&format!("{id}: {guest} is {}: {access}", everstep::visible::path(host)), 500)
}

fn fetch(grant: &FetchGrant) -> String {
    let terms = &grant.terms;
    let bodies = format!("bodies up to {} and back {}", size(terms.max_request), size(terms.max_response));
    let bounds = [
        terms.max_calls.map(|calls| format!("at most {calls} calls")),
        terms.rate.map(|rate| format!("{rate}")),
        Some(format!("{} at once", count(terms.concurrent))),
        Some(bodies),
        Some(format!("each within {}", time(terms.timeout))),
        (terms.redirects > 0).then(|| format!("up to {} redirects", terms.redirects)),
        terms.secret.as_ref().map(|secret| format!("{} from {}", secret.header, secret.from)),
    ];
    let bounds = bounds.into_iter().flatten().collect::<Vec<_>>().join(", ");
    text::line(&format!("{}: {} {}; {bounds}", grant.id, grant.methods.join(", "), grant.url), 500)
}

fn websocket(grant: &WebSocketGrant) -> String {
    let terms = &grant.terms;
    let (open, message, idle) = (count(terms.max_open), size(terms.max_message), time(terms.idle));
    let messages = count(terms.max_messages);
    let bounds = format!("{open} at once, {messages} messages up to {message}, silent up to {idle}");
    text::line(&format!("{}: {}; {bounds}", grant.id, grant.url), 500)
}

fn ask(ask: &AskRule) -> String {
    let methods = if ask.methods.is_empty() { String::new() } else { format!(" {}", ask.methods.join(", ")) };
    let url = ask.url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
    let holds = if ask.remember == Remember::Execution { "for the execution" } else { "once" };
    let enough = if ask.sufficient { "" } else { "; another rule must grant it as well" };
    let about = format!("{}: {}{methods}{url}", ask.rule, ask.when);
    text::line(&format!("{about}; holds {holds}, to be answered within {}{enough}", time(ask.ttl)), 500)
}

fn limits(limits: &Limits) -> String {
    let sizes = [
        ("memory", limits.memory),
        ("wasm_stack", limits.wasm_stack),
        ("bytes_per_call", limits.bytes_per_call),
        ("output", limits.output),
        ("result", limits.result),
        ("journal", limits.journal),
    ];
    let counts = [
        ("steps", limits.steps),
        ("table_elements", limits.table_elements),
        ("in_flight", limits.in_flight),
        ("pending_promises", limits.pending_promises),
    ];
    let times = [("wall", limits.wall), ("cpu", limits.cpu), ("session_cpu", limits.session_cpu)];
    let times = times.map(|(name, limit)| format!("{name} {}", time(limit)));
    let sizes = sizes.map(|(name, limit)| format!("{name} {}", size(limit)));
    let counts = counts.map(|(name, limit)| format!("{name} {}", count(limit)));
    times.into_iter().chain(sizes).chain(counts).collect::<Vec<_>>().join(", ")
}

/// What the root and all that it has called or detached share.
fn lineage(limits: &Lineage) -> String {
    let Lineage { executions, cpu, promises, depth } = limits;
    let (executions, promises, depth) = (count(*executions), count(*promises), count(*depth));
    format!("executions {executions}, cpu {}, promises {promises}, depth {depth}", time(*cpu))
}

fn time(limit: Duration) -> String {
    if limit == Duration::MAX { "unlimited".into() } else { format!("{limit:?}") }
}

fn count(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".into() } else { limit.to_string() }
}

/// Bytes in the greatest unit that divides them.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        _ if bytes == u64::MAX => "unlimited".into(),
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_has_a_line() {
        let text = describe(&Policy::none());
        assert!(text.contains("\ncapability   print\n"), "{text}");
        assert!(text.contains("memory 128 MiB"), "{text}");
        assert!(text.contains("\nlineage      executions 10000, cpu 600s, promises 10000, depth 32\n"), "{text}");
        assert!(!text.contains("clock"), "{text}");
        assert_eq!((size(1536), size(1 << 30), size(0)), ("1536 B".into(), "1 GiB".into(), "0 B".into()));
    }
}
