//! What was measured, as the curves of a chart.

use shop_bench_kit::report::Report;

/// A chart: how several numbers of one unit grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chart {
    /// The name of its file, without the ending.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    /// What grows.
    pub(crate) x: &'static str,
    /// The unit of all numbers.
    pub(crate) y: &'static str,
    /// Whether each step along the x axis is ten times the one before.
    pub(crate) by_tens: bool,
}

/// The numbers of one subject, by size.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) subject: &'static str,
    /// Sizes, and what was measured there in each run.
    points: Vec<(usize, Vec<f64>)>,
}

impl Curve {
    /// The medians, by size.
    pub(crate) fn medians(&self) -> impl Iterator<Item = (usize, f64)> {
        self.points.iter().map(|(size, samples)| {
            let mut sorted = samples.clone();
            sorted.sort_by(f64::total_cmp);
            (*size, sorted[sorted.len() / 2])
        })
    }
}

/// All curves, by chart; each number is in the report too.
pub(crate) struct Curves {
    report: Report,
    charts: Vec<(Chart, Vec<Curve>)>,
}

impl Curves {
    pub(crate) fn begin(report: Report) -> Self {
        Self { report, charts: Vec::new() }
    }

    /// Notes a number.
    pub(crate) fn add(&mut self, chart: Chart, size: usize, subject: &'static str, value: f64) {
        self.report.add(&format!("{size} {}", chart.x), subject, chart.y, value);
        let at = self.charts.iter().position(|(known, _)| *known == chart).unwrap_or_else(|| {
            self.charts.push((chart, Vec::new()));
            self.charts.len() - 1
        });
        note(&mut self.charts[at].1, size, subject, value);
    }

    /// The charts with their curves.
    pub(crate) fn charts(&self) -> &[(Chart, Vec<Curve>)] {
        &self.charts
    }

    pub(crate) fn report(&self) -> &Report {
        &self.report
    }
}

fn note(curves: &mut Vec<Curve>, size: usize, subject: &'static str, value: f64) {
    let Some(curve) = curves.iter_mut().find(|curve| curve.subject == subject) else {
        return curves.push(Curve { subject, points: vec![(size, vec![value])] });
    };
    match curve.points.iter_mut().find(|(known, _)| *known == size) {
        Some((_, samples)) => samples.push(value),
        None => curve.points.push((size, vec![value])),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Curves of such points.
    pub(crate) fn curves(points: &[(&'static str, usize, f64)]) -> Vec<Curve> {
        let mut curves = Vec::new();
        for (subject, size, value) in points {
            note(&mut curves, *size, subject, *value);
        }
        curves
    }

    #[test]
    fn a_point_is_the_median_of_its_runs() {
        let curves = curves(&[("a", 10, 3.0), ("a", 10, 1.0), ("a", 10, 2.0), ("a", 100, 5.0), ("b", 10, 7.0)]);
        assert_eq!(curves.len(), 2);
        assert_eq!(curves[0].medians().collect::<Vec<_>>(), [(10, 2.0), (100, 5.0)]);
    }
}
