//! From the keys of a policy file to a [`Policy`]: defaults, bounds, and rules that contradict each other.

use super::file::{self, Access, ClockMode, File, Source};
use super::units::{Count, Size, Span};
use super::{AuditGrant, CapabilityGrant, ClockGrant, Error, FilesGrant, Limits, Policy, RandomGrant, path, quoted};
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const MAX_FILE: u64 = 10 * MIB;
const MAX_WRITTEN: u64 = 50 * MIB;
const MAX_FILES: u64 = 1000;

/// Ids that decisions use for something else.
const RESERVED: [&str; 3] = ["clock", "random", "default"];
/// Capabilities that are over at once: nothing of them could time out.
const IMMEDIATE: [&str; 2] = ["print", "display"];
/// Capabilities that are granted by a section of their own.
const SECTIONS: [&str; 3] = ["clock", "random", "files"];

/// Makes a policy of a file, or says what contradicts it.
pub(super) fn policy(shape: File, source: &Source<'_>) -> Result<Policy, Error> {
    if *shape.version.get_ref() != 1 {
        let what = format!("version {} is not known to this build", shape.version.get_ref());
        return Err(source.invalid(&shape.version.span(), what, "write version = 1"));
    }
    let base = folder(source)?;
    let folders = shape.files.iter().map(|grant| grant.host.span()).collect::<Vec<_>>();
    let log = shape.audit.as_ref().map(|audit| audit.file.span());
    let policy = Policy {
        name: name(shape.name, source)?,
        limits: limits(shape.limits, source)?,
        env: environment(shape.env, source)?,
        clock: clock(shape.clock, source)?,
        random: shape.random.map_or(RandomGrant::Deny, |random| random.mode),
        capabilities: capabilities(shape.capability, source)?,
        files: files(shape.files, &base, source)?,
        audit: shape.audit.map(|audit| audit_grant(&audit, &base, source)).transpose()?,
    };
    keep_the_host_apart(&policy, &folders, log, source)?;
    Ok(policy)
}

/// The folder of the policy file, absolute.
fn folder(source: &Source<'_>) -> Result<PathBuf, Error> {
    let unreadable = |error| Error::Read { path: source.path(), source: error };
    let file = std::path::absolute(source.file).map_err(unreadable)?;
    Ok(file.parent().unwrap_or(Path::new("/")).to_owned())
}

fn name(name: Option<Spanned<String>>, source: &Source<'_>) -> Result<String, Error> {
    let Some(name) = name else {
        return Ok(source.file.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    };
    let text = name.get_ref();
    if text.is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
        let what = format!("{} is no name of a policy", quoted(text));
        return Err(source.invalid(&name.span(), what, "use 1 to 128 bytes without control characters"));
    }
    Ok(name.into_inner())
}

fn limits(shape: file::Limits, source: &Source<'_>) -> Result<Limits, Error> {
    let default = Limits::default();
    let time = |key, value, default| span(source, key, value, default);
    let size = |key, value, default, range| bounded(source, key, value, |Size(bytes)| bytes, default, range);
    let count = |key, value, default| bounded(source, key, value, |Count(count)| count, default, 0..=u64::MAX);
    let any = || 0..=u64::MAX;
    Ok(Limits {
        wall: time("wall", shape.wall, default.wall)?,
        cpu: time("cpu", shape.cpu, default.cpu)?,
        memory: size("memory", shape.memory, default.memory, 64 * KIB..=4 * GIB)?,
        table_elements: count("table_elements", shape.table_elements, default.table_elements)?,
        wasm_stack: size("wasm_stack", shape.wasm_stack, default.wasm_stack, 64 * KIB..=64 * MIB)?,
        steps: count("steps", shape.steps, default.steps)?,
        in_flight: count("in_flight", shape.in_flight, default.in_flight)?,
        bytes_per_call: size("bytes_per_call", shape.bytes_per_call, default.bytes_per_call, any())?,
        output: size("output", shape.output, default.output, any())?,
        result: size("result", shape.result, default.result, any())?,
        journal: size("journal", shape.journal, default.journal, any())?,
        pending_promises: count("pending_promises", shape.pending_promises, default.pending_promises)?,
    })
}

fn bounded<T>(
    source: &Source<'_>,
    key: &str,
    value: Option<Spanned<T>>,
    number: fn(T) -> u64,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, Error> {
    let Some(value) = value else { return Ok(default) };
    let place = value.span();
    let number = number(value.into_inner());
    if !range.contains(&number) {
        let what = format!("limits.{key} lies between {} and {} bytes", range.start(), range.end());
        return Err(source.invalid(&place, what, "the engine has these bounds: write a size within them"));
    }
    Ok(number)
}

fn span(source: &Source<'_>, key: &str, value: Option<Spanned<Span>>, default: Duration) -> Result<Duration, Error> {
    let Some(value) = value else { return Ok(default) };
    let Span(time) = *value.get_ref();
    if time.is_zero() {
        return Err(source.invalid(&value.span(), format!("limits.{key} is zero"), "write at least \"1ms\""));
    }
    Ok(time)
}

fn environment(
    shape: BTreeMap<Spanned<String>, Spanned<String>>,
    source: &Source<'_>,
) -> Result<BTreeMap<String, String>, Error> {
    for (key, value) in &shape {
        let (name, text) = (key.get_ref(), value.get_ref());
        if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
            let what = format!("{} is no environment variable", quoted(name));
            return Err(source.invalid(&key.span(), what, "use a name without \"=\", and no NUL in name or value"));
        }
    }
    Ok(shape.into_iter().map(|(key, value)| (key.into_inner(), value.into_inner())).collect())
}

fn clock(shape: Option<file::Clock>, source: &Source<'_>) -> Result<ClockGrant, Error> {
    let Some(clock) = shape else { return Ok(ClockGrant::Deny) };
    match (clock.mode.get_ref(), clock.at) {
        (ClockMode::Deny, None) => Ok(ClockGrant::Deny),
        (ClockMode::Recorded, None) => Ok(ClockGrant::Recorded),
        (ClockMode::Frozen, Some(at)) => Ok(ClockGrant::Frozen { at_ms: moment(&at, source)? }),
        (ClockMode::Frozen, None) => {
            let what = "clock.mode = \"frozen\" needs the moment".to_owned();
            Err(source.invalid(&clock.mode.span(), what, "add at = \"2026-01-31T12:00:00Z\" (RFC 3339)"))
        }
        (_, Some(at)) => {
            let what = "clock.at has a meaning for mode = \"frozen\" only".to_owned();
            Err(source.invalid(&at.span(), what, "remove it, or set mode = \"frozen\""))
        }
    }
}

/// Milliseconds since the Unix epoch, from a text or a TOML date.
fn moment(at: &Spanned<toml::Value>, source: &Source<'_>) -> Result<u64, Error> {
    let text = match at.get_ref() {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Datetime(date) => Some(date.to_string()),
        _ => None,
    };
    let time = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok()).ok_or_else(|| {
        let what = "clock.at is no moment since 1970".to_owned();
        source.invalid(&at.span(), what, "write it after RFC 3339, such as \"2026-01-31T12:00:00Z\"")
    })
}

fn capabilities(shape: Vec<file::Capability>, source: &Source<'_>) -> Result<Vec<CapabilityGrant>, Error> {
    let mut taken = Taken::default();
    let grant = |shape: file::Capability| {
        let name = shape.name.get_ref();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(allowed) {
            let what = format!("{} is no name of a capability", quoted(name));
            let remedy = "use 1 to 128 of the characters a-z, A-Z, 0-9, '-', '_', '.', ':' and '/'";
            return Err(source.invalid(&shape.name.span(), what, remedy));
        }
        if SECTIONS.contains(&name.as_str()) {
            let what = format!("{} is not granted by name", quoted(name));
            return Err(source.invalid(&shape.name.span(), what, "use the section that has this name"));
        }
        taken.take(&shape.name, source)?;
        if let (true, Some(timeout)) = (IMMEDIATE.contains(&name.as_str()), &shape.timeout) {
            let what = format!("timeout has no meaning for {}, which never waits", quoted(name));
            return Err(source.invalid(&timeout.span(), what, "remove it"));
        }
        let max_calls = shape.max_calls.map(|Count(calls)| calls).filter(|calls| *calls != u64::MAX);
        let timeout = shape.timeout.as_ref().map(|time| time.get_ref().0).filter(|time| *time != Duration::MAX);
        Ok(CapabilityGrant { max_calls, timeout, ..CapabilityGrant::new(name) })
    };
    shape.into_iter().map(grant).collect()
}

fn files(shape: Vec<file::Files>, base: &Path, source: &Source<'_>) -> Result<Vec<FilesGrant>, Error> {
    let mut taken = Taken::default();
    let mut grants: Vec<FilesGrant> = Vec::with_capacity(shape.len());
    for shape in shape {
        check_id(&shape.id, source)?;
        taken.take(&shape.id, source)?;
        let grant = files_grant(&shape, base, source)?;
        for other in &grants {
            check_overlap(&grant, other, &shape, source)?;
        }
        grants.push(grant);
    }
    Ok(grants)
}

fn check_id(id: &Spanned<String>, source: &Source<'_>) -> Result<(), Error> {
    let text = id.get_ref();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
        let what = format!("{} is no id of a rule", quoted(text));
        return Err(source.invalid(&id.span(), what, "use 1 to 64 of the characters a-z, A-Z, 0-9, '-' and '_'"));
    }
    if RESERVED.contains(&text.as_str()) {
        let what = format!("{} is the id of a built-in rule", quoted(text));
        return Err(source.invalid(&id.span(), what, "choose another"));
    }
    Ok(())
}

fn files_grant(shape: &file::Files, base: &Path, source: &Source<'_>) -> Result<FilesGrant, Error> {
    let guest = shape.guest.get_ref();
    path::check(guest).map_err(|fault| {
        let what = format!("{} is no guest path ({fault})", quoted(guest));
        source.invalid(&shape.guest.span(), what, "write an absolute path, such as \"/data\"")
    })?;
    let access = match shape.access.get_ref() {
        Access::Read => super::Access::Read,
        Access::Write => super::Access::Write,
        Access::Overlay => return Err(source.unenforced(&shape.access.span(), "access = \"overlay\"".to_owned())),
    };
    let written = shape.max_written.as_ref().map(|max| ("max_written", max.span()));
    let number = shape.max_files.as_ref().map(|max| ("max_files", max.span()));
    if let (super::Access::Read, Some((key, place))) = (access, written.or(number)) {
        let what = format!("{key} has no meaning for access = \"read\"");
        return Err(source.invalid(&place, what, "remove it, or set access = \"write\""));
    }
    let for_writing = |max: u64| if access == super::Access::Write { max } else { 0 };
    Ok(FilesGrant {
        id: shape.id.get_ref().clone(),
        guest: guest.clone(),
        host: absolute(&shape.host, base, source)?,
        access,
        max_file: shape.max_file.map_or(MAX_FILE, |Size(bytes)| bytes),
        max_written: for_writing(shape.max_written.as_ref().map_or(MAX_WRITTEN, |max| max.get_ref().0)),
        max_files: for_writing(shape.max_files.as_ref().map_or(MAX_FILES, |max| max.get_ref().0)),
    })
}

/// Neither may a guest path have two meanings, nor may a folder that is read also be written through another rule.
fn check_overlap(
    grant: &FilesGrant,
    other: &FilesGrant,
    shape: &file::Files,
    source: &Source<'_>,
) -> Result<(), Error> {
    if path::below(&other.guest, &grant.guest).is_some() || path::below(&grant.guest, &other.guest).is_some() {
        let what = format!("the guest path {} overlaps that of rule {:?}", quoted(&grant.guest), other.id);
        return Err(source.invalid(&shape.guest.span(), what, "give each rule a path outside the others"));
    }
    let (a, b) = (real_path(&grant.host), real_path(&other.host));
    let writable = [grant, other].iter().any(|grant| grant.access == super::Access::Write);
    if writable && (a.starts_with(&b) || b.starts_with(&a)) {
        let what = format!("the host folder overlaps that of rule {:?}, and one of them is writable", other.id);
        return Err(source.invalid(&shape.host.span(), what, "keep a writable folder apart from the others"));
    }
    Ok(())
}

fn audit_grant(shape: &file::Audit, base: &Path, source: &Source<'_>) -> Result<AuditGrant, Error> {
    Ok(AuditGrant { file: absolute(&shape.file, base, source)? })
}

/// A path of the host, taken from the folder of the policy file.
fn absolute(text: &Spanned<String>, base: &Path, source: &Source<'_>) -> Result<PathBuf, Error> {
    let invalid =
        |what: &str, remedy| source.invalid(&text.span(), format!("{} {what}", quoted(text.get_ref())), remedy);
    if text.get_ref().is_empty() || text.get_ref().contains('\0') {
        return Err(invalid("is no path of the host", "write a path, such as \"./data\""));
    }
    let path = std::path::absolute(base.join(text.get_ref())).unwrap_or_default();
    if path.to_str().is_none() {
        return Err(invalid("lies below a folder whose name is not UTF-8", "move the policy file"));
    }
    Ok(path)
}

/// What steers the host must not lie where a guest can write it.
fn keep_the_host_apart(
    policy: &Policy,
    folders: &[Range<usize>],
    log: Option<Range<usize>>,
    source: &Source<'_>,
) -> Result<(), Error> {
    let remedy = "grant a folder that does not hold it";
    for (grant, place) in policy.files.iter().zip(folders) {
        if grant.is_writable_at(source.file) {
            let what = format!("rule {:?} lets the guest rewrite this policy file", grant.id);
            return Err(source.invalid(place, what, remedy));
        }
    }
    if let (Some(audit), Some(place)) = (&policy.audit, log)
        && let Some(grant) = policy.writable_at(&audit.file)
    {
        let what = format!("rule {:?} lets the guest rewrite the audit log", grant.id);
        return Err(source.invalid(&place, what, remedy));
    }
    Ok(())
}

/// The absolute path with its links resolved, as far as it exists.
pub(super) fn real_path(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for component in std::path::absolute(path).as_deref().unwrap_or(path).components() {
        match component {
            Component::ParentDir => drop(real.pop()),
            _ => real.push(component),
        }
        real = real.canonicalize().unwrap_or(real);
    }
    real
}

/// Ids in use, and where.
#[derive(Default)]
struct Taken(BTreeMap<String, usize>);

impl Taken {
    fn take(&mut self, id: &Spanned<String>, source: &Source<'_>) -> Result<(), Error> {
        let (rule, line) = (id.get_ref().clone(), source.line(&id.span()));
        match self.0.insert(rule.clone(), line) {
            Some(first_line) => Err(Error::Duplicate { file: source.path(), line, rule, first_line }),
            None => Ok(()),
        }
    }
}
