//! What is exported where: the manifest's keys and OpenTelemetry's standard variables put together.
//! Where both speak, the manifest wins. Headers are secrets and come from the environment alone.

use std::fmt;

use super::resource::{RESOURCE_ATTRIBUTES_MAX, Resource};

/// The name of a node that nobody named.
pub const SERVICE_NAME_DEFAULT: &str = "plimsoll";
/// Share of traces that are sampled where nobody says.
pub const SAMPLE_RATIO_DEFAULT: f64 = 0.1;

/// What the manifest says in `[telemetry]`.
#[derive(Clone, Debug, Default)]
pub struct FromManifest {
    /// `service_name`.
    pub service_name: String,
    /// `otlp.endpoint`.
    pub endpoint: Option<String>,
    /// `otlp.sample_ratio`.
    pub sample_ratio: Option<f64>,
}

/// The standard variables, as they are set; their names are the fields' in capitals, with `OTEL_`
/// or `OTEL_EXPORTER_OTLP_` in front.
#[derive(Clone, Default)]
pub struct FromEnvironment {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: Option<String>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: a secret.
    pub headers: Option<String>,
    /// `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub protocol: Option<String>,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource_attributes: Option<String>,
    /// `OTEL_TRACES_SAMPLER`.
    pub sampler: Option<String>,
    /// `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler_arg: Option<String>,
}

impl fmt::Debug for FromEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromEnvironment").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Header fields that hold secrets: no `Debug` shows a value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub(crate) Vec<(String, String)>);

impl Headers {
    /// Names and values, for whoever sends them.
    #[must_use]
    pub fn expose(&self) -> &[(String, String)] {
        &self.0
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Where to, and as whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The base URL, without `/v1/traces`; none where nothing is exported.
    pub endpoint: Option<String>,
    /// What every request to it carries.
    pub headers: Headers,
    /// Share of traces that are sampled, 0 to 1.
    pub sample_ratio: f64,
    /// Who speaks, as far as configuration says.
    pub resource: Resource,
}

/// What cannot be put together. It says what to write, and never a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Only one protocol is spoken.
    #[error(
        "OTEL_EXPORTER_OTLP_PROTOCOL is `{0}`; Plimsoll speaks `http/protobuf` only: set that, and \
         the endpoint's HTTP port (4318, where gRPC has 4317)"
    )]
    Protocol(String),
    /// The endpoint is no URL.
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT is no URL without credentials that starts with http:// or \
         https://; give the base, such as http://127.0.0.1:4318"
    )]
    Endpoint,
    /// The headers are no list.
    #[error(
        "entry {0} of OTEL_EXPORTER_OTLP_HEADERS is no `name=value`; separate entries by commas and \
         percent-encode what is special in a value"
    )]
    Header(usize),
    /// The attributes are no list.
    #[error(
        "entry {0} of OTEL_RESOURCE_ATTRIBUTES is no `key=value`; separate entries by commas and \
         percent-encode what is special in a value (at most 64)"
    )]
    Attribute(usize),
    /// The sampler is not known.
    #[error(
        "OTEL_TRACES_SAMPLER is `{0}`; use always_on, always_off, traceidratio or its parentbased_ \
         form, or set [telemetry.otlp] sample_ratio"
    )]
    Sampler(String),
    /// The sampler's argument is no ratio.
    #[error("OTEL_TRACES_SAMPLER_ARG is `{0}`; expected a ratio from 0 to 1, such as 0.1")]
    SamplerArg(String),
}

impl Settings {
    /// Puts both together.
    ///
    /// # Errors
    /// Says which variable is wrong and what to write.
    pub fn new(
        manifest: &FromManifest,
        environment: &FromEnvironment,
    ) -> Result<Self, SettingsError> {
        let endpoint = match (&manifest.endpoint, &environment.endpoint) {
            (Some(endpoint), _) => Some(endpoint.clone()),
            (None, Some(endpoint)) => Some(checked(endpoint)?),
            (None, None) => None,
        };
        let exporting = endpoint.is_some();
        if let Some(protocol) = environment.protocol.as_deref()
            && exporting
            && protocol.trim() != "http/protobuf"
        {
            return Err(SettingsError::Protocol(shown(protocol)));
        }
        let headers = match &environment.headers {
            Some(text) if exporting => {
                pairs(text).map_err(SettingsError::Header)?.into_iter().collect()
            }
            _ => Vec::new(),
        };
        let sample_ratio = match manifest.sample_ratio {
            Some(ratio) => ratio,
            None => sampled(environment)?,
        };
        let base = endpoint.map(|url| url.trim_end_matches('/').to_owned());
        let resource = resource(manifest, environment)?;
        Ok(Self { endpoint: base, headers: Headers(headers), sample_ratio, resource })
    }
}

fn checked(endpoint: &str) -> Result<String, SettingsError> {
    let endpoint = endpoint.trim();
    let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let plain = |text: &str| text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\');
    let right = !authority.is_empty()
        && !authority.contains('@')
        && !endpoint.contains(['?', '#'])
        && plain(endpoint)
        && endpoint.len() <= 2_000;
    right.then(|| endpoint.to_owned()).ok_or(SettingsError::Endpoint)
}

/// A parent's own decision is never honoured, so the two forms of a sampler mean the same here.
fn sampled(environment: &FromEnvironment) -> Result<f64, SettingsError> {
    let Some(sampler) = environment.sampler.as_deref().map(str::trim) else {
        return Ok(SAMPLE_RATIO_DEFAULT);
    };
    match sampler.strip_prefix("parentbased_").unwrap_or(sampler) {
        "always_on" => Ok(1.0),
        "always_off" => Ok(0.0),
        "traceidratio" => match environment.sampler_arg.as_deref() {
            None => Ok(1.0),
            Some(text) => {
                let ratio = text.trim().parse::<f64>().ok();
                ratio
                    .filter(|ratio| (0.0..=1.0).contains(ratio))
                    .ok_or_else(|| SettingsError::SamplerArg(shown(text)))
            }
        },
        _ => Err(SettingsError::Sampler(shown(sampler))),
    }
}

fn resource(
    manifest: &FromManifest,
    environment: &FromEnvironment,
) -> Result<Resource, SettingsError> {
    let mut resource = Resource::default().with("service.name", SERVICE_NAME_DEFAULT);
    if let Some(text) = &environment.resource_attributes {
        let attributes = pairs(text).map_err(SettingsError::Attribute)?;
        if attributes.len() > RESOURCE_ATTRIBUTES_MAX - 8 {
            return Err(SettingsError::Attribute(attributes.len()));
        }
        for (key, value) in attributes {
            resource = resource.with(&key, value);
        }
    }
    let own = &manifest.service_name;
    let named = (own != SERVICE_NAME_DEFAULT && !own.is_empty()).then_some(own);
    if let Some(name) = named.or(environment.service_name.as_ref()) {
        resource = resource.with("service.name", name.trim());
    }
    Ok(resource)
}

/// `a=b,c=d` with percent-encoded values (W3C Baggage, as the OpenTelemetry specification has it).
fn pairs(text: &str) -> Result<Vec<(String, String)>, usize> {
    let entries = text.split(',').enumerate().filter(|(_, entry)| !entry.trim().is_empty());
    entries
        .map(|(index, entry)| {
            let (name, value) = entry.split_once('=').ok_or(index + 1)?;
            let name = name.trim();
            let value = decode(value.trim()).ok_or(index + 1)?;
            let shown = |text: &str| !text.chars().any(char::is_control);
            let right = !name.is_empty() && shown(name) && shown(&value);
            right.then(|| (name.to_owned(), value)).ok_or(index + 1)
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>()?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn shown(text: &str) -> String {
    text.chars().take(64).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(set: impl FnOnce(&mut FromEnvironment)) -> Result<Settings, SettingsError> {
        let mut environment = FromEnvironment::default();
        set(&mut environment);
        let name = SERVICE_NAME_DEFAULT.to_owned();
        Settings::new(&FromManifest { service_name: name, ..FromManifest::default() }, &environment)
    }

    #[test]
    fn nothing_is_exported_unless_someone_says_where() {
        let settings = environment(|e| e.protocol = Some("grpc".into())).unwrap();
        assert_eq!((settings.endpoint, settings.sample_ratio), (None, SAMPLE_RATIO_DEFAULT));
        assert_eq!(settings.resource.get("service.name"), Some("plimsoll"));
    }

    #[test]
    fn the_standard_variables_are_read() {
        let settings = environment(|e| {
            e.endpoint = Some("https://otlp.example/base/".into());
            e.headers = Some("api-key=a%20b%3D, x-team = shop".into());
            e.protocol = Some("http/protobuf".into());
            e.service_name = Some("edge".into());
            e.resource_attributes =
                Some("deployment.environment.name=prod,service.name=x,k=%C3%A9".into());
            e.sampler = Some("parentbased_traceidratio".into());
            e.sampler_arg = Some("0.25".into());
        })
        .unwrap();
        assert_eq!(settings.endpoint.as_deref(), Some("https://otlp.example/base"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [pair("api-key", "a b="), pair("x-team", "shop")];
        assert_eq!(settings.headers.expose(), headers);
        assert_eq!(settings.resource.get("service.name"), Some("edge"));
        assert_eq!(settings.resource.get("deployment.environment.name"), Some("prod"));
        assert_eq!(settings.resource.get("k"), Some("é"));
        assert!((settings.sample_ratio - 0.25).abs() < f64::EPSILON);
    }

    #[test]
    fn the_manifest_wins() {
        let manifest = FromManifest {
            service_name: "shop-edge".into(),
            endpoint: Some("http://10.0.0.1:4318".into()),
            sample_ratio: Some(0.5),
        };
        let environment = FromEnvironment {
            endpoint: Some("http://elsewhere:4318".into()),
            service_name: Some("other".into()),
            sampler: Some("always_off".into()),
            ..FromEnvironment::default()
        };
        let settings = Settings::new(&manifest, &environment).unwrap();
        assert_eq!(settings.endpoint.as_deref(), Some("http://10.0.0.1:4318"));
        assert_eq!(settings.resource.get("service.name"), Some("shop-edge"));
        assert!((settings.sample_ratio - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_wrong_says_what_to_write_and_no_secret() {
        let at = |e: &mut FromEnvironment| e.endpoint = Some("http://127.0.0.1:4318".into());
        let cases: [(&str, Result<Settings, SettingsError>); 6] = [
            (
                "http/protobuf",
                environment(|e| {
                    at(e);
                    e.protocol = Some("grpc".into());
                }),
            ),
            (
                "entry 2",
                environment(|e| {
                    at(e);
                    e.headers = Some("a=b,hunter2".into());
                }),
            ),
            (
                "entry 1",
                environment(|e| {
                    at(e);
                    e.headers = Some("a=%zzhunter2".into());
                }),
            ),
            ("credentials", environment(|e| e.endpoint = Some("http://u:hunter2@h".into()))),
            (
                "0 to 1",
                environment(|e| {
                    e.sampler = Some("traceidratio".into());
                    e.sampler_arg = Some("2".into());
                }),
            ),
            ("always_on", environment(|e| e.sampler = Some("jaeger_remote".into()))),
        ];
        for (word, result) in cases {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("hunter2"), "{error}");
        }
        let hidden = Headers(vec![("a".into(), "hunter2".into())]);
        assert_eq!(format!("{hidden:?}"), "[\"a\"]");
    }
}
