//! The rules for ids, addresses and tags of promises.

use super::{Step, refuse};
use crate::operation::{Dialect, NewPromise, Status};
use crate::record::tag;

/// The root of the call tree that an id belongs to; the id itself in dialects without origins.
pub(super) fn origin(dialect: Dialect, id: &str) -> &str {
    let separator = match dialect {
        Dialect::A => return id,
        Dialect::B => '.',
        Dialect::C => ':',
    };
    id.split(separator).next().unwrap_or(id)
}

/// Refuses awaited promises outside the awaiter's tree, and the awaiter itself.
pub(super) fn check_same_tree(dialect: Dialect, awaiter: &str, awaited: &str) -> Step<()> {
    if dialect == Dialect::A {
        return Ok(());
    }
    if awaiter == awaited {
        return refuse(Status::Invalid, "a promise cannot wait for itself");
    }
    if origin(dialect, awaiter) != origin(dialect, awaited) {
        return refuse(Status::Invalid, format!("{awaiter:?} and {awaited:?} are of different origins"));
    }
    Ok(())
}

pub(super) fn check_id(what: &str, id: &str) -> Step<()> {
    if id.is_empty() || id.contains('\0') {
        return refuse(Status::Invalid, format!("the id of a {what} is not empty and has no NUL"));
    }
    Ok(())
}

/// Checks an address that messages can go to: `poll://any@GROUP`, `poll://any@GROUP/ID`, `poll://uni@GROUP/ID`, or a
/// URL.
pub(super) fn check_address(address: &str) -> Step<()> {
    let polled = |rest: &str| {
        let (cast, group) = rest.split_once('@')?;
        let (group, id) = group.split_once('/').map_or((group, None), |(group, id)| (group, Some(id)));
        let whole = !group.is_empty() && id.is_none_or(|id| !id.is_empty());
        (whole && (cast == "any" || cast == "uni" && id.is_some())).then_some(())
    };
    let web = |address: &str| {
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
        (!rest.is_empty() && !rest.starts_with('/')).then_some(())
    };
    match address.strip_prefix("poll://").map_or_else(|| web(address), polled) {
        Some(()) => Ok(()),
        None => refuse(Status::Invalid, format!("{address:?} is no address, such as poll://any@default")),
    }
}

pub(super) fn check_promise(dialect: Dialect, new: &NewPromise) -> Step<()> {
    check_id("promise", &new.id)?;
    if let Some(target) = new.tags.get(tag::TARGET) {
        check_address(target)?;
    }
    match dialect {
        Dialect::A => Ok(()),
        Dialect::B => check_lineage(new, '.', |_| '.').and_then(|()| check_delay(new)),
        Dialect::C => {
            let nested = |ancestor: &str| if ancestor.contains(':') { '.' } else { ':' };
            check_lineage(new, ':', nested).and_then(|()| check_delay(new))
        }
    }
}

/// Checks that a promise is below the ancestors that its tags name.
fn check_lineage(new: &NewPromise, root: char, nested: impl Fn(&str) -> char) -> Step<()> {
    let below = |ancestor: &str, separator: char| {
        let rest = new.id.strip_prefix(ancestor);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
    };
    for name in [tag::ORIGIN, tag::PREFIX] {
        if new.tags.get(name).is_some_and(|value| value.contains(root)) {
            return refuse(Status::Invalid, format!("{name} has no {root:?}"));
        }
    }
    if new.tags.get(tag::ORIGIN).is_some_and(|origin| !below(origin, root)) {
        return refuse(Status::Invalid, format!("{:?} is not below its {}", new.id, tag::ORIGIN));
    }
    for name in [tag::BRANCH, tag::PARENT] {
        if new.tags.get(name).is_some_and(|ancestor| !below(ancestor, nested(ancestor))) {
            return refuse(Status::Invalid, format!("{:?} is not below its {name}", new.id));
        }
    }
    Ok(())
}

fn check_delay(new: &NewPromise) -> Step<()> {
    let Some(delay) = new.tags.get(tag::DELAY) else { return Ok(()) };
    let in_time = delay.parse::<u64>().is_ok_and(|delay| delay < new.timeout_at);
    if in_time && new.tags.contains_key(tag::TARGET) {
        return Ok(());
    }
    refuse(Status::Invalid, format!("{} is a time before the deadline of a promise with a target", tag::DELAY))
}
