//! Owns the simulator's certificate authority: made once per folder, kept across restarts so that a client that has
//! read `ca.pem` trusts the next simulator too. Driven by `Simulator::start`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::Error;

fn authority() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "antiphon simulator CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    // Whole or not at all: a simulator killed in the middle must not leave half a certificate behind.
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|source| Error::File { path: path.to_owned(), source })
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Returns the path of `ca.pem` and a TLS set-up for 127.0.0.1, ::1 and localhost that offers `h2` only.
pub(crate) fn prepare(folder: &Path) -> Result<(PathBuf, Arc<rustls::ServerConfig>), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.to_owned(), source })?;
    let ca_file = folder.join("ca.pem");
    let key_file = folder.join("ca-key.pem");
    let kept = match (read(&ca_file), read(&key_file)) {
        (Some(_), Some(key)) => KeyPair::from_pem(&key).ok(),
        _ => None,
    };
    let key = match kept {
        Some(key) => key,
        None => {
            let key = KeyPair::generate()?;
            let certificate = authority()?.self_signed(&key)?;
            // The key first: a certificate without its key would be made anew, a key without one too.
            write(&key_file, &key.serialize_pem())?;
            write(&ca_file, &certificate.pem())?;
            key
        }
    };
    // The issuer's name and key are all a signature needs; both are the same for every run in this folder.
    let issuer = Issuer::new(authority()?, key);
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let leaf_key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "antiphon simulator");
    let certificate = leaf.signed_by(&leaf_key, &issuer)?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let mut tls =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok((ca_file, Arc::new(tls)))
}
