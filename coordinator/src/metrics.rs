//! What operators of a cluster watch, as counts and in Prometheus' text format.

use std::fmt::Write;

use rankmill_common::Epoch;

/// Counts of a leader. Totals start at zero with its term.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metrics {
    pub(crate) workers: usize,
    pub(crate) jobs_running: usize,
    pub(crate) jobs_succeeded: usize,
    pub(crate) jobs_failed: usize,
    pub(crate) jobs_cancelled: usize,
    pub(crate) tasks_pending: usize,
    pub(crate) tasks_running: usize,
    pub(crate) totals: Totals,
}

/// What has happened since the term began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) tasks_committed: u64,
    pub(crate) attempts_failed: u64,
    pub(crate) attempts_speculated: u64,
    pub(crate) workers_lost: u64,
}

/// The metrics page. A standby has only the first line.
pub(crate) fn page(leading: Option<(Epoch, Metrics)>) -> String {
    let mut page = Page::default();
    page.metric(
        "leader",
        "gauge",
        "1 where this coordinator leads",
        u64::from(leading.is_some()),
    );
    let Some((epoch, metrics)) = leading else {
        return page.text;
    };
    page.metric("epoch", "gauge", "Term of the leader", epoch.0);
    page.metric(
        "workers",
        "gauge",
        "Registered workers",
        metrics.workers as u64,
    );
    page.head("jobs", "gauge", "Jobs by state");
    for (state, count) in [
        ("running", metrics.jobs_running),
        ("succeeded", metrics.jobs_succeeded),
        ("failed", metrics.jobs_failed),
        ("cancelled", metrics.jobs_cancelled),
    ] {
        page.line(&format!("jobs{{state=\"{state}\"}}"), count as u64);
    }
    let totals = &metrics.totals;
    for (name, kind, help, value) in [
        (
            "tasks_pending",
            "gauge",
            "Tasks that wait for a worker",
            metrics.tasks_pending as u64,
        ),
        (
            "tasks_running",
            "gauge",
            "Attempts that workers hold",
            metrics.tasks_running as u64,
        ),
        (
            "tasks_committed_total",
            "counter",
            "Tasks whose output counts",
            totals.tasks_committed,
        ),
        (
            "attempts_failed_total",
            "counter",
            "Attempts that reported an error",
            totals.attempts_failed,
        ),
        (
            "attempts_speculated_total",
            "counter",
            "Second attempts at stragglers",
            totals.attempts_speculated,
        ),
        (
            "workers_lost_total",
            "counter",
            "Workers that fell silent",
            totals.workers_lost,
        ),
    ] {
        page.metric(name, kind, help, value);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn metric(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.line(name, value);
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP rankmill_{name} {help}");
        let _ = writeln!(self.text, "# TYPE rankmill_{name} {kind}");
    }

    fn line(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.text, "rankmill_{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_says_that_it_does_not_lead() {
        let text = page(None);
        assert!(text.ends_with("rankmill_leader 0\n"), "{text}");
    }

    #[test]
    fn a_leader_counts() {
        let metrics = Metrics {
            tasks_pending: 7,
            ..Metrics::default()
        };
        let text = page(Some((Epoch(3), metrics)));
        assert!(text.contains("\nrankmill_epoch 3\n"), "{text}");
        assert!(text.contains("\nrankmill_tasks_pending 7\n"), "{text}");
        assert!(
            text.contains("\nrankmill_jobs{state=\"running\"} 0\n"),
            "{text}"
        );
    }
}
