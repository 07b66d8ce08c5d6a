//! The certificates of databases, and which of them are taken.

use crate::at::{At, Mode};
use cache_core::{Error, Kind};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::fmt::Display;
use std::sync::Arc;

/// How rustls speaks to this database.
///
/// # Errors
/// [`Kind::Invalid`] for files that cannot be used, and a `tls_name` that is no name.
pub fn client_config(at: &At) -> Result<ClientConfig, Error> {
    let unfit = |error: &dyn Display| {
        let doing = "preparing TLS for the database";
        Error::new(Kind::Invalid, doing, at.subject()).because(error.to_string())
    };
    let mut config = at.tls.client_config()?;
    if (at.mode, &at.tls.name) == (Mode::VerifyFull, &None) {
        return Ok(config);
    }
    let name = at.tls.name.clone().map(ServerName::try_from).transpose();
    let name = name.map_err(|error| unfit(&error))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = match at.mode {
        Mode::Off | Mode::Require => None,
        Mode::VerifyCa | Mode::VerifyFull => {
            let roots = Arc::new(at.tls.authorities()?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
            Some(verifier.build().map_err(|error| unfit(&error))?)
        }
    };
    let judge = Judge {
        mode: at.mode,
        verifier,
        name,
        provider,
    };
    config.dangerous().set_certificate_verifier(Arc::new(judge));
    Ok(config)
}

/// Takes fewer certificates than all, and more than those with the name of the address.
#[derive(Debug)]
struct Judge {
    mode: Mode,
    /// None takes any.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    /// In place of the address.
    name: Option<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(verifier) = &self.verifier else {
            return Ok(ServerCertVerified::assertion());
        };
        let name = self.name.as_ref().unwrap_or(server_name);
        match verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // Which is looked at last, after the chain.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.mode == Mode::VerifyCa => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
