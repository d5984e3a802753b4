//! What a job's time went into: stages, the bytes they moved and the arithmetic they did, beside
//! what this machine can do at best.

use rankmill_common::ByteSize;
use rankmill_common::manifest::StageTiming;
use rankmill_worker::Limits;

use crate::text::{Align, grouped, table};

/// Stages of one name, taken together.
struct Row<'a> {
    stage: &'a str,
    times: u64,
    sum: StageTiming,
}

/// A table of the stages, in the order in which they first ran, and the machine's limits where
/// they were measured.
pub(crate) fn text(timings: &[StageTiming], limits: Option<&Limits>) -> String {
    let rows = gathered(timings);
    let total: u64 = rows.iter().map(|row| row.sum.wall_ms).sum();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, total)).collect();
    let titles = [
        ("stage", Align::Left),
        ("times", Align::Right),
        ("tasks", Align::Right),
        ("wall ms", Align::Right),
        ("%", Align::Right),
        ("busy ms", Align::Right),
        ("read", Align::Right),
        ("written", Align::Right),
        ("gathered", Align::Right),
        ("GFLOP", Align::Right),
        ("stored GB/s", Align::Right),
        ("gathered GB/s", Align::Right),
        ("GFLOP/s", Align::Right),
    ];
    let limits = limits.map_or_else(String::new, |limits| {
        format!(
            "limits here: copy {:.1} GB/s, gather (256 B rows, 256 MiB) {:.1} GB/s, f32 \
             multiply-add {:.0} GFLOP/s; gathers that hit caches exceed the second\n",
            limits.copy / 1e9,
            limits.gather / 1e9,
            limits.flops / 1e9,
        )
    });
    format!("{}{limits}", table(&titles, &cells))
}

/// Adds up stages of one name. Numbers in names count iterations and are left out of them.
fn gathered(timings: &[StageTiming]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for timing in timings {
        let stage = timing
            .stage
            .trim_end_matches(|letter: char| letter.is_ascii_digit());
        let Some(row) = rows.iter_mut().find(|row| row.stage == stage) else {
            rows.push(Row {
                stage,
                times: 1,
                sum: timing.clone(),
            });
            continue;
        };
        row.times += 1;
        row.sum.tasks += timing.tasks;
        row.sum.wall_ms += timing.wall_ms;
        row.sum.busy_ms += timing.busy_ms;
        row.sum.bytes_read += timing.bytes_read;
        row.sum.bytes_written += timing.bytes_written;
        row.sum.bytes_gathered += timing.bytes_gathered;
        row.sum.flops += timing.flops;
    }
    rows
}

fn cells(row: &Row<'_>, total: u64) -> Vec<String> {
    let sum = &row.sum;
    let seconds = sum.wall_ms as f64 / 1e3;
    let rate = |amount: u64| {
        if amount == 0 || seconds == 0.0 {
            String::new()
        } else {
            format!("{:.1}", amount as f64 / seconds / 1e9)
        }
    };
    let bytes = |amount: u64| {
        if amount == 0 {
            String::new()
        } else {
            ByteSize(amount).to_string()
        }
    };
    vec![
        row.stage.trim_end().to_owned(),
        grouped(row.times),
        grouped(u64::from(sum.tasks)),
        grouped(sum.wall_ms),
        format!("{:.0}", 100.0 * sum.wall_ms as f64 / total.max(1) as f64),
        grouped(sum.busy_ms),
        bytes(sum.bytes_read),
        bytes(sum.bytes_written),
        bytes(sum.bytes_gathered),
        if sum.flops == 0 {
            String::new()
        } else {
            format!("{:.1}", sum.flops as f64 / 1e9)
        },
        rate(sum.bytes_read + sum.bytes_written),
        rate(sum.bytes_gathered),
        rate(sum.flops),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(stage: &str, wall_ms: u64, flops: u64) -> StageTiming {
        StageTiming {
            stage: stage.to_owned(),
            tasks: 2,
            wall_ms,
            busy_ms: wall_ms,
            bytes_read: 1 << 20,
            bytes_written: 0,
            bytes_gathered: 0,
            flops,
        }
    }

    #[test]
    fn iterations_are_one_line() {
        let timings = [
            timing("inspect", 10, 0),
            timing("iterate from 0", 1000, 3_000_000_000),
            timing("iterate from 16", 1000, 1_000_000_000),
        ];
        let text = text(&timings, None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(words[..2], ["iterate", "from"]);
        assert_eq!(words[2..6], ["2", "4", "2", "000"]);
        assert_eq!(*words.last().expect("a rate"), "2.0");
    }

    #[test]
    fn limits_stand_below_the_table() {
        let limits = Limits {
            copy: 3e10,
            gather: 1.5e10,
            flops: 2e11,
        };
        let text = text(&[timing("inspect", 10, 0)], Some(&limits));
        assert!(text.ends_with("exceed the second\n"), "{text}");
        assert!(text.contains("copy 30.0 GB/s") && text.contains("200 GFLOP/s"));
    }
}
