//! Messages of `serve` to URLs: which URLs are allowed, and how messages are posted.

use super::Failure;
use everstep::capability::http::{Bounds, Bytes, Client, Request};
use everstep::network::{Cause, Options};
use everstep::policy::address::Rules;
use everstep::policy::url::{Pattern, Target};
use everstep_resonate::Carrier;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

/// How long connecting may take, and how long the response to a message.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(180);
/// The first status that means that a message was not accepted.
const REFUSED: u16 = 400;

/// Which URLs messages may be sent to.
#[derive(Clone, Debug)]
pub(super) enum Allowed {
    /// Any URL at a public address.
    Any,
    /// URLs that the pattern matches.
    Below(Pattern),
}

/// Posts messages to the allowed URLs.
pub(super) struct Post {
    allowed: Vec<Allowed>,
    token: Option<String>,
    /// For URLs that match a pattern, whatever their address.
    named: Client,
    /// For the others: connects to public addresses only.
    public: Client,
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let whole = text.trim_end_matches('/');
        let whole = whole.strip_suffix("/**").unwrap_or(whole);
        let pattern = Pattern::parse(&format!("{whole}/**"));
        match pattern.map_err(|why| format!("{why}; name a URL such as https://example.org/hooks, or any"))? {
            pattern if !matches!(pattern.scheme(), "http" | "https") => Err("messages go to http or https".to_owned()),
            pattern if pattern.has_query() => Err("the beginning of a URL has no query".to_owned()),
            pattern => Ok(Self::Below(pattern)),
        }
    }
}

impl Post {
    /// A poster; `authorities` are PEM files of certificate authorities that are trusted in addition to the system's.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn new(allowed: Vec<Allowed>, token: Option<String>, authorities: &[PathBuf]) -> Result<Self, Failure> {
        let options = Options::system().with_authorities(authorities);
        let options = options.map_err(|error| Failure::usage(error.to_string()))?;
        let everywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|range| range.parse().ok()).collect();
        let named = Client::new(&options, Rules { allow: everywhere, ..Rules::default() });
        Ok(Self { allowed, token, named, public: Client::new(&options, Rules::default()) })
    }

    /// The URL, and whether it matches a pattern.
    ///
    /// # Errors
    /// It is not a URL, or not an allowed one.
    fn target(&self, address: &str) -> Result<(Target, bool), String> {
        let target = Target::parse(address).map_err(|fault| fault.to_string())?;
        let origin = || format!("{}://{}", target.scheme(), target.authority());
        let is_named = |allowed: &Allowed| matches!(allowed, Allowed::Below(pattern) if pattern.matches(&target));
        if self.allowed.iter().any(is_named) {
            return Ok((target, true));
        }
        if !self.allowed.iter().any(|allowed| matches!(allowed, Allowed::Any)) {
            return Err(format!("no --push names it; start the server with --push {}", origin()));
        }
        match target.ip().map(|address| Rules::default().check(address)) {
            Some(Err(class)) => Err(not_public(&class.to_string(), &origin())),
            _ => Ok((target, false)),
        }
    }
}

impl Carrier for Post {
    fn receiver(&self, address: &str) -> Result<String, String> {
        let (target, _) = self.target(address)?;
        Ok(format!("{}://{}", target.scheme(), target.authority()))
    }

    fn post(&self, address: &str, message: Bytes) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        let target = self.target(address);
        Box::pin(async move {
            let (url, is_named) = target?;
            let origin = format!("{}://{}", url.scheme(), url.authority());
            // A client that can choose any other URL would learn the token.
            let token = self.token.as_ref().filter(|_| is_named);
            let request = Request {
                method: "POST".to_owned(),
                url,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: message,
                secret: token.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))),
            };
            let bounds =
                Bounds { timeout: ANSWER, connect: CONNECT, max_response: 0, redirects: 0, ..Bounds::default() };
            let client = if is_named { &self.named } else { &self.public };
            match client.tell(request, &bounds).await {
                Ok(status) if status < REFUSED => Ok(()),
                Ok(status) => Err(format!("it answers with status {status}")),
                Err(failure) => Err(match failure.cause {
                    Cause::Refused(class) => not_public(&class.to_string(), &origin),
                    // The option has another name in this command.
                    Cause::Connect(_, why) => why.replace("--ca ", "--push-ca "),
                    Cause::Interrupted(why) | Cause::BadResponse(why) => why,
                    Cause::NotFound => "its host name has no address".to_owned(),
                    Cause::TimedOut => "it has not answered in time".to_owned(),
                    _ => failure.into_guest(&origin).message,
                }),
            }
        })
    }
}

fn not_public(class: &str, origin: &str) -> String {
    format!("it leads to {class}, and --push any is for public ones; start the server with --push {origin}, too")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(allowed: &[&str]) -> Post {
        let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
        Post::new(allowed, None, &[]).unwrap_or_else(|failure| panic!("{}", failure.message))
    }

    #[test]
    fn what_may_be_sent_to_is_decided_on_the_parsed_url() {
        let post = post(&["http://a.b", "https://a.b/hooks/", "http://[::1]:9000/x", "https://*.example.org/**"]);
        for address in [
            "http://a.b",
            "http://a.b/",
            "HTTP://A.B:80/x/y?z=1",
            "http://a.b./x",
            "https://a.b/hooks",
            "https://a.b/hooks/",
            "https://a.b/%68ooks/1",
            "https://a.b/x/../hooks/1",
            "http://[0:0::1]:9000/x/y",
            "https://one.example.org/x",
        ] {
            assert!(post.receiver(address).is_ok(), "{address}: {:?}", post.receiver(address));
        }
        let long = format!("http://a.b/{}", "x".repeat(9000));
        for address in [
            "http://a.b.evil",
            "http://a.bevil/",
            "http://a.b@evil/",
            "http://user:word@a.b/",
            "http://a.b:81/",
            "http://a.b\\.evil/",
            "http://evil/http://a.b",
            "http://evil?http://a.b",
            "http://evil#@a.b",
            "https://a.b/",
            "https://a.b/hooksevil",
            "https://a.b/hooks/../x",
            "https://a.b/hooks/%2e%2e/x",
            "https://a.b/hooks%2f..%2f..",
            "http://[::1]:9000/",
            "http://[::2]:9000/x",
            "https://example.org/x",
            "https://one.two.example.org/x",
            "http://",
            "http:a.b",
            &long,
        ] {
            assert!(post.receiver(address).is_err(), "{address}");
        }
        assert_eq!(post.receiver("http://A.B/x").unwrap(), "http://a.b:80");
    }

    #[test]
    fn any_is_for_public_addresses() {
        let post = post(&["any", "http://10.0.0.1:9000"]);
        for address in ["https://example.org/x", "http://93.184.216.34/", "http://10.0.0.1:9000/x"] {
            assert!(post.receiver(address).is_ok(), "{address}");
        }
        for address in [
            "http://127.0.0.1:9000",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1:9001/",
            "http://user@example.org/",
        ] {
            assert!(post.receiver(address).is_err(), "{address}");
        }
        assert!(post.receiver("http://127.0.0.1/").unwrap_err().contains("--push http://127.0.0.1:80"));
    }

    #[test]
    fn what_names_no_urls_is_refused() {
        for text in [
            "",
            "all",
            "a.b",
            "ftp://a.b",
            "ws://a.b",
            "http://u@a.b",
            "http://a.b/?q=1",
            "http://*/",
            "http://a.b/**/x/../y",
        ] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
