//! `cache-agent serve` and `cache-agent check`.

use crate::app::App;
use crate::caches::Caches;
use crate::callers::Callers;
use crate::cli::exit::{self, Masters, fail};
use crate::cli::say::{complain, remark};
use crate::config::{Config, Start};
use crate::config_file::{self, Unfit};
use crate::listen::{self, Doors, ListenError, UnixDoor};
use crate::reload::Reload;
use cache_core::clock::SystemClock;
use cache_core::config::overrides::Override;
use cache_core::config::shown::Shown;
use cache_core::ops::exit::Exit;
use cache_core::ops::manager::{Manager, Variables};
use cache_core::ops::shutdown::{Hangups, Signals};
use cache_core::ops::telemetry::Log;
use std::path::Path;
use std::sync::Arc;

/// Checks a configuration file.
pub fn check(file: &Path, given: &[Override]) -> Exit {
    match read(file, given) {
        Ok((config, _)) => {
            let count = config.caches.len();
            let noun = if count == 1 { "cache" } else { "caches" };
            println!("{}: no problems, {count} {noun}", file.display());
            Exit::Done
        }
        Err(Exit::Usage) => Exit::Problems,
        Err(other) => other,
    }
}

/// Serves until it is asked to end, with what is `given` in place of the file's keys, and tells
/// the `manager` that started it.
pub async fn run(file: &Path, given: Vec<Override>, manager: &Variables, log: Log) -> Exit {
    let (config, start) = match read(file, &given) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    log.set(&config.log);
    // Before anything that takes time: a signal from here on means a clean end.
    let (masters, mut hangups) = match masters(manager) {
        Ok(masters) => masters,
        Err(exit) => return exit,
    };
    let doors = match doors(&config).await {
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
    .for_callers(callers.clone())
    .accepting(config.listen.accept);
    if config.start == Start::Refuse
        && let Err(error) = app.join(&config.domain).await
    {
        return fail(&error);
    }
    let reload = Reload {
        file: file.to_owned(),
        given,
        app: app.clone(),
        callers,
        log,
        start,
        domain: config.domain.clone(),
    };
    let manager = masters.manager.clone();
    let reloading = async move {
        loop {
            hangups.next().await;
            manager.reloading();
            reload.again();
            manager.ready();
        }
    };
    let joining = app.clone();
    let beside = async move {
        let joining = async {
            if config.start == Start::Degraded {
                joining.join_at_last(config.domain).await;
            }
        };
        tokio::join!(joining, reloading).1
    };
    exit::serve(app, doors, config.drain, masters, beside).await
}

fn masters(manager: &Variables) -> Result<(Masters, Hangups), Exit> {
    let failed = |doing: &str, error: std::io::Error| {
        eprintln!("cache-agent: cannot {doing}: {error}");
        Exit::Failed
    };
    let deaf = |error| failed("hear signals", error);
    let masters = Masters {
        signals: Signals::new().map_err(deaf)?,
        manager: Manager::new(manager, std::process::id())
            .map_err(|error| failed("reach the service manager at NOTIFY_SOCKET", error))?,
    };
    Ok((masters, Hangups::new().map_err(deaf)?))
}

fn read(file: &Path, given: &[Override]) -> Result<(Config, Shown), Exit> {
    config_file::read(file, given).map_err(|unfit| {
        match unfit {
            Unfit::Unread { .. } => complain(&unfit),
            // Its lines begin with the file's name.
            Unfit::Wrong(report) => remark(&report),
        }
        Exit::Usage
    })
}

async fn doors(config: &Config) -> Result<Doors, ListenError> {
    let (listen, admin) = (&config.listen, config.admin);
    let mut doors = Doors {
        unix: None,
        tcp: None,
        resp: None,
        admin: listen::tcp(admin).await?,
        scrape: None,
    };
    if let Some(address) = config.scrape {
        doors.scrape = Some(listen::tcp(address).await?);
        tracing::info!(%address, "metrics can be read from elsewhere");
    }
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
