//! The hub against the simulator: three virtual speakers in two rooms, no account needed.

use std::time::{Duration, Instant};

use antiphon_domain::group::Target;
use antiphon_domain::media::Media;
use antiphon_domain::{GroupId, LevelCommand, SpeakerId, Volume};
use antiphon_simulator::{Options, Registered, Simulator};
use anyhow::{Context, bail};

use crate::config::Config;
use crate::{cli, telemetry};

/// Id, name, zone and first volume of each speaker.
const SPEAKERS: [(&str, &str, &str, i64); 3] = [
    ("kitchen", "Kitchen", "Kitchen", 30),
    ("shelf", "Shelf", "Living room", 40),
    ("sofa", "Sofa", "Living room", 25),
];
const GROUP: &str = "downstairs";

/// Runs until interrupted.
pub(crate) fn run() -> anyhow::Result<()> {
    telemetry::init("warn");
    // Pids repeat in private namespaces; the moment does not.
    let moment = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    let folder = std::env::temp_dir().join(format!("antiphon-demo-{moment}"));
    std::fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shown = show(&runtime, &folder);
    if let Err(e) = std::fs::remove_dir_all(&folder) {
        eprintln!("{} could not be removed: {e}", folder.display());
    }
    shown
}

fn show(runtime: &tokio::runtime::Runtime, folder: &std::path::Path) -> anyhow::Result<()> {
    println!("Starting the simulated Alexa service ...");
    let mut options = Options::new(folder.join("alexa"));
    options.admin = std::net::SocketAddr::from(([127, 0, 0, 1], 8444));
    // Tracks are made once and kept: the demo starts faster the second time.
    options.media = Some(std::env::temp_dir().join("antiphon-demo-media"));
    for (id, name, _, _) in SPEAKERS {
        let (dsn, refresh_token) = (id.to_string(), format!("Atzr|{id}"));
        options.devices.push(Registered { refresh_token, dsn, name: name.into() });
    }
    let simulator = runtime.block_on(Simulator::start(options))?;
    let config: Config =
        toml::from_str(&configuration(&simulator, folder)).context("the demo's own settings")?;
    println!("Starting the hub ...");
    let running = crate::start(&config)?;
    runtime.block_on(async {
        wait_for(&running.handle, |s| {
            s.speakers.iter().filter(|v| v.link.state == "connected").count() == SPEAKERS.len()
                && s.groups.iter().any(|g| g.id.as_str() == GROUP && g.speakers.len() == SPEAKERS.len())
        })
        .await
        .context("the speakers did not all connect")?;
        for (id, _, _, volume) in SPEAKERS {
            let alone = Target::SpeakerAlone(SpeakerId::new(id));
            running.handle.change_level(alone, LevelCommand::SetVolume(Volume::new(volume)?)).await?;
        }
        let url = format!("{}/media/demo.mp3", simulator.media());
        let media = Media { url, offset: Duration::ZERO, end: None, headers: Vec::new() };
        running.handle.play(Target::Group(GroupId::new(GROUP)), media).await?;
        wait_for(&running.handle, |s| s.speakers.iter().all(|v| v.playing)).await.context("nothing was heard")
    })?;
    let speech = folder.join("speech.wav");
    std::fs::write(&speech, babble()).with_context(|| format!("{} cannot be written", speech.display()))?;
    guide(&simulator, running.http, &speech);
    cli::wait_for_signal()?;
    println!("\nGoing down ...");
    running.close();
    runtime.block_on(simulator.stop());
    Ok(())
}

/// Waits until the picture is as wanted, at most a minute (tracks are made at the first start).
async fn wait_for(
    hub: &antiphon_actors::HubHandle,
    wanted: impl Fn(&antiphon_actors::snapshot::Snapshot) -> bool,
) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let snapshot = hub.snapshot().await?;
        if wanted(&snapshot) {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("after a minute the hub still shows {}", serde_json::to_string(&snapshot)?);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn configuration(simulator: &Simulator, folder: &std::path::Path) -> String {
    let gateway = simulator.gateway();
    let mut text = format!(
        r#"
data_dir = {state:?}
[discovery]
interfaces = []
[avs]
gateway = "{gateway}"
lwa = "{gateway}"
authorize = "{gateway}/ap/oa"
capabilities = "{gateway}"
ca_file = {ca:?}
client_id = "amzn1.application-oa2-client.demo"
product_id = "antiphon_demo"
[[groups]]
id = "{GROUP}"
name = "Downstairs"
speakers = ["kitchen", "shelf", "sofa"]
"#,
        state = folder.join("hub"),
        ca = simulator.ca_file(),
    );
    for (id, name, zone, _) in SPEAKERS {
        text.push_str(&format!(
            "[[speakers]]\nid = \"{id}\"\nname = \"{name}\"\nzone = \"{zone}\"\nendpoint = \"virtual:\"\n\
             serial_number = \"{id}\"\nrefresh_token = \"Atzr|{id}\"\n"
        ));
    }
    text
}

/// Something like a voice, as a WAV file of 16 kHz, 16 bit, mono: two seconds of syllables. The simulated Alexa hears that
/// somebody speaks, and answers without understanding a word.
fn babble() -> Vec<u8> {
    const RATE: u32 = 16_000;
    let mut samples = Vec::new();
    for n in 0..2 * RATE {
        let t = f64::from(n) / f64::from(RATE);
        // Four syllables a second, each louder in its middle, on a falling pitch with harmonics.
        let loud = (std::f64::consts::PI * (t * 4.0).fract()).sin().powi(2);
        let pitch = 2.0 * std::f64::consts::PI * (140.0 - 15.0 * t) * t;
        let voice: f64 = (1..=8).map(|k| (pitch * f64::from(k)).sin() / f64::from(k)).sum();
        let sample = (voice * loud * 6_000.0) as i16;
        samples.extend(sample.to_le_bytes());
    }
    let length = samples.len() as u32;
    let mut wav = Vec::from(*b"RIFF");
    wav.extend((36 + length).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend([1_u16, 1].into_iter().flat_map(u16::to_le_bytes));
    wav.extend([RATE, 2 * RATE].into_iter().flat_map(u32::to_le_bytes));
    wav.extend([2_u16, 16].into_iter().flat_map(u16::to_le_bytes));
    wav.extend(b"data");
    wav.extend(length.to_le_bytes());
    wav.extend(samples);
    wav
}

fn guide(simulator: &Simulator, http: std::net::SocketAddr, speech: &std::path::Path) {
    let speech = speech.display();
    let media = simulator.media();
    println!(
        r#"
Antiphon is running: three speakers in two rooms play one track in time, each with its own Alexa connection.
The hub answers at http://{http} (try /api/hub and /metrics).

In a second terminal, `make shell` brings you where it runs. Then try:

  antiphon speakers                                      who is there, how loud, what plays
  antiphon volume kitchen 50                             the whole group moves, each at its own balance
  antiphon volume sofa +10 --alone                       only the sofa
  antiphon-simulator say kitchen "set volume to 3"       the same by voice: Alexa speaks to the kitchen
  antiphon-simulator transcript sofa                     what the sofa told Alexa about it
  antiphon-simulator say shelf "play demo"               music by voice, heard on the whole group
  antiphon play downstairs {media}/media/tone-440.mp3
  antiphon mute downstairs                               antiphon mute downstairs off
  antiphon group upstairs sofa                           the sofa leaves and is alone
  antiphon stop downstairs

  antiphon listen kitchen {speech}      the kitchen hears a voice; Alexa answers
  antiphon-simulator say sofa "tell me hello"            the sofa speaks
  antiphon-simulator say sofa "timer 1 minute"           antiphon alarms sofa
  antiphon alarms sofa volume 30                         antiphon stop sofa
  antiphon equalizer kitchen bass +3 treble -1           antiphon equalizer kitchen flat
  antiphon logout shelf                                  then link it again at http://{http}/link

Ctrl-C ends everything."#
    );
}
