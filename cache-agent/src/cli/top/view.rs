//! How the dashboard looks.

use crate::cli::figures::{percent, short, uptime};
use crate::cli::say::readable;
use crate::cli::stat::{self, millis};
use crate::cli::top::state::{Order, Row, State};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row as TableRow, Sparkline, Table, TableState};
use std::time::Duration;

/// Below this, a cache is a matter to look into: the target of most caches.
const HIT_RATE_LOW: f64 = 0.8;

/// How it looks: with colours or without.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether colours help.
    pub coloured: bool,
}

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, state: &State, look: Look) {
    let rows = u16::try_from(state.rows.len()).unwrap_or(u16::MAX);
    let [head, history, caches, below, keys] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(6),
        Constraint::Max(rows.saturating_add(3)),
        Constraint::Min(6),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    head_lines(frame, head, state, look);
    sparklines(frame, history, state, look);
    table(frame, caches, state, look);
    let [lag, hot] = Layout::horizontal([Constraint::Length(46), Constraint::Min(20)]).areas(below);
    lags(frame, lag, state, look);
    hot_keys(frame, hot, state);
    let help = " q quit   up/down choose a cache   s order   p pause";
    frame.render_widget(Paragraph::new(help).style(look.dim()), keys);
}

impl Look {
    fn tone(self, color: Color) -> Style {
        match self.coloured {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn bad(self) -> Style {
        self.tone(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn of_hits(self, rate: Option<f64>) -> Style {
        match rate {
            None => self.dim(),
            Some(rate) if rate < HIT_RATE_LOW => self.tone(Color::Yellow),
            Some(_) => self.tone(Color::Green),
        }
    }
}

fn head_lines(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look) {
    let stats = &state.stats;
    let up = Duration::from_secs(uptime(stats).as_secs());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut title = vec![
        Span::styled(format!(" cache-agent {}", stats.version), bold),
        Span::raw(format!("  up {up:?}")),
    ];
    if state.paused {
        title.push(Span::styled("  PAUSED", look.tone(Color::Yellow)));
    }
    let said = stat::state(stats);
    let health = match (&state.trouble, said.as_str()) {
        (Some(why), _) => Span::styled(format!(" {why}"), look.bad()),
        (None, "ok") => Span::styled(" ok", look.tone(Color::Green)),
        (None, wrong) => Span::styled(format!(" {wrong}"), look.bad()),
    };
    let counts = format!(
        " {} reads/s   {} loads/s   {} saved/s   {} invalidations/s   {} gaps   {} leases   {} streams",
        short(state.all.reads),
        short(state.all.loads),
        short(state.all.coalesced),
        short(state.invalidations),
        stats.gaps,
        stats.leases,
        stats.streams,
    );
    let lines = vec![Line::from(title), Line::from(health), Line::from(counts)];
    frame.render_widget(Paragraph::new(lines), area);
}

fn sparklines(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look) {
    let [reads, hits] = Layout::horizontal([Constraint::Fill(1); 2]).areas(area);
    let width = usize::from(reads.width.saturating_sub(2));
    let last = state.history.len().saturating_sub(width);
    let shown = state.history.iter().skip(last);
    let data = shown.clone().map(|moment| moment.reads.round() as u64);
    let title = format!(" reads/s: {} ", short(state.all.reads));
    let spark = Sparkline::default()
        .block(Block::bordered().title(title))
        .data(data.collect::<Vec<_>>())
        .style(look.tone(Color::Cyan));
    frame.render_widget(spark, reads);
    let data = shown.map(|moment| moment.hit_rate.map(|rate| (rate * 1_000.0).round() as u64));
    let rate = state.all.hit_rate();
    let title = format!(
        " hit rate: {}   L1 {}   L2 {} of the rest ",
        percent(rate),
        percent(state.all.l1_rate()),
        percent(state.all.l2_rate())
    );
    let spark = Sparkline::default()
        .block(Block::bordered().title(title))
        .data(data.collect::<Vec<_>>())
        .max(1_000)
        .style(look.of_hits(rate));
    frame.render_widget(spark, hits);
}

fn table(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look) {
    let order = match state.order {
        Order::Reads => "reads",
        Order::Hits => "hit rate",
        Order::Loads => "loads",
        Order::Name => "name",
    };
    let heading = [
        "CACHE", "READS/S", "HIT", "L1", "L2", "STALE", "ERR/S", "LOADS/S", "FAILED", "SAVED/S",
        "ENTRIES", "L1 MiB", "BREAKER",
    ];
    let heading = heading.iter().enumerate().map(|(at, text)| match at {
        0 | 12 => Cell::from(*text),
        _ => Cell::from(Line::from(*text).right_aligned()),
    });
    let widths = [16, 8, 7, 7, 7, 7, 7, 8, 7, 8, 8, 7, 8].map(Constraint::Length);
    let rows = state.rows.iter().map(|row| table_row(row, look));
    let table = Table::new(rows, widths)
        .header(TableRow::new(heading).style(look.dim()))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::bordered().title(format!(" caches, by {order} ")));
    let mut chosen = TableState::new().with_selected(state.chosen);
    frame.render_stateful_widget(table, area, &mut chosen);
}

fn table_row(row: &Row, look: Look) -> TableRow<'static> {
    let right = |text: String| Line::from(text).right_aligned();
    let rates = &row.rates;
    let hits = right(percent(rates.hit_rate())).style(look.of_hits(rates.hit_rate()));
    let alarming = |rate: f64| {
        let text = right(short(rate));
        if rate > 0.0 {
            text.style(look.bad())
        } else {
            text
        }
    };
    let breaker = match row.stats.breaker_open {
        true => Line::from("open").style(look.bad()),
        false => Line::from("closed").style(look.dim()),
    };
    let mib = row.stats.l1_bytes as f64 / f64::from(1 << 20);
    TableRow::new([
        Line::from(row.stats.cache.clone()),
        right(short(rates.reads)),
        hits,
        right(percent(rates.l1_rate())),
        right(percent(rates.l2_rate())),
        right(percent(rates.stale_rate())),
        alarming(rates.errors),
        right(short(rates.loads)),
        alarming(rates.loads_failed),
        right(short(rates.coalesced)),
        right(short(row.stats.l1_entries as f64)),
        right(format!("{mib:.1}")),
        breaker,
    ])
}

fn lags(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look) {
    let heading = format!("{:<28}{:>7}{:>8}", "", "P50", "P99");
    let mut lines = vec![Line::from(heading).style(look.dim())];
    let stage = |name: &str, p50: Option<Duration>, p99: Option<Duration>| {
        Line::from(format!("{name:<28}{:>7}{:>8}", millis(p50), millis(p99)))
    };
    if let Some(stages) = &state.stages {
        let all = stages.all.iter();
        lines.extend(all.map(|one| stage(one.title(), one.p50, one.p99)));
    }
    let (p50, p99) = stat::lag(&state.stats);
    lines.push(stage("commit to this agent's L1", p50, p99));
    match &state.stages {
        Some(stages) => {
            let wait = stages.pending.map_or_else(|| "-".to_owned(), short);
            lines.push(Line::from(format!("{:<28}{wait:>7}", "events that wait")));
        }
        None => {
            let text = "by stage: --invalidator ADDRESS";
            lines.push(Line::from(text).style(look.dim()));
        }
    }
    let block = Block::bordered().title(" how long changes take ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn hot_keys(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let of = state.chosen_cache().unwrap_or("all caches");
    let room = usize::from(area.height.saturating_sub(2));
    let lines = state.hot.iter().take(room).map(|hot| {
        let key = readable(&hot.key);
        let name = match state.chosen {
            Some(_) => key,
            None => format!("{}:{key}", hot.cache),
        };
        Line::from(format!("{:>8}  {name}", short(hot.reads as f64)))
    });
    let block = Block::bordered().title(format!(" hot keys of {of}: reads of the last minutes "));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

#[cfg(test)]
mod tests;
