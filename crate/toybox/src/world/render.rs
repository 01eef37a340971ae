//! Draws a scene, anti-aliased, at any size.

use tiny_skia::{
    Color, FillRule, GradientStop, LineJoin, LinearGradient, Mask, Paint, Path, PathBuilder, Pixmap, Point, Rect,
    SpreadMode, Stroke, Transform,
};

use super::{Background, Colour, Fill, Object, Rng, Scene};

/// The farthest that any outline reaches from its middle, in units of half an extent.
const REACH: f32 = 1.1;
/// What stays free between an object and the edge, as a fraction of the picture's smaller side.
const MARGIN: f32 = 0.015;
/// Where the grass begins, as a fraction of the height.
const HORIZON: f32 = 0.66;

impl Scene {
    /// The picture as RGB bytes, row by row: `width * height * 3`.
    ///
    /// # Panics
    /// If a side is zero.
    pub fn render(&self, width: u32, height: u32) -> Vec<u8> {
        let mut canvas = Pixmap::new(width, height).expect("a picture needs a width and a height");
        draw_background(&mut canvas, self.background, self.seed);
        for object in &self.objects {
            draw_object(&mut canvas, object);
        }
        canvas.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }
}

fn color([r, g, b]: [u8; 3]) -> Color {
    Color::from_rgba8(r, g, b, 255)
}

fn paint(rgb: [u8; 3]) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(color(rgb));
    paint
}

fn draw_background(canvas: &mut Pixmap, background: Background, seed: u64) {
    match background {
        Background::Plain(colour) => canvas.fill(color(colour.rgb())),
        Background::Gradient(top, bottom) => draw_gradient(canvas, top.rgb(), bottom.rgb(), 1.0),
        Background::Night => {
            draw_gradient(canvas, [8, 10, 36], [34, 34, 84], 1.0);
            draw_stars(canvas, &mut Rng::new(seed));
        }
        Background::Grass => {
            draw_gradient(canvas, [70, 150, 235], [190, 225, 250], HORIZON);
            let (width, height) = (canvas.width() as f32, canvas.height() as f32);
            if let Some(grass) = Rect::from_ltrb(0.0, (height * HORIZON).round(), width, height) {
                canvas.fill_rect(grass, &paint([70, 150, 58]), Transform::identity(), None);
            }
        }
    }
}

/// Fills the canvas with a vertical gradient that ends at the fraction `end` of the height.
fn draw_gradient(canvas: &mut Pixmap, top: [u8; 3], bottom: [u8; 3], end: f32) {
    let (width, height) = (canvas.width() as f32, canvas.height() as f32);
    let stops = vec![GradientStop::new(0.0, color(top)), GradientStop::new(1.0, color(bottom))];
    let (from, to) = (Point::from_xy(0.0, 0.0), Point::from_xy(0.0, height * end));
    let shader = LinearGradient::new(from, to, stops, SpreadMode::Pad, Transform::identity());
    let paint = Paint { shader: shader.expect("two stops make a gradient"), ..Paint::default() };
    if let Some(all) = Rect::from_xywh(0.0, 0.0, width, height) {
        canvas.fill_rect(all, &paint, Transform::identity(), None);
    }
}

fn draw_stars(canvas: &mut Pixmap, rng: &mut Rng) {
    let (width, height) = (canvas.width() as f32, canvas.height() as f32);
    for _ in 0..22 {
        let radius = width.min(height) * rng.range(0.004, 0.011);
        let (x, y) = (width * rng.uniform(), height * rng.uniform());
        if let Some(star) = PathBuilder::from_circle(x, y, radius) {
            canvas.fill_path(&star, &paint([250, 248, 220]), FillRule::Winding, Transform::identity(), None);
        }
    }
}

fn draw_object(canvas: &mut Pixmap, object: &Object) {
    let frame = frame(object, canvas.width() as f32, canvas.height() as f32);
    let outline = object.shape.outline();
    let rgb = object.colour.rgb();
    if object.fill == Fill::Outlined {
        let stroke = Stroke { width: 0.2, line_join: LineJoin::Round, ..Stroke::default() };
        let frame = frame.pre_scale(0.9, 0.9);
        canvas.stroke_path(&outline, &paint(rgb), &stroke, frame, None);
        return;
    }
    canvas.fill_path(&outline, &paint(rgb), FillRule::EvenOdd, frame, None);
    let pattern = match object.fill {
        Fill::Striped => stripes(),
        Fill::Dotted => dots(),
        Fill::Solid | Fill::Outlined => return,
    };
    if let Some(mut mask) = Mask::new(canvas.width(), canvas.height()) {
        mask.fill_path(&outline, FillRule::EvenOdd, true, frame);
        canvas.fill_path(&pattern, &paint(pattern_rgb(object.colour)), FillRule::Winding, frame, Some(&mask));
    }
}

/// From the shape's unit frame to pixels; the object is kept inside the picture.
fn frame(object: &Object, width: f32, height: f32) -> Transform {
    let radius = object.extent * width.min(height) / 2.0;
    let reach = radius * REACH + MARGIN * width.min(height);
    let inside = |at: f32, side: f32| (at * side).clamp(reach.min(side / 2.0), (side - reach).max(side / 2.0));
    let (x, y) = (inside(object.centre.0, width), inside(object.centre.1, height));
    Transform::from_translate(x, y).pre_concat(Transform::from_rotate(object.angle)).pre_scale(radius, radius)
}

/// Slanted bars across the unit frame.
fn stripes() -> Path {
    let mut path = PathBuilder::new();
    for i in -3..=3 {
        let x = i as f32 * 0.62;
        path.move_to(x - 1.2, 1.2);
        path.line_to(x - 0.92, 1.2);
        path.line_to(x + 1.2, -1.2);
        path.line_to(x + 0.92, -1.2);
        path.close();
    }
    path.finish().expect("stripes are finite")
}

/// Rows of discs across the unit frame, every other row shifted by half a step.
fn dots() -> Path {
    let mut path = PathBuilder::new();
    for row in -2..=2 {
        for column in -3..=3 {
            let shift = if row % 2 == 0 { 0.0 } else { 0.5 };
            path.push_circle((column as f32 + shift) * 0.52, row as f32 * 0.45, 0.13);
        }
    }
    path.finish().expect("dots are finite")
}

/// A lighter shade for stripes and dots, or a darker one where the colour is already light.
fn pattern_rgb(colour: Colour) -> [u8; 3] {
    let light = matches!(colour, Colour::White | Colour::Yellow | Colour::Cyan | Colour::Pink | Colour::Orange);
    let (towards, share) = if light { (0.0, 0.4) } else { (255.0, 0.6) };
    colour.rgb().map(|channel| (channel as f32 + (towards - channel as f32) * share) as u8)
}
