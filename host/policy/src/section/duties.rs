//! What sections, calls and questions are asked.

use super::{AskRule, Call, File, Lineage, Policy, SECTIONS};
use crate::extends::{Checked, Covers};
use crate::read::Reader;
use crate::source::Source;
use crate::usage::Usage;
use crate::{Error, Verdict};
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// One section of a policy. They are read, compared and shown in the order of their list.
pub(crate) trait Section: Sync {
    /// Its key in the file.
    fn key(&self) -> &'static str;

    /// Reads what the file says of it. `policy` holds what the file inherits, and the sections before this one as the file has them.
    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error>;

    /// Reads and checks what depends on all sections, those of the bases among them.
    fn finish(&self, _: &File, _: &Source<'_>, _: &mut Checked, _: &[Base<'_>]) -> Result<(), Error> {
        Ok(())
    }

    /// Whether the file says anything of it, so that nothing is inherited. Where a section does not tell, it counts as said: an approval
    /// then takes the place of nothing that was inherited.
    fn is_given(&self, _: &File) -> bool {
        true
    }

    /// The largest size that one of its rules spells out in the file; one that is unlimited says nothing about a call.
    fn largest(&self, _: &File) -> Option<u64> {
        None
    }

    /// Takes away what `other` does not grant as well, where a file inherits from several: `first` is the first of them, and `policy`
    /// what is left of it.
    fn meet(&self, policy: &mut Policy, first: &Policy, other: &Policy);

    /// Refuses what allows more than a base does, and notes which rule of the base covers which.
    fn check_narrower(&self, ours: &Checked, base: &Checked, covers: &mut Covers) -> Result<(), Error>;

    /// What it allows beyond another policy, in words.
    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String>;

    /// Leaves what one function keeps of `whole`; needed where functions list its rules.
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

    /// How messages call one of its rules.
    fn rule_word(&self) -> String {
        format!("[[{}]] rule", self.key())
    }

    /// Which rule of a base a rule in the list of a function is a part of.
    fn covering<'c>(&self, covers: &'c Covers, rule: &'c str) -> Option<&'c str> {
        covers.of(rule)
    }

    /// Whether calls of that name are decided here, and not by a `[[capability]]`.
    fn owns(&self, _name: &str) -> bool {
        false
    }

    /// Which of them an `[[ask]]` rule may be about.
    fn askable(&self) -> &'static [Askable] {
        &[]
    }

    /// Its rules that may be about a call which an `[[ask]]` rule is about.
    fn asked_about<'p>(&self, _: &'p Policy, _: &AskRule) -> Vec<&'p str> {
        Vec::new()
    }

    /// A call in the words of a person or an audit line; none where it belongs elsewhere.
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

    /// Its first rule that lets a guest touch a path of the host in this way.
    fn touches<'p>(&self, _: &'p Policy, _path: &Path, _: Touch) -> Option<&'p str> {
        None
    }

    /// The section as a file writes it.
    fn render(&self, policy: &Policy, text: &mut String);

    /// One of its rules as a file writes it.
    fn rule_toml(&self, _: &Policy, _rule: &str) -> Option<String> {
        None
    }

    /// What it grants, for people: a heading and a line for each rule.
    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)>;

    /// The sizes of its rules.
    fn sizes<'p>(&self, _: &'p Policy) -> Vec<RuleSize<'p>> {
        Vec::new()
    }

    /// What of it never applies, one sentence each.
    fn remarks(&self, _: &Policy) -> Vec<String> {
        Vec::new()
    }
}

/// Whether a function keeps a rule: by the key of its section and the name that decisions give it.
pub(crate) type Keeps<'k> = dyn Fn(&str, &str) -> bool + 'k;

/// A call, as the section that it belongs to sees it.
pub(crate) trait Decide {
    /// The decision. No I/O; nothing is allocated for a call that is allowed.
    fn decide<'p>(&self, policy: &'p Policy, used: &Usage, now_ms: u64) -> Verdict<'p>;

    /// Counts the call, made at `at_ms`, under the rule whose quotas apply.
    fn count(&self, _used: &mut Usage, _rule: &str, _at_ms: u64) {}

    /// Size of the payload.
    fn bytes(&self) -> u64 {
        0
    }

    /// The call in words, without anything that could be secret; none where the step says it all.
    fn words(&self) -> Option<String> {
        None
    }

    /// Whether it counts as open under its rule until it is settled.
    fn stays_open(&self) -> bool {
        false
    }

    /// Whether it is a part of a call that was decided on its own, so that it is not held against a second policy.
    fn is_part(&self) -> bool {
        false
    }

    /// How long it may take under a rule; none: as long as the guest likes.
    fn time_allowed(&self, _: &Policy, _rule: &str) -> Option<Duration> {
        None
    }
}

/// A call in words that a policy can be asked about; shows as capability and subject, escaped and capped.
pub trait Question: fmt::Debug + fmt::Display {
    /// The call, without a payload.
    fn call(&self) -> Call<'_>;

    /// The key of the section that decides it, if functions keep lists of its rules.
    fn listed_by(&self) -> Option<&'static str> {
        None
    }

    /// What of it one rule may allow several of, such as the method of a request.
    fn variant(&self) -> &str {
        ""
    }

    /// What calls have in common that one rule may allow.
    fn group(&self) -> String {
        self.to_string()
    }

    /// Why no rule is offered for it, whatever the policy says.
    fn refusal(&self, policy: &Policy) -> Option<&'static str>;

    /// The narrowest rule, as the file writes it, for so many calls of its group in these variants. None where a rule matches already
    /// and is narrower.
    fn narrowest(&self, policy: &Policy, calls: u64, variants: &[&str]) -> Option<String>;

    /// What all that belongs together may use of what such calls use.
    fn budget(&self, _: &Lineage) -> Option<String> {
        None
    }
}

/// Why something is no question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoQuestion {
    /// The URL is none.
    #[error("{url} is no URL: {fault}")]
    Url {
        /// What was given, escaped.
        url: String,
        /// What is wrong.
        fault: crate::url::Fault,
    },
    /// The capability takes a subject.
    #[error("{capability} needs a subject, such as {example}")]
    Subject {
        /// The capability.
        capability: &'static str,
        /// What one looks like.
        example: &'static str,
    },
    /// No rule decides about such calls.
    #[error("no rule decides about {0}")]
    Undecided(String),
}

/// Calls that an `[[ask]]` rule may be about.
pub(crate) struct Askable {
    /// What the rule calls them.
    pub(crate) name: &'static str,
    /// Whether it may say which methods.
    pub(crate) by_method: bool,
    /// The schemes of the URLs that it may name. Such calls an approval can let through without a grant.
    pub(crate) schemes: Option<[&'static str; 2]>,
}

/// A policy that a file extends, and which of its rules cover those of the file.
pub(crate) struct Base<'b> {
    pub(crate) checked: &'b Checked,
    pub(crate) covers: Covers,
}

/// How a guest may touch a path of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// It reads what is there.
    Read,
    /// It writes there.
    Write,
    /// It writes somewhere in the folder that is there.
    WriteWithin,
}

/// A path of the host that a policy names.
pub(crate) struct HostPath<'p> {
    pub(crate) path: &'p Path,
    /// What names it, before the rule.
    pub(crate) role: &'static str,
    /// The rule; none: the section itself.
    pub(crate) rule: Option<&'p str>,
    /// What no guest may do to it, if it steers the host.
    pub(crate) guard: Option<Guard>,
}

/// What no guest may do to a path.
pub(crate) struct Guard {
    /// No guest may touch it in this way.
    pub(crate) touch: Touch,
    /// What the guest would do, in words.
    pub(crate) deed: &'static str,
    /// The key that stands for the path in the file; none: the rule that lets the guest do it.
    pub(crate) key: Option<&'static str>,
}

/// A size of a rule.
pub(crate) struct RuleSize<'p> {
    pub(crate) rule: &'p str,
    pub(crate) key: &'static str,
    pub(crate) bytes: u64,
    /// Bytes of the journal that each so many bytes take.
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

/// An id that no rule has: this name, or the name with a number.
pub(crate) fn free_id(policy: &Policy, name: &str) -> String {
    let taken = |id: &str| SECTIONS.iter().any(|section| section.rules(policy).contains(&id));
    if !taken(name) {
        return name.to_owned();
    }
    (2_u64..).map(|number| format!("{name}-{number}")).find(|id| !taken(id)).unwrap_or_default()
}
