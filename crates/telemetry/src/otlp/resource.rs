//! Who speaks: the attributes that stand beside everything that is exported.

use super::protobuf::Writer;

/// Attributes of this process, each key once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    attributes: Vec<(String, String)>,
}

/// Attributes a resource may hold.
pub const RESOURCE_ATTRIBUTES_MAX: usize = 64;

impl Resource {
    /// Sets an attribute, in place of the one that was there; one beyond the bound is left out.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if let Some(known) = self.attributes.iter_mut().find(|(name, _)| name == key) {
            known.1 = value;
        } else if self.attributes.len() < RESOURCE_ATTRIBUTES_MAX {
            self.attributes.push((key.to_owned(), value));
        }
        self
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn write(&self, writer: &mut Writer, field: u32) {
        writer.message(field, |resource| {
            for (key, value) in &self.attributes {
                resource.attribute(1, key, value);
            }
        });
    }
}

/// The scope of everything we export.
pub(crate) fn write_scope(writer: &mut Writer, field: u32) {
    writer.message(field, |scope| {
        scope.text(1, "plimsoll");
        scope.text(2, env!("CARGO_PKG_VERSION"));
    });
}
