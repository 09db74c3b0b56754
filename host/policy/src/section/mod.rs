//! The sections of a policy. Everything specific to one is in its own file: how it is read, checked, decided, covered, narrowed, and shown
//! by the tools.
//!
//! This is their list. It defines the fields of a [`Policy`] and a policy [`File`], which calls there are, and of which sections a
//! function may keep a part; the rest of the crate iterates over [`SECTIONS`]. `duties` has the interface of a section; `urls` what
//! those about URLs have in common.
//!
//! To add a section: write its file, and list it. It is omitted from the canonical form while it is empty, so that policies without it
//! keep their digests.

mod ask;
mod audit;
mod capability;
mod clock;
mod duties;
mod env;
mod fetch;
mod files;
mod functions;
mod groups;
mod limits;
mod network;
mod python;
mod random;
mod urls;
mod websocket;

pub use ask::{AskRule, Remember, When};
pub use audit::AuditGrant;
pub use capability::{CapabilityCall, CapabilityGrant, FunctionCall};
pub use clock::{ClockCall, ClockGrant};
pub use duties::{NoQuestion, Question};
pub use fetch::{FetchCall, FetchGrant, FetchTerms, OnCrash, Rate, SecretGrant, SecretSource};
pub use files::{Access, FileOperation, FilesCall, FilesGrant};
pub use groups::Groups;
pub use limits::{Limits, Lineage};
pub use python::SCIENCE;
pub use random::{RandomCall, RandomGrant};
pub use websocket::{ConnectCall, MessageCall, WebSocketGrant, WebSocketTerms};

pub(crate) use duties::{Askable, Base, Decide, Guard, HostPath, Keeps, RuleSize, Section, Touch, free_id};
pub(crate) use functions::listed;

use crate::Verdict;
use crate::address;
use crate::list::RuleList;
use crate::source::At;
use crate::usage::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

macro_rules! sections {
    ($(
        $(#[doc = $doc:literal])+
        $key:ident {
            policy: $(#[$in_policy:meta])* $field:ident: $grants:ty,
            file: $(#[$in_file:meta])* $shape:ty,
            $(calls: { $($(#[doc = $call_doc:literal])+ $call:ident($asked:ty),)+ })?
        }
    )+) => {
        /// Everything that an execution is granted; what is not here is denied. The default grants nothing.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Policy {
            /// What people call it; the name of its file without extension when the file gives none.
            pub name: String,
            $($(#[doc = $doc])+ $(#[$in_policy])* pub $field: $grants,)+
        }

        /// An Everstep policy: what one execution is granted. What is not granted is denied.
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(title = "Everstep policy")]
        pub(crate) struct File {
            /// The version of the policy language, 1.
            #[schemars(range(min = 1, max = 1))]
            pub(crate) version: At<u64>,
            /// The name of the policy; the name of its file when it is missing.
            pub(crate) name: Option<At<String>>,
            /// Policies that this one narrows, as paths relative to this file.
            #[serde(default)]
            pub(crate) extends: Vec<At<String>>,
            $($(#[doc = $doc])+ $(#[$in_file])* pub(crate) $key: $shape,)+
        }

        /// Every section, in the order of the file.
        pub(crate) const SECTIONS: &[&dyn Section] = &[$($key::SECTION),+];

        /// One call of the guest, as the policy sees it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Call<'a> {
            $($($($(#[doc = $call_doc])+ $call($asked),)+)?)+
            /// Needs no grant, such as a remembered computation. Always allowed, by no rule.
            Ungranted,
        }

        impl Call<'_> {
            /// The call as its section sees it.
            #[inline]
            pub(crate) fn as_decided(&self) -> &dyn Decide {
                match self {
                    $($($(Self::$call(call) => call,)+)?)+
                    Self::Ungranted => &Ungranted,
                }
            }
        }
    };
}

sections! {
    /// The budget of one execution.
    limits {
        policy: limits: Limits,
        file: #[serde(default)] limits::LimitsShape,
    }
    /// The environment variables of the guest; it has no others.
    env {
        policy: env: BTreeMap<String, String>,
        file: Option<BTreeMap<At<String>, At<String>>>,
    }
    /// Which Python runs programs.
    python {
        policy: #[serde(skip)] python: Option<PathBuf>,
        file: Option<python::Python>,
    }
    /// Whether the guest may know the time.
    clock {
        policy: clock: ClockGrant,
        file: Option<clock::Clock>,
        calls: {
            /// Reads the time or waits for a time.
            Clock(ClockCall),
        }
    }
    /// Whether the guest may draw random numbers.
    random {
        policy: random: RandomGrant,
        file: Option<random::Random>,
        calls: {
            /// Draws random bytes.
            Random(RandomCall),
        }
    }
    /// Capabilities without a section of their own.
    capability {
        policy: capabilities: Vec<CapabilityGrant>,
        file: Option<Vec<capability::Capability>>,
        calls: {
            /// Calls a capability by its name: `print`, `display`, `input`, `promise`, or one of the embedder's.
            Capability(CapabilityCall<'a>),
            /// Calls a durable function, of the caller's worker group or of another one.
            Function(FunctionCall<'a>),
        }
    }
    /// Folders of the host under paths of the guest.
    files {
        policy: files: Vec<FilesGrant>,
        file: Option<Vec<files::Files>>,
        calls: {
            /// Touches a file or a folder.
            Files(FilesCall<'a>),
        }
    }
    /// HTTP requests.
    fetch {
        policy: #[serde(default, skip_serializing_if = "is_empty")] fetch: RuleList<FetchGrant>,
        file: Option<Vec<fetch::Fetch>>,
        calls: {
            /// Requests a URL.
            Fetch(FetchCall<'a>),
        }
    }
    /// WebSocket connections.
    websocket {
        policy: #[serde(default, skip_serializing_if = "is_empty")] websocket: RuleList<WebSocketGrant>,
        file: Option<Vec<websocket::WebSocket>>,
        calls: {
            /// Opens a connection.
            Connect(ConnectCall<'a>),
            /// Sends or awaits one message over a connection that is open.
            Message(MessageCall<'a>),
        }
    }
    /// Which addresses requests and connections may reach.
    network {
        policy: #[serde(default, skip_serializing_if = "is_default", with = "network::NetworkRules")] network: address::Rules,
        file: Option<network::Network>,
    }
    /// Calls that a human approves one by one.
    ask {
        policy: #[serde(default, skip_serializing_if = "is_empty")] asks: RuleList<AskRule>,
        file: #[serde(default)] Vec<ask::Ask>,
    }
    /// The parts of the policy that single functions keep.
    functions {
        policy: #[serde(default, skip_serializing_if = "BTreeMap::is_empty")] functions: BTreeMap<String, FunctionGrant>,
        file: #[serde(default)] BTreeMap<At<String>, Function>,
    }
    /// Where decisions are recorded.
    audit {
        policy: audit: Option<AuditGrant>,
        file: Option<audit::Audit>,
    }
}

macro_rules! kept_by_functions {
    ($($(#[doc = $doc:literal])+ $key:ident,)+) => {
        /// `[functions.NAME]`: which rules an execution of one function keeps, and which limits. A list that is missing keeps all rules.
        ///
        /// The rules that are left out do not match: of those that are kept the first one decides, with its own bounds.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct FunctionGrant {
            $($(#[doc = $doc])+ pub $key: Option<Vec<String>>,)+
            /// Its own limits, no wider than those of the policy.
            pub limits: Limits,
        }

        /// The part of the policy that one function keeps.
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Function {
            $($(#[doc = $doc])+ pub(crate) $key: Option<Vec<At<String>>>,)+
            /// Its own limits, no wider than those of the policy.
            #[serde(default)]
            pub(crate) limits: limits::LimitsShape,
        }

        impl FunctionGrant {
            /// What a section that narrows nothing says.
            pub fn of(limits: &Limits) -> Self {
                Self { $($key: None,)+ limits: limits.clone() }
            }

            /// The sections of which it may keep a part, each with the list of what it keeps.
            pub(crate) fn lists(&self) -> impl Iterator<Item = (&'static dyn Section, &Option<Vec<String>>)> {
                [$(($key::SECTION, &self.$key)),+].into_iter()
            }

            /// The lists to be changed, in the same order.
            pub(crate) fn lists_mut(&mut self) -> impl Iterator<Item = &mut Option<Vec<String>>> {
                [$(&mut self.$key),+].into_iter()
            }
        }

        impl Function {
            /// The lists that the file gives, in the same order.
            pub(crate) fn lists(&self) -> impl Iterator<Item = &Option<Vec<At<String>>>> {
                [$(&self.$key),+].into_iter()
            }
        }
    };
}

kept_by_functions! {
    /// Ids of the `[[fetch]]` and `[[ask]]` rules that it keeps.
    fetch,
    /// Ids of the `[[websocket]]` and `[[ask]]` rules that it keeps.
    websocket,
    /// Ids of the `[[files]]` rules that it keeps.
    files,
    /// Names of the capabilities that it keeps.
    capability,
}

/// A call that needs no grant.
struct Ungranted;

impl Decide for Ungranted {
    fn decide<'p>(&self, _: &'p Policy, _: &Usage, _: u64) -> Verdict<'p> {
        Verdict::Allow { rule: "" }
    }

    fn is_part(&self) -> bool {
        true
    }
}

fn is_empty<T>(list: &RuleList<T>) -> bool {
    list.is_empty()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
