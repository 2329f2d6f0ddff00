//! Antiphon: a multi-room audio hub. [`start`] takes a configuration and gives a running hub; the program and the
//! tests both begin here.

pub mod cli;
mod client;
pub mod config;
mod demo;
mod http;
mod kinds;
pub mod telemetry;
mod view;
mod wiring;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_actors::{Hub, HubHandle};
use antiphon_endpoint::Kind;
use anyhow::Context;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use config::Config;

/// How long farewells may take when the hub ends.
const GRACE: Duration = Duration::from_secs(2);

/// A hub that runs until [`Running::close`].
pub struct Running {
    /// Commands and the picture.
    pub handle: HubHandle,
    /// Where the HTTP surface listens.
    pub http: SocketAddr,
    ending: mpsc::Sender<()>,
    actors: Option<std::thread::JoinHandle<()>>,
    // Last to go: links and endpoints say their farewells on it.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Running {
    /// Ends the hub in order; everything acknowledged is on disk when this returns.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.ending.try_send(());
        if let Some(actors) = self.actors.take()
            && actors.join().is_err()
        {
            warn!("the actors' thread had panicked");
        }
        if let Some(runtime) = self.runtime.take() {
            // Nobody gives these tasks work any more: what is left are farewells to receivers and to Alexa.
            let until = Instant::now() + GRACE;
            while runtime.metrics().num_alive_tasks() > 0 && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            let left = runtime.metrics().num_alive_tasks();
            if left > 0 {
                warn!(left, "not all farewells were said");
            }
            runtime.shutdown_timeout(Duration::from_millis(100));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts a hub. Must not be called on a thread of an async runtime.
pub fn start(config: &Config) -> anyhow::Result<Running> {
    start_with(config, Vec::new())
}

/// As [`start`], with endpoint kinds beside those of `kinds.rs`: of a test or bench that must be the endpoint itself.
pub fn start_with(config: &Config, more: Vec<Arc<dyn Kind>>) -> anyhow::Result<Running> {
    let listener = http::bind(config.http.listen).with_context(|| {
        format!(
            "{} cannot be listened on; is another hub running? [http] listen chooses another",
            config.http.listen
        )
    })?;
    let http = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("antiphon-io")
        .enable_all()
        .build()
        .context("the I/O threads could not start")?;
    let data_dir: PathBuf = config.data_dir();
    let (parts, registry) = wiring::build(config, data_dir, runtime.handle(), more)?;
    let surface = Surface {
        listener,
        registry,
        redirect_uri: config.login.redirect_uri.clone(),
        site: config.avs.client_secret.is_some(),
    };
    let (ending, ended) = mpsc::channel(1);
    let (ready, started) = oneshot::channel();
    let actors = std::thread::Builder::new().name("antiphon-actors".into()).spawn(move || {
        actix::System::new().block_on(live(parts, surface, ready, ended));
    })?;
    let handle = started.blocking_recv().context("the actors' thread ended before it began")??;
    info!(%http, "the hub is up");
    Ok(Running { handle, http, ending, actors: Some(actors), runtime: Some(runtime) })
}

/// What the HTTP surface needs besides the actors and their parts.
struct Surface {
    listener: std::net::TcpListener,
    registry: prometheus::Registry,
    redirect_uri: Option<String>,
    site: bool,
}

/// The life of the actors' thread.
async fn live(
    parts: antiphon_actors::Parts,
    surface: Surface,
    ready: oneshot::Sender<anyhow::Result<HubHandle>>,
    mut ended: mpsc::Receiver<()>,
) {
    let (renderer, clock) = (parts.renderer.clone(), parts.clock.clone());
    let inputs = parts.inputs.iter().map(|i| (i.name.clone(), i.friendly_names.clone())).collect();
    let locales = parts.locales.clone();
    let Surface { listener, registry, redirect_uri, site } = surface;
    let begun = Hub::begin(Arc::new(parts)).map_err(anyhow::Error::from).and_then(|handle| {
        let hub = http::Hub {
            handle: handle.clone(),
            registry,
            renderer,
            clock,
            inputs,
            locales,
            redirect_uri,
            site,
            pending: Arc::default(),
        };
        let server = http::serve(listener, hub.clone()).context("the HTTP surface could not start")?;
        Ok((handle, hub, server))
    });
    let (handle, hub, server) = match begun {
        Ok(begun) => begun,
        Err(e) => {
            let _ = ready.send(Err(e));
            return;
        }
    };
    let surface = server.handle();
    actix::spawn(server);
    actix::spawn(watchdog(hub));
    let _ = ready.send(Ok(handle.clone()));
    let _ = ended.recv().await;
    // Backwards: the surface, then the actors; the runtime goes after this thread.
    surface.stop(true).await;
    handle.close().await;
}

/// Tells the service manager that we are ready and, at half its interval, that we still live.
async fn watchdog(hub: http::Hub) {
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) {
        return;
    }
    loop {
        tokio::time::sleep(Duration::from_micros(micros / 2)).await;
        match http::health::check(&hub).await {
            Ok(()) => drop(sd_notify::notify(false, &[sd_notify::NotifyState::Watchdog])),
            Err(why) => warn!(why, "not healthy; the service manager is not told that all is well"),
        }
    }
}
