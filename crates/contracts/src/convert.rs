//! Swagger 2.0 to OpenAPI 3.0.
//!
//! The conversion keeps what a client can see: paths, `basePath`, parameters, bodies by media type,
//! answers, security and the names of everything. What 3.0 has no word for is left out
//! (`schemes` of single operations) or kept as an extension (`x-collection-format: tsv`).

mod parameters;
mod references;

use plimsoll_manifest::Fault;
use serde_json::{Map, Value, json};

use crate::faults::Faults;
use crate::pointer::follow;

use parameters::Inputs;
use references::Names;

type Object = Map<String, Value>;

/// The version that converted documents say.
const OPENAPI_VERSION: &str = "3.0.3";
const JSON_MEDIA: &str = "application/json";

/// Converts a checked Swagger 2.0 document.
pub(crate) fn to_openapi(source: &Value) -> Result<Value, Vec<Fault>> {
    let names = Names::of(source);
    let converter = Converter { source, names: &names };
    let mut document = converter.document();
    let mut faults = Faults::default();
    references::rewrite(&mut document, source, &names, &mut faults);
    faults.or(document)
}

struct Converter<'d> {
    source: &'d Value,
    names: &'d Names,
}

impl<'d> Converter<'d> {
    fn document(&self) -> Value {
        let mut document = Object::new();
        document.insert("openapi".into(), OPENAPI_VERSION.into());
        let root = self.source.as_object();
        for (key, value) in root.into_iter().flatten() {
            if matches!(key.as_str(), "info" | "tags" | "externalDocs" | "security")
                || key.starts_with("x-")
            {
                document.insert(key.clone(), value.clone());
            }
        }
        document.insert("servers".into(), self.servers());
        let paths = self.entries("paths").map(|(path, item)| (path.clone(), self.path(path, item)));
        let paths = paths.collect::<Object>();
        document.insert("paths".into(), paths.into());
        let components = self.components();
        if !components.is_empty() {
            document.insert("components".into(), components.into());
        }
        document.into()
    }

    /// The entries of an object in the document's root.
    fn entries(&self, key: &str) -> impl Iterator<Item = (&'d String, &'d Value)> {
        self.source.get(key).and_then(Value::as_object).into_iter().flatten()
    }

    fn servers(&self) -> Value {
        let text = |key: &str| self.source.get(key).and_then(Value::as_str);
        let base = text("basePath").unwrap_or("/");
        let base = if base.starts_with('/') { base.to_owned() } else { format!("/{base}") };
        let Some(host) = text("host") else {
            return json!([{ "url": base }]);
        };
        let schemes = self.source.get("schemes").and_then(Value::as_array);
        let schemes = schemes.into_iter().flatten().filter_map(Value::as_str);
        let mut servers: Vec<Value> =
            schemes.map(|scheme| json!({ "url": format!("{scheme}://{host}{base}") })).collect();
        if servers.is_empty() {
            servers.push(json!({ "url": format!("//{host}{base}") }));
        }
        servers.into()
    }

    fn components(&self) -> Object {
        let mut components = Object::new();
        let mut add = |section: &str, entries: Object| {
            if !entries.is_empty() {
                components.insert(section.into(), entries.into());
            }
        };
        let schemas = self.entries("definitions");
        add(
            "schemas",
            schemas.map(|(name, schema)| (self.names.of_schema(name), schema.clone())).collect(),
        );
        let (mut parameters, mut bodies) = (Object::new(), Object::new());
        for (name, parameter) in self.entries("parameters") {
            match parameter.get("in").and_then(Value::as_str) {
                Some("body") => {
                    let media = self.media("consumes", &Value::Null);
                    bodies.insert(references::clean(name), parameters::body(parameter, &media));
                }
                // Form fields have no place of their own in 3.0: they are written out where used.
                Some("formData") => {}
                _ => {
                    parameters.insert(references::clean(name), parameters::plain(parameter));
                }
            }
        }
        add("parameters", parameters);
        add("requestBodies", bodies);
        let media = self.media("produces", &Value::Null);
        let responses = self.entries("responses");
        add(
            "responses",
            responses
                .map(|(name, answer)| (references::clean(name), response(answer, &media)))
                .collect(),
        );
        let schemes = self.entries("securityDefinitions");
        add(
            "securitySchemes",
            schemes.map(|(name, scheme)| (name.clone(), security_scheme(scheme))).collect(),
        );
        components
    }

    /// The media types of an operation, else of the document, else JSON.
    fn media(&self, key: &str, operation: &Value) -> Vec<String> {
        let list = operation.get(key).or_else(|| self.source.get(key)).and_then(Value::as_array);
        let media: Vec<String> =
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if media.is_empty() { vec![JSON_MEDIA.into()] } else { media }
    }

    fn path(&self, path: &str, item: &Value) -> Value {
        let Some(fields) = item.as_object().filter(|_| !path.starts_with("x-")) else {
            return item.clone();
        };
        let shared = self.inputs(item);
        let mut converted = Object::new();
        for (key, value) in fields {
            if crate::METHODS.contains(&key.as_str()) {
                converted.insert(key.clone(), self.operation(value, &shared));
            } else if key == "$ref" || key.starts_with("x-") {
                converted.insert(key.clone(), value.clone());
            } else if key == "parameters" && !shared.plain.is_empty() {
                converted.insert(key.clone(), shared.plain.clone().into());
            }
        }
        converted.into()
    }

    /// The parameters of a path or an operation, references to bodies and form fields resolved.
    fn inputs(&self, holder: &Value) -> Inputs {
        let mut inputs = Inputs::default();
        let list = holder.get("parameters").and_then(Value::as_array);
        for parameter in list.into_iter().flatten() {
            let reference = parameter.get("$ref").and_then(Value::as_str);
            let target = self.resolve(parameter);
            inputs.add(parameter, reference, target);
        }
        inputs
    }

    /// What a value says, references followed; the document's check bounds their chains.
    fn resolve(&self, value: &'d Value) -> &'d Value {
        let mut target = value;
        for _ in 0..crate::bounds::REFERENCE_CHAIN_MAX {
            let next = target
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| follow(self.source, reference));
            match next {
                Some(next) => target = next,
                None => break,
            }
        }
        target
    }

    fn operation(&self, operation: &'d Value, shared: &Inputs) -> Value {
        const KEPT: [&str; 8] = [
            "tags",
            "summary",
            "description",
            "externalDocs",
            "operationId",
            "deprecated",
            "security",
            "callbacks",
        ];
        let mut converted = Object::new();
        let fields = operation.as_object().into_iter().flatten();
        for (key, value) in fields {
            if KEPT.contains(&key.as_str()) || key.starts_with("x-") {
                converted.insert(key.clone(), value.clone());
            }
        }
        let own = self.inputs(operation);
        if !own.plain.is_empty() {
            converted.insert("parameters".into(), own.plain.clone().into());
        }
        let consumes = self.media("consumes", operation);
        if let Some(body) = own.or(shared).request_body(&consumes) {
            converted.insert("requestBody".into(), body);
        }
        let produces = self.media("produces", operation);
        let answers = operation.get("responses").and_then(Value::as_object);
        let answers = answers.into_iter().flatten().map(|(status, answer)| {
            let extension = status.starts_with("x-");
            let converted = if extension { answer.clone() } else { response(answer, &produces) };
            (status.clone(), converted)
        });
        converted.insert("responses".into(), answers.collect::<Object>().into());
        converted.into()
    }
}

fn response(answer: &Value, produces: &[String]) -> Value {
    let Some(fields) = answer.as_object() else {
        return answer.clone();
    };
    if fields.contains_key("$ref") {
        return answer.clone();
    }
    let mut converted = Object::new();
    // 3.0 asks for a description where 2.0 tools sometimes leave it out.
    converted.insert("description".into(), "".into());
    let mut content = Object::new();
    if let Some(schema) = fields.get("schema") {
        for media in produces {
            content.insert(media.clone(), json!({ "schema": schema }));
        }
    }
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("description", _) => {
                converted.insert(key.clone(), value.clone());
            }
            ("headers", Value::Object(headers)) => {
                let headers =
                    headers.iter().map(|(name, header)| (name.clone(), parameters::header(header)));
                converted.insert(key.clone(), headers.collect::<Object>().into());
            }
            ("examples", Value::Object(examples)) => {
                for (media, example) in examples {
                    let entry = content.entry(media.clone()).or_insert_with(|| json!({}));
                    if let Value::Object(entry) = entry {
                        entry.insert("example".into(), example.clone());
                    }
                }
            }
            _ if key.starts_with("x-") => {
                converted.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
    if !content.is_empty() {
        converted.insert("content".into(), content.into());
    }
    converted.into()
}

fn security_scheme(scheme: &Value) -> Value {
    let Some(fields) = scheme.as_object() else {
        return scheme.clone();
    };
    let mut converted = fields.clone();
    match fields.get("type").and_then(Value::as_str) {
        Some("basic") => {
            converted.insert("type".into(), "http".into());
            converted.insert("scheme".into(), "basic".into());
        }
        Some("oauth2") => {
            let flow = match converted.shift_remove("flow").as_ref().and_then(Value::as_str) {
                Some("application") => "clientCredentials",
                Some("accessCode") => "authorizationCode",
                Some("password") => "password",
                _ => "implicit",
            };
            let mut about = Object::new();
            for key in ["authorizationUrl", "tokenUrl", "scopes"] {
                if let Some(value) = converted.shift_remove(key) {
                    about.insert(key.into(), value);
                }
            }
            about.entry("scopes").or_insert_with(|| json!({}));
            converted.insert("flows".into(), json!({ flow: about }));
        }
        _ => {}
    }
    converted.into()
}
