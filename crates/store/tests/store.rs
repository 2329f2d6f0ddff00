//! What the archive may rely on: round trips, permissions, one hub alone, clear words about a bad file.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use antiphon_domain::{Secret, SpeakerId};
use antiphon_store::{Class, SpeakerRecord, Store, StoreError, secret_name};
use proptest::prelude::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

fn speaker(id: &str) -> SpeakerRecord {
    SpeakerRecord {
        id: SpeakerId::new(id),
        name: "Kitchen".into(),
        kind: "airplay".into(),
        addresses: vec!["192.0.2.1:5000".parse().unwrap(), "[fe80::1%3]:5000".parse().unwrap()],
        properties: BTreeMap::from([("am".into(), "ShairportSync".into())]),
        serial_number: None,
        first_seen: at(1_000),
        last_seen: at(2_000),
    }
}

#[test]
fn the_folder_and_every_file_are_for_this_user_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("deep/state");
    let path = folder.join("antiphon.db");
    let mut store = Store::open(&path).unwrap();
    store.save_document("a", &1).unwrap();
    assert_eq!(mode(&folder), 0o700);
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    drop(store);
    // A file that others may read is closed to them when it is opened.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let _store = Store::open(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn speakers_secrets_and_documents_survive_reopening() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("antiphon.db");
    let id = SpeakerId::new("33FA00A66F2E");
    let mut store = Store::open(&path).unwrap();
    store.save_speaker(&speaker("33FA00A66F2E")).unwrap();
    store.save_secret(&id, secret_name::REFRESH_TOKEN, &Secret::new("Atzr|1")).unwrap();
    store.save_secret(&id, secret_name::REFRESH_TOKEN, &Secret::new("Atzr|2")).unwrap();
    store.save_document("house", &vec![0.1_f64, 1.0 / 3.0]).unwrap();
    drop(store);

    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.speakers().unwrap(), vec![speaker("33FA00A66F2E")]);
    assert_eq!(store.secret(&id, secret_name::REFRESH_TOKEN).unwrap(), Some(Secret::new("Atzr|2")));
    assert_eq!(store.secret(&id, secret_name::GATEWAY).unwrap(), None);
    assert_eq!(store.document::<Vec<f64>>("house").unwrap(), Some(vec![0.1, 1.0 / 3.0]));

    assert!(store.forget_speaker(&id).unwrap());
    assert!(!store.forget_speaker(&id).unwrap());
    assert_eq!(store.speaker(&id).unwrap(), None);
    assert_eq!(store.secret(&id, secret_name::REFRESH_TOKEN).unwrap(), None);
    assert!(store.remove_document("house").unwrap());
    assert!(!store.remove_document("house").unwrap());
}

#[test]
fn first_seen_stays_when_a_speaker_is_saved_again() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open(&root.path().join("antiphon.db")).unwrap();
    store.save_speaker(&speaker("a")).unwrap();
    let later =
        SpeakerRecord { first_seen: at(5_000), last_seen: at(6_000), name: "Bath".into(), ..speaker("a") };
    store.save_speaker(&later).unwrap();
    let found = store.speaker(&SpeakerId::new("a")).unwrap().unwrap();
    assert_eq!((found.first_seen, found.last_seen, found.name.as_str()), (at(1_000), at(6_000), "Bath"));
}

#[test]
fn a_batch_is_all_or_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open(&root.path().join("antiphon.db")).unwrap();
    let failed: Result<(), _> = store.batch(|batch| {
        batch.save_speaker(&speaker("a"))?;
        // A map with a key that is no text cannot be JSON.
        batch.save_document("bad", &BTreeMap::from([(vec![1], 1)]))
    });
    assert!(matches!(failed, Err(StoreError::Document { .. })), "{failed:?}");
    assert_eq!(store.speakers().unwrap(), vec![]);
    store.batch(|batch| batch.save_speaker(&speaker("a"))).unwrap();
    assert_eq!(store.speakers().unwrap().len(), 1);
}

#[test]
fn a_document_of_another_shape_says_which() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open(&root.path().join("antiphon.db")).unwrap();
    store.save_document("house", "text").unwrap();
    let error = store.document::<u32>("house").unwrap_err();
    assert!(matches!(&error, StoreError::Document { key, .. } if key == "house"), "{error}");
    assert_eq!(error.class(), Class::GiveUp);
}

#[test]
fn a_second_hub_on_the_same_file_is_told_so() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("antiphon.db");
    let store = Store::open(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert_eq!(error, StoreError::InUse { path: path.clone() });
    assert!(error.to_string().contains("second hub"), "{error}");
    assert_eq!(error.class(), Class::Retry);
    drop(store);
    Store::open(&path).unwrap();
}

#[test]
fn a_damaged_file_is_refused_with_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("antiphon.db");

    fs::write(&path, b"this is no database, however long it goes on for; SQLite wants its own header here")
        .unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("move it away"), "{error}");

    fs::remove_file(&path).unwrap();
    let mut store = Store::open(&path).unwrap();
    for n in 0..200 {
        store.save_speaker(&speaker(&format!("speaker {n}"))).unwrap();
    }
    drop(store);
    // Everything after the first page is overwritten: the header is right, the rest is not.
    let mut bytes = fs::read(&path).unwrap();
    assert!(bytes.len() > 3 * 4096);
    bytes[4096..].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_file_of_a_newer_version_or_another_program_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let newer = root.path().join("newer.db");
    drop(Store::open(&newer).unwrap());
    let connection = rusqlite::Connection::open(&newer).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    assert!(matches!(Store::open(&newer), Err(StoreError::TooNew { found: 999, .. })));

    let foreign = root.path().join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).unwrap();
    connection
        .execute_batch("CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')")
        .unwrap();
    drop(connection);
    assert!(matches!(Store::open(&foreign), Err(StoreError::Foreign { .. })));
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Store::open(&file.join("antiphon.db")).unwrap_err();
    assert!(matches!(&error, StoreError::Folder { path, .. } if path == &file), "{error:?}");

    let dangling = root.path().join("dangling.db");
    symlink(root.path().join("nowhere/else.db"), &dangling).unwrap();
    assert!(matches!(Store::open(&dangling), Err(StoreError::Denied { .. })));
}

/// The store may be handed from thread to thread; nothing written by one is lost to another.
#[test]
fn threads_take_turns() {
    let root = tempfile::tempdir().unwrap();
    let store = Arc::new(Mutex::new(Store::open(&root.path().join("antiphon.db")).unwrap()));
    let threads: Vec<_> = (0..4)
        .map(|t| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                for n in 0..25 {
                    store.lock().unwrap().save_document(&format!("{t}/{n}"), &n).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    for t in 0..4 {
        for n in 0..25 {
            assert_eq!(store.lock().unwrap().document::<i32>(&format!("{t}/{n}")).unwrap(), Some(n));
        }
    }
}

#[test]
fn commits_and_failures_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let registry = prometheus::Registry::new();
    let mut store = Store::open(&root.path().join("antiphon.db")).unwrap();
    store.register(&registry).unwrap();
    assert!(matches!(store.register(&registry), Err(StoreError::Metrics(_))));
    store.save_document("a", "b").unwrap();
    store.document::<u8>("a").unwrap_err();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(text.contains("antiphon_store_commit_seconds_count 1"), "{text}");
    assert!(text.contains("antiphon_store_errors_total{class=\"give_up\"} 1"), "{text}");
}

fn any_record() -> impl Strategy<Value = SpeakerRecord> {
    (
        any::<(String, String, String)>(),
        prop::collection::vec(any::<(std::net::IpAddr, u16)>(), 0..4),
        prop::collection::btree_map(any::<String>(), any::<String>(), 0..5),
        any::<Option<String>>(),
        0..4_000_000_000_000_u64,
        0..4_000_000_000_000_u64,
    )
        .prop_map(|((id, name, kind), addresses, properties, serial_number, first, last)| {
            SpeakerRecord {
                id: SpeakerId::new(id),
                name,
                kind,
                addresses: addresses.into_iter().map(|(ip, port)| SocketAddr::new(ip, port)).collect(),
                properties,
                serial_number,
                first_seen: at(first),
                last_seen: at(last),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any speaker, secret and text comes back as it was saved, quotes, zero bytes and all.
    #[test]
    fn what_goes_in_comes_out(
        record in any_record(),
        name in any::<String>(),
        secret in any::<String>(),
        key in any::<String>(),
        value in prop::collection::btree_map(any::<String>(), any::<(f64, i64, String)>(), 0..4),
    ) {
        let root = tempfile::tempdir().unwrap();
        let mut store = Store::open(&root.path().join("antiphon.db")).unwrap();
        store.save_speaker(&record).unwrap();
        store.save_secret(&record.id, &name, &Secret::new(secret.clone())).unwrap();
        store.save_document(&key, &value).unwrap();
        prop_assert_eq!(store.speakers().unwrap(), vec![record.clone()]);
        prop_assert_eq!(store.speaker(&record.id).unwrap(), Some(record.clone()));
        prop_assert_eq!(store.secret(&record.id, &name).unwrap(), Some(Secret::new(secret)));
        prop_assert_eq!(store.document(&key).unwrap(), Some(value));
    }
}

#[test]
fn device_values_are_kept_one_by_one_and_go_with_the_account() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("antiphon.db");
    let (a, ab) = (SpeakerId::new("a"), SpeakerId::new("a:b"));
    let mut store = Store::open(&path).unwrap();
    let one = serde_json::json!({"n": [1, 2.5, "x"]});
    store.save_device_value(&a, "alerts.all", &one).unwrap();
    store.save_device_value(&a, "gone", &one).unwrap();
    store.save_device_value(&a, "gone", &serde_json::Value::Null).unwrap();
    store.save_device_value(&ab, "alerts.all", &serde_json::json!(2)).unwrap();
    store.save_device_value(&ab, "room.tone", &serde_json::json!(3)).unwrap();
    store.save_secret(&a, secret_name::REFRESH_TOKEN, &Secret::new("t")).unwrap();
    store.save_speaker(&speaker("a")).unwrap();
    drop(store);
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.device_values(&a).unwrap(), BTreeMap::from([("alerts.all".to_owned(), one)]));
    store.forget_account(&a).unwrap();
    assert!(store.device_values(&a).unwrap().is_empty());
    assert_eq!(store.secret(&a, secret_name::REFRESH_TOKEN).unwrap().unwrap().expose(), "");
    assert!(store.speaker(&a).unwrap().is_some(), "the speaker itself stays");
    store.forget_account(&ab).unwrap();
    let room = BTreeMap::from([("room.tone".to_owned(), serde_json::json!(3))]);
    assert_eq!(store.device_values(&ab).unwrap(), room, "whose account it is means nothing to a room");
    store.forget_speaker(&ab).unwrap();
    assert!(store.device_values(&ab).unwrap().is_empty());
}

#[test]
fn what_is_forgotten_is_in_no_file() {
    let root = tempfile::tempdir().unwrap();
    let mut store = Store::open(&root.path().join("antiphon.db")).unwrap();
    let held = |text: &str| {
        let files = fs::read_dir(root.path()).unwrap().flatten();
        files.map(|file| fs::read(file.path()).unwrap()).any(|bytes| {
            let text = text.as_bytes();
            bytes.windows(text.len()).any(|part| part == text)
        })
    };
    for token in ["the-first-token", "the-second-token"] {
        let a = SpeakerId::new("a");
        store.save_secret(&a, secret_name::REFRESH_TOKEN, &Secret::new(token)).unwrap();
        assert!(held(token));
        if token.contains("first") {
            store.forget_account(&a).unwrap();
        } else {
            store.forget_speaker(&a).unwrap();
        }
        assert!(!held(token), "{token}");
    }
}

#[test]
fn an_unreadable_device_value_costs_that_value_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("antiphon.db");
    let id = SpeakerId::new("a");
    let mut store = Store::open(&path).unwrap();
    let alarms = serde_json::json!([{"token": "x"}]);
    for key in ["alerts.all", "broken", "bytes", "later"] {
        store.save_device_value(&id, key, &alarms).unwrap();
    }
    drop(store);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("UPDATE device SET value = '{\"half' WHERE key = 'broken'", []).unwrap();
    connection.execute("UPDATE device SET value = CAST(x'ff00fe' AS TEXT) WHERE key = 'bytes'", []).unwrap();
    drop(connection);
    let store = Store::open(&path).unwrap();
    let kept = BTreeMap::from([("alerts.all".to_owned(), alarms.clone()), ("later".to_owned(), alarms)]);
    assert_eq!(store.device_values(&id).unwrap(), kept);
}
