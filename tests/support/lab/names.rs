//! The hosts' name services: on each host that asks for one, a D-Bus and an avahi-daemon of its own.

use super::error::{LabError, LabResult};
use super::process::Process;
use super::{Lab, run};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// A system bus that starts nobody: with the usual one some programs wait long for helpers that cannot work here.
const BUS: &str = r#"<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_destination="*" eavesdrop="false"/><allow receive_sender="*"/></policy></busconfig>
"#;

const AVAHI: &str = "[server]
use-ipv4=yes
use-ipv6=no
allow-interfaces=eth0
ratelimit-interval-usec=1000000
ratelimit-burst=1000
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=no
";

/// The name services that run.
#[derive(Debug, Default)]
pub struct NameServices {
    processes: Mutex<Vec<Process>>,
    hosts: Mutex<BTreeSet<String>>,
}

impl Lab {
    /// Starts a name service on the host, once; later calls do nothing.
    pub fn name_service(&self, host: &str) -> LabResult<()> {
        let mut hosts = self.names.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.contains(host) {
            return Ok(());
        }
        let write = |file: &str, text: &str| {
            let path = self.folder().join(file);
            std::fs::write(&path, text).map_err(|e| LabError::failed(format!("write {file}"), e))?;
            Ok(path)
        };
        let mut command = self.command(host, "dbus-daemon");
        command.arg("--nofork").arg("--config-file").arg(write("bus.conf", BUS)?);
        let mut bus = self.spawn(&format!("{host}-dbus"), command)?;
        let socket = self.seen_from_outside(host, "/run/dbus/system_bus_socket");
        bus.ready(PATIENCE, || socket.exists().then_some(()))?;

        let mut command = self.command(host, "avahi-daemon");
        command.args(["--no-chroot", "--no-rlimits", "--no-drop-root", "--file"]);
        command.arg(write("avahi.conf", AVAHI)?);
        let mut avahi = self.spawn(&format!("{host}-avahi"), command)?;
        // It answers on the bus only when it has its host name.
        avahi.ready(PATIENCE, || {
            let mut ask = self.command(host, "avahi-browse");
            run(ask.args(["--terminate", "--all", "--parsable"])).ok()
        })?;
        let mut processes = self.names.processes.lock().unwrap_or_else(PoisonError::into_inner);
        // Ended in this order: the name service before its bus.
        processes.push(avahi);
        processes.push(bus);
        hosts.insert(host.to_owned());
        Ok(())
    }

    /// The services of a type, such as `_raop._tcp`, that `host` sees by now, as avahi-browse's parsable lines.
    pub fn browse(&self, host: &str, service: &str) -> LabResult<Vec<String>> {
        self.name_service(host)?;
        let mut ask = self.command(host, "avahi-browse");
        let text = run(ask.args(["--terminate", "--resolve", "--parsable", service]))?;
        Ok(text.lines().filter(|line| line.starts_with('=')).map(str::to_owned).collect())
    }
}
