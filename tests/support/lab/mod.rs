//! A private little network of hosts with real receivers, for tests.
//!
//! Each host is a network namespace on one bridge, and the bridge has a namespace of its own: there is no way
//! out, so nothing, multicast or not, can leave. Each host has its own `/run` too, hence its own D-Bus and
//! name service. Everything is a child process known by its pid and ends when its guard is dropped. Names and
//! folders carry the test's process id, so labs can live side by side. Works as root, or as the root of a user
//! namespace (`tests/support/in-namespace` makes one).
//!
//! ```ignore
//! let lab = Lab::new(&["hub", "r1"])?;
//! let rack = Rack::new(&lab, 1)?;
//! let kitchen = lab.receiver("r1", "Kitchen", &rack, 1)?;
//! let hub = lab.spawn("hub", "antiphon", lab.command("hub", env!("CARGO_BIN_EXE_antiphon")).arg("run"))?;
//! let heard = rack.record_for(Duration::from_secs(10))?;
//! let left = heard.channel(0);
//! ```

pub mod error;
pub mod names;
pub mod process;
pub mod rack;
pub mod raop_sender;
pub mod receiver;
pub mod recording;
pub mod rtp;
pub mod sendspin;
pub mod sendspin_recorder;
pub mod snapcast;
pub mod weather;

use error::{LabError, LabResult};
use process::Process;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The lab's addresses: a part of 198.18.0.0/15, which RFC 2544 sets aside for tests. Host number i is `.10 + i`.
const NET: [u8; 3] = [198, 18, 77];

/// The third part of addresses on the network of [`Lab::split`].
const SECOND: u8 = 78;

/// What must be on the path for [`Lab::new`].
const PROGRAMS: [&str; 5] = ["unshare", "nsenter", "ip", "dbus-daemon", "avahi-daemon"];

/// Mounts a `/run` of the host's own, takes the host's name, says that it is ready, and waits to be ended. In a
/// user namespace the account that avahi-daemon insists on does not exist, so there it is root by another name.
const HOLD: &str = r#"set -e
mount --make-rprivate /; mount -t tmpfs tmpfs /run; mkdir -p /run/dbus /run/avahi-daemon
if ! chown avahi: /run/avahi-daemon 2>/dev/null; then
  sed 's/^avahi:x:[0-9]*:[0-9]*:/avahi:x:0:0:/' /etc/passwd > /run/passwd; mount --bind /run/passwd /etc/passwd
  sed 's/^avahi:x:[0-9]*:/avahi:x:0:/' /etc/group > /run/group; mount --bind /run/group /etc/group
fi
hostname "$1"; ip link set lo up; : > "$2"; exec sleep infinity"#;

/// A host of the lab.
#[derive(Debug)]
pub struct Host {
    holder: Process,
    address: Ipv4Addr,
}

/// The network. Drop it last.
#[derive(Debug)]
pub struct Lab {
    // In the order of their end: the hosts before the bridge that joins them, the folder last.
    names: names::NameServices,
    hosts: BTreeMap<String, Host>,
    switch: Process,
    folder: Folder,
}

impl Lab {
    /// Makes a host for each name (short words, at most ten letters), all on one network.
    pub fn new(hosts: &[&str]) -> LabResult<Self> {
        let mut missing = missing_programs(&PROGRAMS);
        if missing.is_empty() {
            let may = Command::new("unshare").args(["--net", "--mount", "--uts", "true"]).output();
            if !may.is_ok_and(|output| output.status.success()) {
                missing.push("the right to make network namespaces".to_owned());
            }
        }
        if !missing.is_empty() {
            return Err(LabError::Missing(missing));
        }
        let folder = Folder::new()?;
        let switch = hold("switch", &folder.0)?;
        run(in_network_of(&switch, "ip").args("link add br0 type bridge mcast_snooping 0".split(' ')))?;
        run(in_network_of(&switch, "ip").args("link set br0 up".split(' ')))?;
        let mut lab = Self { names: names::NameServices::default(), hosts: BTreeMap::new(), switch, folder };
        for (i, name) in hosts.iter().enumerate() {
            let number = u8::try_from(i + 11).map_err(|e| LabError::failed("number the hosts", e))?;
            lab.add_host(name, number)?;
        }
        Ok(lab)
    }

    fn add_host(&mut self, name: &str, number: u8) -> LabResult<()> {
        let address = Ipv4Addr::new(NET[0], NET[1], NET[2], number);
        let holder = hold(name, &self.folder.0)?;
        let ip = |line: String| run(in_network_of(&holder, "ip").args(line.split(' ')));
        let pid = holder.pid();
        run(in_network_of(&self.switch, "ip")
            .args(format!("link add p-{name} type veth peer name eth0 netns {pid}").split(' ')))?;
        run(in_network_of(&self.switch, "ip").args(format!("link set p-{name} master br0 up").split(' ')))?;
        // A fixed hardware address: receivers make their identity of it, and must have the same one again
        // after a restart.
        ip(format!("link set eth0 address 02:61:70:68:00:{number:02x}"))?;
        ip("link set eth0 up".to_owned())?;
        ip(format!("addr add {address}/24 brd + dev eth0"))?;
        ip("route add 224.0.0.0/4 dev eth0".to_owned())?;
        // Leads nowhere, as the bridge has no uplink; some programs learn "my address" from it.
        ip("route add default dev eth0".to_owned())?;
        self.hosts.insert(name.to_owned(), Host { holder, address });
        Ok(())
    }

    /// Puts these hosts on a network of their own, which `host` reaches by a second interface, `eth1`. There each has the
    /// same address but for [`SECOND`].
    pub fn split(&self, host: &str, others: &[&str]) -> LabResult<()> {
        let switch = |line: &str| run(in_network_of(&self.switch, "ip").args(line.split(' ')));
        switch("link add br1 type bridge mcast_snooping 0")?;
        switch("link set br1 up")?;
        switch(&format!(
            "link add q-{host} type veth peer name eth1 netns {}",
            self.host(host).holder.pid()
        ))?;
        switch(&format!("link set q-{host} master br1 up"))?;
        let on = |host: &str, line: String| run(self.command(host, "ip").args(line.split(' ')));
        on(host, "link set eth1 up".to_owned())?;
        on(host, format!("addr add {}/24 brd + dev eth1", self.second_address(host)))?;
        for other in others {
            switch(&format!("link set p-{other} master br1"))?;
            on(other, "addr flush dev eth0".to_owned())?;
            on(other, format!("addr add {}/24 brd + dev eth0", self.second_address(other)))?;
            on(other, "route add 224.0.0.0/4 dev eth0".to_owned())?;
            on(other, "route add default dev eth0".to_owned())?;
        }
        Ok(())
    }

    /// The host's address on the network of [`Lab::split`].
    pub fn second_address(&self, host: &str) -> Ipv4Addr {
        Ipv4Addr::new(NET[0], NET[1], SECOND, self.address(host).octets()[3])
    }

    /// The host's address on the lab's network.
    pub fn address(&self, host: &str) -> Ipv4Addr {
        self.host(host).address
    }

    /// A folder for this lab's files: logs, state, recordings. It goes when the lab does, unless the
    /// environment has `ANTIPHON_KEEP_LAB`.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// A command to run `program` (an absolute path, or one on the path) on the host. Its pid is the program's
    /// own. Set a working folder with `env --chdir`, not with `current_dir`.
    pub fn command(&self, host: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.host(host).holder.pid().to_string();
        command.args(["--target", &pid, "--mount", "--net", "--uts", "--"]).arg(program);
        command
    }

    /// Starts a command made by [`Lab::command`]; its output goes to `NAME.log` in the lab's folder.
    pub fn spawn(&self, name: &str, command: Command) -> LabResult<Process> {
        Process::spawn(name, command, &self.folder.0.join(format!("{name}.log")))
    }

    /// Runs a command made by [`Lab::command`] to its end and answers what it printed.
    pub fn output(&self, command: &mut Command) -> LabResult<String> {
        run(command)
    }

    /// What a GET of `url` from the host answers, whatever its status: (status, body).
    pub fn get(&self, host: &str, url: &str) -> LabResult<(u16, String)> {
        self.curl(host, &[url])
    }

    /// What `curl` on the host answers to these arguments: (status, body).
    pub fn curl(&self, host: &str, arguments: &[&str]) -> LabResult<(u16, String)> {
        let mut command = self.command(host, "curl");
        command.args(["--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}"]);
        let answer = run(command.args(arguments))?;
        let (body, status) = answer.rsplit_once('\n').unwrap_or(("", &answer));
        let status = status.trim().parse().map_err(|e| LabError::failed("read curl's status", e))?;
        Ok((status, body.to_owned()))
    }

    /// Runs `work` on a thread of its own whose sockets, and those of every thread it starts, belong to the
    /// host: a test puts a simulator, an HTTP client or a whole runtime there.
    pub fn within<T: Send>(&self, host: &str, work: impl FnOnce() -> T + Send) -> LabResult<T> {
        within_process(self.host(host).holder.pid(), work)
    }

    /// Pulls the host's cable out, or puts it in again.
    pub fn set_cable(&self, host: &str, plugged: bool) -> LabResult<()> {
        let state = if plugged { "up" } else { "down" };
        let line = format!("link set p-{host} {state}");
        run(in_network_of(&self.switch, "ip").args(line.split(' '))).map(drop)
    }

    /// Gives the host another address of the lab's network, `198.18.77.LAST`.
    pub fn move_host(&mut self, host: &str, last: u8) -> LabResult<()> {
        let new = Ipv4Addr::new(NET[0], NET[1], NET[2], last);
        let old = self.address(host);
        // In this order: with its first address of a network a host loses the further ones too.
        run(self.command(host, "ip").args(format!("addr del {old}/24 dev eth0").split(' ')))?;
        run(self.command(host, "ip").args(format!("addr add {new}/24 brd + dev eth0").split(' ')))?;
        for route in ["224.0.0.0/4", "default"] {
            run(self.command(host, "ip").args(format!("route replace {route} dev eth0").split(' ')))?;
        }
        if let Some(host) = self.hosts.get_mut(host) {
            host.address = new;
        }
        Ok(())
    }

    /// The TCP ports on which somebody listens on the host, in any order.
    pub fn listening(&self, host: &str) -> Vec<u16> {
        let pid = self.host(host).holder.pid();
        let mut ports = Vec::new();
        for table in ["tcp", "tcp6"] {
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
            for line in text.lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                // Local address and state; 0A is LISTEN.
                let (Some(local), Some(&"0A")) = (fields.get(1), fields.get(3)) else { continue };
                let port = local.rsplit(':').next().and_then(|p| u16::from_str_radix(p, 16).ok());
                ports.extend(port);
            }
        }
        ports
    }

    /// A path as the host sees it, which may lie in its private `/run`, seen from outside.
    fn seen_from_outside(&self, host: &str, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.host(host).holder.pid()))
    }

    fn host(&self, name: &str) -> &Host {
        self.hosts.get(name).unwrap_or_else(|| panic!("the lab has no host '{name}'"))
    }
}

/// Those of `programs` that are not on the path (nor in the folders of system programs).
pub fn missing_programs(programs: &[&str]) -> Vec<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let absent = |program: &&&str| !folders.iter().any(|folder| folder.join(program).is_file());
    programs.iter().filter(absent).map(|program| (*program).to_owned()).collect()
}

fn hold(name: &str, folder: &Path) -> LabResult<Process> {
    let ready = folder.join(format!("{name}.ready"));
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--uts", "--", "sh", "-c", HOLD, "hold", name]).arg(&ready);
    let mut holder = Process::spawn(name, command, &folder.join(format!("{name}.hold.log")))?;
    holder.ready(Duration::from_secs(10), || ready.exists().then_some(()))?;
    Ok(holder)
}

fn in_network_of(holder: &Process, program: &str) -> Command {
    in_network_of_pid(holder.pid(), program)
}

fn in_network_of_pid(pid: u32, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &pid.to_string(), "--net", "--", program]);
    command
}

/// Runs `work` on a thread in the network of a process.
fn within_process<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> LabResult<T> {
    let path = format!("/proc/{pid}/ns/net");
    let network = File::open(&path).map_err(|e| LabError::failed(format!("open {path}"), e))?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|e| LabError::failed("enter the host's network", e))?;
            Ok(work())
        });
        match thread.join() {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn run(command: &mut Command) -> LabResult<String> {
    let output = command.output();
    let trouble = |seen: String| LabError::failed(format!("{command:?}"), seen);
    let Output { status, stdout, stderr } = output.map_err(|e| trouble(e.to_string()))?;
    if !status.success() {
        return Err(trouble(format!("{status}: {}", String::from_utf8_lossy(&stderr))));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// A folder that goes when the lab does.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> LabResult<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short, as socket paths may have 107 letters at most.
        let path = PathBuf::from(format!("/tmp/antiphon-lab-{}-{number}", own_pid()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|e| LabError::failed("make the lab's folder", e))?;
        Ok(Self(path))
    }
}

/// Our pid and the namespace it counts in: in a private pid namespace pids begin at 1 again, but `/tmp` is shared.
fn own_pid() -> String {
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let space: String = space.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    format!("{space}-{}", std::process::id())
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os("ANTIPHON_KEEP_LAB").is_none() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
