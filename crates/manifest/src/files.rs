//! The files a manifest names.

use std::path::Path;

use crate::Manifest;

/// A file that the manifest names.
pub(crate) struct Named<'m> {
    pub(crate) key: String,
    pub(crate) path: &'m Path,
    /// Whether its content is part of what an edge acts on.
    pub(crate) hashed: bool,
}

/// Every file the manifest names, in a fixed order.
pub(crate) fn named(manifest: &Manifest) -> impl Iterator<Item = Named<'_>> {
    let contracts = manifest.services.iter().enumerate().filter_map(|(index, service)| {
        let path = service.contract.as_deref()?;
        Some(Named { key: format!("service[{index}].contract"), path, hashed: true })
    });
    let key_sets = manifest.auth.issuers.iter().enumerate().filter_map(|(index, issuer)| {
        let path = issuer.jwks_file.as_deref()?;
        Some(Named { key: format!("auth.issuer[{index}].jwks_file"), path, hashed: true })
    });
    let tls = manifest.edge.tls.iter().flat_map(|tls| {
        let of = |name: &str, path| Named { key: format!("edge.tls.{name}"), path, hashed: false };
        [of("certificate_file", &*tls.certificate_file), of("key_file", &*tls.key_file)]
    });
    let authorities = manifest.services.iter().enumerate().filter_map(|(index, service)| {
        let path = service.tls.ca_file.as_deref()?;
        Some(Named { key: format!("service[{index}].tls.ca_file"), path, hashed: true })
    });
    let fallbacks = manifest.operations.iter().enumerate().filter_map(|(index, operation)| {
        let path = operation.fallback_file.as_deref()?;
        Some(Named { key: format!("operation[{index}].fallback_file"), path, hashed: true })
    });
    // They say which operations come first, where the manifest does not.
    let journeys = manifest.journeys.iter().enumerate().map(|(index, journey)| {
        let key = format!("journey[{index}].file");
        Named { key, path: journey.file.as_path(), hashed: true }
    });
    contracts.chain(key_sets).chain(fallbacks).chain(journeys).chain(authorities).chain(tls)
}
