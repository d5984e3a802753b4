//! The spectrum as a picture of block characters.

const HEIGHT: usize = 8;
const WIDTH: usize = 64;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Beyond this ratio of the first to the last value a linear picture would be empty.
const LINEAR_UP_TO: f64 = 30.0;
/// Values this far below the first are zero to rounding.
const FLOOR: f64 = 1e-7;

/// Draws descending values, one column each; more than fit are averaged.
pub(super) fn plot(values: &[f64]) -> String {
    let (Some(&first), Some(&last)) = (values.first(), values.last()) else {
        return String::new();
    };
    let logarithmic = last * LINEAR_UP_TO < first;
    let lowest = last.max(first * FLOOR) / 2.0;
    let height = |value: f64| {
        let share = match (first > 0.0, logarithmic) {
            (false, _) => 0.0,
            (true, true) => libm::log(value.max(lowest) / lowest) / libm::log(first / lowest),
            (true, false) => value / first,
        };
        (share * (8 * HEIGHT) as f64).round() as usize
    };
    let heights: Vec<usize> = columns(values).into_iter().map(height).collect();
    let mut text = String::new();
    for line in (0..HEIGHT).rev() {
        let label = if line + 1 == HEIGHT {
            format!("{first:.3e}")
        } else if line == 0 {
            format!("{last:.3e}")
        } else {
            String::new()
        };
        let bars: String = heights
            .iter()
            .map(|height| EIGHTHS[height.saturating_sub(8 * line).min(8)])
            .collect();
        text.push_str(format!("{label:>10} ┤{bars}").trim_end());
        text.push('\n');
    }
    let scale = if logarithmic { ", logarithmic" } else { "" };
    text.push_str(&format!(
        "{:>10} └ σ of components 0 to {}{scale}\n",
        "",
        values.len() - 1
    ));
    text
}

fn columns(values: &[f64]) -> Vec<f64> {
    let width = values.len().min(WIDTH);
    (0..width)
        .map(|column| {
            let from = column * values.len() / width;
            let to = (column + 1) * values.len() / width;
            let part = &values[from..to];
            part.iter().sum::<f64>() / part.len() as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_spectrum_falls() {
        let picture = plot(&[4.0, 2.0, 1.0]);
        let lines: Vec<&str> = picture.lines().collect();
        assert_eq!(lines.len(), HEIGHT + 1);
        assert!(lines[0].ends_with("┤█"), "{picture}");
        assert!(lines[HEIGHT - 1].ends_with("┤███"), "{picture}");
    }

    #[test]
    fn zeros_and_nothing_can_be_drawn() {
        assert_eq!(plot(&[]), "");
        assert!(plot(&[0.0, 0.0]).contains("components 0 to 1"));
        assert!(plot(&[1.0, 0.0]).contains("logarithmic"));
    }

    #[test]
    fn a_long_spectrum_is_averaged() {
        assert_eq!(columns(&vec![1.0; 1000]), vec![1.0; WIDTH]);
        assert_eq!(columns(&[3.0, 1.0]), [3.0, 1.0]);
    }
}
