//! The list of endpoint kinds, one line each. A new kind is its crate and its line here.

use std::sync::Arc;
use std::time::Duration;

use antiphon_airplay::{AirplayKind, AirplayOptions};
use antiphon_audio::encode::Codec;
use antiphon_domain::{Lead, SpeakerId};
use antiphon_endpoint::Kind;
use antiphon_host::{LocalKind, PulseKind, PulseOptions, VirtualKind};
use antiphon_rtp::{RtpKind, RtpOptions};
use antiphon_sendspin::{SendspinKind, SendspinOptions};
use antiphon_snapcast::{SnapcastKind, SnapcastOptions};
use anyhow::Context;
use prometheus::Registry;

use crate::config::{Config, Encryption, SnapcastCodec, Unpaired};

/// Every kind this hub speaks.
pub(crate) fn all(
    config: &Config,
    runtime: &tokio::runtime::Handle,
    registry: &Registry,
) -> anyhow::Result<Vec<Arc<dyn Kind>>> {
    let host = antiphon_host::metrics::Metrics::new(registry)?;
    let pulse = PulseOptions { cookie: config.pulse.cookie.clone() };
    let mut kinds: Vec<Arc<dyn Kind>> = vec![
        Arc::new(AirplayKind::new(runtime.clone(), airplay(config), registry)?),
        Arc::new(SnapcastKind::new(runtime.clone(), snapcast(config), registry).context("Snapcast")?),
        Arc::new(RtpKind::new(rtp(config), registry)?),
        Arc::new(VirtualKind::new()),
        Arc::new(LocalKind::new(runtime.clone(), host.clone())),
        Arc::new(PulseKind::new(runtime.clone(), pulse, host)),
    ];
    if config.sendspin.enabled {
        let sendspin = SendspinKind::new(runtime.clone(), sendspin(config), registry);
        kinds.push(Arc::new(sendspin.context("Sendspin")?));
    }
    Ok(kinds)
}

fn airplay(config: &Config) -> AirplayOptions {
    let mut options = AirplayOptions::default();
    if let Some(lead) = config.airplay.lead() {
        options = options.with_lead(Lead(lead));
    }
    options.encrypt_always = config.airplay.encryption == Encryption::Always;
    options.tolerance = config.airplay.tolerance();
    options.interfaces = config.discovery.interfaces.clone();
    for speaker in &config.speakers {
        if let Some(password) = &speaker.password {
            options.passwords.insert(SpeakerId::new(speaker.id.clone()), password.clone());
        }
    }
    options
}

fn sendspin(config: &Config) -> SendspinOptions {
    let table = &config.sendspin;
    SendspinOptions {
        port: table.port,
        name: table.name.clone(),
        interfaces: config.discovery.interfaces.clone(),
        data_dir: Some(config.data_dir()),
        unpaired: match table.unpaired {
            Unpaired::Ask => antiphon_sendspin::Unpaired::Ask,
            Unpaired::Allow => antiphon_sendspin::Unpaired::Allow,
            Unpaired::Never => antiphon_sendspin::Unpaired::Never,
        },
        take_over: table.take_over,
    }
}

fn snapcast(config: &Config) -> SnapcastOptions {
    let mut options = SnapcastOptions::default();
    options.port = config.snapcast.port;
    options.interfaces.clone_from(&config.discovery.interfaces);
    options.codec = match config.snapcast.codec {
        SnapcastCodec::Pcm => Codec::Pcm,
        SnapcastCodec::Flac => Codec::Flac,
        SnapcastCodec::Opus => Codec::Opus,
    };
    if let Some(buffer) = config.snapcast.buffer_ms {
        options.lead = Lead(Duration::from_millis(buffer));
    }
    options
}

fn rtp(config: &Config) -> RtpOptions {
    let mut options = RtpOptions::default();
    options.interfaces.clone_from(&config.discovery.interfaces);
    options
}
