//! Tables of a report: stages with their budgets, and what was measured.

use model::Millis;

use super::text::{Style, Tone, left, right};
use crate::measurements::{Distribution, Measurements, Stage};
use crate::words::{counted, names, span};

/// Columns of the stage table.
const STAGE: usize = 35;
const JOBS: usize = 5;
const TIME: usize = 9;
/// From this width on the table says what each budget is made of.
const WITH_REASONS: usize = 105;

/// The table of stages.
pub(super) fn stages(stages: &[Stage], style: Style) -> String {
    let head = format!(
        "  {}{}{}{}{}{}",
        left("from → to", STAGE),
        right("jobs", JOBS),
        right("p50", TIME),
        right("p95", TIME),
        right("max", TIME),
        right("budget", TIME)
    );
    let mut out = format!("{}\n", style.paint(Tone::Dim, &head));
    for stage in stages {
        out.push_str(&stage_line(stage, style));
    }
    out
}

fn stage_line(stage: &Stage, style: Style) -> String {
    let time = |of: fn(&Distribution) -> u64| {
        stage.took.as_ref().map_or_else(|| "-".to_owned(), |took| span(Millis(of(took))))
    };
    let count = stage.took.map_or_else(|| "-".to_owned(), |took| took.count.to_string());
    let over = stage.budget_ms.zip(stage.took).is_some_and(|(budget, took)| took.max_ms > budget);
    let max = right(&time(|took| took.max_ms), TIME);
    let max = if over { style.paint(Tone::Odd, &max) } else { max };
    let budget = stage.budget_ms.map_or_else(|| "-".to_owned(), |budget| span(Millis(budget)));
    let mut line = format!(
        "  {}{}{}{}{max}{}",
        left(&stage.stage, STAGE),
        right(&count, JOBS),
        right(&time(|took| took.p50_ms), TIME),
        right(&time(|took| took.p95_ms), TIME),
        right(&budget, TIME)
    );
    let over = if over { "!" } else { " " };
    let used = 2 + STAGE + JOBS + 4 * TIME + 3;
    if style.width >= WITH_REASONS {
        let reason: String = stage.budget_because.chars().take(style.width.saturating_sub(used)).collect();
        line.push_str(&format!(" {over} {}", style.paint(Tone::Dim, &reason)));
    } else if over == "!" {
        line.push_str(" !");
    }
    format!("{}\n", line.trim_end())
}

/// What was measured, a topic a line.
pub(super) fn measured(measured: &Measurements, style: Style) -> String {
    let label = |text: &str| left(text, 11);
    let mut out = String::new();
    let mut say = |name: &str, text: &str| out.push_str(&style.paragraph(&label(name), 2, text));
    say("jobs", &jobs(measured));
    if let Some(wait) = &measured.queue_wait {
        say("waits", &format!("queued → received: {}", distribution(wait)));
    }
    say("replicas", &replicas(measured));
    say("agents", &agents(measured));
    say("reads", &reads(measured));
    let clock = &measured.clock;
    // A simulated clock has no probe.
    if clock.ticks > 0 {
        say(
            "clock",
            &format!(
                "{}, {} late on average and {} at most, {} slow answers",
                counted(clock.ticks, "tick"),
                span(Millis(clock.late_ms_mean)),
                span(Millis(clock.late_ms_max)),
                clock.slow_answers
            ),
        );
    }
    if !measured.refused_requests.is_empty() {
        let refused: Vec<String> =
            measured.refused_requests.iter().map(|(what, count)| format!("{what} ×{count}")).collect();
        say("refused", &names(&refused, 6));
    }
    out
}

fn distribution(of: &Distribution) -> String {
    format!(
        "p50 {}, p95 {}, max {}",
        span(Millis(of.p50_ms)),
        span(Millis(of.p95_ms)),
        span(Millis(of.max_ms))
    )
}

fn jobs(measured: &Measurements) -> String {
    let jobs = &measured.jobs;
    let mut parts = vec![
        format!("{} in {}", counted(jobs.queued, "job"), counted(jobs.builds, "build")),
        format!("{} succeeded", jobs.succeeded),
    ];
    let others = [
        (jobs.unsuccessful, "did not"),
        (jobs.abandoned, "abandoned"),
        (jobs.unfinished, "unfinished"),
        (jobs.requeued, "requeued"),
        (jobs.builds_refused, "builds refused"),
    ];
    parts
        .extend(others.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    parts.join(", ")
}

fn replicas(measured: &Measurements) -> String {
    let mut parts = Vec::new();
    if let Some(peak) = measured.peak {
        parts.push(format!("peak {} at {}", peak.replicas, peak.at));
    }
    if let Some(back) = measured.back_to_min_ms {
        parts.push(format!("back at the minimum {} after the last job", span(Millis(back))));
    }
    let pods = &measured.pods;
    parts.push(format!(
        "{:.1} replica-minutes, {:.1} of them surplus",
        pods.replica_minutes, pods.surplus_minutes
    ));
    if pods.back_off_minutes > 0.0 {
        parts.push(format!("{:.1} pod-minutes in restart back-off", pods.back_off_minutes));
    }
    parts.join(", ")
}

fn agents(measured: &Measurements) -> String {
    let agents = &measured.agents;
    let mut text = format!(
        "{} registered, {} unregistered, {:.1} agent-minutes busy, {:.1} idle",
        agents.registered, agents.removed, agents.busy_minutes, agents.idle_minutes
    );
    if !agents.busy_pods_picked.is_empty() {
        text.push_str(&format!(
            ", {} deleted while busy, {} of them with a job that did not survive",
            counted(agents.busy_pods_picked.len() as u64, "pod"),
            agents.busy_pods_killed.len()
        ));
    }
    text
}

fn reads(measured: &Measurements) -> String {
    let scaler = &measured.scaler;
    let mut text = format!("{} of the queue, {} failed", scaler.count, scaler.failed);
    if let Some(spacing) = &scaler.spacing {
        text.push_str(&format!(", spaced {}", distribution(spacing)));
    }
    if let Some(latency) = &scaler.latency {
        text.push_str(&format!(", answered within {}", span(Millis(latency.max_ms))));
    }
    text
}
