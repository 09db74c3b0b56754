//! Sizes that never apply, because another one is smaller: `everstep policy check` says so.

use crate::units::size_text;
use crate::{Access, Policy};

/// A size of a rule.
struct Sized<'p> {
    rule: &'p str,
    key: &'static str,
    bytes: u64,
    /// Bytes of the journal that each so many bytes take.
    recorded: Option<(u64, u64)>,
}

impl Policy {
    /// Which sizes never apply, and why: one sentence each, for the policy and then for what single functions keep of it.
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
        let limits = &self.limits;
        let mut remarks = Vec::new();
        for key in [("limits.memory", limits.memory), ("limits.journal", limits.journal)] {
            if limits.bytes_per_call != u64::MAX && limits.bytes_per_call > key.1 {
                let (per_call, name, less) = (size_text(limits.bytes_per_call), key.0, size_text(key.1));
                remarks.push(format!(
                    "limits.bytes_per_call = {per_call} is more than {name} = {less}, which ends a call before"
                ));
            }
        }
        let sized = self.sized();
        remarks.extend(sized.iter().filter_map(|size| self.too_large(size)));
        for grant in self.files.iter().filter(|grant| grant.access != Access::Read) {
            if grant.max_file != u64::MAX && grant.max_file > grant.max_written {
                let (file, written) = (size_text(grant.max_file), size_text(grant.max_written));
                remarks.push(format!(
                    "max_file = {file} of rule {:?} holds for reading only: max_written = {written}",
                    grant.id
                ));
            }
        }
        remarks
    }

    fn sized(&self) -> Vec<Sized<'_>> {
        let files = self.files.iter().map(|grant| Sized {
            rule: &grant.id,
            key: "max_file",
            bytes: grant.max_file,
            recorded: Some((1, 1)),
        });
        let requests = self.fetch.iter().map(|grant| Sized {
            rule: &grant.id,
            key: "max_request",
            bytes: grant.terms.max_request,
            recorded: None,
        });
        // A response is recorded in base64.
        let responses = self.fetch.iter().map(|grant| Sized {
            rule: &grant.id,
            key: "max_response",
            bytes: grant.terms.max_response,
            recorded: Some((4, 3)),
        });
        let messages = self.websocket.iter().map(|grant| Sized {
            rule: &grant.id,
            key: "max_message",
            bytes: grant.terms.max_message,
            recorded: Some((4, 3)),
        });
        files.chain(requests).chain(responses).chain(messages).collect()
    }

    fn too_large(&self, size: &Sized<'_>) -> Option<String> {
        let (limits, Sized { rule, key, bytes, recorded }) = (&self.limits, size);
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
