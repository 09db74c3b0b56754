//! Secrets that the host attaches to requests, and takes out of whatever comes back.

use crate::guest_error::GuestError;
use crate::policy::{Error, Policy, SecretGrant, SecretSource};
use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The secrets of a policy, read once when it is opened. They are in no journal, no audit and no policy.
#[derive(Default)]
pub(crate) struct Secrets {
    /// Header and value, by the rule that names them.
    by_rule: BTreeMap<String, (String, String)>,
    /// Every spelling of them that is taken out.
    spellings: Option<AhoCorasick>,
}

/// A shorter value would be found where it is none.
const SHORTEST: usize = 8;

/// What stands where a secret was.
const PLACEHOLDER: &str = "[secret]";

impl Secrets {
    /// Reads the secrets that the rules of a policy name.
    ///
    /// # Errors
    /// A variable or a file that does not exist, or a value that is no secret.
    pub(crate) fn read(policy: &Policy) -> Result<Self, Error> {
        let mut secrets = Self::default();
        for grant in policy.fetch.iter() {
            if let Some(SecretGrant { header, from }) = &grant.terms.secret {
                let value = read(from).and_then(checked);
                let value =
                    value.map_err(|reason| Error::Secret { rule: grant.id.clone(), from: from.to_string(), reason })?;
                secrets.by_rule.insert(grant.id.clone(), (header.clone(), value));
            }
        }
        let spellings: Vec<String> = secrets.by_rule.values().flat_map(|(_, value)| spellings(value)).collect();
        if !spellings.is_empty() {
            let mut searcher = AhoCorasick::builder();
            let searcher = searcher.match_kind(MatchKind::LeftmostLongest).build(&spellings);
            secrets.spellings = Some(searcher.map_err(|error| Error::Secrets { reason: error.to_string() })?);
        }
        Ok(secrets)
    }

    /// The header that the host attaches under a rule.
    pub(crate) fn of(&self, rule: &str) -> Option<(String, String)> {
        self.by_rule.get(rule).cloned()
    }

    /// A text without secrets.
    pub(crate) fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.spellings {
            Some(spellings) if spellings.is_match(text) => {
                Cow::Owned(spellings.replace_all(text, &vec![PLACEHOLDER; spellings.patterns_len()]))
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// The same for bytes.
    pub(crate) fn scrub_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.spellings {
            Some(spellings) if spellings.is_match(&bytes) => {
                spellings.replace_all_bytes(&bytes, &vec![PLACEHOLDER; spellings.patterns_len()])
            }
            _ => bytes,
        }
    }

    /// The same for an error.
    pub(crate) fn scrub_error(&self, error: GuestError) -> GuestError {
        GuestError { message: self.scrub(&error.message).into_owned(), ..error }
    }
}

/// Never shows a value.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.by_rule.keys()).finish()
    }
}

fn read(from: &SecretSource) -> Result<String, String> {
    match from {
        SecretSource::Env(name) => std::env::var(name).map_err(|_| "the variable is not set, or not UTF-8".to_owned()),
        SecretSource::File(path) => std::fs::read_to_string(path).map_err(|error| error.to_string()),
    }
}

fn checked(value: String) -> Result<String, String> {
    let value = value.trim_end_matches(['\r', '\n']);
    if value.len() < SHORTEST {
        return Err(format!("it has fewer than {SHORTEST} bytes, so that it could not be told from other text"));
    }
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("it has a character that no header can carry".to_owned());
    }
    Ok(value.to_owned())
}

/// How a server may write a value back: as it is, without its scheme, escaped, in base64 or in hex.
fn spellings(value: &str) -> Vec<String> {
    let bare = value.split_once(' ').map(|(_, bare)| bare).filter(|bare| bare.len() >= SHORTEST);
    let all = std::iter::once(value).chain(bare).flat_map(|value| {
        let escaped = serde_json::to_string(value).unwrap_or_default();
        let hex = hex::encode(value);
        [
            value.to_owned(),
            escaped.trim_matches('"').to_owned(),
            percent_encoded(value),
            STANDARD_NO_PAD.encode(value),
            URL_SAFE_NO_PAD.encode(value),
            hex.to_ascii_uppercase(),
            hex,
        ]
    });
    all.collect()
}

fn percent_encoded(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value.bytes().fold(String::new(), |mut text, byte| {
        match plain(byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        let spellings: Vec<String> = values.iter().flat_map(|value| spellings(value)).collect();
        let searcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(spellings).unwrap();
        Secrets { by_rule: BTreeMap::new(), spellings: Some(searcher) }
    }

    #[test]
    fn every_spelling_of_a_secret_is_taken_out() {
        let value = r#"Bearer t0p/"secret"+value"#;
        let secrets = secrets(&[value, "another-one"]);
        for spelling in spellings(value).iter().chain(&spellings("another-one")) {
            let text = format!("before {spelling} after");
            assert_eq!(secrets.scrub(&text), "before [secret] after", "{spelling}");
            assert_eq!(secrets.scrub_bytes(text.into_bytes()), b"before [secret] after");
        }
        assert_eq!(secrets.scrub("Bearer of nothing"), "Bearer of nothing");
        assert_eq!(secrets.scrub_bytes(b"\xff t0p/\"secret\"+value \xff".to_vec()), b"\xff [secret] \xff");
    }

    #[test]
    fn a_value_that_cannot_be_a_secret_is_refused() {
        for value in ["", "short", "with\nnewline in it", "ümläut-in-it"] {
            assert!(checked(value.to_owned()).is_err(), "{value:?}");
        }
        assert_eq!(checked("long-enough\n".to_owned()).unwrap(), "long-enough");
    }
}
