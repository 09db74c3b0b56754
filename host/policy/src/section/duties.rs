//! The interfaces of sections, calls and questions.

use super::{AskRule, Call, File, Lineage, Policy, SECTIONS};
use crate::extends::{Checked, Covers};
use crate::read::Reader;
use crate::source::Source;
use crate::usage::Usage;
use crate::{Error, Verdict};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// One section of a policy. Sections are read, compared and shown in the order of their list.
pub(crate) trait Section: Sync {
    /// Its key in the file.
    fn key(&self) -> &'static str;

    /// Reads the section from the file. `policy` holds what the file inherits, and the sections before this one as in the file.
    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error>;

    /// Reads and checks what depends on all sections, including those of the bases.
    fn finish(&self, _: &File, _: &Source<'_>, _: &mut Checked, _: &[Base<'_>]) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the file has this section, so that nothing is inherited. A section that does not override this counts as present: an
    /// approval then replaces nothing that was inherited.
    fn is_given(&self, _: &File) -> bool {
        true
    }

    /// The largest size that one of its rules sets in the file; an unlimited one does not count.
    fn largest(&self, _: &File) -> Option<u64> {
        None
    }

    /// Removes what `other` does not also grant, for a file that inherits from several policies: `first` is the first of them, and
    /// `policy` what is left of it.
    fn meet(&self, policy: &mut Policy, first: &Policy, other: &Policy);

    /// Refuses what allows more than a base does, and notes which rule of the base covers which.
    fn check_narrower(&self, ours: &Checked, base: &Checked, covers: &mut Covers) -> Result<(), Error>;

    /// Descriptions of what it allows beyond another policy.
    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String>;

    /// Leaves the part of `whole` that one function keeps; needed if functions list its rules.
    fn keep(&self, _: &mut Policy, _whole: &Policy, _: &Keeps<'_>) {}

    /// Adds the rules of another policy.
    fn add(&self, _: &mut Policy, _other: &Policy) {}

    /// Whether decisions name the section itself as their rule, by its key.
    fn is_rule(&self) -> bool {
        false
    }

    /// Its rules by the names that decisions give them.
    fn rules<'p>(&self, _: &'p Policy) -> Vec<&'p str> {
        Vec::new()
    }

    /// The term for one of its rules in messages.
    fn rule_word(&self) -> String {
        format!("[[{}]] rule", self.key())
    }

    /// The rule of a base that covers a rule in the list of a function.
    fn covering<'c>(&self, covers: &'c Covers, rule: &'c str) -> Option<&'c str> {
        covers.of(rule)
    }

    /// Whether calls with that name are decided here, and not by a `[[capability]]`.
    fn owns(&self, _name: &str) -> bool {
        false
    }

    /// Those of its calls that an `[[ask]]` rule may be about.
    fn askable(&self) -> &'static [Askable] {
        &[]
    }

    /// Its rules that may match a call which an `[[ask]]` rule is about.
    fn asked_about<'p>(&self, _: &'p Policy, _: &AskRule) -> Vec<&'p str> {
        Vec::new()
    }

    /// A call in the words of a person or an audit line; `None` if it belongs to another section.
    fn question(&self, _capability: &str, _subject: &str) -> Option<Result<Box<dyn Question>, NoQuestion>> {
        None
    }

    /// Whether it could let a guest make a connection.
    fn reaches_the_network(&self, _: &Policy) -> bool {
        false
    }

    /// The paths of the host that it names.
    fn paths<'p>(&self, _: &'p Policy) -> Vec<HostPath<'p>> {
        Vec::new()
    }

    /// Its first rule that lets a guest access a path of the host in this way.
    fn touches<'p>(&self, _: &'p Policy, _path: &Path, _: Touch) -> Option<&'p str> {
        None
    }

    /// Writes the section as in a file.
    fn render(&self, policy: &Policy, text: &mut String);

    /// One of its rules as in a file.
    fn rule_toml(&self, _: &Policy, _rule: &str) -> Option<String> {
        None
    }

    /// A description of what it grants: a heading and a line for each rule.
    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)>;

    /// The sizes of its rules.
    fn sizes<'p>(&self, _: &'p Policy) -> Vec<RuleSize<'p>> {
        Vec::new()
    }

    /// Remarks on parts of it that never apply, one sentence each.
    fn remarks(&self, _: &Policy) -> Vec<String> {
        Vec::new()
    }
}

/// Whether a function keeps a rule, given the key of its section and the name that decisions give it.
pub(crate) type Keeps<'k> = dyn Fn(&str, &str) -> bool + 'k;

/// A call, as seen by the section that it belongs to.
pub(crate) trait Decide {
    /// The decision. No I/O; nothing is allocated for an allowed call.
    fn decide<'p>(&self, policy: &'p Policy, used: &Usage, now_ms: u64) -> Verdict<'p>;

    /// Counts the call, made at `at_ms`, under the rule whose quotas apply.
    fn count(&self, _used: &mut Usage, _rule: &str, _at_ms: u64) {}

    /// Size of the payload.
    fn bytes(&self) -> u64 {
        0
    }

    /// The call in words, without anything that could be secret; `None` if the step describes it completely.
    fn words(&self) -> Option<String> {
        None
    }

    /// Whether it counts as open under its rule until it is settled.
    fn stays_open(&self) -> bool {
        false
    }

    /// Whether it is a part of a call that was decided already, so that it is not checked against a second policy.
    fn is_part(&self) -> bool {
        false
    }

    /// What it uses of this machine under one policy, its own, that another does not lend it: a folder, or a secret.
    fn borrows(&self, _ours: &Policy, _theirs: &Policy) -> Option<String> {
        None
    }

    /// How long it may take under a rule; `None`: as long as the guest likes.
    fn time_allowed(&self, _: &Policy, _rule: &str) -> Option<Duration> {
        None
    }
}

/// A call in words that a policy can be asked about; displayed as capability and subject, escaped and capped.
pub trait Question: fmt::Debug + fmt::Display {
    /// The call, without a payload.
    fn call(&self) -> Call<'_>;

    /// The key of the section that decides it, if functions keep lists of its rules.
    fn listed_by(&self) -> Option<&'static str> {
        None
    }

    /// The part of it that one rule may allow several of, such as the method of a request.
    fn variant(&self) -> &str {
        ""
    }

    /// The common part of calls that one rule may allow.
    fn group(&self) -> String {
        self.to_string()
    }

    /// The reason that no rule is offered for it, whatever the policy is.
    fn refusal(&self, policy: &Policy) -> Option<&'static str>;

    /// The narrowest rule, as in a file, for so many calls of its group with these variants. `None` if a matching rule exists and is
    /// narrower.
    fn narrowest(&self, policy: &Policy, calls: u64, variants: &[&str]) -> Option<String>;

    /// The shared budget of a lineage for what such calls use.
    fn budget(&self, _: &Lineage) -> Option<String> {
        None
    }
}

/// The reason that something is not a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoQuestion {
    /// The URL is not valid.
    #[error("{url} is no URL: {fault}")]
    Url {
        /// The text that was given, escaped.
        url: String,
        /// The fault.
        fault: crate::url::Fault,
    },
    /// The capability needs a subject.
    #[error("{capability} needs a subject, such as {example}")]
    Subject {
        /// The capability.
        capability: &'static str,
        /// An example of a subject.
        example: &'static str,
    },
    /// No rule decides such calls.
    #[error("no rule decides about {0}")]
    Undecided(String),
}

/// Calls that an `[[ask]]` rule may be about.
pub(crate) struct Askable {
    /// Their name in the rule.
    pub(crate) name: &'static str,
    /// Whether the rule may list methods.
    pub(crate) by_method: bool,
    /// The schemes of the URLs that the rule may name. An approval can allow such calls without a grant.
    pub(crate) schemes: Option<[&'static str; 2]>,
}

/// A policy that a file extends, and those of its rules that cover the file's.
pub(crate) struct Base<'b> {
    pub(crate) checked: &'b Checked,
    pub(crate) covers: Covers,
}

/// The ways in which a guest may access a path of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// It reads the file.
    Read,
    /// It writes the file.
    Write,
    /// It writes somewhere in the folder at the path.
    WriteWithin,
}

/// A path of the host that a policy names.
pub(crate) struct HostPath<'p> {
    pub(crate) path: &'p Path,
    /// A description of what the path is for, before the rule.
    pub(crate) role: &'static str,
    /// The rule; `None`: the section itself.
    pub(crate) rule: Option<&'p str>,
    /// The access that no guest may have, if the path controls the host.
    pub(crate) guard: Option<Guard>,
}

/// An access to a path that no guest may have.
pub(crate) struct Guard {
    /// The kind of access.
    pub(crate) touch: Touch,
    /// A description of what the guest would do.
    pub(crate) deed: &'static str,
    /// The key for the path in the file; `None`: the rule that gives the guest access.
    pub(crate) key: Option<&'static str>,
}

/// A size of a rule.
pub(crate) struct RuleSize<'p> {
    pub(crate) rule: &'p str,
    pub(crate) key: &'static str,
    pub(crate) bytes: u64,
    /// How many bytes of the journal are needed for how many of these bytes.
    pub(crate) recorded: Option<(u64, u64)>,
}

impl fmt::Display for HostPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Some(rule) => write!(f, "{} {rule:?}", self.role),
            None => f.write_str(self.role),
        }
    }
}

/// An id that is not in use: this name, or the name with a number.
pub(crate) fn free_id(policy: &Policy, name: &str) -> String {
    let taken = |id: &str| SECTIONS.iter().any(|section| section.rules(policy).contains(&id));
    if !taken(name) {
        return name.to_owned();
    }
    (2_u64..).map(|number| format!("{name}-{number}")).find(|id| !taken(id)).unwrap_or_default()
}
