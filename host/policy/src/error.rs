//! The reasons that a policy cannot be loaded, for its author.

use std::borrow::Cow;
use std::path::PathBuf;

/// The reason that a policy cannot be loaded or used.
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
        /// The error.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, has an unknown key, lacks one, or has a value of the wrong type.
    #[error("{}:{line}: {message}", everstep_words::visible::path(file))]
    Malformed {
        /// The policy file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The error and the remedy.
        message: String,
    },
    /// A key or rule allows more than a policy that is extended.
    #[error(
        "{}:{line}: {what}, which {}:{base_line} does not allow; a policy may only narrow what it extends",
        everstep_words::visible::path(file),
        everstep_words::visible::path(base)
    )]
    Widening {
        /// The policy file that is wider.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The policy file that it extends, or that this one extends.
        base: PathBuf,
        /// The line, from 1; the first one if the base does not mention it.
        base_line: usize,
        /// The key or rule that is wider.
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
        /// The line, from 1.
        line: usize,
        /// The id that is taken.
        rule: String,
        /// The line of the first use, from 1.
        first_line: usize,
    },
    /// A value is not valid.
    #[error("{}:{line}: {what}; {remedy}", everstep_words::visible::path(file))]
    Invalid {
        /// The policy file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The error.
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
        /// The error.
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
    /// The folder of a `[[files]]` rule is, or contains, one of the system's own, such as `/proc`.
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
    /// A `[[files]]` rule lets the guest write to files that the host trusts.
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
    /// A path cannot be recorded with the policy.
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
        /// The source of the secret.
        from: String,
        /// The reason.
        reason: String,
    },
    /// The secrets of a policy are too many to be searched for in responses.
    #[error("the secrets of the policy cannot be searched for: {reason}; use fewer or shorter ones")]
    Secrets {
        /// The reason.
        reason: String,
    },
    /// The audit log cannot be opened.
    #[error("cannot open the audit log {}; its folder must exist and be writable", everstep_words::visible::path(path))]
    Audit {
        /// The log.
        path: PathBuf,
        /// The error.
        #[source]
        source: std::io::Error,
    },
    /// The audit log is not one that the ceiling of the host lends.
    #[error(
        "[audit] of the policy {policy:?} names {}, which the ceiling {ceiling:?} of this host does not; let its [audit] name the same file",
        everstep_words::visible::path(path)
    )]
    LogNotLent {
        /// The name of the policy.
        policy: String,
        /// The log.
        path: PathBuf,
        /// The name of the ceiling.
        ceiling: String,
    },
    /// A stored policy cannot be read by this build.
    #[error("the stored policy cannot be read; resume with the version of everstep that started the execution")]
    Canonical {
        /// The error.
        #[source]
        source: serde_json::Error,
    },
}
