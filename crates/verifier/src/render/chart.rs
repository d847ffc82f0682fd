//! Jobs, replicas and busy agents over time, drawn with block characters.
//!
//! ```text
//!  waiting  4 ┤  ██▄
//!     jobs  2 ┤  ████▄
//!           0 ┼──────────────
//! replicas  4 ┤    ████░░
//!           2 ┤ ░████████░░░
//! ```
//!
//! A column stands for a span of time and shows the most that held in it.

use model::Instant;

use super::text::{Style, Tone, right};
use crate::history::Steps;
use crate::series::{Point, Series};
use crate::words::clock;

/// Left of the plot: a title, a number and the axis.
const GUTTER: usize = 16;
/// A label on the time axis takes this many columns, space included.
const LABEL: usize = 8;
/// Distances between labels in seconds.
const TICKS: [u64; 13] = [1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
/// Rows of a panel.
const WAITING_ROWS: u32 = 4;
const REPLICA_ROWS: u32 = 8;
/// A cell that is filled from below by eighths.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BUSY: char = '█';
const BACK_OFF: char = '▒';
const IDLE: char = '░';

/// Draws the chart. `marks` are instants to point at below the time axis.
pub(super) fn draw(series: &Series, marks: &[Instant], style: Style) -> String {
    let columns = Columns { count: style.width.saturating_sub(GUTTER + 1).max(20), end: series.end };
    let waiting = columns.fold(&series.waiting);
    let replicas = columns.fold(&series.replicas);
    let busy = columns.fold(&series.busy);
    let back_off = columns.fold(&series.back_off);
    let mut out = waiting_panel(&waiting, style);
    out.push('\n');
    out.push_str(&replica_panel(&replicas, &busy, &back_off, style));
    out.push_str(&axis(columns, style));
    if !marks.is_empty() {
        let mut row = vec![' '; columns.count];
        for mark in marks {
            if let Some(cell) = row.get_mut(columns.of(*mark)) {
                *cell = '▲';
            }
        }
        let row: String = row.into_iter().collect();
        out.push_str(&line("breaches", "", ' ', &style.paint(Tone::Bad, row.trim_end())));
    }
    let legend = [
        (BUSY, "busy", Tone::Good),
        (BACK_OFF, "in restart back-off", Tone::Bad),
        (IDLE, "idle or starting", Tone::Dim),
    ];
    let legend: Vec<String> = legend
        .iter()
        .map(|(cell, name, tone)| format!("{} {name}", style.paint(*tone, &cell.to_string())))
        .collect();
    out.push_str(&format!("{}replicas: {}\n", " ".repeat(GUTTER), legend.join("   ")));
    out
}

/// Columns of the plot and the time they stand for.
#[derive(Debug, Clone, Copy)]
struct Columns {
    count: usize,
    end: Instant,
}

impl Columns {
    fn start(self, column: usize) -> Instant {
        let (column, count) = (column as u128, self.count as u128);
        Instant(u64::try_from(u128::from(self.end.0) * column / count).unwrap_or(u64::MAX))
    }

    fn of(self, at: Instant) -> usize {
        let column = u128::from(at.0) * self.count as u128 / u128::from(self.end.0.max(1));
        usize::try_from(column).unwrap_or(usize::MAX).min(self.count - 1)
    }

    fn fold(self, points: &[Point]) -> Vec<u32> {
        let mut steps = Steps::default();
        for point in points {
            steps.set(point.at, point.value);
        }
        let most = |column: usize| {
            let (from, to) = (self.start(column), self.start(column + 1));
            // The next column's first instant belongs to it alone, unless the column has no width.
            let to = Instant(to.0.saturating_sub(1)).max(from);
            let started = |value: &u32| *value > 0;
            steps.values(from, to).filter(started).max().unwrap_or_default()
        };
        (0..self.count).map(most).collect()
    }
}

fn line(title: &str, number: &str, axis: char, cells: &str) -> String {
    let mut line = format!("{} {} {axis}{cells}", right(title, 8), right(number, 4));
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

/// A panel's rows from the top, each with its lower edge and its height. A few more rows than the limit are better
/// than rows for fractions of one.
fn rows(most: u32, limit: u32) -> Vec<(f64, f64)> {
    let count = if most <= limit.saturating_mul(3) / 2 { most.max(1) } else { limit };
    let height = f64::from(most.max(1)) / f64::from(count);
    (0..count).rev().map(|row| (f64::from(row) * height, height)).collect()
}

fn number(edge: f64) -> String {
    format!("{}", edge.round())
}

fn waiting_panel(waiting: &[u32], style: Style) -> String {
    let most = waiting.iter().copied().max().unwrap_or_default();
    let mut out = String::new();
    for (index, (low, height)) in rows(most, WAITING_ROWS).into_iter().enumerate() {
        let cells: String = waiting
            .iter()
            .map(|value| {
                let eighths = ((f64::from(*value) - low) / height * 8.0).ceil().clamp(0.0, 8.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped to 0..=8 above"
                )]
                EIGHTHS.get(eighths as usize).copied().unwrap_or(BUSY)
            })
            .collect();
        let title = ["waiting", "jobs"].get(index).copied().unwrap_or_default();
        out.push_str(&line(title, &number(low + height), '┤', &style.paint(Tone::Odd, cells.trim_end())));
    }
    out.push_str(&line("", "0", '┼', &"─".repeat(waiting.len())));
    out
}

fn replica_panel(replicas: &[u32], busy: &[u32], back_off: &[u32], style: Style) -> String {
    let most = replicas.iter().chain(busy).copied().max().unwrap_or_default();
    let mut out = String::new();
    for (index, (low, height)) in rows(most, REPLICA_ROWS).into_iter().enumerate() {
        // A cell is filled from its middle on; the lowest one as soon as there is anything.
        let edge = if low > 0.0 { low + height / 2.0 } else { f64::MIN_POSITIVE };
        let filled = |value: u32| f64::from(value) >= edge;
        let cell = |column: usize| {
            let value = |values: &[u32]| values.get(column).copied().unwrap_or_default();
            let (replicas, busy, back_off) = (value(replicas), value(busy), value(back_off));
            if filled(busy) {
                BUSY
            } else if filled(busy.saturating_add(back_off)) && filled(replicas) {
                BACK_OFF
            } else if filled(replicas) {
                IDLE
            } else {
                ' '
            }
        };
        let cells: String = (0..replicas.len()).map(cell).collect();
        let title = if index == 0 { "replicas" } else { "" };
        out.push_str(&line(title, &number(low + height), '┤', &painted(cells.trim_end(), style)));
    }
    out
}

/// Runs of equal cells in their colours.
fn painted(cells: &str, style: Style) -> String {
    let mut out = String::new();
    let mut rest = cells;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|cell| cell != first).unwrap_or(rest.len());
        let (run, after) = rest.split_at(run);
        out.push_str(&match first {
            BUSY => style.paint(Tone::Good, run),
            BACK_OFF => style.paint(Tone::Bad, run),
            IDLE => style.paint(Tone::Dim, run),
            _ => run.to_owned(),
        });
        rest = after;
    }
    out
}

fn axis(columns: Columns, style: Style) -> String {
    let seconds = columns.end.0 / 1000;
    let fits = |step: &&u64| seconds / **step * LABEL as u64 <= columns.count as u64;
    let step = TICKS.iter().find(fits).copied().unwrap_or_else(|| (seconds / 8).max(1));
    let mut ruler = vec!['─'; columns.count];
    let mut labels = vec![' '; columns.count];
    let mut at = Instant::START;
    while at <= columns.end {
        let column = columns.of(at);
        let text = clock(at);
        if column + text.chars().count() <= columns.count {
            if let Some(cell) = ruler.get_mut(column) {
                *cell = '┬';
            }
            for (offset, letter) in text.chars().enumerate() {
                if let Some(cell) = labels.get_mut(column + offset) {
                    *cell = letter;
                }
            }
        }
        at = Instant(at.0.saturating_add(step.saturating_mul(1000)));
        if at.0 == u64::MAX {
            break;
        }
    }
    let ruler: String = ruler.into_iter().collect();
    let labels: String = labels.into_iter().collect();
    let labels = style.paint(Tone::Dim, labels.trim_end());
    format!("{}{}", line("", "0", '┼', &ruler), line("", "", ' ', &labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(points: &[(u64, u32)]) -> Vec<Point> {
        points.iter().map(|(second, value)| Point { at: Instant(second * 1000), value: *value }).collect()
    }

    /// A burst of a hundred jobs on up to sixty agents, a few of which crash.
    fn burst() -> Series {
        let down: Vec<(u64, u32)> =
            (0..100).map(|job| (700 + 8 * job, 59 - u32::try_from(job / 2).unwrap_or(0))).collect();
        let mut busy = vec![(0, 0), (130, 4), (145, 8), (160, 16), (175, 32), (190, 60)];
        busy.extend(down);
        busy.push((1510, 0));
        Series {
            end: Instant(2_400_000),
            waiting: points(&[
                (0, 0),
                (60, 100),
                (130, 96),
                (145, 92),
                (160, 84),
                (175, 68),
                (190, 40),
                (500, 20),
                (690, 0),
            ]),
            replicas: points(&[(0, 1), (66, 4), (81, 8), (96, 16), (111, 32), (126, 60), (1900, 1)]),
            busy: points(&busy),
            back_off: points(&[(900, 12), (1300, 0)]),
            ..Series::default()
        }
    }

    #[test]
    fn a_large_burst_is_legible() {
        let marks = [Instant(1_000_000), Instant(2_000_000)];
        insta::assert_snapshot!("burst_80", draw(&burst(), &marks, Style { colour: false, width: 80 }));
        insta::assert_snapshot!("burst_120", draw(&burst(), &[], Style { colour: false, width: 120 }));
    }

    #[test]
    fn a_single_replica_for_a_moment_is_still_seen() {
        let moment = Series {
            end: Instant(3_600_000),
            replicas: points(&[(0, 0), (1000, 60), (1001, 0), (2000, 1), (2001, 0)]),
            ..Series::default()
        };
        let chart = draw(&moment, &[], Style { colour: false, width: 80 });
        let lowest: Vec<&str> = chart.lines().filter(|line| line.contains('┤')).collect();
        assert_eq!(lowest.last().expect("rows").matches(IDLE).count(), 2, "{chart}");
    }
}
