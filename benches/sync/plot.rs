//! The picture of a report: for each case the error over time and its distribution, ours in colour, the rival's in grey.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use crate::judge::TeamFigures;
use crate::phase::Case;
use crate::report::Report;
use crate::support::teams::Sender;

const WIDTH: u32 = 1200;
/// Of one case.
const HEIGHT: u32 = 240;

/// Where Debian's `fonts-dejavu-core` puts the one font that is used.
const FONT: &str = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf";

const OURS: [RGBColor; 6] = [
    RGBColor(0, 90, 181),
    RGBColor(220, 50, 32),
    RGBColor(0, 130, 90),
    RGBColor(160, 80, 200),
    RGBColor(200, 130, 0),
    RGBColor(90, 60, 20),
];
const THEIRS: RGBColor = RGBColor(150, 150, 150);

type Answer<T> = Result<T, Box<dyn Error>>;

/// Draws a report into a PNG file.
pub fn draw(report: &Report, path: &Path) -> Answer<()> {
    let font = std::fs::read(FONT).map_err(|e| format!("{FONT}: {e}"))?;
    // It lives as long as the program.
    register_font("sans-serif", FontStyle::Normal, Box::leak(font.into_boxed_slice()))
        .map_err(|_| "the font cannot be read")?;
    let cases: Vec<&Case> = report.cases.iter().filter(|case| !case.teams.is_empty()).collect();
    if cases.is_empty() {
        return Err("nothing was measured".into());
    }
    let height = HEIGHT * u32::try_from(cases.len())?;
    let mut pixels = vec![0; (WIDTH * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        for (row, case) in area.split_evenly((cases.len(), 1)).iter().zip(&cases) {
            let (left, right) = row.split_horizontally(WIDTH * 2 / 3);
            over_time(&left, case)?;
            distribution(&right, case)?;
        }
        area.present()?;
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), WIDTH, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}

fn over_time<B: DrawingBackend>(area: &DrawingArea<B, Shift>, case: &Case) -> Answer<()>
where
    B::ErrorType: 'static,
{
    let all = || case.teams.iter().flat_map(|team| &team.pairs).flat_map(|pair| &pair.offsets);
    let seconds = all().map(|(at, _)| *at).fold(1.0, f64::max);
    let most = reach(case);
    let title = format!("{}: each pair's offset over time (us)", case.name);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(22)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..seconds, -most..most)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|at| format!("{at:.0} s"))
        .y_label_formatter(&|by| format!("{by:.0}"))
        .draw()?;
    for team in rivals_first(case) {
        for (number, pair) in team.pairs.iter().enumerate() {
            let points = pair.offsets.iter().map(|(at, by)| (*at, (by * 1e6).clamp(-most, most)));
            chart.draw_series(LineSeries::new(points, colour(team, number)))?;
        }
    }
    Ok(())
}

fn distribution<B: DrawingBackend>(area: &DrawingArea<B, Shift>, case: &Case) -> Answer<()>
where
    B::ErrorType: 'static,
{
    let most = reach(case);
    let mut chart = ChartBuilder::on(area)
        .caption("share of chirps closer than (us)", ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(22)
        .y_label_area_size(40)
        .build_cartesian_2d(0.0..most, 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|by| format!("{by:.0}"))
        .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
        .draw()?;
    for team in rivals_first(case) {
        let points =
            (0..=200).map(|step| f64::from(step) / 200.0).map(|part| (team.quantile(part).min(most), part));
        let colour = colour(team, 0);
        let label = format!("{}, p99 {:.0} us", team.sender.name(), team.quantile(0.99));
        chart
            .draw_series(LineSeries::new(points, ShapeStyle { stroke_width: 2, ..colour }))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 12))
        .draw()?;
    Ok(())
}

/// The largest offset that is drawn, microseconds: nearly all are within it.
fn reach(case: &Case) -> f64 {
    case.teams.iter().map(|team| team.quantile(0.99)).filter(|p99| p99.is_finite()).fold(50.0, f64::max) * 1.3
}

/// Ours is drawn over theirs.
fn rivals_first(case: &Case) -> impl Iterator<Item = &TeamFigures> {
    let of = |ours: bool| case.teams.iter().filter(move |team| (team.sender == Sender::Antiphon) == ours);
    of(false).chain(of(true))
}

fn colour(team: &TeamFigures, number: usize) -> ShapeStyle {
    let colour = if team.sender == Sender::Antiphon { OURS[number % OURS.len()] } else { THEIRS };
    ShapeStyle { color: colour.to_rgba(), filled: false, stroke_width: 1 }
}
