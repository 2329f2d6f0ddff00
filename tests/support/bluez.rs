//! BlueZ as python-dbusmock plays it, on a bus of the test's own, with a phone that pairs, connects, plays and takes keys.
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use super::lab::error::{LabError, LabResult};
use super::patience::eventually;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);
/// Debian's own interpreter has Debian's packages, whatever else is on the path.
const PYTHON: &str = "/usr/bin/python3";
const PHONE: &str = "11:22:33:44:55:66";
const PHONE_PATH: &str = "/org/bluez/hci0/dev_11_22_33_44_55_66";

/// A private bus with a mocked BlueZ on it, once that is started; both end with this.
pub struct Bluez {
    bus: Child,
    mock: Option<Child>,
    address: String,
    _folder: TempDir,
}

impl Bluez {
    /// A bus; BlueZ is not there yet.
    pub fn new() -> LabResult<Self> {
        let missing = |what: &str| LabError::Missing(vec![what.into()]);
        let folder = tempfile::tempdir().map_err(|e| LabError::failed("a folder for the bus", e))?;
        let address = format!("unix:path={}", folder.path().join("bus").display());
        let config = folder.path().join("bus.conf");
        let text = format!(
            "<busconfig><type>session</type><listen>{address}</listen><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>\
             </policy></busconfig>"
        );
        std::fs::write(&config, text).map_err(|e| LabError::failed("write the bus's configuration", e))?;
        let mock = quiet(PYTHON).args(["-c", "import dbus, dbusmock"]).status();
        if !mock.is_ok_and(|status| status.success()) {
            return Err(missing("python3-dbusmock"));
        }
        let bus =
            quiet("dbus-daemon").arg(format!("--config-file={}", config.display())).arg("--nofork").spawn();
        let bus = bus.map_err(|_| missing("dbus-daemon (package dbus)"))?;
        let bluez = Self { bus, mock: None, address, _folder: folder };
        eventually("the bus is there", PATIENCE, || bluez.run("").is_ok());
        Ok(bluez)
    }

    /// Where the bus is, as `[bluetooth] bus` has it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// BlueZ comes, with an adapter.
    pub fn start(&mut self) {
        let mock = quiet(PYTHON)
            .args(["-m", "dbusmock", "--system", "--template", "bluez5"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address)
            .spawn();
        self.mock = Some(mock.expect("the mock starts"));
        eventually("bluez is there", PATIENCE, || self.run("bluez.AddAdapter('hci0', 'house')").is_ok());
    }

    /// BlueZ goes.
    pub fn stop(&mut self) {
        let mut mock = self.mock.take().expect("it runs");
        mock.kill().expect("it runs");
        mock.wait().expect("it ends");
    }

    /// A phone comes into sight.
    pub fn add_phone(&self) {
        self.act(&format!("bluez.AddDevice('hci0', '{PHONE}', 'phone')"));
    }

    /// The phone has been paired before, with all it can do.
    pub fn pair_phone(&self) {
        self.act(&format!("bluez.PairDevice('hci0', '{PHONE}', 5898764)"));
    }

    /// The phone connects, or goes, by itself.
    pub fn connect_phone(&self, on: bool) {
        let (method, state) = if on { ("Connect", "True") } else { ("Disconnect", "False") };
        // The template's methods tell of the change and do not keep it.
        self.act(&format!(
            "phone = bus.get_object('org.bluez', '{PHONE_PATH}')\n\
             dbus.Interface(phone, 'org.bluez.Device1').{method}()\n\
             state = {{'Connected': dbus.Boolean({state}, variant_level=1)}}\n\
             dbus.Interface(phone, 'org.freedesktop.DBus.Mock').UpdateProperties('org.bluez.Device1', state)"
        ));
    }

    /// The phone has a way for sound, and a player whose keys start and stop it.
    pub fn give_phone_a_player(&self) {
        let set = |state: &str| {
            format!(
                "'objects[\"{PHONE_PATH}/fd0\"].UpdateProperties(\"org.bluez.MediaTransport1\", \
                 {{\"State\": dbus.String(\"{state}\", variant_level=1)}})'"
            )
        };
        self.act(&format!(
            "idle = {{'State': dbus.String('idle', variant_level=1)}}\n\
             keys = [('Play', '', '', {play}), ('Pause', '', '', {pause}), ('Next', '', '', ''), ('Previous', '', '', '')]\n\
             def add(path, interface, properties, methods):\n\
            \x20   mock.AddObject(path, interface, properties, dbus.Array(methods, signature='(ssss)'))\n\
            \x20   told = [dbus.ObjectPath(path), {{interface: properties}}]\n\
            \x20   mock.EmitSignal('org.freedesktop.DBus.ObjectManager', 'InterfacesAdded', 'oa{{sa{{sv}}}}', told)\n\
             add('{PHONE_PATH}/fd0', 'org.bluez.MediaTransport1', idle, [])\n\
             status = {{'Status': dbus.String('stopped', variant_level=1)}}\n\
             add('{PHONE_PATH}/player0', 'org.bluez.MediaPlayer1', status, keys)",
            play = set("active"),
            pause = set("idle"),
        ));
    }

    /// A person starts or stops the music at the phone.
    pub fn phone_plays(&self, on: bool) {
        let key = if on { "Play" } else { "Pause" };
        self.act(&format!(
            "dbus.Interface(bus.get_object('org.bluez', '{PHONE_PATH}/player0'), 'org.bluez.MediaPlayer1').{key}()"
        ));
    }

    /// Whether the phone plays.
    pub fn is_playing(&self) -> bool {
        let way = format!(
            "way = dbus.Interface(bus.get_object('org.bluez', '{PHONE_PATH}/fd0'), 'org.freedesktop.DBus.Properties')\n\
             assert way.Get('org.bluez.MediaTransport1', 'State') == 'active'"
        );
        self.run(&way).is_ok()
    }

    /// Whether a property of the adapter is set.
    pub fn adapter_is(&self, property: &str) -> bool {
        let asked = format!(
            "adapter = dbus.Interface(bus.get_object('org.bluez', '/org/bluez/hci0'), 'org.freedesktop.DBus.Properties')\n\
             assert adapter.Get('org.bluez.Adapter1', '{property}')"
        );
        self.run(&asked).is_ok()
    }

    fn act(&self, what: &str) {
        if let Err(why) = self.run(what) {
            panic!("{what}: {why}");
        }
    }

    /// Runs lines of Python which know `bus`, `bluez` (what the mock offers of BlueZ) and `mock` (of any object).
    fn run(&self, lines: &str) -> Result<(), String> {
        let known = if lines.is_empty() {
            String::new()
        } else {
            "root = bus.get_object('org.bluez', '/')\n\
             bluez = dbus.Interface(root, 'org.bluez.Mock')\n\
             mock = dbus.Interface(root, 'org.freedesktop.DBus.Mock')\n"
                .into()
        };
        let text = format!("import dbus\nbus = dbus.bus.BusConnection('{}')\n{known}{lines}\n", self.address);
        let done = Command::new(PYTHON).args(["-c", &text]).output().map_err(|e| e.to_string())?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }
}

impl Drop for Bluez {
    fn drop(&mut self) {
        for child in self.mock.iter_mut().chain([&mut self.bus]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}
