//! `[env]`: the environment of the guest, in full; that of the host is never inherited.

use super::{File, Policy, Section};
use crate::extends::{Checked, Covers};
use crate::read::Reader;
use crate::tools::render::{quote, table};
use crate::{Error, quoted};

struct EnvSection;

pub(super) const SECTION: &dyn Section = &EnvSection;

impl Section for EnvSection {
    fn key(&self) -> &'static str {
        "env"
    }

    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        let Some(shape) = &file.env else { return Ok(()) };
        for (key, value) in shape {
            let (name, text) = (key.get_ref(), value.get_ref());
            if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
                let what = format!("{} is no environment variable", quoted(name));
                let remedy = "use a name without \"=\", and no NUL in name or value";
                return Err(reader.source.invalid(&key.span(), what, remedy));
            }
            reader.place(&format!("env.{name}"), &key.span());
        }
        policy.env = shape.iter().map(|(key, value)| (key.get_ref().clone(), value.get_ref().clone())).collect();
        Ok(())
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        policy.env.retain(|name, value| other.env.get(name) == Some(value));
    }

    fn check_narrower(&self, ours: &Checked, base: &Checked, _: &mut Covers) -> Result<(), Error> {
        for (name, value) in &ours.policy.env {
            if base.policy.env.get(name) != Some(value) {
                let key = format!("env.{name}");
                return Err(ours.widening(&key, base, &key, format!("env.{name} is new or has another value")));
            }
        }
        Ok(())
    }

    fn beyond(&self, ours: &Policy, base: &Policy) -> Vec<String> {
        let new = ours.env.iter().filter(|(name, value)| base.env.get(*name) != Some(value));
        new.map(|(name, value)| format!("env.{name} = {}", quoted(value))).collect()
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        table(text, "env", policy.env.iter().map(|(name, value)| (quote(name), quote(value))));
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        policy.env.iter().map(|(name, value)| ("env", format!("{name}={value}"))).collect()
    }
}
