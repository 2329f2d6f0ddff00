//! Owns the display cards of TemplateRuntime 1.3, one of each kind, as a skill would send them.

use serde_json::{Value, json};

use crate::answers::Outgoing;

/// A card: `text`, `image`, `list` or `weather`.
pub(super) fn template(kind: &str, base: &str) -> Outgoing {
    let mut payload = match kind {
        "image" => json!({
            "type": "BodyTemplate2",
            "textField": "Antiphon (from Greek: sounding against): a response sung in turn.",
            "image": image(base),
        }),
        "list" => json!({
            "type": "ListTemplate1",
            "listItems": [
                { "leftTextField": "1.", "rightTextField": "Milk" },
                { "leftTextField": "2.", "rightTextField": "Bread" },
                { "leftTextField": "3.", "rightTextField": "Strings for the guitar" },
            ],
        }),
        "weather" => json!({
            "type": "WeatherTemplate",
            "currentWeather": "18°",
            "description": "Light rain",
            "currentWeatherIcon": image(base),
            "currentWeatherIconCode": 12,
            "highTemperature": { "value": "21°", "arrow": image(base) },
            "lowTemperature": { "value": "11°", "arrow": image(base) },
            "weatherForecast": [
                day("Mon", "Nov 23", "20°", "10°", base),
                day("Tue", "Nov 24", "19°", "9°", base),
            ],
        }),
        _ => json!({ "type": "BodyTemplate1", "textField": "It is half past nine, and all is well." }),
    };
    payload["token"] = json!(format!("card:{}", uuid::Uuid::new_v4()));
    payload["title"] = json!({ "mainTitle": "Antiphon", "subTitle": kind });
    payload["skillIcon"] = image(base);
    Outgoing::new("TemplateRuntime", "RenderTemplate", payload)
}

fn image(base: &str) -> Value {
    let source =
        json!({ "url": format!("{base}/cover.png"), "size": "SMALL", "widthPixels": 1, "heightPixels": 1 });
    json!({ "contentDescription": "a picture", "sources": [source] })
}

fn day(day: &str, date: &str, high: &str, low: &str, base: &str) -> Value {
    json!({
        "day": day,
        "date": date,
        "image": image(base),
        "iconCode": 12,
        "highTemperature": high,
        "lowTemperature": low,
    })
}
