//! What people see, in terminals of several sizes.

use super::*;
use crate::cli::scrape::{Stage, Stages};
use crate::convert;
use crate::proto::v1::GetStatsResponse;
use crate::proto::v1::get_stats_response::{CacheStats, Lag};
use crate::proto::v1::list_hot_keys_response::HotKey;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

fn stats(second: u64) -> GetStatsResponse {
    let cache = |name: &str, l1: u64, misses: u64, open: bool| CacheStats {
        cache: name.to_owned(),
        l1: l1 * second,
        l2: l1 * second / 10,
        misses: misses * second,
        loads: misses * second,
        l1_entries: 12_345,
        l1_bytes: 3 << 20,
        breaker_open: open,
        ..CacheStats::default()
    };
    let millis = |n| Some(convert::span(Duration::from_millis(n)));
    GetStatsResponse {
        version: "0.1.0".to_owned(),
        uptime: Some(convert::span(Duration::from_secs(second))),
        l1_trusted: true,
        leases: 3,
        caches: vec![
            cache("users", 900, 10, false),
            cache("prices", 10, 90, true),
        ],
        lag: Some(Lag {
            count: 9,
            p50: millis(2),
            p99: millis(17),
            longest: millis(40),
        }),
        ..GetStatsResponse::default()
    }
}

fn state() -> State {
    let mut state = State::default();
    (1..=60).for_each(|second| state.saw(stats(second)));
    state.hot = vec![HotKey {
        cache: "users".to_owned(),
        key: "user:7\u{1b}[2J".into(),
        reads: 54_321,
        error: 0,
    }];
    let stage = |name: &str| Stage {
        name: name.to_owned(),
        p50: Some(Duration::from_millis(1)),
        p99: Some(Duration::from_millis(8)),
    };
    state.stages = Some(Stages {
        all: vec![stage("source_to_stream"), stage("stream_to_announced")],
        pending: Some(4.0),
    });
    state
}

fn drawn(state: &State, width: u16, height: u16, coloured: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let look = Look { coloured };
    terminal
        .draw(|frame| draw(frame, state, look))
        .expect("it is drawn");
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let lines = (0..area.height).map(|y| {
        let line = (0..area.width).map(|x| buffer[(x, y)].symbol());
        line.collect::<String>().trim_end().to_owned() + "\n"
    });
    lines.collect()
}

#[test]
fn everything_that_is_known_is_there() {
    let shown = text(&drawn(&state(), 130, 30, true));
    println!("{shown}");
    for word in [
        "cache-agent 0.1.0  up 60s",
        "breaker of prices open",
        "3 leases",
        "hit rate: 90.9%",
        "users                1000",
        "54.3k  users:user:7\\u{1b}[2J",
        "commit to stream                1ms     8ms",
        "stream to Redis and bus         1ms     8ms",
        "commit to this agent's L1       2ms    17ms",
        "events that wait                  4",
        "q quit",
    ] {
        assert!(shown.contains(word), "`{word}` is not there");
    }
}

#[test]
fn the_chosen_cache_stands_out_and_names_its_keys() {
    let mut state = state();
    state.move_by(true);
    let buffer = drawn(&state, 130, 30, false);
    assert!(text(&buffer).contains("hot keys of users"));
    let reversed = |y: &u16| buffer[(3, *y)].modifier.contains(Modifier::REVERSED);
    assert_eq!((0..30).filter(reversed).count(), 1);
}

#[test]
fn without_colours_there_are_none_and_no_size_is_too_small() {
    let mut state = state();
    state.missed("cannot reach the agent".to_owned());
    for (width, height) in [(1, 1), (20, 5), (80, 24), (300, 90)] {
        let buffer = drawn(&state, width, height, false);
        let plain =
            |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset);
        assert!(buffer.content.iter().all(plain), "{width}x{height}");
    }
    assert!(text(&drawn(&state, 80, 24, false)).contains("cannot reach the agent"));
    drawn(&State::default(), 80, 24, true);
}
