//! How well speakers keep time, and who asks to be let in, in words for a terminal, from the API's JSON.

use serde_json::Value;

use super::table::columns;

/// A number of microseconds in the unit in which it is read: `-12 us`, `+1.250 ms`.
fn span(micros: f64, sign: bool) -> String {
    let plus = if sign && micros > 0.0 { "+" } else { "" };
    if micros.abs() < 1_000.0 {
        format!("{plus}{micros:.0} us")
    } else {
        format!("{plus}{:.3} ms", micros / 1e3)
    }
}

/// How well each speaker keeps time.
pub(crate) fn sync(sync: &Value) -> String {
    let head = ["SPEAKER", "KIND", "LEAD", "OFFSET", "ERROR", "CLOCK", "DRIFT", "CORRECTIONS", "UNDERRUNS"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for s in sync["speakers"].as_array().into_iter().flatten() {
        let told = &s["sync"];
        let none = || "-".to_string();
        let error = told["error_us"].as_f64().map_or_else(none, |error| {
            let around =
                told["uncertainty_us"].as_f64().map_or(String::new(), |u| format!(" ± {}", span(u, false)));
            format!("{}{around}", span(error, true))
        });
        let sum = told["corrections"].as_object().map_or_else(none, |by| {
            let of = |key: &str| by[key].as_u64().unwrap_or(0);
            format!("{} rate, {} jumps", of("rate"), of("reanchored"))
        });
        let lead = told["lead_ms"].as_u64().map_or_else(none, |lead| {
            let quick = if told["pace"] == "quick" { " quick" } else { "" };
            format!("{lead} ms{quick}")
        });
        rows.push(vec![
            s["name"].as_str().unwrap_or_default().into(),
            s["kind"].as_str().unwrap_or_default().into(),
            lead,
            format!("{} ms", s["offset_ms"]),
            error,
            told["clock_uncertainty_us"].as_f64().map_or_else(none, |u| format!("± {}", span(u, false))),
            told["drift_ppm"].as_f64().map_or_else(none, |ppm| format!("{ppm:+.1} ppm")),
            sum,
            told["underruns"].as_u64().map_or_else(none, |blocks| format!("{blocks} blocks")),
        ]);
    }
    if rows.len() == 1 {
        return "No speaker yet.\n".into();
    }
    let mut out = columns(&rows);
    for group in sync["groups"].as_array().into_iter().flatten() {
        let quick = &group["low_latency"];
        let name = group["name"].as_str().unwrap_or_default();
        if let Some(why) = quick["why"].as_str() {
            out.push_str(&format!("\nGroup {name} cannot be quick: {why}\n"));
        } else if quick["active"] == true {
            out.push_str(&format!("\nGroup {name} is quick\n"));
        }
    }
    out
}

/// Who asks to be let in, and what to do about it.
pub(crate) fn asks(asks: &Value) -> String {
    let mut out = String::new();
    for ask in asks.as_array().into_iter().flatten() {
        let text = |key: &str| ask[key].as_str().unwrap_or_default();
        let wants = match text("wants") {
            "approval" => "wants leave to be used: antiphon pair NAME approve, or refuse".to_string(),
            "code" => "wants the code it shows: antiphon pair NAME CODE".to_string(),
            "refused" => "was refused; antiphon pair NAME approve takes that back".to_string(),
            _ => "is trusted; antiphon pair NAME unpair takes that back".to_string(),
        };
        out.push_str(&format!("{} ({}, {}): {wants}\n", text("name"), text("speaker"), text("kind")));
    }
    if out.is_empty() { "No receiver asks for anything.\n".into() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_told_is_a_dash() {
        let told = json!({ "lead_ms": 300, "pace": "quick", "error_us": -1250.0, "uncertainty_us": 40.0, "underruns": 2 });
        let speakers = json!([
            { "name": "Kitchen", "kind": "local", "offset_ms": 12, "sync": told },
            { "name": "Sofa", "kind": "airplay", "offset_ms": 0 },
        ]);
        let text = sync(&json!({ "speakers": speakers, "groups": [] }));
        let kitchen = text.lines().nth(1).unwrap_or_default();
        assert!(kitchen.contains("-1.250 ms ± 40 us") && kitchen.contains("300 ms quick"), "{text}");
        assert!(kitchen.contains("2 blocks") && kitchen.contains("12 ms"), "{text}");
        let sofa: Vec<&str> = text.lines().nth(2).unwrap_or_default().split_whitespace().collect();
        assert_eq!(sofa, ["Sofa", "airplay", "-", "0", "ms", "-", "-", "-", "-", "-"]);
    }
}
