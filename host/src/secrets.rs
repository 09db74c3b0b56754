//! Secrets that the host attaches to requests, and removes from everything that comes back or is written down.
//!
//! `decode` resolves the escapes of a text, `spellings` lists the other ways of writing a value, `finder` looks for the spellings
//! in a text and in its decodings. A server that knows a secret can always write it in an undetectable way; this is about servers
//! that return what they were sent.

mod decode;
mod finder;
mod spellings;

use crate::guest_error::GuestError;
use crate::policy::url::Target;
use crate::policy::{Error, Policy, SecretGrant, SecretSource};
use crate::regular_file;
use finder::Finder;
use spellings::SHORTEST;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

/// The secrets of a policy, read once when it is opened. They are in no journal, audit log or policy.
#[derive(Default)]
pub(crate) struct Secrets {
    /// Header and value, by the rule that names the secret.
    by_rule: BTreeMap<String, (String, String)>,
    /// The rules whose secrets were not read, because the ceiling of the host did not lend them.
    withheld: BTreeSet<String>,
    /// Finds the secrets, if there are any.
    finder: Option<Finder>,
}

/// Replaces a secret.
const PLACEHOLDER: &str = "[secret]";

impl Secrets {
    /// Reads the secrets that the rules of a policy name and the ceiling lends, if there is one.
    ///
    /// # Errors
    /// A variable or a file does not exist, or a value cannot be used as a secret.
    pub(crate) fn read(policy: &Policy, ceiling: Option<&Policy>) -> Result<Self, Error> {
        let (mut by_rule, mut withheld) = (BTreeMap::new(), BTreeSet::new());
        for grant in policy.fetch.iter() {
            if let Some(secret @ SecretGrant { header, from }) = &grant.terms.secret {
                if ceiling.is_some_and(|ceiling| !ceiling.lends_secret(secret)) {
                    withheld.insert(grant.id.clone());
                    continue;
                }
                let value = read(from).and_then(checked);
                let value =
                    value.map_err(|reason| Error::Secret { rule: grant.id.clone(), from: from.to_string(), reason })?;
                by_rule.insert(grant.id.clone(), (header.clone(), value));
            }
        }
        Ok(Self { withheld, ..Self::of_values(by_rule)? })
    }

    fn of_values(by_rule: BTreeMap<String, (String, String)>) -> Result<Self, Error> {
        let values: Vec<&str> = by_rule.values().map(|(_, value)| value.as_str()).collect();
        let finder = (!values.is_empty()).then(|| Finder::new(&values)).transpose();
        let finder = finder.map_err(|error| Error::Secrets { reason: error.to_string() })?;
        Ok(Self { by_rule, withheld: BTreeSet::new(), finder })
    }

    /// The header that the host attaches under a rule.
    pub(crate) fn of(&self, rule: &str) -> Option<(String, String)> {
        self.by_rule.get(rule).cloned()
    }

    /// The rules whose secrets were not read.
    pub(crate) fn withheld(&self) -> &BTreeSet<String> {
        &self.withheld
    }

    /// Whether a response from this URL may contain a secret: some rule attaches one to requests to its host.
    pub(crate) fn may_come_from(&self, policy: &Policy, url: &Target) -> bool {
        self.finder.is_some()
            && policy.fetch.iter().any(|grant| grant.terms.secret.is_some() && grant.url.is_about_host_of(url))
    }

    /// The text with secrets replaced.
    pub(crate) fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let found = self.find(text.as_bytes());
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        // A secret is ASCII, and so are all its spellings.
        Cow::Owned(String::from_utf8_lossy(&without(text.as_bytes(), &found)).into_owned())
    }

    /// The same for bytes.
    pub(crate) fn scrub_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let found = self.find(&bytes);
        if found.is_empty() { bytes } else { without(&bytes, &found) }
    }

    /// The same for an error.
    pub(crate) fn scrub_error(&self, error: GuestError) -> GuestError {
        GuestError { message: self.scrub(&error.message).into_owned(), ..error }
    }

    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        self.finder.as_ref().map_or_else(Vec::new, |finder| finder.find(text))
    }
}

/// The bytes with each of these parts replaced.
fn without(bytes: &[u8], parts: &[Range<usize>]) -> Vec<u8> {
    let (mut left, mut from) = (Vec::with_capacity(bytes.len()), 0);
    for part in parts {
        left.extend_from_slice(bytes.get(from..part.start).unwrap_or_default());
        left.extend_from_slice(PLACEHOLDER.as_bytes());
        from = part.end;
    }
    left.extend_from_slice(bytes.get(from..).unwrap_or_default());
    left
}

/// Never shows a secret.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_rule.keys()).finish()
    }
}

fn read(from: &SecretSource) -> Result<String, String> {
    match from {
        SecretSource::Env(name) => std::env::var(name).map_err(|_| "the variable is not set, or not UTF-8".to_owned()),
        SecretSource::File(path) => {
            regular_file::read_text(path, regular_file::POLICY).map_err(|error| error.to_string())
        }
    }
}

fn checked(value: String) -> Result<String, String> {
    let value = value.trim_end_matches(['\r', '\n']);
    if value.bytes().filter(|byte| *byte != b' ').count() < SHORTEST {
        return Err(format!("it has fewer than {SHORTEST} letters, so that it could not be told from other text"));
    }
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("it has a character that no header can carry".to_owned());
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests;
