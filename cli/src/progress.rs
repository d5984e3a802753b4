//! Shows how far a job is: a bar on a terminal, plain lines elsewhere, nothing with `--json`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rankmill_common::status::{JobState, JobStatus, Progress as Stage};
use rankmill_common::{ByteSize, Error};

use crate::exit::Format;
use crate::text::tell;

/// Plain lines come at most this often, however short the stages are,
const STAGE_EVERY: Duration = Duration::from_secs(1);
/// and about one stage at most this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The place where progress is shown.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Shown,
    started: Instant,
    stage_started: Instant,
    stage: Option<u32>,
    /// When bytes were first reported, and how many there were already.
    first_bytes: Option<(Instant, u64)>,
    state: Option<JobState>,
    updates: u64,
    lost: bool,
}

#[derive(Debug)]
enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines { last: Option<(Instant, u32)> },
}

impl Progress {
    /// Chosen by `format` and by whether stderr is a terminal.
    pub(crate) fn new(format: Format) -> Self {
        let shown = match format {
            Format::Json => Shown::Nothing,
            Format::Text if std::io::stderr().is_terminal() => Shown::Bar(bar()),
            Format::Text => Shown::Lines { last: None },
        };
        let now = Instant::now();
        Self {
            shown,
            started: now,
            stage_started: now,
            stage: None,
            first_bytes: None,
            state: None,
            updates: 0,
            lost: false,
        }
    }

    /// How many reports have arrived.
    pub(crate) fn updates(&self) -> u64 {
        self.updates
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Shows a report.
    pub(crate) fn show(&mut self, status: &JobStatus) {
        self.updates += 1;
        if std::mem::take(&mut self.lost) {
            self.say("the coordinator is back");
        }
        if self.state != Some(status.state) {
            self.state = Some(status.state);
            if status.state == JobState::Queued {
                self.say(&format!("job {} is queued", status.id));
            }
        }
        match &status.progress {
            Some(stage) => self.show_stage(stage, status.workers),
            None => self.tick(),
        }
    }

    /// Says once that the coordinator is out of reach.
    pub(crate) fn lost(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.lost, true) {
            self.say(&format!("the coordinator is away ({error}); trying again"));
        }
    }

    /// Writes a line for people, above the bar where there is one.
    pub(crate) fn say(&self, line: &str) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.suspend(|| tell(line)),
            Shown::Lines { .. } => tell(line),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    fn tick(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.tick();
        }
    }

    fn show_stage(&mut self, stage: &Stage, workers: u32) {
        let is_new = self.stage.replace(stage.stage) != Some(stage.stage);
        if is_new {
            self.stage_started = Instant::now();
        }
        let (since, before) = *self
            .first_bytes
            .get_or_insert((Instant::now(), stage.bytes));
        let rate = rate(stage.bytes.saturating_sub(before), since.elapsed());
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                let eta = eta(stage, self.stage_started.elapsed());
                bar.set_length(u64::from(stage.tasks));
                bar.set_position(u64::from(stage.done));
                bar.set_prefix(format!("{:>2} {}", stage.stage, stage.name));
                bar.set_message(details(&[rate, eta, waiting(workers), stage.note.clone()]));
            }
            Shown::Lines { last } => {
                if last.is_none_or(|(at, said)| is_due(at.elapsed(), said == stage.stage)) {
                    *last = Some((Instant::now(), stage.stage));
                    tell(line(stage, &rate, workers));
                }
            }
        }
    }
}

fn is_due(silence: Duration, same_stage: bool) -> bool {
    silence >= if same_stage { LINE_EVERY } else { STAGE_EVERY }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    // Only a template that does not parse can fail; the default style is then good enough.
    if let Ok(style) = ProgressStyle::with_template(
        "{spinner} {prefix:<24} [{bar:24}] {pos}/{len} {elapsed} {wide_msg}",
    ) {
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn line(stage: &Stage, rate: &str, workers: u32) -> String {
    let place = format!(
        "stage {} {}: {}/{} tasks",
        stage.stage, stage.name, stage.done, stage.tasks
    );
    details(&[place, rate.to_owned(), waiting(workers), stage.note.clone()])
}

fn details(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    said.join(", ")
}

fn waiting(workers: u32) -> String {
    if workers == 0 {
        "no worker is connected".to_owned()
    } else {
        String::new()
    }
}

fn rate(bytes: u64, elapsed: Duration) -> String {
    let per_second = bytes as f64 / elapsed.as_secs_f64().max(1e-3);
    if bytes == 0 {
        String::new()
    } else {
        format!("{}/s", ByteSize(per_second as u64))
    }
}

/// Time left in this stage, as far as its finished tasks tell.
fn eta(stage: &Stage, elapsed: Duration) -> String {
    if stage.done == 0 || stage.done >= stage.tasks {
        return String::new();
    }
    let left = elapsed.as_secs_f64() * f64::from(stage.tasks - stage.done) / f64::from(stage.done);
    format!("{} left", seconds(left))
}

/// A duration as people say it.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(done: u32) -> Stage {
        Stage {
            stage: 3,
            name: "normal_multiply".to_owned(),
            tasks: 4,
            done,
            bytes: 2 << 20,
            note: "change 1e-2".to_owned(),
        }
    }

    #[test]
    fn a_line_says_stage_tasks_rate_and_note() {
        assert_eq!(
            line(&stage(1), &rate(2 << 20, Duration::from_secs(2)), 1),
            "stage 3 normal_multiply: 1/4 tasks, 1.0 MiB/s, change 1e-2"
        );
        assert!(line(&stage(1), "", 0).contains("no worker is connected"));
    }

    #[test]
    fn time_left_comes_from_finished_tasks() {
        assert_eq!(eta(&stage(1), Duration::from_secs(10)), "30 s left");
        assert_eq!(eta(&stage(0), Duration::from_secs(10)), "");
        assert_eq!(eta(&stage(4), Duration::from_secs(10)), "");
    }

    #[test]
    fn lines_are_rationed() {
        assert!(!is_due(Duration::from_millis(900), false));
        assert!(is_due(Duration::from_secs(1), false));
        assert!(!is_due(Duration::from_secs(9), true));
        assert!(is_due(Duration::from_secs(10), true));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(0.34), "0.3 s");
        assert_eq!(seconds(75.0), "75 s");
        assert_eq!(seconds(600.0), "10 min");
        assert_eq!(seconds(9000.0), "2.5 h");
    }
}
