//! `[[fetch]]`, `[[websocket]]` and `[network]`.

use super::{Reader, joined, span};
use crate::address::{self, Cidr};
use crate::file::{self, At, RateText};
use crate::units::{Count, Size};
use crate::url::Pattern;
use crate::{
    Error, FetchGrant, FetchTerms, OnCrash, Rate, SecretGrant, SecretSource, WebSocketGrant, WebSocketTerms, quoted,
};

/// Most redirects that can be granted.
const REDIRECTS: u32 = 20;
/// Longest method and longest name of a header, in bytes.
const LONGEST_METHOD: usize = 32;
const LONGEST_HEADER: usize = 128;
/// Methods that are no requests for a resource.
const FORBIDDEN_METHODS: [&str; 2] = ["CONNECT", "TRACE"];
/// Headers that frame or route a request, or that the host itself sets.
const FORBIDDEN_HEADERS: [&str; 15] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "content-encoding",
    "expect",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What `block` always holds.
const NON_GLOBAL: &str = "non-global";

impl Reader<'_> {
    pub(super) fn fetch(&mut self, shape: Option<Vec<file::Fetch>>) -> Result<Option<Vec<FetchGrant>>, Error> {
        shape.map(|rules| rules.into_iter().map(|rule| self.fetch_grant(rule)).collect()).transpose()
    }

    fn fetch_grant(&mut self, shape: file::Fetch) -> Result<FetchGrant, Error> {
        self.take_id(&shape.id)?;
        let default = FetchTerms::DEFAULT;
        Ok(FetchGrant {
            url: self.pattern(&shape.url, ["http", "https"])?,
            methods: self.methods(&shape.methods)?,
            terms: FetchTerms {
                max_calls: shape.max_calls.map(|Count(calls)| calls).filter(|calls| *calls != u64::MAX),
                rate: shape.rate.map(|rate| self.rate(&rate)).transpose()?,
                concurrent: self.at_least_one("concurrent", shape.concurrent, default.concurrent)?,
                max_request: self.size(shape.max_request, default.max_request),
                max_response: self.size(shape.max_response, default.max_response),
                timeout: span(self.source, "timeout", shape.timeout, default.timeout)?,
                redirects: self.redirects(shape.redirects)?,
                secret: shape.secret.map(|secret| self.secret(&secret)).transpose()?,
                on_crash: shape.on_crash.unwrap_or(OnCrash::Retry),
            },
            id: shape.id.into_inner(),
        })
    }

    pub(super) fn websocket(
        &mut self,
        shape: Option<Vec<file::WebSocket>>,
    ) -> Result<Option<Vec<WebSocketGrant>>, Error> {
        shape.map(|rules| rules.into_iter().map(|rule| self.websocket_grant(rule)).collect()).transpose()
    }

    fn websocket_grant(&mut self, shape: file::WebSocket) -> Result<WebSocketGrant, Error> {
        self.take_id(&shape.id)?;
        let default = WebSocketTerms::DEFAULT;
        Ok(WebSocketGrant {
            url: self.pattern(&shape.url, ["ws", "wss"])?,
            terms: WebSocketTerms {
                max_open: self.at_least_one("max_open", shape.max_open, default.max_open)?,
                max_message: self.size(shape.max_message, default.max_message),
                max_messages: shape.max_messages.map_or(default.max_messages, |Count(messages)| messages),
                idle: span(self.source, "idle", shape.idle, default.idle)?,
            },
            id: shape.id.into_inner(),
        })
    }

    /// A size that a rule names, or the default as far as one call carries it.
    fn size(&self, given: Option<At<Size>>, default: u64) -> u64 {
        given.map_or(default.min(self.per_call), |size| size.into_inner().0)
    }

    /// Reads the pattern of a rule that is about two of the schemes.
    pub(super) fn pattern(&self, text: &At<String>, schemes: [&str; 2]) -> Result<Pattern, Error> {
        let invalid = |why: &str| {
            let what = format!("{} is no URL of this rule: {why}", quoted(text.get_ref()));
            self.source.invalid(&text.span(), what, "write one such as \"https://api.example.org/items/**\"")
        };
        let pattern = Pattern::parse(text.get_ref()).map_err(|why| invalid(&why))?;
        if !schemes.contains(&pattern.scheme()) {
            return Err(invalid(&format!("its scheme is none of {} and {}", schemes[0], schemes[1])));
        }
        Ok(pattern)
    }

    /// Reads the methods of a rule, each once.
    pub(super) fn methods(&self, shape: &At<Vec<At<String>>>) -> Result<Vec<String>, Error> {
        if shape.get_ref().is_empty() {
            let what = "methods is empty".to_owned();
            return Err(self.source.invalid(&shape.span(), what, "name at least one, such as [\"GET\"]"));
        }
        let mut methods: Vec<String> = Vec::new();
        for method in shape.get_ref() {
            let text = method.get_ref();
            let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
            let known = !text.is_empty() && text.len() <= LONGEST_METHOD && text.bytes().all(allowed);
            if !known || FORBIDDEN_METHODS.contains(&text.as_str()) {
                let what = format!("{} is no method that can be granted", quoted(text));
                let remedy = "write methods in upper case, such as \"GET\"; not CONNECT or TRACE";
                return Err(self.source.invalid(&method.span(), what, remedy));
            }
            if !methods.contains(text) {
                methods.push(text.clone());
            }
        }
        Ok(methods)
    }

    fn rate(&self, shape: &At<RateText>) -> Result<Rate, Error> {
        let RateText(text) = shape.get_ref();
        Rate::parse(text).ok_or_else(|| {
            let remedy = "write calls and time, such as \"5/s\" or \"3/10s\"; up to 10_000 calls and 24h";
            self.source.invalid(&shape.span(), format!("{} is no rate", quoted(text)), remedy)
        })
    }

    fn at_least_one(&self, key: &str, value: Option<At<Count>>, default: u64) -> Result<u64, Error> {
        let Some(value) = value else { return Ok(default) };
        match value.get_ref().0 {
            0 => Err(self.source.invalid(
                &value.span(),
                format!("{key} is zero"),
                "write at least 1, or remove the rule",
            )),
            number => Ok(number),
        }
    }

    fn redirects(&self, value: Option<At<u32>>) -> Result<u32, Error> {
        let Some(value) = value else { return Ok(FetchTerms::DEFAULT.redirects) };
        if *value.get_ref() > REDIRECTS {
            let what = format!("redirects is more than {REDIRECTS}");
            return Err(self.source.invalid(&value.span(), what, "write at most 20"));
        }
        Ok(value.into_inner())
    }

    fn secret(&self, shape: &file::Secret) -> Result<SecretGrant, Error> {
        let header = shape.header.get_ref().to_ascii_lowercase();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let known = !header.is_empty() && header.len() <= LONGEST_HEADER && header.bytes().all(allowed);
        // As servers see it that take `a_b` for `a-b`.
        let seen = header.replace('_', "-");
        if !known || FORBIDDEN_HEADERS.contains(&seen.as_str()) || seen.starts_with("proxy-") {
            let what = format!("{} is no header for a secret", quoted(shape.header.get_ref()));
            let remedy = "use one such as \"authorization\"; not one that frames or routes the request";
            return Err(self.source.invalid(&shape.header.span(), what, remedy));
        }
        let from = match SecretSource::parse(shape.from.get_ref()) {
            Some(SecretSource::File(path)) => path.to_str().map(|path| SecretSource::File(joined(self.folder, path))),
            from => from,
        };
        let from = from.ok_or_else(|| {
            let what = format!("{} is no place of a secret", quoted(shape.from.get_ref()));
            self.source.invalid(&shape.from.span(), what, "write \"env:NAME\" or \"file:PATH\"")
        })?;
        Ok(SecretGrant { header, from })
    }

    /// `[network]`: what is given is added to the inherited block, and replaces the inherited exceptions.
    pub(super) fn network(
        &mut self,
        shape: Option<file::Network>,
        inherited: address::Rules,
    ) -> Result<address::Rules, Error> {
        let Some(shape) = shape else { return Ok(inherited) };
        let mut rules = inherited;
        if let Some(block) = shape.block {
            self.places.put("network.block".to_owned(), self.source, &block.span());
            if !block.get_ref().iter().any(|item| item.get_ref() == NON_GLOBAL) {
                let what = "block leaves \"non-global\" out, which is always blocked".to_owned();
                let remedy = "add it, and name exceptions in `allow`";
                return Err(self.source.invalid(&block.span(), what, remedy));
            }
            let ranges = block.get_ref().iter().filter(|item| item.get_ref() != NON_GLOBAL);
            for range in ranges {
                let range = self.range(range)?;
                if !rules.block.contains(&range) {
                    rules.block.push(range);
                }
            }
        }
        if let Some(allow) = shape.allow {
            self.places.put("network.allow".to_owned(), self.source, &allow.span());
            rules.allow = allow.get_ref().iter().map(|range| self.range(range)).collect::<Result<_, _>>()?;
        }
        Ok(rules)
    }

    fn range(&self, text: &At<String>) -> Result<Cidr, Error> {
        text.get_ref().parse().map_err(|error: address::CidrError| {
            self.source.invalid(&text.span(), error.to_string(), "write a range such as \"10.0.0.0/8\"")
        })
    }
}
