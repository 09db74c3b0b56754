//! From a policy file to a [`Policy`]: section by section. What a file does not set is inherited from the policies that it
//! extends, as `extends` determines.

use super::decide::DEFAULT;
use super::extends::{self, Checked, Places};
use super::section::{Base, File, Policy, SECTIONS};
use super::source::{At, Source};
use super::units::{Count, Span};
use super::url::Pattern;
use super::{Error, quoted};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Longest method, in bytes.
const LONGEST_METHOD: usize = 32;
/// Methods that do not request a resource.
const FORBIDDEN_METHODS: [&str; 2] = ["CONNECT", "TRACE"];

/// Makes a policy from a file and the policies that it extends, or reports a contradiction.
pub(super) fn policy(file: &File, source: &Source<'_>, bases: &[Checked]) -> Result<Checked, Error> {
    if *file.version.get_ref() != 1 {
        let what = format!("version {} is not known to this build", file.version.get_ref());
        return Err(source.invalid(&file.version.span(), what, "write version = 1"));
    }
    let (folder, inherited) = (folder(source)?, extends::inherited(bases));
    let mut policy = Policy { name: name(file.name.as_ref(), source)?, ..inherited.clone() };
    let mut reader = Reader {
        source,
        inherited: &inherited,
        is_root: bases.is_empty(),
        folder: &folder,
        places: Places::of(bases),
        taken: Taken::default(),
    };
    for section in SECTIONS {
        section.read(file, &mut reader, &mut policy)?;
    }
    let mut checked = Checked::new(policy, reader.places, source, bases);
    checked.check_ids(source)?;
    let base = |base| Ok(Base { checked: base, covers: extends::check(&checked, base)? });
    let bases = bases.iter().map(base).collect::<Result<Vec<_>, Error>>()?;
    for section in SECTIONS {
        section.finish(file, source, &mut checked, &bases)?;
    }
    Ok(checked)
}

/// The context in which the sections of one file are read; collects the places of their rules.
pub(crate) struct Reader<'r> {
    pub(crate) source: &'r Source<'r>,
    /// The policy of a file that sets nothing.
    pub(crate) inherited: &'r Policy,
    /// Whether the file extends no other.
    pub(crate) is_root: bool,
    /// The folder of the file.
    folder: &'r Path,
    places: Places,
    taken: Taken,
}

impl Reader<'_> {
    /// Notes the place of a key or a rule.
    pub(crate) fn place(&mut self, key: &str, span: &Range<usize>) {
        self.places.put(key.to_owned(), self.source, span);
    }

    /// Checks the id of a rule, and that no other rule has it.
    pub(crate) fn take_id(&mut self, id: &At<String>) -> Result<String, Error> {
        check_id(id, self.source)?;
        self.taken.take(id, self.source)?;
        self.place(id.get_ref(), &id.span());
        Ok(id.get_ref().clone())
    }

    /// A path of the host, resolved from the folder of the policy file.
    pub(crate) fn absolute(&self, text: &At<String>) -> Result<PathBuf, Error> {
        let invalid = |what: &str, remedy| {
            self.source.invalid(&text.span(), format!("{} {what}", quoted(text.get_ref())), remedy)
        };
        if text.get_ref().is_empty() || text.get_ref().contains('\0') {
            return Err(invalid("is no path of the host", "write a path, such as \"./data\""));
        }
        let path = self.joined(text.get_ref());
        if path.to_str().is_none() {
            return Err(invalid("lies below a folder whose name is not UTF-8", "move the policy file"));
        }
        Ok(path)
    }

    /// The same for a path that is known to be valid.
    pub(crate) fn joined(&self, path: &str) -> PathBuf {
        std::path::absolute(self.folder.join(path)).unwrap_or_default()
    }

    /// Reads the pattern of a rule, which has one of two schemes.
    pub(crate) fn pattern(&self, text: &At<String>, schemes: [&str; 2]) -> Result<Pattern, Error> {
        let invalid = |why: &str| {
            let what = format!("{} is no URL of this rule: {why}", quoted(text.get_ref()));
            self.source.invalid(&text.span(), what, "write one such as \"https://api.example.org/items/**\"")
        };
        let pattern = Pattern::parse(text.get_ref()).map_err(|why| invalid(&why))?;
        if !schemes.contains(&pattern.scheme()) {
            return Err(invalid(&format!("its scheme is none of {} and {}", schemes[0], schemes[1])));
        }
        Ok(pattern)
    }

    /// Reads the methods of a rule, each once.
    pub(crate) fn methods(&self, shape: &At<Vec<At<String>>>) -> Result<Vec<String>, Error> {
        if shape.get_ref().is_empty() {
            let what = "methods is empty".to_owned();
            return Err(self.source.invalid(&shape.span(), what, "name at least one, such as [\"GET\"]"));
        }
        let mut methods: Vec<String> = Vec::new();
        for method in shape.get_ref() {
            let text = method.get_ref();
            if !is_method(text) {
                let what = format!("{} is no method that can be granted", quoted(text));
                let remedy = "write methods in upper case, such as \"GET\"; not CONNECT or TRACE";
                return Err(self.source.invalid(&method.span(), what, remedy));
            }
            if !methods.contains(text) {
                methods.push(text.clone());
            }
        }
        Ok(methods)
    }

    /// Reads a count that must not be zero.
    pub(crate) fn at_least_one(&self, key: &str, value: Option<&At<Count>>, default: u64) -> Result<u64, Error> {
        let Some(value) = value else { return Ok(default) };
        match value.get_ref().0 {
            0 => Err(self.source.invalid(
                &value.span(),
                format!("{key} is zero"),
                "write at least 1, or remove the rule",
            )),
            number => Ok(number),
        }
    }
}

/// Whether a rule may name this method.
pub(crate) fn is_method(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let known = !text.is_empty() && text.len() <= LONGEST_METHOD && text.bytes().all(allowed);
    known && !FORBIDDEN_METHODS.contains(&text)
}

/// The folder of the policy file, absolute.
fn folder(source: &Source<'_>) -> Result<PathBuf, Error> {
    let unreadable = |error| Error::Read { path: source.path(), source: error };
    let file = std::path::absolute(source.file).map_err(unreadable)?;
    Ok(file.parent().unwrap_or(Path::new("/")).to_owned())
}

fn name(name: Option<&At<String>>, source: &Source<'_>) -> Result<String, Error> {
    let Some(name) = name else {
        return Ok(source.file.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    };
    let text = name.get_ref();
    if text.is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
        let what = format!("{} is no name of a policy", quoted(text));
        return Err(source.invalid(&name.span(), what, "use 1 to 128 bytes without control characters"));
    }
    Ok(text.clone())
}

/// Reads a time that must not be zero.
pub(crate) fn span(
    source: &Source<'_>,
    key: &str,
    value: Option<&At<Span>>,
    default: Duration,
) -> Result<Duration, Error> {
    let Some(value) = value else { return Ok(default) };
    let Span(time) = *value.get_ref();
    if time.is_zero() {
        return Err(source.invalid(&value.span(), format!("{key} is zero"), "write at least \"1ms\""));
    }
    Ok(time)
}

fn check_id(id: &At<String>, source: &Source<'_>) -> Result<(), Error> {
    let text = id.get_ref();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
        let what = format!("{} is no id of a rule", quoted(text));
        return Err(source.invalid(&id.span(), what, "use 1 to 64 of the characters a-z, A-Z, 0-9, '-' and '_'"));
    }
    if text == DEFAULT || SECTIONS.iter().any(|section| section.is_rule() && section.key() == text) {
        let what = format!("{} is the id of a built-in rule", quoted(text));
        return Err(source.invalid(&id.span(), what, "choose another"));
    }
    Ok(())
}

/// The absolute path with its links resolved, as far as it exists.
pub(crate) fn real_path(path: &Path) -> PathBuf {
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

/// Ids in use, with their lines.
#[derive(Default)]
pub(crate) struct Taken(BTreeMap<String, usize>);

impl Taken {
    /// Takes an id, unless it is in use.
    pub(crate) fn take(&mut self, id: &At<String>, source: &Source<'_>) -> Result<(), Error> {
        let (rule, line) = (id.get_ref().clone(), source.line(&id.span()));
        match self.0.insert(rule.clone(), line) {
            Some(first_line) => Err(Error::Duplicate { file: source.path(), line, rule, first_line }),
            None => Ok(()),
        }
    }
}
