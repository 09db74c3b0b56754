//! `[python]`: the component that runs Python programs under this policy. It is no grant, and not part of the canonical form: an execution
//! keeps the component that it began with.

use super::{File, Guard, HostPath, Policy, Section, Touch};
use crate::Error;
use crate::extends::{Checked, Covers};
use crate::read::Reader;
use crate::source::At;
use crate::tools::render::host_path;
use schemars::JsonSchema;
use serde::Deserialize;

/// Which Python runs programs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Python {
    /// A component that `everstep python build` has made, relative to this file, or `science` for the one of `everstep python science`; a file
    /// of that name is `./science`.
    component: At<String>,
}

/// The name of a component that is no path.
pub const SCIENCE: &str = "science";

struct PythonSection;

pub(super) const SECTION: &dyn Section = &PythonSection;

impl Section for PythonSection {
    fn key(&self) -> &'static str {
        "python"
    }

    fn read(&self, file: &File, reader: &mut Reader<'_>, policy: &mut Policy) -> Result<(), Error> {
        if let Some(Python { component }) = &file.python {
            reader.place("python", &component.span());
            policy.python = Some(match component.get_ref() == SCIENCE {
                true => SCIENCE.into(),
                false => reader.absolute(component)?,
            });
        }
        Ok(())
    }

    fn meet(&self, policy: &mut Policy, _: &Policy, other: &Policy) {
        policy.python = policy.python.take().or_else(|| other.python.clone());
    }

    fn check_narrower(&self, _: &Checked, _: &Checked, _: &mut Covers) -> Result<(), Error> {
        Ok(())
    }

    fn beyond(&self, _: &Policy, _: &Policy) -> Vec<String> {
        Vec::new()
    }

    fn paths<'p>(&self, policy: &'p Policy) -> Vec<HostPath<'p>> {
        let guard = || Guard { touch: Touch::Write, deed: "replace the component of Python", key: Some("python") };
        let component = policy.python.iter().filter(|path| path.as_os_str() != SCIENCE);
        component.map(|path| HostPath { path, role: "[python]", rule: None, guard: Some(guard()) }).collect()
    }

    fn render(&self, policy: &Policy, text: &mut String) {
        if let Some(component) = &policy.python {
            text.push_str(&format!("\n[python]\ncomponent = {}\n", host_path(component)));
        }
    }

    fn told(&self, policy: &Policy) -> Vec<(&'static str, String)> {
        policy.python.iter().map(|component| ("python", component.to_string_lossy().into_owned())).collect()
    }
}
