//! The commands of the program that talk to a running simulator over its admin API, and what they print.

use anyhow::{Context, bail};
use base64::Engine;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{Command, Hear};

/// How long `say` and `directive` wait for the device's first event, milliseconds.
const WAIT: u32 = 1000;

/// Carries out one command against the admin API at `base`.
pub async fn drive(base: &str, command: Command) -> anyhow::Result<()> {
    match command {
        // Running is not driving; `main` has kept that for itself.
        Command::Run(_) => {}
        Command::Say { name, sentence } => {
            let answer = post(base, &format!("/devices/{}/say", escape(&name)), sentence.join(" ")).await?;
            follow(base, &name, &answer).await?;
        }
        Command::Directive { name, file, attach } => {
            let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
            let mut tree: Value =
                serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
            if !tree.is_object() {
                bail!("{}: an object was expected", file.display());
            }
            tree["attachments"] = attachments(&attach)?;
            let answer =
                post(base, &format!("/devices/{}/directive", escape(&name)), tree.to_string()).await?;
            follow(base, &name, &answer).await?;
        }
        Command::Hear(hear) => {
            let path = format!("/devices/{}/speech", escape(&hear.name));
            post(base, &path, script(&hear)?.to_string()).await?;
        }
        Command::Devices => {
            for device in list(&get(base, "/devices").await?) {
                println!("{}", describe(device));
            }
        }
        Command::Transcript { name } => {
            let entries = get(base, &format!("/devices/{}/transcript", escape(&name))).await?;
            list(&entries).iter().for_each(print_entry);
        }
        Command::Approve { code: Some(code) } => {
            let answer = post(base, "/approve", code).await?;
            println!("linked {}", answer["dsn"].as_str().unwrap_or_default());
        }
        Command::Approve { code: None } => {
            for pending in list(&get(base, "/codes").await?) {
                println!("{} {}", word(pending, "user_code"), word(pending, "dsn"));
            }
        }
        Command::Fault { name, kind } => {
            let path =
                if name == "all" { "/fault".to_owned() } else { format!("/devices/{}/fault", escape(&name)) };
            post(base, &path, kind).await?;
        }
        Command::Violations => {
            for violation in list(&get(base, "/violations").await?) {
                println!(
                    "{} {}: {}",
                    word(violation, "dsn"),
                    word(violation, "subject"),
                    word(violation, "what")
                );
            }
        }
    }
    Ok(())
}

fn attachments(pairs: &[String]) -> anyhow::Result<Value> {
    let mut attachments = Vec::new();
    for pair in pairs {
        let (id, file) = pair.split_once('=').context("--attach wants ID=FILE")?;
        let data = std::fs::read(file).with_context(|| file.to_owned())?;
        let coded = base64::engine::general_purpose::STANDARD.encode(data);
        attachments.push(json!({ "id": id, "base64": coded }));
    }
    Ok(Value::Array(attachments))
}

/// The script which the options of `hear` mean.
fn script(hear: &Hear) -> anyhow::Result<Value> {
    let mut script = json!({ "stop": hear.stop, "tagged": !hear.untagged, "processing": hear.processing });
    if hear.downchannel {
        script["road"] = json!("downchannel");
    }
    if let Some(timeout) = hear.expect {
        script["expect"] = json!({ "timeout": timeout });
    }
    match &hear.file {
        Some(file) => {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            let tree: Value = serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
            script["directives"] = if tree.is_array() { tree } else { json!([tree]) };
            script["attachments"] = attachments(&hear.attach)?;
        }
        None if hear.false_wake => script["falseWake"] = json!(true),
        None if hear.nothing => script["status"] = json!(204),
        None if !hear.sentence.is_empty() => script["text"] = json!(hear.sentence.join(" ")),
        None => {}
    }
    Ok(script)
}

/// Prints what was sent and what the device said to it.
async fn follow(base: &str, name: &str, answer: &Value) -> anyhow::Result<()> {
    let mark = answer["mark"].as_u64().unwrap_or(0);
    let path = format!("/devices/{}/transcript?from={mark}&wait={WAIT}", escape(name));
    list(&get(base, &path).await?).iter().for_each(print_entry);
    Ok(())
}

fn print_entry(entry: &Value) {
    let (arrow, body) = match entry["direction"].as_str() {
        Some("directive") => ("->", &entry["message"]["directive"]),
        _ => ("<-", &entry["message"]["event"]),
    };
    let seconds = entry["since_start"]["secs"].as_f64().unwrap_or(0.0)
        + entry["since_start"]["nanos"].as_f64().unwrap_or(0.0) / 1e9;
    println!(
        "{seconds:10.3} {arrow} {}.{} {}",
        word(entry, "namespace"),
        word(entry, "name"),
        body["payload"]
    );
    for fault in list(&entry["violations"]) {
        println!("           !! {}", fault.as_str().unwrap_or_default());
    }
}

fn describe(device: &Value) -> String {
    let connected = if device["connected"] == true { "connected" } else { "offline" };
    let muted = if device["muted"] == true { " muted" } else { "" };
    let volume = device["volume"].as_u64().map_or("-".to_owned(), |volume| volume.to_string());
    let player = device["player"].as_str().unwrap_or("-");
    format!(
        "{:<20} {:<16} {connected:<9} volume {volume}{muted} player {player} violations {}",
        word(device, "name"),
        word(device, "dsn"),
        device["violations"]
    )
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("-")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            byte if plain(byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

async fn get(base: &str, path: &str) -> anyhow::Result<Value> {
    exchange(Method::GET, base, path, String::new()).await
}

async fn post(base: &str, path: &str, body: String) -> anyhow::Result<Value> {
    exchange(Method::POST, base, path, body).await
}

async fn exchange(method: Method, base: &str, path: &str, body: String) -> anyhow::Result<Value> {
    let host = base.trim_start_matches("http://").trim_end_matches('/');
    let tcp = TcpStream::connect(host)
        .await
        .with_context(|| format!("no simulator answers at {base}; start one with: antiphon-simulator run"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", host)
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let bytes = response.into_body().collect().await?.to_bytes();
    driver.abort();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    if !status.is_success() {
        let told = value["error"].as_str().map(str::to_owned);
        bail!("{}", told.unwrap_or_else(|| String::from_utf8_lossy(&bytes).trim().to_owned()));
    }
    Ok(value)
}
