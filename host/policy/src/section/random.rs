//! `[random]`: whether the guest may draw random numbers.

use super::{Decide, File, NoQuestion, Policy, Question, Section};
use crate::decide::{Verdict, denied, exceeded};
use crate::extends::{Checked, Covers};
use crate::read::Reader;
use crate::source::At;
use crate::usage::Usage;
use crate::{Call, Error};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[random]`: whether the guest may draw random numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RandomGrant {
    /// It may not; the same as a missing section.
    #[default]
    Deny,
    /// From the seed that was recorded when the execution started.
    Seeded,
}

/// Whether the guest may draw random numbers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Random {
    /// Drawn from the recorded seed of the execution, or denied.
    mode: At<RandomGrant>,
}

/// Draws random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomCall {
    /// How many bytes.
    pub bytes: u64,
}

struct RandomSection;

pub(super) const SECTION: &dyn Section = &RandomSection;

impl Section for RandomSection {
    fn key(&self) -> &'static str {
        "random"
    }

    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        if let Some(Random { mode }) = &file.random {
            reader.place("random", &mode.span());
            policy.random = *mode.get_ref();
        }
        Ok(())
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        if other.random == RandomGrant::Deny {
            policy.random = RandomGrant::Deny;
        }
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, _: &mut Covers) -> Result<(), Error> {
        match (ours.policy.random, base.policy.random) {
            (RandomGrant::Seeded, RandomGrant::Deny) => {
                Err(ours.widening("random", base, "random", "random numbers are granted".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        match (ours.random, base.random) {
            (RandomGrant::Seeded, RandomGrant::Deny) => vec!["random numbers".to_owned()],
            _ => Vec::new(),
        }
    }

    fn is_rule(&self) -> bool {
        true
    }

    fn owns(&self, name: &str) -> bool {
        name == "random"
    }

    fn question(&self, capability: &str, _: &str) -> Option<Result<Box<dyn Question>, NoQuestion>> {
        let known = ["random", "random.bytes", "random.uuid"].contains(&capability);
        known.then(|| Ok(Box::new(RandomQuestion) as _))
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        if policy.random == RandomGrant::Seeded {
            text.push_str("\n[random]\nmode = \"seeded\"\n");
        }
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        match policy.random {
            RandomGrant::Deny => Vec::new(),
            RandomGrant::Seeded => vec![("random", "from the recorded seed".to_owned())],
        }
    }
}

impl Decide for RandomCall {
    fn decide<'p>(&self, policy: &'p Policy, _: &Usage, _: u64) -> Verdict<'p> {
        match policy.random {
            RandomGrant::Deny => denied("random", "random (the policy has no [random] grant)".to_owned()),
            RandomGrant::Seeded => match policy.over_size(self.bytes) {
                Some(why) => exceeded("random", format!("random ({why})")),
                None => Verdict::Allow { rule: "random" },
            },
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A question about random numbers.
#[derive(Debug)]
struct RandomQuestion;

impl Question for RandomQuestion {
    fn call(&self) -> Call<'_> {
        Call::Random(RandomCall { bytes: 0 })
    }

    fn refusal(&self, _: &Policy) -> Option<&'static str> {
        None
    }

    fn narrowest(&self, _: &Policy, _: u64, _: &[&str]) -> Option<String> {
        Some("[random]\nmode = \"seeded\"\n".to_owned())
    }
}

impl fmt::Display for RandomQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("random")
    }
}
