//! The ids of promises on the wire.
//!
//! In ours a dot begins the lineage: `root.3.0`, and `root:d` with 16 hex digits is a detached execution. Servers of dialect C end the root
//! by a colon: `root:3.0`, and `root:d` as it is. Other dialects have our ids.
//!
//! Each id of ours comes back as it was sent, if its root has no colon and what follows the first dot does not look like the mark of a
//! detached execution. Each id of others with a colon, or without a dot, goes back as it came. Ids without a colon that have a dot, which
//! are roots to a server of dialect C, are read as they are, but cannot be named: `a.b` would be sent as `a:b`. Ids of schedules are never
//! changed.

use everstep_store::operation::Dialect;
use everstep_store::record::{Promise, tag};
use std::collections::BTreeMap;

/// The tags whose value is an id.
const TAGS: [&str; 3] = [tag::ORIGIN, tag::BRANCH, tag::PARENT];
/// The hex digits in the mark of a detached execution.
const DIGITS: usize = 16;
/// Begins a cursor that is kept as it came; no id contains it.
const AS_IT_CAME: char = '\0';

/// Translates ids for a server of one dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    pub(super) dialect: Dialect,
}

impl Ids {
    /// An id as it is sent.
    pub(super) fn sent(self, id: &str) -> String {
        if self.dialect != Dialect::C || id.contains(':') {
            return id.to_owned();
        }
        id.replacen('.', ":", 1)
    }

    /// An id that has come, in our form.
    pub(super) fn received(self, id: String) -> String {
        match id.split_once(':') {
            Some((root, rest)) if self.dialect == Dialect::C && is_ours(root, rest) => format!("{root}.{rest}"),
            _ => id,
        }
    }

    /// The cursor of a search for promises or tasks as it is sent.
    pub(super) fn cursor_sent(self, cursor: &str) -> String {
        cursor.strip_prefix(AS_IT_CAME).map_or_else(|| self.sent(cursor), str::to_owned)
    }

    /// The cursor of a search for promises or tasks that has come. One that is no id of ours is marked, so that it goes back as it came.
    pub(super) fn cursor_received(self, cursor: String) -> String {
        let ours = self.received(cursor.clone());
        if self.sent(&ours) == cursor { ours } else { format!("{AS_IT_CAME}{cursor}") }
    }

    /// Tags as they are sent.
    pub(super) fn tags_sent(self, tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut tags = tags.clone();
        change(&mut tags, |id| self.sent(id));
        tags
    }

    /// Tags that have come.
    pub(super) fn tags_received(self, mut tags: BTreeMap<String, String>) -> BTreeMap<String, String> {
        change(&mut tags, |id| self.received(id.to_owned()));
        tags
    }

    /// A promise that has come.
    pub(super) fn promise_received(self, promise: Promise) -> Promise {
        let (id, tags) = (self.received(promise.id), self.tags_received(promise.tags.into()));
        Promise { id, tags: tags.into(), ..promise }
    }

    /// The root of the call tree of an id of ours, as the server takes it, or, where it takes any, as the SDKs do.
    pub(super) fn origin(self, id: &str) -> String {
        let separators: &[char] = match self.dialect {
            Dialect::A => &['.', ':'],
            Dialect::B => &['.'],
            Dialect::C => &[':'],
        };
        self.sent(id).split(separators).next().unwrap_or_default().to_owned()
    }
}

/// Whether an id on the wire is what [`Ids::sent`] makes of one of ours with a dot.
fn is_ours(root: &str, rest: &str) -> bool {
    !root.contains('.') && !rest.contains(':') && !is_detached(rest)
}

/// Whether what follows a root is the mark of a detached execution, or of something within it.
fn is_detached(rest: &str) -> bool {
    let mark = rest.split('.').next().and_then(|first| first.strip_prefix('d'));
    mark.is_some_and(|mark| mark.len() == DIGITS && mark.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn change(tags: &mut BTreeMap<String, String>, id: impl Fn(&str) -> String) {
    for name in TAGS {
        if let Some(value) = tags.get_mut(name) {
            *value = id(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const C: Ids = Ids { dialect: Dialect::C };

    #[test]
    fn the_first_separator_is_a_colon_in_dialect_c() {
        for (ours, sent) in [
            ("root", "root"),
            ("root.3", "root:3"),
            ("root.3.0", "root:3.0"),
            ("root.d0123", "root:d0123"),
            ("root:d0123456789abcdef", "root:d0123456789abcdef"),
            ("root:d0123456789abcdef.3.1", "root:d0123456789abcdef.3.1"),
        ] {
            assert_eq!((C.sent(ours).as_str(), C.received(sent.to_owned()).as_str()), (sent, ours));
            assert_eq!(C.origin(ours), "root");
            for ids in [Dialect::A, Dialect::B].map(|dialect| Ids { dialect }) {
                assert_eq!((ids.sent(ours), ids.received(ours.to_owned())), (ours.to_owned(), ours.to_owned()));
            }
        }
        let ids = Ids { dialect: Dialect::B };
        assert_eq!((ids.origin("root.3.0"), ids.origin("root:d0.3")), ("root".to_owned(), "root:d0".to_owned()));
        let ids = Ids { dialect: Dialect::A };
        assert_eq!((ids.origin("root.3.0"), ids.origin("root:3.0")), ("root".to_owned(), "root".to_owned()));
    }

    #[test]
    fn tags_that_hold_ids_are_translated() {
        let tags = |root: &str, id: &str| {
            BTreeMap::from([
                (tag::ORIGIN, root),
                (tag::BRANCH, id),
                (tag::PARENT, id),
                (tag::PREFIX, "a.b"),
                ("x", "a.b"),
            ])
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(C.tags_sent(&tags("a", "a.1.2")), tags("a", "a:1.2"));
        assert_eq!(C.tags_received(tags("a", "a:1.2")), tags("a", "a.1.2"));
    }

    proptest! {
        #[test]
        fn an_id_of_ours_comes_back(root in "[a-z0-9_/-]{1,4}", detached in proptest::option::of("[0-9a-f]{16}"), steps in "(\\.[0-9]{1,2}){0,3}") {
            let id = match detached {
                Some(mark) => format!("{root}:d{mark}{steps}"),
                None => format!("{root}{steps}"),
            };
            let sent = C.sent(&id);
            prop_assert!(sent == root || sent.starts_with(&(root.clone() + ":")));
            prop_assert_eq!(C.received(sent), id);
        }

        #[test]
        fn an_id_without_a_colon_comes_back(id in "[a-f.]{0,8}") {
            prop_assert_eq!(C.received(C.sent(&id)), id);
        }

        #[test]
        fn an_id_of_others_goes_back(id in "[ab.:d0]{0,8}(:d[0-9a-f]{15,17})?[.:]?") {
            let ours = C.received(id.clone());
            if id.contains(':') || !id.contains('.') {
                prop_assert_eq!(C.sent(&ours), id);
            } else {
                prop_assert_eq!(ours, id);
            }
        }

        #[test]
        fn a_cursor_goes_back(cursor in "[a.:]{0,6}") {
            prop_assert_eq!(C.cursor_sent(&C.cursor_received(cursor.clone())), cursor);
        }
    }
}
