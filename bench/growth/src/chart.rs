//! Charts as SVG.

use std::path::Path;

use anyhow::Context;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::curves::{Chart, Curve};

const SIZE: (u32, u32) = (760, 420);
/// Colours that who cannot tell red from green can tell apart (Okabe and Ito, 2008).
pub(crate) const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
pub(crate) const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a chart into a file of its name.
pub(crate) fn draw(folder: &Path, chart: &Chart, curves: &[Curve]) -> anyhow::Result<()> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let points = || curves.iter().flat_map(Curve::medians);
        let sizes = points().map(|(size, _)| size as f64);
        let (first, last) = sizes.fold((f64::MAX, 1.0), |(first, last), size| (size.min(first), size.max(last)));
        let highest = points().map(|(_, value)| value).fold(1.0, f64::max);
        if chart.by_tens {
            within(&area, chart, curves, (first..last).log_scale(), highest)?;
        } else {
            within(&area, chart, curves, first..last, highest)?;
        }
        area.present()?;
    }
    let path = folder.join(chart.file).with_extension("svg");
    std::fs::write(&path, svg).with_context(|| format!("writing {}", path.display()))
}

fn within<X>(area: &Area<'_>, chart: &Chart, curves: &[Curve], x: X, highest: f64) -> anyhow::Result<()>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    // Above the curves, for what says which is which.
    let named = curves.len() > 1;
    let sizes = curves.iter().map(|curve| curve.medians().count()).max().unwrap_or_default().max(2);
    let room = if named { 1.35 } else { 1.1 };
    let mut context = ChartBuilder::on(area)
        .caption(chart.title, (FONT, 19))
        .margin(16)
        .margin_right(40)
        .x_label_area_size(48)
        .y_label_area_size(70)
        .build_cartesian_2d(x, 0.0..highest * room)?;
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(chart.x)
        .y_desc(chart.y)
        .x_labels(if chart.by_tens { sizes - 1 } else { sizes })
        .x_label_formatter(&|x| grouped(*x))
        .y_label_formatter(&|y| if *y < 1000.0 { format!("{}", (y * 1000.0).round() / 1000.0) } else { grouped(*y) })
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<(f64, f64)> = curve.medians().map(|(size, value)| (size as f64, value)).collect();
        let line = LineSeries::new(points, colour.stroke_width(2)).point_size(4);
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3));
        context.draw_series(line)?.label(curve.subject).legend(legend);
    }
    if named {
        let labels = &mut context.configure_series_labels();
        labels
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .label_font((FONT, 13))
            .draw()?;
    }
    Ok(())
}

/// With commas between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves::tests::curves;

    #[test]
    fn a_chart_names_what_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        for by_tens in [true, false] {
            let chart = Chart { file: "chart", title: "Time of it", x: "products", y: "ms at p50", by_tens };
            let points = [("GET /a", 1000, 1.5), ("GET /a", 10_000, 1.75), ("POST /b", 1000, 4.0)];
            draw(folder.path(), &chart, &curves(&points)).unwrap();
            let svg = std::fs::read_to_string(folder.path().join("chart.svg")).unwrap();
            for text in ["Time of it", "products", "ms at p50", "GET /a", "POST /b", "10,000"] {
                assert!(svg.contains(text), "{text}");
            }
            assert!(svg.len() < 40_000);
        }
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!([0.0, 100.0, 1000.0, 1_000_000.0].map(grouped), ["0", "100", "1,000", "1,000,000"]);
    }
}
