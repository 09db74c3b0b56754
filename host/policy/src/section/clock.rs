//! `[clock]`: whether, and which, time the guest sees.

use super::{Decide, File, NoQuestion, Policy, Question, Section};
use crate::decide::{Verdict, denied};
use crate::extends::{Checked, Covers};
use crate::read::Reader;
use crate::source::{At, Source};
use crate::usage::Usage;
use crate::{Call, Error};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[clock]`: whether, and which, time the guest sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
pub enum ClockGrant {
    /// No time at all; the same as a missing section.
    #[default]
    Deny,
    /// The time of the host, recorded.
    Recorded,
    /// One fixed moment.
    Frozen {
        /// Milliseconds since the Unix epoch.
        at_ms: u64,
    },
}

/// The time that the guest sees, if any.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clock {
    /// The time of the host, one fixed time, or none.
    mode: At<ClockMode>,
    /// The time of a frozen clock, as in RFC 3339.
    #[schemars(with = "Option<String>")]
    at: Option<At<toml::Value>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ClockMode {
    Recorded,
    Frozen,
    Deny,
}

/// Reads the time or waits for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockCall;

struct ClockSection;

pub(super) const SECTION: &dyn Section = &ClockSection;

impl Section for ClockSection {
    fn key(&self) -> &'static str {
        "clock"
    }

    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        let Some(shape) = &file.clock else { return Ok(()) };
        reader.place("clock", &shape.mode.span());
        policy.clock = grant(shape, reader.source)?;
        Ok(())
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        policy.clock = match (&policy.clock, &other.clock) {
            (one, other) if one == other => one.clone(),
            (ClockGrant::Recorded, frozen @ ClockGrant::Frozen { .. })
            | (frozen @ ClockGrant::Frozen { .. }, ClockGrant::Recorded) => frozen.clone(),
            _ => ClockGrant::Deny,
        };
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, _: &mut Covers) -> Result<(), Error> {
        match (&ours.policy.clock, &base.policy.clock) {
            (ClockGrant::Deny, _) | (_, ClockGrant::Recorded) => Ok(()),
            (clock, theirs) if clock == theirs => Ok(()),
            _ => Err(ours.widening("clock", base, "clock", "the clock shows more".to_owned())),
        }
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        match &ours.clock {
            clock if *clock == base.clock => Vec::new(),
            ClockGrant::Deny => Vec::new(),
            ClockGrant::Frozen { at_ms } => vec![format!("clock: always {at_ms} ms since 1970")],
            ClockGrant::Recorded => vec!["clock: the time of the host".to_owned()],
        }
    }

    fn is_rule(&self) -> bool {
        true
    }

    fn owns(&self, name: &str) -> bool {
        name == "clock"
    }

    fn question(&self, capability: &str, _: &str) -> Option<Result<Box<dyn Question>, NoQuestion>> {
        let known = ["clock", "timers.now", "timers.sleep", "timers.sleep-about"].contains(&capability);
        known.then(|| Ok(Box::new(ClockQuestion) as _))
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        match policy.clock {
            ClockGrant::Deny => {}
            ClockGrant::Recorded => text.push_str("\n[clock]\nmode = \"recorded\"\n"),
            ClockGrant::Frozen { at_ms } => {
                let at = timestamp(at_ms).unwrap_or(jiff::Timestamp::MAX);
                text.push_str(&format!("\n[clock]\nmode = \"frozen\"\nat = \"{at}\"\n"));
            }
        }
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        match policy.clock {
            ClockGrant::Deny => Vec::new(),
            ClockGrant::Recorded => vec![("clock", "the time of the host, recorded".to_owned())],
            ClockGrant::Frozen { at_ms } => {
                let at = timestamp(at_ms);
                let at = at.map_or_else(|| format!("{at_ms} ms"), |at| format!("{at:.3}").replace('T', " "));
                vec![("clock", format!("always {at}"))]
            }
        }
    }
}

impl Decide for ClockCall {
    fn decide<'p>(&self, policy: &'p Policy, _: &Usage, _: u64) -> Verdict<'p> {
        match policy.clock {
            ClockGrant::Deny => denied("clock", "clock (the policy has no [clock] grant)".to_owned()),
            ClockGrant::Recorded | ClockGrant::Frozen { .. } => Verdict::Allow { rule: "clock" },
        }
    }
}

/// A question about the time.
#[derive(Debug)]
struct ClockQuestion;

impl Question for ClockQuestion {
    fn call(&self) -> Call<'_> {
        Call::Clock(ClockCall)
    }

    fn refusal(&self, _: &Policy) -> Option<&'static str> {
        None
    }

    fn narrowest(&self, _: &Policy, _: u64, _: &[&str]) -> Option<String> {
        Some("[clock]\nmode = \"recorded\"\n".to_owned())
    }
}

impl fmt::Display for ClockQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("clock")
    }
}

fn timestamp(at_ms: u64) -> Option<jiff::Timestamp> {
    i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
}

fn grant(shape: &Clock, source: &Source<'_>) -> Result<ClockGrant, Error> {
    match (shape.mode.get_ref(), &shape.at) {
        (ClockMode::Deny, None) => Ok(ClockGrant::Deny),
        (ClockMode::Recorded, None) => Ok(ClockGrant::Recorded),
        (ClockMode::Frozen, Some(at)) => Ok(ClockGrant::Frozen { at_ms: moment(at, source)? }),
        (ClockMode::Frozen, None) => {
            let what = "clock.mode = \"frozen\" needs the moment".to_owned();
            Err(source.invalid(&shape.mode.span(), what, "add at = \"2026-01-31T12:00:00Z\" (RFC 3339)"))
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
