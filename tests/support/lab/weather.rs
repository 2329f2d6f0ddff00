//! Bad weather on a host's cable: packets that come late, irregularly, too slowly, or not at all.
//!
//! The kernel's own means for this (netem) are not on every machine, so the cable is cut and a program of ours carries
//! every Ethernet frame across: TCP, UDP and multicast alike, and whoever talks notices nothing but the weather. What is
//! lost follows from a seed and the order of the frames. Without a storm a frame is carried in some 50 us.

use super::error::{LabError, LabResult};
use super::{Lab, in_network_of_pid, missing_programs, run, within_process};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvfrom, send, socket,
};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What waits on one side at most; further frames are lost, as at a full router.
const QUEUE_BYTES: usize = 256 * 1024;

/// A frame with its header; the lab's interfaces have an MTU of 1500.
const FRAME: usize = 2048;

/// `PACKET_OUTGOING` (packet(7)): what we see because it leaves by the interface, not because it came.
const OUTGOING: u8 = 4;

/// What happens to frames, in both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Weather {
    /// How long each is on its way.
    pub delay: Duration,
    /// Up to this much more, evenly spread; frames keep their order.
    pub jitter: Duration,
    /// The share that is lost, 0 to 1.
    pub loss: f64,
    /// At most so many bytes a second.
    pub bytes_per_second: Option<u64>,
    /// Nothing gets across; what waits goes on when this ends.
    pub stalled: bool,
}

/// A host's cable with our program in its midst. Dropping it mends the cable.
#[derive(Debug)]
pub struct Line {
    shared: Arc<Shared>,
    carriers: Vec<JoinHandle<()>>,
    switch: u32,
    host: String,
}

#[derive(Debug, Default)]
struct Shared {
    weather: Mutex<Weather>,
    over: AtomicBool,
    carried: AtomicU64,
    lost: AtomicU64,
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lab {
    /// Takes the host's cable into our hands, in fair weather.
    pub fn line(&self, host: &str, seed: u64) -> LabResult<Line> {
        let missing = missing_programs(&["ethtool"]);
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        let switch = self.switch.pid();
        let at_switch = |program: &str, line: String| {
            run(in_network_of_pid(switch, program).args(line.split(' '))).map(drop)
        };
        // Frames that we carry must be whole: checksums made, nothing longer than the MTU.
        run(self.command(host, "ethtool").args(["-K", "eth0", "tx", "off"]))?;
        at_switch("ip", format!("link add q-{host} type veth peer name s-{host}"))?;
        at_switch("ethtool", format!("-K s-{host} tx off"))?;
        at_switch("ip", format!("link set s-{host} master br0 up"))?;
        at_switch("ip", format!("link set p-{host} nomaster"))?;
        at_switch("ip", format!("link set q-{host} promisc on up"))?;
        at_switch("ip", format!("link set p-{host} promisc on up"))?;
        let names = [format!("p-{host}"), format!("q-{host}")];
        let ends = within_process(switch, || names.each_ref().map(|name| open(name)))?;
        let [of_host, of_switch] = ends;
        let (of_host, of_switch) = (Arc::new(of_host?), Arc::new(of_switch?));
        let shared = Arc::new(Shared::default());
        let mut carriers = Vec::new();
        for (number, (from, to)) in [(&of_host, &of_switch), (&of_switch, &of_host)].into_iter().enumerate() {
            let (from, to, shared) = (Arc::clone(from), Arc::clone(to), Arc::clone(&shared));
            let chance = Chance(seed.wrapping_mul(2).wrapping_add(number as u64));
            carriers.push(std::thread::spawn(move || carry(&from, &to, &shared, chance)));
        }
        Ok(Line { shared, carriers, switch, host: host.to_owned() })
    }
}

impl Line {
    /// Changes the weather, for frames that come from now on; a stall ends or begins for all.
    pub fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// How many frames were carried across, and how many were lost, since the beginning.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.carried.load(Ordering::Relaxed), self.shared.lost.load(Ordering::Relaxed))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            let _ = carrier.join();
        }
        // The lab may be coming down.
        let host = &self.host;
        for line in [format!("link del q-{host}"), format!("link set p-{host} master br0")] {
            let _ = run(in_network_of_pid(self.switch, "ip").args(line.split(' ')));
        }
    }
}

/// A socket that sees every frame of an interface of the network we are in.
fn open(name: &str) -> LabResult<OwnedFd> {
    let trouble = |e: Errno| LabError::failed(format!("listen to {name}"), e);
    let all = nix::ifaddrs::getifaddrs().map_err(trouble)?;
    let address: LinkAddr = all
        .filter(|one| one.interface_name == name)
        .find_map(|one| one.address?.as_link_addr().copied())
        .ok_or_else(|| LabError::failed(format!("listen to {name}"), "there is no such interface"))?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let end = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).map_err(trouble)?;
    bind(end.as_raw_fd(), &address).map_err(trouble)?;
    Ok(end)
}

/// Carries frames one way until it is over.
fn carry(from: &OwnedFd, to: &OwnedFd, shared: &Shared, mut chance: Chance) {
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let (mut waiting_bytes, mut last_due, mut free_at) = (0, Instant::now(), Instant::now());
    let mut buffer = [0; FRAME];
    while !shared.over.load(Ordering::Relaxed) {
        let weather = shared.weather();
        let now = Instant::now();
        while !weather.stalled && waiting.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, frame)) = waiting.pop_front() else { break };
            waiting_bytes -= frame.len();
            // A cable that is pulled out takes nothing.
            let sent = send(to.as_raw_fd(), &frame, MsgFlags::empty()).is_ok();
            let count = if sent { &shared.carried } else { &shared.lost };
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nap = match waiting.front() {
            Some((due, _)) if !weather.stalled => due.saturating_duration_since(now),
            _ => Duration::from_millis(10),
        };
        let nap = u16::try_from(nap.as_micros().div_ceil(1000)).unwrap_or(10).min(10);
        let _ = poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], PollTimeout::from(nap));
        let weather = shared.weather();
        while let Ok((length, address)) = recvfrom::<LinkAddr>(from.as_raw_fd(), &mut buffer) {
            if address.is_some_and(|address| address.pkttype() == OUTGOING) {
                continue;
            }
            if chance.next() < weather.loss || waiting_bytes + length > QUEUE_BYTES {
                shared.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let now = Instant::now();
            let mut due = (now + weather.delay + weather.jitter.mul_f64(chance.next())).max(last_due);
            if let Some(rate) = weather.bytes_per_second {
                due = due.max(free_at);
                free_at = due + Duration::from_secs_f64(length as f64 / rate as f64);
            }
            last_due = due;
            waiting_bytes += length;
            waiting.push_back((due, buffer[..length].to_vec()));
        }
    }
}

/// Even numbers from 0 to 1, the same for the same seed (SplitMix64).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
