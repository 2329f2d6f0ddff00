//! Who we are and whom we trust: the one file with keys, readable by its owner alone.
//!
//! Owned by the kind and shared by its connections. The file is written whole and put in place at once, so that a crash
//! leaves the old or the new one; what could not be written is not believed either. It is a few KiB, and written only
//! when a person did something.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::wire::key::{decode, encode};
use crate::wire::{Credential, Identity, PeerId, Psk};

/// The file's name in the data folder.
const FILE: &str = "sendspin.json";

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    /// The secret half of our key.
    identity: String,
    /// By client id.
    #[serde(default)]
    clients: BTreeMap<String, StoredClient>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct StoredClient {
    /// The key of a pairing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    psk: Option<String>,
    #[serde(default)]
    approved: bool,
    #[serde(default)]
    refused: bool,
}

#[derive(Clone, Default)]
struct Known {
    psk: Option<Psk>,
    approved: bool,
    refused: bool,
}

/// What is known of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// It was paired with us.
    pub paired: bool,
    /// A person approved of it unpaired.
    pub approved: bool,
    /// A person refused it.
    pub refused: bool,
}

/// The keys.
pub struct Trust {
    file: Option<PathBuf>,
    identity: Identity,
    clients: Mutex<BTreeMap<PeerId, Known>>,
    /// Held while the file is written, so that nobody who only reads waits for the disk.
    saving: Mutex<()>,
}

impl Trust {
    /// Reads the file in `folder`, or begins one. A file that cannot be used is put aside, aloud.
    pub fn open(folder: Option<&Path>) -> Self {
        let file = folder.map(|folder| folder.join(FILE));
        if let Some(file) = &file {
            match read(file) {
                Ok(Some((identity, clients))) => {
                    let (file, clients) = (Some(file.clone()), Mutex::new(clients));
                    return Self { file, identity, clients, saving: Mutex::default() };
                }
                Ok(None) => {}
                Err(why) => {
                    error!(file = %file.display(), %why, "the keys for Sendspin cannot be used: receivers must be \
                           paired anew");
                    // Kept for whoever can mend it.
                    if let Err(why) = fs::rename(file, file.with_extension("json.bad")) {
                        warn!(file = %file.display(), %why, "the unusable file could not be put aside");
                    }
                }
            }
        }
        let (clients, saving) = (Mutex::default(), Mutex::default());
        let trust = Self { file, identity: Identity::new(rand::random()), clients, saving };
        if let Err(why) = trust.write(&BTreeMap::new()) {
            error!(%why, "the hub's key for Sendspin cannot be kept: it is another one after a restart");
        }
        trust
    }

    /// Our key pair.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The key to open a connection with.
    pub fn credential(&self, client: &PeerId) -> Credential {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        match clients.get(client).and_then(|known| known.psk.clone()) {
            Some(psk) => Credential::long_term(psk),
            None => Credential::sentinel(),
        }
    }

    /// What is known of a client.
    pub fn standing(&self, client: &PeerId) -> Standing {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = clients.get(client) else { return Standing::default() };
        Standing { paired: known.psk.is_some(), approved: known.approved, refused: known.refused }
    }

    /// Remembers a pairing, which takes the place of any approval.
    pub fn pair(&self, client: PeerId, psk: Psk) -> io::Result<()> {
        self.change(client, Known { psk: Some(psk), ..Known::default() })
    }

    /// Remembers that a person approved of it unpaired. A pairing stays what it is.
    pub fn approve(&self, client: PeerId) -> io::Result<()> {
        self.change_if_unpaired(client, Known { approved: true, ..Known::default() })
    }

    /// Remembers that a person refused it.
    pub fn refuse(&self, client: PeerId) -> io::Result<()> {
        self.change_if_unpaired(client, Known { refused: true, ..Known::default() })
    }

    /// Forgets everything about it.
    pub fn forget(&self, client: PeerId) -> io::Result<()> {
        self.change(client, Known::default())
    }

    fn change_if_unpaired(&self, client: PeerId, to: Known) -> io::Result<()> {
        if self.standing(&client).paired { Ok(()) } else { self.change(client, to) }
    }

    fn change(&self, client: PeerId, to: Known) -> io::Result<()> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = self.clients.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if to.psk.is_none() && !to.approved && !to.refused {
            changed.remove(&client);
        } else {
            changed.insert(client, to);
        }
        self.write(&changed)?;
        *self.clients.lock().unwrap_or_else(PoisonError::into_inner) = changed;
        Ok(())
    }

    fn write(&self, clients: &BTreeMap<PeerId, Known>) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let clients = clients.iter().map(|(id, known)| {
            let psk = known.psk.as_ref().map(|psk| encode(psk.expose()));
            (id.to_string(), StoredClient { psk, approved: known.approved, refused: known.refused })
        });
        let stored = Stored { identity: encode(self.identity.expose()), clients: clients.collect() };
        let text = serde_json::to_string_pretty(&stored).map_err(io::Error::other)?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let fresh = file.with_extension("json.new");
        // One that a crash left may be anybody's to read.
        match fs::remove_file(&fresh) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&fresh, file)
    }
}

type Read = (Identity, BTreeMap<PeerId, Known>);

fn read(file: &Path) -> io::Result<Option<Read>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    // The parser's own words may quote a key.
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let stored: Stored = serde_json::from_str(&text).map_err(|_| bad("it is no such file"))?;
    let identity =
        decode(&stored.identity).map(Identity::new).ok_or_else(|| bad("the hub's key is damaged"))?;
    let mut clients = BTreeMap::new();
    for (id, client) in stored.clients {
        let id = PeerId::parse(&id).ok_or_else(|| bad("a client's id is damaged"))?;
        let psk = match client.psk {
            Some(text) => Some(Psk::new(decode(&text).ok_or_else(|| bad("a client's key is damaged"))?)),
            None => None,
        };
        clients.insert(id, Known { psk, approved: client.approved, refused: client.refused });
    }
    Ok(Some((identity, clients)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_learnt_is_there_after_a_restart_and_for_nobody_else_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (Identity::new([1; 32]).id(), Identity::new([2; 32]).id());
        let first = Trust::open(Some(folder.path()));
        first.approve(a).unwrap();
        first.pair(b, Psk::new([9; 32])).unwrap();
        first.approve(b).unwrap();
        first.refuse(b).unwrap();
        let second = Trust::open(Some(folder.path()));
        assert_eq!(second.identity().id(), first.identity().id());
        assert_eq!(second.standing(&a), Standing { approved: true, ..Standing::default() });
        assert_eq!(second.standing(&b), Standing { paired: true, ..Standing::default() });
        assert_eq!(second.credential(&b), Credential::long_term(Psk::new([9; 32])));
        assert_eq!(second.credential(&a), Credential::sentinel());
        second.forget(b).unwrap();
        assert_eq!(Trust::open(Some(folder.path())).standing(&b), Standing::default());
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{").unwrap();
        let trust = Trust::open(Some(folder.path()));
        assert!(folder.path().join("sendspin.json.bad").exists());
        assert_eq!(Trust::open(Some(folder.path())).identity().id(), trust.identity().id());
    }

    #[test]
    fn what_cannot_be_kept_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("state");
        let trust = Trust::open(Some(&place));
        fs::remove_dir_all(&place).unwrap();
        fs::write(&place, "in the way").unwrap();
        let client = Identity::new([1; 32]).id();
        assert!(trust.pair(client, Psk::new([9; 32])).is_err());
        assert_eq!(trust.standing(&client), Standing::default());
    }
}
