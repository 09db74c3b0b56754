//! From the keys of a policy file to a [`Policy`]: defaults, bounds, and rules that contradict each other.
//!
//! `web` reads the rules about URLs and addresses, `ask` those that ask, `function` what single functions keep, `sizes` has the sizes
//! of rules agree with the limits. What a file does not
//! say it inherits from the policies that it extends; `extends` says what that is, and checks that nothing became wider.

mod ask;
mod function;
mod sizes;
mod web;

use super::extends::{self, Checked, Places};
use super::file::{self, At, ClockMode, File, Source};
use super::units::{Count, Size, Span};
use super::{
    Access, AuditGrant, CapabilityGrant, ClockGrant, Error, FilesGrant, Limits, Lineage, Policy, RandomGrant,
    SecretSource,
};
use super::{path, quoted, system};
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const MAX_FILE: u64 = 10 * MIB;
const MAX_WRITTEN: u64 = 50 * MIB;
const MAX_FILES: u64 = 1000;

/// Ids that decisions use for something else.
const RESERVED: [&str; 4] = ["clock", "random", "network", "default"];
/// Capabilities that are over at once: nothing of them could time out.
const IMMEDIATE: [&str; 2] = ["print", "display"];
/// Capabilities that are granted by a section of their own.
const SECTIONS: [&str; 5] = ["clock", "random", "files", "fetch", "websocket"];

/// Makes a policy of a file and of what it extends, or says what contradicts it.
pub(super) fn policy(mut shape: File, source: &Source<'_>, bases: &[Checked]) -> Result<Checked, Error> {
    if *shape.version.get_ref() != 1 {
        let what = format!("version {} is not known to this build", shape.version.get_ref());
        return Err(source.invalid(&shape.version.span(), what, "write version = 1"));
    }
    let (folder, inherited) = (folder(source)?, extends::inherited(bases));
    let mut places = Places::of(bases);
    let mut taken = Taken::default();
    let folders =
        shape.files.iter().flatten().map(|grant| (grant.id.get_ref().clone(), grant.host.span())).collect::<Vec<_>>();
    let functions = std::mem::take(&mut shape.functions);
    let is_fixed = shape.limits.bytes_per_call.is_some() || !bases.is_empty();
    let per_call = sizes::largest(&shape).filter(|_| !is_fixed).unwrap_or(0);
    let mut reader = Reader { source, folder: &folder, places: &mut places, taken: &mut taken, per_call: 0 };
    let mut limits = reader.limits("limits", shape.limits, &inherited.limits)?;
    limits.bytes_per_call = limits.bytes_per_call.max(per_call);
    reader.per_call = limits.bytes_per_call;
    let (env, clock, random) =
        (reader.environment(shape.env)?, reader.clock(shape.clock)?, reader.random(shape.random));
    let (capabilities, files) = (reader.capabilities(shape.capability)?, reader.files(shape.files)?);
    let (fetch, websocket) = (reader.fetch(shape.fetch)?, reader.websocket(shape.websocket)?);
    let own_asks = reader.asks(shape.ask, &inherited.asks, bases.is_empty())?;
    let asks = ask::all(&inherited, own_asks, fetch.as_deref(), websocket.as_deref());
    let policy = Policy {
        name: name(shape.name, source)?,
        limits,
        env: env.unwrap_or(inherited.env),
        clock: clock.unwrap_or(inherited.clock),
        random: random.unwrap_or(inherited.random),
        capabilities: capabilities.unwrap_or(inherited.capabilities),
        files: files.unwrap_or(inherited.files),
        fetch: fetch.map_or(inherited.fetch, Into::into),
        websocket: websocket.map_or(inherited.websocket, Into::into),
        network: reader.network(shape.network, inherited.network)?,
        asks,
        functions: BTreeMap::new(),
        audit: shape.audit.map(|audit| reader.audit(&audit)).transpose()?.or(inherited.audit),
    };
    let mut checked = Checked::new(policy, places, source, bases);
    checked.check_ids(source)?;
    let covers = bases.iter().map(|base| extends::check(&checked, base)).collect::<Result<Vec<_>, _>>()?;
    function::sections(functions, &mut checked, source, bases, &covers)?;
    keep_the_host_apart(&checked, &folders, source)?;
    Ok(checked)
}

/// Reads the sections of one file, and keeps where their rules stand.
struct Reader<'r> {
    source: &'r Source<'r>,
    /// The folder of the file.
    folder: &'r Path,
    places: &'r mut Places,
    taken: &'r mut Taken,
    /// What one call may carry: what holds where a rule names no size is no more than that.
    per_call: u64,
}

/// The folder of the policy file, absolute.
fn folder(source: &Source<'_>) -> Result<PathBuf, Error> {
    let unreadable = |error| Error::Read { path: source.path(), source: error };
    let file = std::path::absolute(source.file).map_err(unreadable)?;
    Ok(file.parent().unwrap_or(Path::new("/")).to_owned())
}

fn name(name: Option<At<String>>, source: &Source<'_>) -> Result<String, Error> {
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

/// Reads `[limits]`, here or of a function; `given` sees each key that is there, and its place.
fn limits(
    shape: file::Limits,
    default: &Limits,
    source: &Source<'_>,
    given: &mut dyn FnMut(&'static str, Range<usize>),
) -> Result<Limits, Error> {
    let mut time = |key, value: Option<At<Span>>, default| {
        value.iter().for_each(|value| given(key, value.span()));
        span(source, &format!("limits.{key}"), value, default)
    };
    let (wall, cpu) = (time("wall", shape.wall, default.wall)?, time("cpu", shape.cpu, default.cpu)?);
    let session_cpu = time("session_cpu", shape.session_cpu, default.session_cpu)?;
    let (shared, lineage) = (shape.lineage, &default.lineage);
    let lineage_cpu = time("lineage.cpu", shared.cpu, lineage.cpu)?;
    let mut size = |key, value: Option<At<Size>>, default, range| {
        value.iter().for_each(|value| given(key, value.span()));
        bounded(source, key, value, |Size(bytes)| bytes, default, range)
    };
    let any = || 0..=u64::MAX;
    let memory = size("memory", shape.memory, default.memory, 64 * KIB..=4 * GIB)?;
    let wasm_stack = size("wasm_stack", shape.wasm_stack, default.wasm_stack, 64 * KIB..=64 * MIB)?;
    let bytes_per_call = size("bytes_per_call", shape.bytes_per_call, default.bytes_per_call, any())?;
    let output = size("output", shape.output, default.output, any())?;
    let result = size("result", shape.result, default.result, any())?;
    let journal = size("journal", shape.journal, default.journal, any())?;
    let mut count = |key, value: Option<At<Count>>, default| {
        value.iter().for_each(|value| given(key, value.span()));
        value.map_or(default, |value| value.into_inner().0)
    };
    Ok(Limits {
        wall,
        cpu,
        session_cpu,
        memory,
        table_elements: count("table_elements", shape.table_elements, default.table_elements),
        wasm_stack,
        steps: count("steps", shape.steps, default.steps),
        in_flight: count("in_flight", shape.in_flight, default.in_flight),
        bytes_per_call,
        output,
        result,
        journal,
        pending_promises: count("pending_promises", shape.pending_promises, default.pending_promises),
        lineage: Lineage {
            executions: count("lineage.executions", shared.executions, lineage.executions),
            cpu: lineage_cpu,
            promises: count("lineage.promises", shared.promises, lineage.promises),
            depth: count("lineage.depth", shared.depth, lineage.depth),
        },
    })
}

fn bounded<T>(
    source: &Source<'_>,
    key: &str,
    value: Option<At<T>>,
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

fn span(source: &Source<'_>, key: &str, value: Option<At<Span>>, default: Duration) -> Result<Duration, Error> {
    let Some(value) = value else { return Ok(default) };
    let Span(time) = *value.get_ref();
    if time.is_zero() {
        return Err(source.invalid(&value.span(), format!("{key} is zero"), "write at least \"1ms\""));
    }
    Ok(time)
}

impl Reader<'_> {
    fn limits(&mut self, section: &str, shape: file::Limits, default: &Limits) -> Result<Limits, Error> {
        let (source, places) = (self.source, &mut *self.places);
        limits(shape, default, source, &mut |key, span| places.put(format!("{section}.{key}"), source, &span))
    }

    fn environment(
        &mut self,
        shape: Option<BTreeMap<At<String>, At<String>>>,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Some(shape) = shape else { return Ok(None) };
        for (key, value) in &shape {
            let (name, text) = (key.get_ref(), value.get_ref());
            if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
                let what = format!("{} is no environment variable", quoted(name));
                let remedy = "use a name without \"=\", and no NUL in name or value";
                return Err(self.source.invalid(&key.span(), what, remedy));
            }
            self.places.put(format!("env.{name}"), self.source, &key.span());
        }
        Ok(Some(shape.into_iter().map(|(key, value)| (key.into_inner(), value.into_inner())).collect()))
    }

    fn clock(&mut self, shape: Option<file::Clock>) -> Result<Option<ClockGrant>, Error> {
        shape
            .map(|clock| {
                self.places.put("clock".to_owned(), self.source, &clock.mode.span());
                self::clock(clock, self.source)
            })
            .transpose()
    }

    fn random(&mut self, shape: Option<file::Random>) -> Option<RandomGrant> {
        let mode = shape?.mode;
        self.places.put("random".to_owned(), self.source, &mode.span());
        Some(mode.into_inner())
    }

    fn audit(&mut self, shape: &file::Audit) -> Result<AuditGrant, Error> {
        self.places.put("audit".to_owned(), self.source, &shape.file.span());
        Ok(AuditGrant { file: absolute(&shape.file, self.folder, self.source)? })
    }

    fn capabilities(&mut self, shape: Option<Vec<file::Capability>>) -> Result<Option<Vec<CapabilityGrant>>, Error> {
        // A namespace of their own: decisions call them `capability.NAME`.
        let mut taken = Taken::default();
        let grant = |shape: file::Capability| {
            taken.take(&shape.name, self.source)?;
            let grant = capability(&shape, self.source)?;
            self.places.put(grant.rule().to_owned(), self.source, &shape.name.span());
            Ok(grant)
        };
        shape.map(|shape| shape.into_iter().map(grant).collect()).transpose()
    }

    fn files(&mut self, shape: Option<Vec<file::Files>>) -> Result<Option<Vec<FilesGrant>>, Error> {
        let Some(shape) = shape else { return Ok(None) };
        let mut grants: Vec<FilesGrant> = Vec::with_capacity(shape.len());
        for shape in shape {
            self.take_id(&shape.id)?;
            let grant = files_grant(&shape, self.folder, self.per_call, self.source)?;
            for other in &grants {
                check_overlap(&grant, other, &shape, self.source)?;
            }
            grants.push(grant);
        }
        Ok(Some(grants))
    }

    /// Checks the id of a rule, and that no other rule has it.
    fn take_id(&mut self, id: &At<String>) -> Result<(), Error> {
        check_id(id, self.source)?;
        self.taken.take(id, self.source)?;
        self.places.put(id.get_ref().clone(), self.source, &id.span());
        Ok(())
    }
}

fn clock(clock: file::Clock, source: &Source<'_>) -> Result<ClockGrant, Error> {
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
fn moment(at: &At<toml::Value>, source: &Source<'_>) -> Result<u64, Error> {
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

fn capability(shape: &file::Capability, source: &Source<'_>) -> Result<CapabilityGrant, Error> {
    let name = shape.name.get_ref();
    check_capability(&shape.name, source)?;
    if let (true, Some(timeout)) = (IMMEDIATE.contains(&name.as_str()), &shape.timeout) {
        let what = format!("timeout has no meaning for {}, which never waits", quoted(name));
        return Err(source.invalid(&timeout.span(), what, "remove it"));
    }
    let max_calls = shape.max_calls.map(|Count(calls)| calls).filter(|calls| *calls != u64::MAX);
    let timeout = shape.timeout.as_ref().map(|time| time.get_ref().0).filter(|time| *time != Duration::MAX);
    Ok(CapabilityGrant { max_calls, timeout, ..CapabilityGrant::new(name) })
}

fn check_capability(name: &At<String>, source: &Source<'_>) -> Result<(), Error> {
    let text = name.get_ref();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
        let what = format!("{} is no name of a capability", quoted(text));
        let remedy = "use 1 to 128 of the characters a-z, A-Z, 0-9, '-', '_', '.', ':' and '/'";
        return Err(source.invalid(&name.span(), what, remedy));
    }
    if SECTIONS.contains(&text.as_str()) {
        let what = format!("{} is not granted by name", quoted(text));
        return Err(source.invalid(&name.span(), what, "use the section that has this name"));
    }
    Ok(())
}

fn check_id(id: &At<String>, source: &Source<'_>) -> Result<(), Error> {
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

fn files_grant(shape: &file::Files, base: &Path, per_call: u64, source: &Source<'_>) -> Result<FilesGrant, Error> {
    let guest = shape.guest.get_ref();
    path::check(guest).map_err(|fault| {
        let what = format!("{} is no guest path ({fault})", quoted(guest));
        source.invalid(&shape.guest.span(), what, "write an absolute path, such as \"/data\"")
    })?;
    let access = *shape.access.get_ref();
    let written = shape.max_written.as_ref().map(|max| ("max_written", max.span()));
    let number = shape.max_files.as_ref().map(|max| ("max_files", max.span()));
    if let (Access::Read, Some((key, place))) = (access, written.or(number)) {
        let what = format!("{key} has no meaning for access = \"read\"");
        return Err(source.invalid(&place, what, "remove it, or set access = \"write\""));
    }
    let host = absolute(&shape.host, base, source)?;
    if system::shows_itself_in(&host) {
        let what = format!("the host folder of rule {:?} holds what the system shows of itself", shape.id.get_ref());
        return Err(source.invalid(&shape.host.span(), what, "grant a folder apart from /proc, /sys and /dev"));
    }
    let for_writing = |max: u64| if access == Access::Read { 0 } else { max };
    let max_file = shape.max_file.as_ref().map(|max| max.get_ref().0);
    // A file that may be so large may be written once.
    let max_written = max_file.filter(|max| *max != u64::MAX).map_or(MAX_WRITTEN, |max| max.max(MAX_WRITTEN));
    Ok(FilesGrant {
        id: shape.id.get_ref().clone(),
        guest: guest.clone(),
        host,
        access,
        max_file: max_file.unwrap_or(MAX_FILE.min(per_call)),
        max_written: for_writing(shape.max_written.as_ref().map_or(max_written, |max| max.get_ref().0)),
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
    let writable = [grant, other].iter().any(|grant| grant.access == Access::Write);
    if writable && (a.starts_with(&b) || b.starts_with(&a)) {
        let what = format!("the host folder overlaps that of rule {:?}, and one of them is writable", other.id);
        return Err(source.invalid(&shape.host.span(), what, "keep a writable folder apart from the others"));
    }
    Ok(())
}

/// A path of the host, taken from the folder of the policy file.
fn absolute(text: &At<String>, base: &Path, source: &Source<'_>) -> Result<PathBuf, Error> {
    let invalid =
        |what: &str, remedy| source.invalid(&text.span(), format!("{} {what}", quoted(text.get_ref())), remedy);
    if text.get_ref().is_empty() || text.get_ref().contains('\0') {
        return Err(invalid("is no path of the host", "write a path, such as \"./data\""));
    }
    let path = joined(base, text.get_ref());
    if path.to_str().is_none() {
        return Err(invalid("lies below a folder whose name is not UTF-8", "move the policy file"));
    }
    Ok(path)
}

fn joined(folder: &Path, path: &str) -> PathBuf {
    std::path::absolute(folder.join(path)).unwrap_or_default()
}

/// What steers the host must not lie where a guest can write it.
fn keep_the_host_apart(
    checked: &Checked,
    folders: &[(String, Range<usize>)],
    source: &Source<'_>,
) -> Result<(), Error> {
    let policy = &checked.policy;
    let remedy = "grant a folder that does not hold it";
    let refused = |grant: &FilesGrant, what: &str| {
        let place = folders.iter().find(|(id, _)| *id == grant.id).map_or(0..0, |(_, place)| place.clone());
        source.invalid(&place, format!("rule {:?} lets the guest {what}", grant.id), remedy)
    };
    if let Some(grant) = policy.writable_at(source.file) {
        return Err(refused(grant, "rewrite this policy file"));
    }
    if let Some(grant) = checked.files.iter().find_map(|file| policy.writable_at(file)) {
        return Err(refused(grant, "rewrite a policy that this one extends"));
    }
    if let Some(grant) = policy.audit.as_ref().and_then(|audit| policy.writable_at(&audit.file)) {
        return Err(checked.places.at(source, "audit").map_or_else(
            || refused(grant, "rewrite the audit log"),
            |line| Error::Invalid {
                file: source.path(),
                line,
                what: format!("rule {:?} lets the guest rewrite the audit log", grant.id),
                remedy,
            },
        ));
    }
    let secrets = policy.fetch.iter().filter_map(|grant| grant.terms.secret.as_ref());
    let files =
        secrets.filter_map(|secret| if let SecretSource::File(file) = &secret.from { Some(file) } else { None });
    let readable = files.filter_map(|file| policy.files.iter().find(|grant| grant.holds(file))).next();
    readable.map_or(Ok(()), |grant| Err(refused(grant, "read or change a file with a secret")))
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
    fn take(&mut self, id: &At<String>, source: &Source<'_>) -> Result<(), Error> {
        let (rule, line) = (id.get_ref().clone(), source.line(&id.span()));
        match self.0.insert(rule.clone(), line) {
            Some(first_line) => Err(Error::Duplicate { file: source.path(), line, rule, first_line }),
            None => Ok(()),
        }
    }
}
