//! Why a policy cannot be loaded: for the person who wrote it.

use std::borrow::Cow;
use std::path::PathBuf;

/// Why a policy cannot be loaded or put to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error(
        "cannot read the policy {}; check the path, and that the file is UTF-8 text",
        everstep_words::visible::path(path)
    )]
    Read {
        /// The policy file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, has an unknown key, lacks one, or holds a value of the wrong type.
    #[error("{}:{line}: {message}", everstep_words::visible::path(file))]
    Malformed {
        /// The policy file.
        file: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong, and what to do about it.
        message: String,
    },
    /// A key or rule that allows more than a policy which is extended.
    #[error(
        "{}:{line}: {what}, which {}:{base_line} does not allow; a policy may only narrow what it extends",
        everstep_words::visible::path(file),
        everstep_words::visible::path(base)
    )]
    Widening {
        /// The policy file that is wider.
        file: PathBuf,
        /// Where, from 1.
        line: usize,
        /// The policy file that it extends, or that this one extends.
        base: PathBuf,
        /// Where, from 1; the first line when the base says nothing about it.
        base_line: usize,
        /// What is wider.
        what: String,
    },
    /// Two rules have the same id.
    #[error(
        "{}:{line}: {rule:?} is taken by the rule on line {first_line}; give each rule a name of its own",
        everstep_words::visible::path(file)
    )]
    Duplicate {
        /// The policy file.
        file: PathBuf,
        /// Where, from 1.
        line: usize,
        /// The id that is taken.
        rule: String,
        /// Where it is taken, from 1.
        first_line: usize,
    },
    /// A value that cannot be.
    #[error("{}:{line}: {what}; {remedy}", everstep_words::visible::path(file))]
    Invalid {
        /// The policy file.
        file: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        what: String,
        /// What to write instead.
        remedy: Cow<'static, str>,
    },
    /// The folder of a `[[files]]` rule cannot be opened.
    #[error(
        "cannot open the host folder {} of the [[files]] rule {rule:?}; create it or correct `host`",
        everstep_words::visible::path(path)
    )]
    Folder {
        /// The rule's id.
        rule: String,
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Two `[[files]]` rules reach the same folder, and one of them may write.
    #[error(
        "the host folders of the [[files]] rules {rule:?} and {other:?} overlap and one is writable; keep them apart"
    )]
    Overlap {
        /// The id of one rule.
        rule: String,
        /// The id of the other.
        other: String,
    },
    /// The folder of a `[[files]]` rule is, or holds, one in which the system shows itself.
    #[error(
        "the host folder {} of the [[files]] rule {rule:?} holds what the system shows of itself; grant one apart from /proc, /sys and /dev",
        path.display()
    )]
    SystemFolder {
        /// The rule's id.
        rule: String,
        /// The folder.
        path: PathBuf,
    },
    /// A `[[files]]` rule lets the guest write where the host keeps what it trusts.
    #[error(
        "the [[files]] rule {rule:?} lets the guest write in {}, which is the host's own; grant a folder apart from it",
        everstep_words::visible::path(path)
    )]
    HostFolder {
        /// The rule's id.
        rule: String,
        /// The store, or the cache of compiled components.
        path: PathBuf,
    },
    /// A path that the recorded policy could not name.
    #[error(
        "the path {} of {rule} is not UTF-8, so that the policy cannot be recorded; rename it",
        everstep_words::visible::path(path)
    )]
    PathNotUtf8 {
        /// The rule, or the section.
        rule: String,
        /// The path.
        path: PathBuf,
    },
    /// A secret cannot be used.
    #[error("the secret of the [[fetch]] rule {rule:?} ({from}) cannot be used: {reason}")]
    Secret {
        /// The rule's id.
        rule: String,
        /// Where it is read from.
        from: String,
        /// Why.
        reason: String,
    },
    /// The secrets of a policy are too many to be taken out of responses.
    #[error("the secrets of the policy cannot be searched for: {reason}; use fewer or shorter ones")]
    Secrets {
        /// Why.
        reason: String,
    },
    /// The audit log cannot be opened.
    #[error("cannot open the audit log {}; its folder must exist and be writable", everstep_words::visible::path(path))]
    Audit {
        /// The log.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A stored policy that this build does not understand.
    #[error("the stored policy cannot be read; resume with the version of everstep that started the execution")]
    Canonical {
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}
