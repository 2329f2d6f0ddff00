//! Builds the parts in order and hands each its dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use antiphon_actors::metrics::Metrics;
use antiphon_actors::requests::{BluetoothAdapter, HubInput, InputSource};
use antiphon_actors::{Parts, SpeakerSettings};
use antiphon_bluetooth::{Bluetooth, BluetoothConfig};
use antiphon_discovery::{ConfiguredSpeaker, DiscoveryConfig};
use antiphon_domain::media::Media;
use antiphon_domain::{GroupId, Offset, SpeakerId, Volume};
use antiphon_endpoint::{Clock, Kind};
use antiphon_link::{AvsSettings, LinkContext};
use antiphon_render::{HubClock, RenderConfig, Renderer};
use anyhow::Context;
use prometheus::Registry;
use uuid::Uuid;

use crate::config::{Config, Input, Scope, Speaker};
use crate::kinds;

/// The parts and the registry all of them count on; `more` are kinds beside the usual ones.
pub(crate) fn build(
    config: &Config,
    data_dir: PathBuf,
    runtime: &tokio::runtime::Handle,
    more: Vec<Arc<dyn Kind>>,
) -> anyhow::Result<(Parts, Registry)> {
    // One provider for the whole process; a second install only says it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = Registry::new();
    let clock: Arc<dyn Clock> = Arc::new(HubClock::new());
    let renderer = Renderer::start(RenderConfig::default(), clock.clone(), &registry)
        .context("the render thread could not start")?;
    let now_clock = clock.clone();
    let links = LinkContext::new(runtime.clone(), &registry, Arc::new(move || now_clock.now()))
        .context("the links could not be prepared")?;
    let mut kinds = kinds::all(config, runtime, &registry).context("the endpoint kinds")?;
    kinds.extend(more);
    config.check_endpoints(&kinds)?;
    let parts = Parts {
        clock,
        kinds,
        renderer,
        links,
        runtime: runtime.clone(),
        registry: registry.clone(),
        metrics: Metrics::new(&registry).context("metrics of the actors")?,
        discovery: discovery(config),
        assets: data_dir.join("assets"),
        inputs: inputs(config),
        bluetooth: bluetooth(config, runtime, &registry)?,
        database: data_dir.join("antiphon.db"),
        voice_moves_group: config.voice.scope == Scope::Group,
        ducking: config.voice.ducking,
        locales: config.voice.locales.clone(),
        settings: settings(config),
        groups: groups(config),
        low_latency: low_latency(config),
    };
    Ok((parts, registry))
}

fn discovery(config: &Config) -> DiscoveryConfig {
    let configured = config
        .speakers
        .iter()
        .map(|s| ConfiguredSpeaker {
            id: SpeakerId::new(s.id.clone()),
            name: s.name.clone(),
            endpoint: s.endpoint.clone(),
        })
        .collect();
    DiscoveryConfig { interfaces: config.discovery.interfaces.clone(), configured, remembered: Vec::new() }
}

/// The machine's adapter, where a speaker has it.
fn bluetooth(
    config: &Config,
    runtime: &tokio::runtime::Handle,
    registry: &Registry,
) -> anyhow::Result<Option<Arc<dyn BluetoothAdapter>>> {
    if !config.speakers.iter().any(|speaker| speaker.bluetooth) {
        return Ok(None);
    }
    // The same on this machine over restarts, another elsewhere: what devices are called tells nothing of them.
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let settings = BluetoothConfig {
        adapter: config.bluetooth.adapter.clone(),
        bus: config.bluetooth.bus.clone(),
        salt: Uuid::try_parse(machine.trim()).unwrap_or_default(),
        source: config.bluetooth.source.clone(),
    };
    let adapter = Bluetooth::start(settings, runtime, registry).context("Bluetooth could not begin")?;
    Ok(Some(Arc::new(adapter)))
}

fn inputs(config: &Config) -> Vec<HubInput> {
    let source = |input: &Input| {
        // The configuration was checked: one of the three is there.
        let device = || InputSource::Device(input.device.clone().unwrap_or_default());
        let speaker = input.speaker.clone().map(|id| InputSource::Speaker(SpeakerId::new(id)));
        let media = input.url.clone().map(|url| {
            InputSource::Media(Media { url, offset: Duration::ZERO, end: None, headers: Vec::new() })
        });
        media.or(speaker).unwrap_or_else(device)
    };
    let named = |input: &Input| {
        let own = vec![input.name.clone()];
        if input.friendly_names.is_empty() { own } else { input.friendly_names.clone() }
    };
    let input = |i: &Input| HubInput { name: i.name.clone(), friendly_names: named(i), source: source(i) };
    config.inputs.iter().map(input).collect()
}

fn groups(config: &Config) -> Vec<(GroupId, String, Vec<SpeakerId>)> {
    let group = |g: &crate::config::Group| {
        let name = g.name.clone().unwrap_or_else(|| g.id.clone());
        (GroupId::new(g.id.clone()), name, g.speakers.iter().cloned().map(SpeakerId::new).collect())
    };
    config.groups.iter().map(group).collect()
}

fn low_latency(config: &Config) -> BTreeSet<GroupId> {
    let quick = config.groups.iter().filter(|g| g.low_latency);
    quick.map(|g| GroupId::new(g.id.clone())).collect()
}

/// What the configuration says of any speaker, discovered ones without a table of their own included.
fn settings(config: &Config) -> Box<dyn Fn(&SpeakerId) -> SpeakerSettings + Send + Sync> {
    let own: BTreeMap<String, Speaker> = config.speakers.iter().map(|s| (s.id.clone(), s.clone())).collect();
    let house = config.avs.clone();
    Box::new(move |id| {
        let speaker = own.get(id.as_str());
        let serial = speaker.and_then(|s| s.serial_number.clone()).unwrap_or_else(|| serial_number(id));
        let avs = speaker.map_or_else(|| house.clone(), |s| s.avs.over(&house));
        SpeakerSettings {
            name: speaker.and_then(|s| s.name.clone()),
            zone: speaker.and_then(|s| s.zone.clone()),
            ceiling: speaker.map_or(Volume::MAX, |s| s.ceiling),
            offset: speaker.map_or(Offset::default(), |s| s.offset_ms),
            link: link(&avs, &serial),
            refresh_token: speaker.and_then(|s| s.refresh_token.clone()),
            microphone: speaker.and_then(|s| s.microphone.clone()),
            bluetooth: speaker.is_some_and(|s| s.bluetooth),
        }
    })
}

fn link(avs: &AvsSettings, serial: &str) -> Result<antiphon_link::LinkConfig, String> {
    if avs.client_id.is_none() || avs.product_id.is_none() {
        return Err("no Amazon product: set client_id and product_id under [avs] to link it to Alexa".into());
    }
    avs.link_config(serial).map_err(|e| format!("[avs] {}: expected {}", e.key, e.expected))
}

/// A serial number of 1 to 50 letters and digits (RegisterAVSDevice) that stays with the id: FNV-1a, 64 bits.
fn serial_number(id: &SpeakerId) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in id.as_str().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("ANTIPHON{hash:016X}")
}
