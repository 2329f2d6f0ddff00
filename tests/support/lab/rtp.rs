//! A real RTP receiver on a host of the lab: GStreamer, playing a multicast session into an output of the rack.
//!
//! It keeps the time of the packets' arrival: how long it holds them back is its setting, and nothing tells it more.
//! PulseAudio's own receiver is another ([`super::rack::Offer`]); it moves by milliseconds for a minute after it began.

use super::error::{LabError, LabResult};
use super::process::Process;
use super::rack::{Rack, with_priority};
use super::{Lab, missing_programs};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

/// How long it holds packets back before they go to its output.
const JITTER: Duration = Duration::from_millis(60);
/// How much sound its output holds.
const OUTPUT: Duration = Duration::from_millis(60);

/// How long after a packet's arrival its sound is heard, in whole milliseconds: what the sender is to be told.
pub const HELD: Duration = Duration::from_millis(120);

/// A receiver. It can be killed and started again; dropping it ends it.
#[derive(Debug)]
pub struct RtpReceiver {
    process: Process,
    host: String,
    folder: PathBuf,
    pipeline: Vec<String>,
}

impl Lab {
    /// Starts a receiver on `host` for L16 stereo of 44.1 kHz sent to `group`, playing into output number `output`.
    pub fn rtp_receiver(
        &self,
        host: &str,
        group: SocketAddrV4,
        rack: &Rack,
        output: usize,
    ) -> LabResult<RtpReceiver> {
        let missing = missing_programs(&["gst-launch-1.0"]);
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        let folder = self.folder().join(format!("rtp-{host}"));
        std::fs::create_dir_all(&folder).map_err(|e| LabError::failed("make the receiver's folder", e))?;
        let (address, port): (Ipv4Addr, u16) = (*group.ip(), group.port());
        // It follows the machine's clock, and its output is resampled to keep up; by itself it would let 40 ms pass.
        let text = format!(
            "udpsrc address={address} port={port} multicast-iface=eth0 \
             caps=application/x-rtp,media=audio,clock-rate=44100,encoding-name=L16,channels=2,payload=10 \
             ! rtpjitterbuffer latency={} ! rtpL16depay ! audioconvert ! audioresample \
             ! pulsesink server={} device={} provide-clock=false slave-method=resample buffer-time={} latency-time=10000",
            JITTER.as_millis(),
            rack.server(),
            rack.output(output),
            OUTPUT.as_micros(),
        );
        let pipeline: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let process = start(self, host, &folder, &pipeline)?;
        Ok(RtpReceiver { process, host: host.to_owned(), folder, pipeline })
    }
}

impl RtpReceiver {
    /// Ends it at once.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again after it was ended.
    pub fn start_again(&mut self, lab: &Lab) -> LabResult<()> {
        self.process.stop(Duration::from_secs(2));
        self.process = start(lab, &self.host, &self.folder, &self.pipeline)?;
        Ok(())
    }

    /// Its process: to freeze and thaw it, to read its log and its use of the machine.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn start(lab: &Lab, host: &str, folder: &PathBuf, pipeline: &[String]) -> LabResult<Process> {
    let player = with_priority("gst-launch-1.0");
    let mut command = lab.command(host, player.get_program());
    command.args(player.get_args()).arg("-q").args(pipeline).env("HOME", folder);
    lab.spawn(&format!("rtp-{host}"), command)
}
