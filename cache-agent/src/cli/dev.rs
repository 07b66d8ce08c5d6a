//! `cache-agent dev`: says where everything is and what to try next.

use crate::app::VERSION;
use crate::cli::exit::{self, Masters, fail};
use crate::cli::say;
use crate::config::Drain;
use crate::demo::{CACHE, ROWS};
use crate::dev;
use crate::listen::{self, Doors, ListenError, UnixDoor};
use cache_core::clock::SystemClock;
use cache_core::config::units::parse_duration;
use cache_core::ops::exit::Exit;
use cache_core::ops::manager::Manager;
use cache_core::ops::shutdown::Signals;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Nobody waits for a process of play.
const DRAIN: Drain = Drain {
    delay: Duration::ZERO,
    timeout: Duration::from_secs(2),
};
/// How many folder names are tried.
const FOLDERS: u32 = 64;

/// The arguments of `dev`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// No demo database and no traffic: an empty cache to play with
    #[arg(long)]
    no_demo: bool,
    /// The demo; on unless --no-demo is given
    #[arg(long, conflicts_with = "no_demo")]
    demo: bool,
    /// The loopback port of the API; any free one if it is taken
    #[arg(long, default_value_t = 7390)]
    port: u16,
    /// The loopback port for clients of Redis; any free one if it is taken
    #[arg(long, default_value_t = 6380)]
    resp_port: u16,
    /// The loopback port of the built-in page; any free one if it is taken
    #[arg(long, default_value_t = 9464)]
    admin_port: u16,
    /// End after this time, as in 10s
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    span: Option<Duration>,
}

/// A folder of this process alone; it goes when this is dropped.
struct Folder(PathBuf);

/// Runs until it is asked to end.
pub async fn run(args: Args) -> Exit {
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("cache-agent: cannot hear signals: {error}");
            return Exit::Failed;
        }
    };
    let folder = match Folder::new() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("cache-agent: cannot make a folder for the socket: {error}");
            return Exit::Failed;
        }
    };
    let (doors, text) = match doors(&args, &folder).await {
        Ok(opened) => opened,
        Err(error) => return fail(&error),
    };
    let app = match dev::embedded(!args.no_demo, Arc::new(SystemClock::new())).await {
        Ok(app) => app,
        Err(error) => return fail(&error),
    };
    // That nobody reads ends nothing.
    let _ = say::say(text.as_bytes());
    let beside = async {
        match args.span {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    let masters = Masters {
        signals,
        manager: Manager::default(),
    };
    let exit = exit::serve(app.clone(), doors, DRAIN, masters, beside).await;
    let _ = say::line(&dev::summary(&app.stats()));
    exit
}

async fn doors(args: &Args, folder: &Folder) -> Result<(Doors, String), ListenError> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (tcp, tcp_moved) = listen::tcp_or_free(at(args.port)).await?;
    let (resp, resp_moved) = listen::tcp_or_free(at(args.resp_port)).await?;
    let (admin, admin_moved) = listen::tcp_or_free(at(args.admin_port)).await?;
    let unix = UnixDoor::bind(&folder.0.join("agent.sock")).await?;
    let address = |listener: &tokio::net::TcpListener, moved: bool, asked: u16| {
        let address = listener
            .local_addr()
            .map_or_else(|_| "?".to_owned(), |a| a.to_string());
        let note = if moved {
            format!("   (port {asked} was taken)")
        } else {
            String::new()
        };
        (address, note)
    };
    let (api, api_note) = address(&tcp, tcp_moved, args.port);
    let (redis, redis_note) = address(&resp, resp_moved, args.resp_port);
    let (page, page_note) = address(&admin, admin_moved, args.admin_port);
    let socket = unix.path().display();
    let demo = if args.no_demo {
        format!("No demo: the cache `{CACHE}` is empty.")
    } else {
        format!(
            "The demo changes a database of {ROWS} rows 50 times a second, and reads it through\n\
             the caches of two processes. A checker compares every read with the commits."
        )
    };
    let text = format!(
        "cache-agent {VERSION} dev: all of it in this process, nothing is kept\n\
         \n  page     http://{page}/{page_note}\
         \n  metrics  http://{page}/metrics\
         \n  gRPC     {api}{api_note}\
         \n           unix://{socket}\
         \n  Redis    redis://{redis}{redis_note}\
         \n\n{demo}\n\
         \nTry next:\
         \n  curl -s http://{page}/stats.json\
         \n  grpcurl -plaintext {api} list\
         \n  grpcurl -plaintext -d '{{\"cache\":\"{CACHE}\",\"key\":\"dXNlcjo3\"}}' {api} \
         cacheaside.v1.CacheService/Get\
         \n      (dXNlcjo3 is user:7 in base64, the form of bytes in JSON)\
         \n  redis-cli -u redis://{redis} GET {CACHE}:user:7\
         \n  deploy/local/up\
         \n      the same on a real Redis Cluster, NATS and PostgreSQL\
         \n\nCtrl-C ends it.\n"
    );
    let doors = Doors {
        unix: Some(unix),
        tcp: Some(tcp),
        resp: Some(resp),
        admin,
        scrape: None,
    };
    Ok((doors, text))
}

impl Folder {
    /// Makes a folder that only this user can look into.
    fn new() -> io::Result<Self> {
        let base = std::env::temp_dir();
        let id = std::process::id();
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for n in 0..FOLDERS {
            let path = base.join(format!("cache-agent-dev-{id}-{n}"));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is an empty folder among temporary ones.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
