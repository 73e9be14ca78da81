//! The server: what is at which path, for whom, and with which headers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::header::{self, ContentType};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{Data, Path, ServiceConfig, get, resource, scope};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, Responder};
use jiff::tz::TimeZone;
use omnigate_actors::store::history::Span;
use serde_json::json;

use super::events::{Audience, Events};
use super::metrics::{Format, metrics};
use super::view::{self, History};
use crate::overview::Sources;

/// Opens the port; the server runs when it is awaited. Tells the address, which is news if the port was 0.
pub(super) fn bind(listen: SocketAddr, sources: &Sources) -> io::Result<(Server, SocketAddr)> {
    let audience = Data::new(Audience::new(sources.clone()));
    let local = listen.ip().is_loopback();
    let server = HttpServer::new(move || {
        let headers = HEADERS
            .iter()
            .fold(DefaultHeaders::new(), |headers, header| {
                headers.add(*header)
            });
        let paths = scope("").guard(fn_guard(move |request| {
            !local || asks_for_this_machine(request)
        }));
        App::new()
            .app_data(Data::clone(&audience))
            .wrap(headers)
            .service(paths.configure(paths_below))
    })
    .workers(1)
    .worker_max_blocking_threads(1)
    .max_connections(CONNECTIONS)
    .backlog(64)
    .client_request_timeout(Duration::from_secs(5))
    .keep_alive(Duration::from_secs(30))
    .shutdown_timeout(0)
    .disable_signals()
    .bind(listen)?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    Ok((server.run(), address))
}

fn paths_below(app: &mut ServiceConfig) {
    let asset = |body: &'static str, content_type: &'static str| {
        get().to(move || async move {
            HttpResponse::Ok()
                .insert_header((header::CONTENT_TYPE, content_type))
                .body(body)
        })
    };
    let style = asset(include_str!("style.css"), "text/css; charset=utf-8");
    let script = asset(include_str!("live.js"), "text/javascript; charset=utf-8");
    let icon = asset(include_str!("icon.svg"), "image/svg+xml");
    app.service(resource("/").route(get().to(index)))
        .service(resource("/meters/{name}").route(get().to(meter)))
        .service(resource("/events").route(get().to(events)))
        .service(resource("/healthz").route(get().to(healthz)))
        .service(resource("/metrics").route(get().to(figures)))
        .service(resource("/style.css").route(style))
        .service(resource("/live.js").route(script))
        .service(resource("/icon.svg").route(icon));
}

async fn index(audience: Data<Audience>) -> impl Responder {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .body(view::document(&audience.sources.overview()).into_string())
}

async fn meter(name: Path<String>, audience: Data<Audience>) -> impl Responder {
    let sources = &audience.sources;
    let overview = sources.overview();
    let monitored = sources.meters.snapshot();
    let known = monitored
        .values()
        .map(|meter| &meter.name)
        .find(|known| known.to_string() == *name);
    let shown = overview.meters.iter().find(|meter| meter.name == *name);
    let (Some(known), Some(shown)) = (known, shown) else {
        return HttpResponse::NotFound().body("no such meter is monitored\n");
    };
    let now = overview.time.as_second();
    let history = History {
        fine: sources.store.history(known, Span::Fine, now - DAY).await,
        hours: sources
            .store
            .history(known, Span::Hour, now - 32 * DAY)
            .await,
    };
    let latest = sources.latest.of(known);
    let channels = latest
        .as_ref()
        .map_or(&[][..], |latest| &latest.profile.channels);
    let page = view::document_of_meter(&overview, shown, channels, &history, &TimeZone::system());
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .body(page.into_string())
}

async fn events(audience: Data<Audience>) -> impl Responder {
    match Events::for_one_more(&audience) {
        Some(events) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "text/event-stream"))
            .body(events),
        None => HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "30"))
            .body("too many pages are open\n"),
    }
}

async fn healthz(audience: Data<Audience>) -> impl Responder {
    let overview = audience.sources.overview();
    let mut answer = if overview.is_ready() {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    answer.json(json!({"ready": overview.is_ready(), "troubles": overview.troubles}))
}

async fn figures(request: HttpRequest, audience: Data<Audience>) -> impl Responder {
    let accept = request.headers().get(header::ACCEPT);
    let format = Format::accepted(accept.and_then(|accept| accept.to_str().ok()).unwrap_or(""));
    match metrics(&audience.sources, format) {
        Ok(text) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, format.content_type()))
            .body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// A page that only this machine reaches can still be asked for by a foreign web site in a browser on this machine, if that site makes its
/// own name point here. Such a request carries that name.
fn asks_for_this_machine(request: &GuardContext<'_>) -> bool {
    let host = request.head().headers().get(header::HOST);
    host.and_then(|host| host.to_str().ok())
        .is_some_and(is_this_machine)
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// Nothing is kept by anybody, and nothing comes from anywhere else.
const HEADERS: [(&str, &str); 4] = [
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
];

/// In seconds.
const DAY: i64 = 86_400;

/// Connections at once.
const CONNECTIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_machines_are_told_apart() {
        for host in [
            "localhost",
            "LOCALHOST:9480",
            "127.0.0.1:9480",
            "127.0.0.1",
            "[::1]:9480",
            "[::1]",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            "example.org",
            "example.org:9480",
            "localhost.example.org",
            "127.0.0.1.example.org:80",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
