//! TLS for clients: rustls on aws-lc, HTTP/2 and HTTP/1.1 by ALPN (RFC 7301), certificate reload.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why a certificate could not be used. Each says which file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or holds no PEM of the right kind.
    #[error("{path}: {reason}; give a PEM file with {expected}")]
    File {
        /// The file.
        path: PathBuf,
        /// What should have been in it.
        expected: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// Certificate and key do not belong together, or the key is of an unsupported kind.
    #[error("{certificate} and {key} cannot be used together: {source}")]
    Pair {
        /// The certificate chain's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// rustls' reason.
        source: rustls::Error,
    },
}

/// Reads a certificate chain and its key and makes what new connections are greeted with.
///
/// # Errors
/// Names the file and what it should hold.
pub(crate) fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| TlsError::File {
        path: key.to_owned(),
        expected: "a PRIVATE KEY block",
        reason: e.to_string(),
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let pair = |source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refusal = |reason: String| TlsError::File {
        path: path.to_owned(),
        expected: "the certificate chain, leaf first",
        reason,
    };
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| refusal(e.to_string()))?;
    if chain.is_empty() {
        return Err(refusal("no CERTIFICATE block".to_owned()));
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_is_named_with_what_it_should_hold() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        assert!(server_config(&cert, &key).is_ok());

        let swapped = server_config(&key, &cert).unwrap_err().to_string();
        assert!(swapped.contains("k.pem") && swapped.contains("certificate chain"), "{swapped}");

        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
        assert!(matches!(server_config(&cert, &key), Err(TlsError::Pair { .. })));
    }
}
