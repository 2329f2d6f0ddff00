//! What a group plays: begin and stop.

use std::time::Duration;

use actix_web::{HttpResponse, post, web};
use antiphon_avs::signal::Wish;
use antiphon_domain::group::Target;
use antiphon_domain::media::Media;
use serde::Deserialize;

use super::super::Hub;
use super::{Answer, Scope, done, target, wrong};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(play_media).service(stop_content);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlayBody {
    url: String,
    /// Where in the stream to begin, in milliseconds.
    #[serde(default)]
    offset_ms: u64,
}

#[post("/{place}/{name}/play")]
async fn play_media(
    hub: web::Data<Hub>,
    path: web::Path<(String, String)>,
    body: web::Json<PlayBody>,
) -> Answer {
    // No request can name a file of this machine; media folders come with the page.
    if !body.url.starts_with("http://") && !body.url.starts_with("https://") {
        return Err(wrong(format!(
            "expected a URL that begins with http:// or https://, found {:?}",
            body.url
        )));
    }
    let target = target(&hub, &path.0, &path.1, Scope::Group).await?;
    let media = Media {
        url: body.url.clone(),
        offset: Duration::from_millis(body.offset_ms),
        end: None,
        headers: Vec::new(),
    };
    hub.handle.play(target, media).await?;
    Ok(HttpResponse::Accepted().finish())
}

#[post("/{place}/{name}/stop")]
async fn stop_content(hub: web::Data<Hub>, path: web::Path<(String, String)>) -> Answer {
    let target = target(&hub, &path.0, &path.1, Scope::Group).await?;
    let mut silenced = Ok(());
    // What rings at a speaker that is named, the hub silences itself; of a group, everybody.
    if let Target::Group(group) = &target {
        let snapshot = hub.handle.snapshot().await?;
        let members = snapshot.groups.into_iter().find(|g| g.id == *group).map(|g| g.speakers);
        for speaker in members.unwrap_or_default() {
            // One that is being restarted keeps nobody else from falling silent.
            silenced = silenced.and(hub.handle.wish(speaker, Wish::StopAlert).await);
        }
    }
    hub.handle.stop(target).await?;
    silenced?;
    done()
}
