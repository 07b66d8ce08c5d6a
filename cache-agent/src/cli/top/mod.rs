//! `cache-agent top`: a dashboard in the terminal.

pub mod state;
pub mod view;

use crate::cli::figures;
use crate::cli::reach::{Admin, Reached};
use crate::cli::say::{self, Ended, Trouble, Way};
use crate::cli::scrape::{self, Scraper};
use crate::cli::top::state::State;
use crate::cli::top::view::Look;
use crate::proto::v1::ListHotKeysRequest;
use crate::proto::v1::admin_service_client::AdminServiceClient;
use cache_core::config::units::parse_duration;
use cache_core::ops::exit::Exit;
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::StreamExt;

/// As many keys as any terminal shows.
const HOT_KEYS: u32 = 40;

/// The arguments of `top`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The time between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    interval: Duration,
    /// The admin listener of an invalidator, to see where changes spend their time
    #[arg(long, value_name = "ADDRESS", value_parser = scrape::address)]
    invalidator: Option<String>,
    #[command(flatten)]
    admin: Admin,
}

const HELP: &str = "\
Example:
  cache-agent top --invalidator http://127.0.0.1:9465

Keys: q ends it, up and down choose a cache, s orders the caches by something else, p stops
and goes on. For a log or a program, `cache-agent stat` says the same in lines.";

/// Where it looks.
struct Watched {
    reached: Reached,
    invalidator: Option<Scraper>,
}

/// Draws until it is told to end.
pub async fn run(args: &Args, way: &Way) -> Ended {
    if args.interval.is_zero() {
        return Err(Trouble::usage(
            "--interval 0ms would never rest; 1s is usual",
        ));
    }
    if !say::to_people() {
        let text = "standard output is no terminal; `cache-agent stat` prints lines";
        return Err(Trouble::usage(text));
    }
    let mut watched = Watched {
        reached: args.admin.connect().await?,
        invalidator: args.invalidator.clone().map(Scraper::new),
    };
    let look = Look {
        coloured: way.coloured,
    };
    // It puts the terminal back also when something panics.
    let mut terminal = ratatui::try_init()
        .map_err(|error| Trouble::failed(format!("cannot use the terminal: {error}")))?;
    let ended = show(&mut terminal, &mut watched, args.interval, look).await;
    ratatui::restore();
    ended
}

async fn show(
    terminal: &mut DefaultTerminal,
    watched: &mut Watched,
    every: Duration,
    look: Look,
) -> Ended {
    let failed = |error| Trouble::failed(format!("cannot draw: {error}"));
    let mut state = State::default();
    let mut keys = EventStream::new();
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                if !state.paused {
                    watched.look(&mut state).await;
                }
            }
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    if pressed(&mut state, key) {
                        return Ok(Exit::Done);
                    }
                    watched.look_at_keys(&mut state).await;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(failed(error)),
                None => return Ok(Exit::Done),
            },
        }
        terminal
            .draw(|frame| view::draw(frame, &state, look))
            .map_err(failed)?;
    }
}

/// Does what a key says; whether that is to end.
fn pressed(state: &mut State, key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return true,
        // The terminal gives no signals while it is drawn on.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
        KeyCode::Up | KeyCode::Char('k') => state.move_by(false),
        KeyCode::Down | KeyCode::Char('j') => state.move_by(true),
        KeyCode::Char('s') => state.reorder(),
        KeyCode::Char('p') | KeyCode::Char(' ') => state.paused = !state.paused,
        _ => {}
    }
    false
}

impl Watched {
    async fn look(&mut self, state: &mut State) {
        match figures::look(&self.reached, &[]).await {
            Ok(stats) => state.saw(stats),
            Err(trouble) => state.missed(trouble.text),
        }
        self.look_at_keys(state).await;
        if let Some(scraper) = &mut self.invalidator {
            // Without an answer there are no stages, and the rest is shown all the same.
            state.stages = scraper.look().await.ok();
        }
    }

    async fn look_at_keys(&self, state: &mut State) {
        let request = ListHotKeysRequest {
            cache: state.chosen_cache().unwrap_or_default().to_owned(),
            limit: HOT_KEYS,
        };
        let mut client = AdminServiceClient::new(self.reached.channel.clone());
        if let Ok(answer) = client.list_hot_keys(self.reached.ask(request)).await {
            state.hot = answer.into_inner().keys;
        }
    }
}
