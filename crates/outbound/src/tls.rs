//! Which certificates we believe.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::error::OutboundError;

/// The client side of TLS: the machine's roots and the caller's, HTTP/1.1 only. `None` when there
/// is no root at all; then only plain calls can be made, and a TLS call says what is missing.
///
/// # Errors
/// An extra root that is no certificate, or a TLS set-up that the provider refuses.
pub fn client_config(
    extra_roots_pem: &[Vec<u8>],
) -> Result<Option<Arc<ClientConfig>>, OutboundError> {
    let mut roots = RootCertStore::empty();
    // Machines carry certificates that no library can read; one such must not cost us the rest.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for pem in extra_roots_pem {
        add_extra(&mut roots, pem)?;
    }
    if roots.is_empty() {
        return Ok(None);
    }
    // Named, not taken from the process: a second provider in the build must not matter here.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(OutboundError::TlsSetup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

/// The caller named these: one that cannot be used is a fault, not something to skip.
fn add_extra(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), OutboundError> {
    let refused = |reason: String| OutboundError::ExtraRoots { reason };
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| refused(e.to_string()))?;
        roots.add(certificate).map_err(|e| refused(e.to_string()))?;
        found = true;
    }
    if found { Ok(()) } else { Err(refused("there is no certificate in it".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_roots_must_be_certificates() {
        for (pem, word) in [
            (&b"not a certificate"[..], "no certificate"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
        ] {
            let error = client_config(&[pem.to_vec()]).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
