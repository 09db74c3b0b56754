//! Sizes that never apply, because another one is smaller; `everstep policy check` reports them.

use crate::Policy;
use crate::section::{RuleSize, SECTIONS};
use crate::units::size_text;

impl Policy {
    /// Reports which sizes never apply, and why: one sentence each, for the policy and then for the parts that functions
    /// keep.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.own_remarks();
        for name in self.functions.keys() {
            let of_function = self.for_function(name).own_remarks();
            let new = of_function.into_iter().filter(|remark| !remarks.contains(remark)).collect::<Vec<_>>();
            remarks.extend(new.into_iter().map(|remark| format!("for the function {name:?}: {remark}")));
        }
        remarks
    }

    fn own_remarks(&self) -> Vec<String> {
        let remarks = SECTIONS.iter().flat_map(|section| {
            let sizes = section.sizes(self);
            let sizes = sizes.iter().filter_map(|size| self.too_large(size)).collect::<Vec<_>>();
            sizes.into_iter().chain(section.remarks(self))
        });
        remarks.collect()
    }

    fn too_large(&self, size: &RuleSize<'_>) -> Option<String> {
        let (limits, RuleSize { rule, key, bytes, recorded }) = (&self.limits, size);
        if *bytes == u64::MAX {
            return None;
        }
        let in_journal = recorded.map_or(0, |(times, of)| (bytes / of).saturating_mul(times));
        let (name, limit, why) = if *bytes > limits.bytes_per_call {
            ("limits.bytes_per_call", limits.bytes_per_call, "one call carries no more")
        } else if *bytes > limits.memory {
            ("limits.memory", limits.memory, "the guest has no more memory")
        } else if in_journal > limits.journal {
            ("limits.journal", limits.journal, "what comes back is recorded")
        } else {
            return None;
        };
        Some(format!(
            "{key} = {} of rule {rule:?} is more than {name} = {}: {why}",
            size_text(*bytes),
            size_text(limit)
        ))
    }
}
