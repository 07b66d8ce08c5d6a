//! `cache-agent serve` and `cache-agent check`.

use crate::app::App;
use crate::caches::Caches;
use crate::callers::Callers;
use crate::cli::exit::{self, fail};
use crate::config::{self, Config, Listen, Start};
use crate::listen::{self, Doors, ListenError, UnixDoor};
use cache_core::clock::SystemClock;
use cache_core::config::overrides::Override;
use cache_core::ops::exit::Exit;
use cache_core::ops::shutdown::Signals;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Checks a configuration file.
pub fn check(file: &Path, given: &[Override]) -> Exit {
    match read(file, given) {
        Ok(config) => {
            let count = config.caches.len();
            let noun = if count == 1 { "cache" } else { "caches" };
            println!("{}: no problems, {count} {noun}", file.display());
            Exit::Done
        }
        Err(Exit::Usage) => Exit::Problems,
        Err(other) => other,
    }
}

/// Serves until it is asked to end.
pub async fn run(file: &Path, given: &[Override]) -> Exit {
    let config = match read(file, given) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    // Before anything that takes time: a signal from here on means a clean end.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("cache-agent: cannot hear signals: {error}");
            return Exit::Failed;
        }
    };
    let doors = match doors(&config.listen, config.admin).await {
        Ok(doors) => doors,
        Err(error) => return fail(&error),
    };
    let callers = match Callers::new(config.identities) {
        Ok(callers) => callers,
        Err(problem) => {
            eprintln!("cache-agent: [[identity]]: {problem}");
            return Exit::Usage;
        }
    };
    let app = App::over(
        Caches::with(config.caches, config.strategies),
        config.listen.limits,
        Arc::new(SystemClock::new()),
    )
    .await
    .for_callers(callers)
    .accepting(config.listen.accept);
    if config.start == Start::Refuse
        && let Err(error) = app.join(&config.domain).await
    {
        return fail(&error);
    }
    let joining = app.clone();
    let beside = async move {
        if config.start == Start::Degraded {
            joining.join_at_last(config.domain).await;
        }
        std::future::pending().await
    };
    exit::serve(app, doors, config.drain, signals, beside).await
}

fn read(file: &Path, given: &[Override]) -> Result<Config, Exit> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        eprintln!("cache-agent: cannot read {name}: {error}");
        Exit::Usage
    })?;
    let shown = config::show(&name, &text, given).map_err(|report| {
        eprintln!("{report}");
        Exit::Usage
    });
    shown.map(|(config, _)| config)
}

async fn doors(listen: &Listen, admin: SocketAddr) -> Result<Doors, ListenError> {
    let mut doors = Doors {
        unix: None,
        tcp: None,
        resp: None,
        admin: listen::tcp(admin).await?,
    };
    if let Some(path) = &listen.unix {
        doors.unix = Some(UnixDoor::bind_for(path, listen.unix_mode).await?);
        tracing::info!(path = %path.display(), "the API listens");
    }
    if let Some(address) = listen.tcp {
        doors.tcp = Some(listen::tcp(address).await?);
        tracing::info!(%address, "the API listens");
        if !address.ip().is_loopback() && listen.accept.tls.is_none() {
            tracing::warn!("tokens go over the network in the clear; set `tls_cert` and `tls_key`");
        }
    }
    if let Some(address) = listen.resp {
        doors.resp = Some(listen::tcp(address).await?);
        tracing::info!(%address, "the RESP door listens");
    }
    tracing::info!(address = %admin, "the admin listener is open");
    Ok(doors)
}
