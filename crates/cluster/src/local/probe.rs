//! The clock probe: a ticker under the same Go runtime and speed as the control
//! plane. When its ticks are late, so are the timers of Kubernetes and KEDA.

use std::process::Stdio;

use model::{Event, Fact, Source};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;

use super::LocalError;
use super::control_plane::Dilation;

/// Ticks that are summed up in one event; a tick is a second of scenario time.
const TICKS_PER_EVENT: u32 = 15;
/// A tick later than this counts as late, in milliseconds of scenario time.
const LATE_MS: f64 = 1000.0;

#[derive(Deserialize)]
struct Tick {
    late_millis: f64,
}

/// A running probe; it ends when dropped.
#[derive(Debug)]
pub struct ClockProbe {
    // Dropping it closes its standard input, which ends it; killing is for the case that it hangs.
    _child: Child,
}

impl ClockProbe {
    pub(super) fn start(
        launcher: &std::path::Path,
        dilation: &Dilation,
        clock: clock::Clock,
        events: UnboundedSender<Event>,
    ) -> Result<Self, LocalError> {
        let mut child = Command::new(launcher)
            .arg("clock-probe")
            .env_clear()
            .envs(dilation.environment())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| LocalError::CannotRun { program: launcher.to_owned(), source })?;
        let ticks = child.stdout.take().expect("standard output was asked for");
        tokio::spawn(async move {
            let mut lines = BufReader::new(ticks).lines();
            let mut sum = Sum::default();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(tick) = serde_json::from_str::<Tick>(&line) else { continue };
                sum.add(tick.late_millis);
                if sum.ticks == TICKS_PER_EVENT {
                    let fact = std::mem::take(&mut sum).fact();
                    if events.send(Event { at: clock.now(), by: Source::Machine, fact }).is_err() {
                        break;
                    }
                }
            }
        });
        Ok(Self { _child: child })
    }
}

#[derive(Default)]
struct Sum {
    ticks: u32,
    late: u32,
    total: f64,
    most: f64,
}

impl Sum {
    fn add(&mut self, late_ms: f64) {
        let late_ms = late_ms.max(0.0);
        self.ticks += 1;
        self.late += u32::from(late_ms > LATE_MS);
        self.total += late_ms;
        self.most = self.most.max(late_ms);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "lateness is small and positive"
    )]
    fn fact(self) -> Fact {
        Fact::ClockQuality {
            ticks: self.ticks,
            late_ms_max: self.most.round() as u64,
            late_ms_mean: (self.total / f64::from(self.ticks.max(1))).round() as u64,
            late_ticks: self.late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_summed_up() {
        let mut sum = Sum::default();
        for late in [0.0, 10.0, 2000.0, -1.0] {
            sum.add(late);
        }
        let expected = Fact::ClockQuality { ticks: 4, late_ms_max: 2000, late_ms_mean: 503, late_ticks: 1 };
        assert_eq!(sum.fact(), expected);
    }
}
