//! `[[ask]]`.

use super::{Reader, check_capability, span};
use crate::file::{self, At};
use crate::list::RuleList;
use crate::url::Pattern;
use crate::{AskRule, Error, FetchGrant, Policy, Remember, WebSocketGrant, When, quoted};

/// Capabilities that are over at once, that ask by themselves, or that nothing is asked about.
const NEVER_ASKED: [&str; 6] = ["print", "display", "input", "promise", "clock", "random"];

impl Reader<'_> {
    /// Reads the rules of one file; those that it inherits come before them and count in the numbers of those without an id.
    pub(super) fn asks(
        &mut self,
        shape: Vec<file::Ask>,
        inherited: &[AskRule],
        sufficient: bool,
    ) -> Result<Vec<AskRule>, Error> {
        shape.into_iter().zip(inherited.len() + 1..).map(|(ask, number)| self.ask(ask, number, sufficient)).collect()
    }

    fn ask(&mut self, shape: file::Ask, number: usize, sufficient: bool) -> Result<AskRule, Error> {
        let rule = match &shape.id {
            Some(id) => {
                self.take_id(id)?;
                id.get_ref().clone()
            }
            None => {
                let rule = format!("ask.{number}");
                self.places.put(rule.clone(), self.source, &shape.when.span());
                rule
            }
        };
        let when = self.when(&shape.when)?;
        Ok(AskRule {
            methods: self.asked_methods(&when, shape.methods.as_ref())?,
            url: self.asked_url(&when, shape.url.as_ref())?,
            ttl: span(self.source, "ttl", shape.ttl, AskRule::TTL)?,
            remember: shape.remember.unwrap_or(Remember::Once),
            rule,
            when,
            sufficient,
        })
    }

    fn when(&self, shape: &At<String>) -> Result<When, Error> {
        let text = shape.get_ref().as_str();
        if NEVER_ASKED.contains(&text) || (text.starts_with("files") && !matches!(text, "files.write" | "files.remove"))
        {
            let what = format!("nobody is asked about {}", quoted(text));
            let remedy = "write \"fetch\", \"websocket\", \"files.write\", \"files.remove\", or another capability";
            return Err(self.source.invalid(&shape.span(), what, remedy));
        }
        match When::parse(text) {
            When::Capability(name) => check_capability(shape, self.source).map(|()| When::Capability(name)),
            when => Ok(when),
        }
    }

    fn asked_methods(&self, when: &When, shape: Option<&At<Vec<At<String>>>>) -> Result<Vec<String>, Error> {
        match (when, shape) {
            (_, None) => Ok(Vec::new()),
            (When::Fetch, Some(methods)) => self.methods(methods),
            (_, Some(methods)) => {
                let what = "methods has a meaning for when = \"fetch\" only".to_owned();
                Err(self.source.invalid(&methods.span(), what, "remove it"))
            }
        }
    }

    fn asked_url(&self, when: &When, shape: Option<&At<String>>) -> Result<Option<Pattern>, Error> {
        let Some(url) = shape else { return Ok(None) };
        let schemes = match when {
            When::Fetch => ["http", "https"],
            When::WebSocket => ["ws", "wss"],
            _ => {
                let what = "url has a meaning for when = \"fetch\" or \"websocket\" only".to_owned();
                return Err(self.source.invalid(&url.span(), what, "remove it"));
            }
        };
        let pattern = self.pattern(url, schemes)?;
        if pattern.has_query() {
            let what = "the URL of an [[ask]] rule has a query, which a guest could write in another way".to_owned();
            return Err(self.source.invalid(&url.span(), what, "leave the query out: it asks about every one"));
        }
        Ok(Some(pattern))
    }
}

/// The inherited rules, then those of the file. Where the file has a list of grants of its own, an approval does not take the place of
/// an inherited grant, with its quotas; where that list is empty, it grants nothing at all.
pub(super) fn all(
    inherited: &Policy,
    own: Vec<AskRule>,
    fetch: Option<&[FetchGrant]>,
    websocket: Option<&[WebSocketGrant]>,
) -> RuleList<AskRule> {
    let kept = |ask: &AskRule| {
        let replaced = match ask.when {
            When::Fetch => {
                fetch.is_some_and(|own| own.is_empty() || inherited.fetch.iter().any(|grant| ask.overlaps_fetch(grant)))
            }
            When::WebSocket => websocket.is_some_and(|own| {
                own.is_empty() || inherited.websocket.iter().any(|grant| ask.overlaps_websocket(grant))
            }),
            _ => false,
        };
        AskRule { sufficient: ask.sufficient && !replaced, ..ask.clone() }
    };
    inherited.asks.iter().map(kept).chain(own).collect()
}
