//! The variables of OpenTelemetry: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.
//!
//! As the specification has it, what cannot be used is named in the log and the default holds instead. Values are not repeated: they may
//! hold a secret.

use crate::policy::url::Target;
use crate::trace::Sampler;
use std::path::PathBuf;
use std::time::Duration;

/// See the module.
pub(super) struct Settings {
    /// The URL that takes traces.
    pub(super) endpoint: Target,
    /// Headers of each request.
    pub(super) headers: Vec<(String, String)>,
    /// How long one request may take.
    pub(super) timeout: Duration,
    /// Certificate authorities that are trusted beside those of the system.
    pub(super) authorities: Vec<PathBuf>,
    /// What the process is: `service.name` and more.
    pub(super) resource: Vec<(String, String)>,
    pub(super) sampler: Sampler,
    /// How long a span waits for others.
    pub(super) delay: Duration,
    /// The most spans that wait.
    pub(super) queue: usize,
}

const TIMEOUT: Duration = Duration::from_secs(10);
const DELAY: Duration = Duration::from_secs(5);
const QUEUE: usize = 2048;
const ALL: Sampler = Sampler { ratio: 1.0, follows: true };

impl Settings {
    /// Reads the variables with `get`; `None` if they name no collector, or it is to get no traces.
    pub(super) fn read(get: impl Fn(&str) -> Option<String>) -> (Option<Self>, Vec<String>) {
        let mut variables = Variables { get, complaints: Vec::new() };
        let settings = variables.settings();
        (settings, variables.complaints)
    }
}

struct Variables<G> {
    get: G,
    complaints: Vec<String>,
}

impl<G: Fn(&str) -> Option<String>> Variables<G> {
    fn settings(&mut self) -> Option<Settings> {
        let is_off = self.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        if is_off || self.text("OTEL_TRACES_EXPORTER").is_some_and(|text| text == "none") {
            return None;
        }
        let endpoint = self.endpoint()?;
        let protocol = self.of_traces("PROTOCOL");
        if let Some((name, _)) = protocol.filter(|(_, protocol)| protocol != "http/protobuf") {
            self.complaints
                .push(format!("{name} is not http/protobuf, which is what is spoken here; it is used all the same"));
        }
        let headers = self.of_traces("HEADERS").map(|(name, text)| self.pairs(&name, &text)).unwrap_or_default();
        let timeout = self.of_traces("TIMEOUT").map(|(name, _)| name);
        let timeout = timeout.and_then(|name| self.number(&name)).map_or(TIMEOUT, Duration::from_millis);
        let authorities = self.of_traces("CERTIFICATE").map(|(_, file)| file.into()).into_iter().collect();
        let delay = self.number("OTEL_BSP_SCHEDULE_DELAY").map_or(DELAY, Duration::from_millis);
        let queue = self.number("OTEL_BSP_MAX_QUEUE_SIZE").and_then(|size| usize::try_from(size).ok());
        let queue = queue.unwrap_or(QUEUE);
        let (resource, sampler) = (self.resource(), self.sampler());
        Some(Settings { endpoint, headers, timeout, authorities, resource, sampler, delay, queue })
    }

    /// A variable; one that is empty counts as unset.
    fn text(&self, name: &str) -> Option<String> {
        (self.get)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The name and the value of a variable of the exporter: the one for traces, or the one for everything.
    fn of_traces(&self, what: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| self.text(&name).map(|text| (name, text)))
    }

    fn endpoint(&mut self) -> Option<Target> {
        let (name, text) = self.of_traces("ENDPOINT")?;
        // The one for everything is the base of the others.
        let is_whole = name.contains("TRACES");
        let url = if is_whole { text } else { format!("{}/v1/traces", text.trim_end_matches('/')) };
        let target = Target::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if target.is_none() {
            self.complaints.push(format!(
                "{name} is no URL of http or https, such as http://127.0.0.1:4318; no trace is exported"
            ));
        }
        target
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| *number > 0);
        if number.is_none() {
            self.complaints.push(format!("{name} is no whole number above 0; the default holds"));
        }
        number
    }

    /// `name=value,...`, with values percent-encoded.
    fn pairs(&mut self, name: &str, text: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=').map(|(key, value)| (key.trim(), decoded(value.trim()))) {
                Some((key, Some(value))) if !key.is_empty() => pairs.push((key.to_owned(), value)),
                _ => self.complaints.push(format!("a part of {name} is not NAME=VALUE; it is left out")),
            }
        }
        pairs
    }

    fn resource(&mut self) -> Vec<(String, String)> {
        let text = self.text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let mut resource = self.pairs("OTEL_RESOURCE_ATTRIBUTES", &text);
        if let Some(service) = self.text("OTEL_SERVICE_NAME") {
            resource.retain(|(name, _)| name != "service.name");
            resource.push(("service.name".to_owned(), service));
        }
        let defaults = [
            ("service.name", "everstep".to_owned()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("process.pid", std::process::id().to_string()),
        ];
        for (name, value) in defaults {
            if !resource.iter().any(|(known, _)| known == name) {
                resource.push((name.to_owned(), value));
            }
        }
        resource
    }

    fn sampler(&mut self) -> Sampler {
        let name = self.text("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
        let (follows, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, &*name),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => self.ratio(),
            _ => {
                let known = "always_on, always_off and traceidratio, and the same after parentbased_";
                self.complaints.push(format!("OTEL_TRACES_SAMPLER is unknown; there are {known}. All traces are kept"));
                return ALL;
            }
        };
        Sampler { ratio, follows }
    }

    fn ratio(&mut self) -> f64 {
        let Some(text) = self.text("OTEL_TRACES_SAMPLER_ARG") else { return 1.0 };
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.unwrap_or_else(|| {
            self.complaints.push("OTEL_TRACES_SAMPLER_ARG is no number from 0 to 1; all traces are kept".to_owned());
            1.0
        })
    }
}

fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => bytes.extend(hex::decode([rest.next()?, rest.next()?]).ok()?),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
        let found =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(found)
    }

    #[test]
    fn the_variables_of_opentelemetry_are_honoured() {
        let (settings, complaints) = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/base/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x-tenant = 7"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_SERVICE_NAME", "orders"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment=test"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(complaints, [""; 0]);
        assert_eq!(settings.endpoint.as_str(), "http://127.0.0.1:4318/base/v1/traces");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(settings.headers, [pair("authorization", "Bearer abc"), pair("x-tenant", "7")]);
        assert_eq!((settings.timeout, settings.delay), (Duration::from_millis(1500), Duration::from_millis(100)));
        let resource = settings.resource;
        assert!(resource.contains(&pair("service.name", "orders")), "{resource:?}");
        assert!(resource.contains(&pair("deployment.environment", "test")), "{resource:?}");
        assert_eq!(settings.sampler, Sampler { ratio: 0.25, follows: true });
    }

    #[test]
    fn the_endpoint_of_traces_is_used_as_it_is() {
        let (settings, _) = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example.org/in"),
        ]);
        assert_eq!(settings.unwrap().endpoint.as_str(), "https://traces.example.org:443/in");
    }

    #[test]
    fn nothing_is_exported_unless_a_collector_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        for off in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[endpoint, ("OTEL_SDK_DISABLED", "true")],
            &[endpoint, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            let (settings, complaints) = read(off);
            assert!(settings.is_none() && complaints.is_empty(), "{off:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_and_never_repeated() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc-tok3n"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "tok3n"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "tok3n"),
            ("OTEL_TRACES_SAMPLER", "tok3n"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "-tok3n"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ] {
            let (settings, complaints) = read(&[endpoint, (name, value)]);
            assert!(settings.is_some());
            assert!(
                complaints.len() == 1 && complaints[0].contains(name) && !complaints[0].contains("tok3n"),
                "{complaints:?}"
            );
        }
        let (settings, complaints) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318")]);
        assert!(settings.is_none() && complaints.len() == 1);
    }
}
