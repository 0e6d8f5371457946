//! The goals of all benchmarks in one chart: how far each is reached.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde::Deserialize;

use crate::chart::{COLOURS, FONT};

const WIDTH: i32 = 900;
const ROW: i32 = 22;
const TOP: i32 = 48;
/// Where the bars begin and end; the labels are before, the numbers after.
const LEFT: i32 = 520;
const RIGHT: i32 = 760;
/// So many times the goal, or its part, is as far as bars go.
const FARTHEST: f64 = 8.0;

/// What a benchmark has written, as far as it is of interest.
#[derive(Deserialize)]
struct Written {
    bench: String,
    goals: Vec<Goal>,
}

#[derive(Deserialize)]
struct Goal {
    work: String,
    what: String,
    ratio: f64,
    goal: String,
    reached: bool,
}

impl Goal {
    /// How many times better than the goal it is; less than 1 where it is missed.
    fn score(&self) -> anyhow::Result<f64> {
        let (kind, number) = self.goal.split_once(' ').context("a goal without a number")?;
        let number: f64 = number.parse().with_context(|| format!("the goal {}", self.goal))?;
        Ok(if kind == "≥" { self.ratio / number } else { number / self.ratio })
    }
}

/// Draws the goals of these reports.
pub(crate) fn draw(folder: &Path, reports: &[PathBuf]) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for path in reports {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let report: Written = serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
        for goal in report.goals {
            let label = format!("{}: {}, {}", report.bench, goal.work, goal.what);
            rows.push((label, goal.score()?, format!("{:.2} ({})", goal.ratio, goal.goal), goal.reached));
        }
    }
    let mut svg = String::new();
    paint(&mut svg, &rows)?;
    let path = folder.join("goals.svg");
    fs::write(&path, svg).with_context(|| format!("writing {}", path.display()))
}

fn paint(svg: &mut String, rows: &[(String, f64, String, bool)]) -> anyhow::Result<()> {
    let height = TOP + ROW * i32::try_from(rows.len())? + ROW;
    let area = SVGBackend::with_string(svg, (WIDTH.unsigned_abs(), height.unsigned_abs())).into_drawing_area();
    area.fill(&WHITE)?;
    let text = |size, side| TextStyle::from((FONT, size)).pos(Pos::new(side, VPos::Center));
    let place = |score: f64| {
        let share = (score.clamp(1.0 / FARTHEST, FARTHEST).ln() / FARTHEST.ln() + 1.0) / 2.0;
        LEFT + (f64::from(RIGHT - LEFT) * share).round() as i32
    };
    let [reached, missed, ..] = COLOURS;
    let title = "Measured beside the goal: bars to the right of the line are better than it";
    area.draw(&Text::new(title, (WIDTH / 2, TOP / 2), text(17, HPos::Center)))?;
    for (row, (label, score, number, is_reached)) in (0..).zip(rows) {
        let middle = TOP + ROW * row + ROW / 2;
        let (from, to) = (place(score.min(1.0)), place(score.max(1.0)));
        let colour = if *is_reached { reached } else { missed };
        area.draw(&Rectangle::new([(from, middle - 7), (to, middle + 7)], colour.filled()))?;
        area.draw(&Text::new(label.as_str(), (LEFT - 8, middle), text(12, HPos::Right)))?;
        area.draw(&Text::new(number.as_str(), (RIGHT + 8, middle), text(12, HPos::Left)))?;
    }
    for score in [1.0 / FARTHEST, 0.5, 1.0, 2.0, FARTHEST] {
        let bottom = height - ROW;
        let line = [(place(score), TOP), (place(score), bottom)];
        area.draw(&PathElement::new(line, BLACK.mix(if score == 1.0 { 1.0 } else { 0.15 })))?;
        area.draw(&Text::new(format!("×{score}"), (place(score), bottom + ROW / 2), text(11, HPos::Center)))?;
    }
    Ok(area.present()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn goal(ratio: f64, goal: &str) -> Goal {
        Goal { work: "w".to_owned(), what: "x".to_owned(), ratio, goal: goal.to_owned(), reached: true }
    }

    #[test]
    fn better_is_more_whatever_the_goal() {
        assert_eq!(goal(2.0, "≥ 0.5").score().unwrap(), 4.0);
        assert_eq!(goal(2.0, "≤ 3").score().unwrap(), 1.5);
        assert!(goal(2.0, "soon").score().is_err());
    }

    #[test]
    fn each_goal_has_a_row() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.json");
        let goal = json!({ "work": "w", "what": "a / b", "ratio": 2, "goal": "≥ 1", "reached": true });
        fs::write(&report, json!({ "bench": "orders", "goals": [goal] }).to_string()).unwrap();
        draw(folder.path(), &[report]).unwrap();
        let svg = fs::read_to_string(folder.path().join("goals.svg")).unwrap();
        assert!(svg.contains("orders: w, a / b") && svg.contains("2.00 (≥ 1)"));
    }
}
