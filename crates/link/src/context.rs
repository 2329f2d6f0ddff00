//! What all links of a process share: runtime, clock, TLS settings, HTTP clients, metrics.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use antiphon_domain::HubTime;
use prometheus::Registry;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::runtime::Handle;

use crate::LinkError;
use crate::metrics::Metrics;

/// The hub's clock, as a function.
pub type Now = Arc<dyn Fn() -> HubTime + Send + Sync>;

/// Limit of a whole call to LWA or the Capabilities API (AVS Device SDK: 60 s).
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// What all links of a process share.
pub struct LinkContext {
    runtime: Handle,
    now: Now,
    metrics: Metrics,
    /// By the file with extra roots; there are hardly ever two.
    clients: Mutex<HashMap<Option<PathBuf>, Clients>>,
}

/// TLS settings for AVS and an HTTP client for everything else.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) http: reqwest::Client,
}

impl LinkContext {
    /// Links will run on `runtime`, which should be multi-threaded and have I/O and time enabled.
    pub fn new(runtime: Handle, registry: &Registry, now: Now) -> Result<Arc<Self>, LinkError> {
        let metrics = Metrics::new(registry)?;
        Ok(Arc::new(Self { runtime, now, metrics, clients: Mutex::default() }))
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn now(&self) -> HubTime {
        (self.now)()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn clients(&self, ca_file: Option<&Path>) -> Result<Clients, LinkError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = ca_file.map(Path::to_owned);
        if let Some(found) = clients.get(&key) {
            return Ok(found.clone());
        }
        let made = make_clients(ca_file)?;
        clients.insert(key, made.clone());
        Ok(made)
    }
}

fn make_clients(ca_file: Option<&Path>) -> Result<Clients, LinkError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a system root was left out");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    // Named, not taken from the process: two providers in one build must not matter.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(CALL_LIMIT)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(5))
        .build()
        .map_err(LinkError::Http)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Clients { tls: Arc::new(tls), http })
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), LinkError> {
    let pem = std::fs::read(path).map_err(|source| LinkError::CaFile { path: path.to_owned(), source })?;
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        if roots.add(certificate).is_ok() {
            added += 1;
        }
    }
    if added == 0 {
        return Err(LinkError::NoCertificate { path: path.to_owned() });
    }
    Ok(())
}
