//! The adapter against python-dbusmock's BlueZ on a bus of the test's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expected")]

use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use antiphon_bluetooth::{Bluetooth, BluetoothConfig, PULSE_SOURCE};
use antiphon_domain::bluetooth::{Adapter, Command, DeviceId, Key, News, Profile};
use prometheus::Registry;
use tempfile::TempDir;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);
const MOCK: &str = "org.bluez.Mock";
const PHONE: &str = "11:22:33:44:55:66";
const PHONE_PATH: &str = "/org/bluez/hci0/dev_11_22_33_44_55_66";

/// A private bus with a mocked BlueZ on it; both end with this.
struct Bench {
    bus: Child,
    bluez: Option<Child>,
    address: String,
    _dir: TempDir,
}

impl Bench {
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let address = format!("unix:path={}", dir.path().join("bus").display());
        let config = dir.path().join("bus.conf");
        std::fs::write(
            &config,
            format!(
                "<busconfig><type>session</type><listen>{address}</listen><policy context=\"default\">\
                 <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>\
                 </policy></busconfig>"
            ),
        )
        .unwrap();
        let bus = Program::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .arg("--nofork")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon (package dbus) is needed");
        let mut bench = Self { bus, bluez: None, address, _dir: dir };
        wait("the bus", || bench.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus.GetId", &[]));
        bench.start_bluez();
        bench
    }

    fn start_bluez(&mut self) {
        // Debian's own interpreter has Debian's packages, whatever else is on the path.
        let bluez = Program::new("/usr/bin/python3")
            .args(["-m", "dbusmock", "--system", "--template", "bluez5"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address)
            .stdout(Stdio::null())
            .spawn()
            .expect("python3-dbusmock is needed");
        self.bluez = Some(bluez);
        wait("the mocked bluez", || self.mock("AddAdapter", &["string:hci0", "string:house"]));
    }

    fn stop_bluez(&mut self) {
        let mut bluez = self.bluez.take().unwrap();
        bluez.kill().unwrap();
        bluez.wait().unwrap();
    }

    fn call(&self, to: &str, path: &str, method: &str, args: &[&str]) -> bool {
        let status = Program::new("dbus-send")
            .arg(format!("--bus={}", self.address))
            .args(["--print-reply", &format!("--dest={to}"), path, method])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    fn mock(&self, method: &str, args: &[&str]) -> bool {
        self.call("org.bluez", "/", &format!("{MOCK}.{method}"), args)
    }

    /// The template has no transports; dbus-send cannot write the types that adding one takes.
    fn add_transport(&self) {
        let script = format!(
            "import dbus\n\
             bus = dbus.bus.BusConnection('{}')\n\
             mock = dbus.Interface(bus.get_object('org.bluez', '/'), 'org.freedesktop.DBus.Mock')\n\
             path, interface = '{PHONE_PATH}/fd0', 'org.bluez.MediaTransport1'\n\
             properties = {{'State': dbus.String('active', variant_level=1)}}\n\
             mock.AddObject(path, interface, properties, dbus.Array([], signature='(ssss)'))\n\
             manager = dbus.Interface(bus.get_object('org.bluez', '/'), 'org.freedesktop.DBus.Mock')\n\
             signal = [dbus.ObjectPath(path), {{interface: properties}}]\n\
             manager.EmitSignal('org.freedesktop.DBus.ObjectManager', 'InterfacesAdded', 'oa{{sa{{sv}}}}', signal)\n",
            self.address
        );
        let status = Program::new("/usr/bin/python3").args(["-c", &script]).status().unwrap();
        assert!(status.success(), "the mock took no transport");
    }

    fn add_phone(&self) {
        assert!(self.mock("AddDevice", &["string:hci0", &format!("string:{PHONE}"), "string:Ann's phone"]));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for child in self.bluez.iter_mut().chain([&mut self.bus]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Hub {
    bluetooth: Bluetooth,
    news: Receiver<News>,
    _runtime: tokio::runtime::Runtime,
}

impl Hub {
    fn on(bench: &Bench) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = BluetoothConfig {
            adapter: "hci0".into(),
            bus: Some(bench.address.clone()),
            salt: Uuid::from_u128(7),
            source: PULSE_SOURCE.into(),
        };
        let bluetooth = Bluetooth::start(config, runtime.handle(), &Registry::new()).unwrap();
        let (told, news) = channel();
        bluetooth.watch(Arc::new(move |news| told.send(news).unwrap_or_default()));
        Self { bluetooth, news, _runtime: runtime }
    }

    fn expect<T>(&self, what: &str, mut pick: impl FnMut(&News) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let news = self.news.recv_timeout(left).unwrap_or_else(|_| panic!("no {what}"));
            if let Some(found) = pick(&news) {
                return found;
            }
        }
    }

    fn done(&self, wanted: &Command) -> Result<(), String> {
        self.bluetooth.command(wanted.clone());
        self.expect("answer", |news| match news {
            News::Done { command, result } if command == wanted => Some(result.clone()),
            _ => None,
        })
    }

    fn phone(&self) -> DeviceId {
        self.expect("phone", |news| match news {
            News::Adapter(devices) => devices.first().map(|device| device.id.clone()),
            News::Device(device) => Some(device.id.clone()),
            _ => None,
        })
    }
}

#[test]
fn a_phone_is_found_paired_connected_and_sent_away() {
    let bench = Bench::start();
    let hub = Hub::on(&bench);
    hub.expect("adapter", |news| matches!(news, News::Adapter(_)).then_some(()));
    assert!(hub.bluetooth.is_present());
    assert_eq!(hub.done(&Command::Scan(true)), Ok(()));
    bench.add_phone();
    let phone = hub.phone();
    assert_eq!(hub.done(&Command::Scan(false)), Ok(()));

    assert_eq!(hub.done(&Command::Pair(phone.clone())), Ok(()));
    assert_eq!(hub.done(&Command::Connect(phone.clone())), Ok(()));
    let again = hub.done(&Command::Connect(phone.clone()));
    assert!(again.is_err_and(|why| why.contains("Connected")), "bluez's own words");
    assert_eq!(hub.done(&Command::Disconnect(phone.clone())), Ok(()));
    assert_eq!(hub.done(&Command::Unpair(phone.clone())), Ok(()));
    let unknown = hub.done(&Command::Connect(phone));
    assert_eq!(unknown, Err("the device is not known to bluez".into()));
}

#[test]
fn what_bluez_knew_before_is_told_with_the_adapter() {
    let bench = Bench::start();
    bench.add_phone();
    assert!(bench.mock("PairDevice", &["string:hci0", &format!("string:{PHONE}"), "int32:5898764"]));
    let hub = Hub::on(&bench);
    let device = hub.expect("adapter", |news| match news {
        News::Adapter(devices) => devices.first().cloned(),
        _ => None,
    });
    assert_eq!((device.name.as_str(), device.paired), ("Ann's phone", true));
    assert_eq!(device.masked_address, "XX:XX:XX:XX:55:66");
    assert!(device.profiles.contains(&Profile::A2dpSource), "{device:?}");
    assert_eq!(hub.bluetooth.source(&device.id), None, "it plays nothing");

    // A transport that becomes active is sound.
    bench.add_transport();
    hub.expect("stream", |news| matches!(news, News::Streaming(_, true)).then_some(()));
    let source = hub.bluetooth.source(&device.id);
    assert_eq!(source.as_deref(), Some("pulsesrc device=bluez_source.11_22_33_44_55_66.a2dp_source"));
    let key = hub.done(&Command::Control(device.id, Key::Play));
    assert!(key.is_err(), "the mocked phone has no player");
}

#[test]
fn it_outlives_bluez() {
    let mut bench = Bench::start();
    let hub = Hub::on(&bench);
    hub.expect("adapter", |news| matches!(news, News::Adapter(_)).then_some(()));
    bench.stop_bluez();
    hub.expect("loss", |news| (*news == News::NoAdapter).then_some(()));
    assert!(!hub.bluetooth.is_present());
    assert_eq!(hub.done(&Command::Scan(true)), Err("there is no bluetooth adapter".into()));
    bench.start_bluez();
    hub.expect("return", |news| matches!(news, News::Adapter(_)).then_some(()));
    assert_eq!(hub.done(&Command::Discoverable(true)), Ok(()));
}

#[test]
fn a_machine_without_a_bus_has_no_adapter() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = BluetoothConfig {
        adapter: "hci0".into(),
        bus: Some("unix:path=/nowhere/at/all".into()),
        salt: Uuid::nil(),
        source: PULSE_SOURCE.into(),
    };
    let bluetooth = Bluetooth::start(config, runtime.handle(), &Registry::new()).unwrap();
    let (told, news) = channel();
    bluetooth.watch(Arc::new(move |news| told.send(news).unwrap_or_default()));
    assert_eq!(news.recv_timeout(PATIENCE), Ok(News::NoAdapter));
    bluetooth.command(Command::Scan(true));
    let answer = news.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(answer, News::Done { result: Err(_), .. }), "{answer:?}");
}
