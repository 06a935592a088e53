//! Finds places for labels beside their points, so that no label overlaps another or leaves the frame.

use super::svg::Rect;

/// Free space around a label.
const AIR: f64 = 2.0;
/// From this distance on, a line leads from the point to its label.
const LEADER_FROM: f64 = 13.0;
/// Number of directions in which a place is searched.
const DIRECTIONS: usize = 24;
/// The distances of a label from the edge of its mark that are tried, the nearest first.
const DISTANCES: [f64; 13] = [3.0, 9.0, 16.0, 24.0, 34.0, 46.0, 60.0, 76.0, 96.0, 120.0, 150.0, 190.0, 240.0];

/// Number of rounds. In later rounds a label can move to a better place that another label has left.
const ROUNDS: usize = 3;
/// The cost of leaving a label out: higher than that of any place.
const UNPLACED: f64 = 1000.0;

/// A point that needs a label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The point.
    pub at: (f64, f64),
    /// Radius of its mark, which no label may cover.
    pub mark: f64,
    /// Radius of its bubble, which a label may cover if there is no better place.
    pub bubble: f64,
    /// Width and height of the label.
    pub size: (f64, f64),
}

impl Wanted {
    /// Radius of mark and bubble together.
    fn edge(&self) -> f64 {
        self.mark.max(self.bubble)
    }
}

/// The place of a label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    /// The rectangle of the label.
    pub rect: Rect,
    /// Where the label is not next to its point: the end, at the label, of the line that connects them.
    pub leader: Option<(f64, f64)>,
}

/// A place for each label, in the order given; `None` where there is no room. The result depends on which label is
/// placed first, so several orders are tried, and the best result is used.
pub(super) fn place(wanted: &[Wanted], frame: Rect) -> Vec<Option<Placed>> {
    let neighbours =
        |point: &Wanted| wanted.iter().filter(|other| distance(point.at, other.at) < 80.0).count() as f64;
    type First<'a> = &'a dyn Fn(&Wanted) -> f64;
    let orders: [First<'_>; 6] = [
        &|point| -neighbours(point),
        &|point| point.at.0,
        &|point| -point.at.0,
        &|point| point.at.1,
        &|point| -point.at.1,
        &|point| -point.size.0,
    ];
    let tried = orders.map(|first| {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by(|a, b| first(&wanted[*a]).total_cmp(&first(&wanted[*b])));
        place_in_order(&order, wanted, frame)
    });
    let whole_cost = |placed: &Vec<Option<Placed>>| -> f64 {
        let costs = placed.iter().enumerate();
        costs.map(|(index, one)| one.map_or(UNPLACED, |one| cost(index, &one, wanted))).sum()
    };
    let best = tried.into_iter().min_by(|a, b| whole_cost(a).total_cmp(&whole_cost(b)));
    best.expect("there are orders")
}

fn place_in_order(order: &[usize], wanted: &[Wanted], frame: Rect) -> Vec<Option<Placed>> {
    let mut placed: Vec<Option<Placed>> = vec![None; wanted.len()];
    for index in (0..ROUNDS).flat_map(|_| order) {
        // Its previous place becomes free, so a label that had a place always has one.
        placed[*index] = None;
        placed[*index] = best(*index, wanted, &placed, frame);
    }
    placed
}

/// The cheapest place that is free.
fn best(index: usize, wanted: &[Wanted], placed: &[Option<Placed>], frame: Rect) -> Option<Placed> {
    let point = &wanted[index];
    let edges = [point.mark, point.edge()];
    let candidates = edges.into_iter().flat_map(|edge| {
        DISTANCES.iter().flat_map(move |gap| {
            (0..DIRECTIONS).map(move |direction| candidate(point, edge + gap, direction))
        })
    });
    let mut best: Option<(f64, Placed)> = None;
    for candidate in candidates {
        let cost = cost(index, &candidate, wanted);
        if best.is_none_or(|(lowest, _)| cost < lowest) && is_free(index, &candidate, wanted, placed, frame) {
            best = Some((cost, candidate));
        }
    }
    best.map(|(_, placed)| placed)
}

fn candidate(point: &Wanted, reach: f64, direction: usize) -> Placed {
    // The first direction is to the right, where readers expect a label.
    let angle = direction as f64 / DIRECTIONS as f64 * std::f64::consts::TAU;
    let (dx, dy) = (angle.cos(), angle.sin());
    let (width, height) = point.size;
    let rect = Rect {
        x: point.at.0 + dx * reach + (dx * 1.6).clamp(-1.0, 1.0) * width / 2.0 - width / 2.0,
        y: point.at.1 + dy * reach + (dy * 1.6).clamp(-1.0, 1.0) * height / 2.0 - height / 2.0,
        width,
        height,
    };
    let nearest = nearest(&rect, point.at);
    let far = distance(nearest, point.at) > point.edge() + LEADER_FROM;
    Placed { rect, leader: far.then_some(nearest) }
}

fn is_free(
    index: usize,
    candidate: &Placed,
    wanted: &[Wanted],
    placed: &[Option<Placed>],
    frame: Rect,
) -> bool {
    let rect = &candidate.rect;
    let inside = rect.x >= frame.x
        && rect.y >= frame.y
        && rect.right() <= frame.right()
        && rect.bottom() <= frame.bottom();
    let own_line = candidate.leader.map(|end| (wanted[index].at, end));
    let clear_of_marks = || {
        wanted.iter().enumerate().all(|(other, point)| {
            let clear = if other == index { point.mark } else { point.mark + AIR };
            // A line that begins under another mark always touches it.
            let apart = distance(point.at, wanted[index].at) > 2.0 * point.mark + AIR;
            distance(nearest(rect, point.at), point.at) >= clear
                && (!apart || own_line.is_none_or(|line| from_line(point.at, line) >= clear))
        })
    };
    let clear_of_labels = || {
        placed.iter().enumerate().filter_map(|(other, placed)| Some((other, (*placed)?))).all(
            |(other, placed)| {
                let line = placed.leader.map(|end| (wanted[other].at, end));
                !overlap(rect, &placed.rect)
                    && line.is_none_or(|line| !crosses(line, rect))
                    && own_line.is_none_or(|own| {
                        !crosses(own, &placed.rect) && line.is_none_or(|line| !cross(own, line))
                    })
            },
        )
    };
    inside && clear_of_marks() && clear_of_labels()
}

/// The cost of a place: low when it is near, right of the point, and not over bubbles.
fn cost(index: usize, candidate: &Placed, wanted: &[Wanted]) -> f64 {
    let point = &wanted[index];
    let far = (distance(nearest(&candidate.rect, point.at), point.at) - point.edge()).max(0.0);
    let left = if candidate.rect.x < point.at.0 { 4.0 } else { 0.0 };
    let over = |other: &&Wanted| {
        other.bubble > other.mark && distance(nearest(&candidate.rect, other.at), other.at) < other.bubble
    };
    let leader = if candidate.leader.is_some() { 10.0 } else { 0.0 };
    let under_line = |other: &&Wanted| {
        let line = candidate.leader.map(|end| (point.at, end));
        other.at != point.at && line.is_some_and(|line| from_line(other.at, line) < other.mark)
    };
    let aslant = (candidate.rect.y + candidate.rect.height / 2.0 - point.at.1).abs();
    far + left
        + 0.15 * aslant
        + leader
        + 14.0 * wanted.iter().filter(over).count() as f64
        + 12.0 * wanted.iter().filter(under_line).count() as f64
}

/// The point of a rectangle that is nearest to a given point.
fn nearest(rect: &Rect, (x, y): (f64, f64)) -> (f64, f64) {
    (x.clamp(rect.x, rect.right()), y.clamp(rect.y, rect.bottom()))
}

fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.x < b.right() + AIR && b.x < a.right() + AIR && a.y < b.bottom() + AIR && b.y < a.bottom() + AIR
}

type Segment = ((f64, f64), (f64, f64));

/// The distance of a point from a line.
fn from_line(point: (f64, f64), (a, b): Segment) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let square = dx * dx + dy * dy;
    let share = if square > 0.0 { ((point.0 - a.0) * dx + (point.1 - a.1) * dy) / square } else { 0.0 };
    let share = share.clamp(0.0, 1.0);
    distance(point, (a.0 + share * dx, a.1 + share * dy))
}

/// True when two lines cross.
fn cross((a, b): Segment, (c, d): Segment) -> bool {
    let side =
        |p: (f64, f64), q: (f64, f64), r: (f64, f64)| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

/// True when a line touches a rectangle.
fn crosses(line: Segment, rect: &Rect) -> bool {
    let within =
        |(x, y): (f64, f64)| (rect.x..=rect.right()).contains(&x) && (rect.y..=rect.bottom()).contains(&y);
    let (left, right, top, bottom) = (rect.x, rect.right(), rect.y, rect.bottom());
    let diagonals = [((left, top), (right, bottom)), ((right, top), (left, bottom))];
    within(line.0) || within(line.1) || diagonals.into_iter().any(|diagonal| cross(line, diagonal))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Wanted, distance, nearest, place};
    use crate::render::plot::svg::Rect;

    const FRAME: Rect = Rect { x: 20.0, y: 10.0, width: 500.0, height: 300.0 };

    fn wanted(at: (f64, f64)) -> Wanted {
        Wanted { at, mark: 5.0, bubble: 0.0, size: (80.0, 16.0) }
    }

    #[test]
    fn a_label_alone_is_right_beside_its_point_and_left_of_it_at_the_edge() {
        let placed = place(&[wanted((100.0, 100.0))], FRAME)[0].unwrap();
        assert_eq!((placed.rect.x, placed.rect.y, placed.leader), (108.0, 92.0, None));
        let placed = place(&[wanted((510.0, 100.0))], FRAME)[0].unwrap();
        assert!(placed.rect.right() < 510.0);
    }

    #[test]
    fn points_in_a_crowd_get_lines_to_their_labels() {
        let crowd: Vec<Wanted> = (0..8).map(|at| wanted((200.0 + f64::from(at), 150.0))).collect();
        let placed = place(&crowd, FRAME);
        assert!(placed.iter().flatten().any(|placed| placed.leader.is_some()));
    }

    fn anywhere() -> impl Strategy<Value = Wanted> {
        let at = (20.0..520.0f64, 10.0..310.0f64);
        (at, 0.0..40.0f64, 10.0..260.0f64, prop::sample::select(vec![16.0, 30.0]))
            .prop_map(|(at, bubble, width, height)| Wanted { at, mark: 5.0, bubble, size: (width, height) })
    }

    proptest! {
        #[test]
        fn no_two_labels_overlap_none_covers_a_mark_and_all_are_in_the_frame(
            wanted in prop::collection::vec(anywhere(), 0..16)
        ) {
            let placed = place(&wanted, FRAME);
            prop_assert_eq!(placed.len(), wanted.len());
            let rects: Vec<Rect> = placed.iter().flatten().map(|placed| placed.rect).collect();
            for (index, a) in rects.iter().enumerate() {
                prop_assert!(a.x >= FRAME.x && a.right() <= FRAME.right());
                prop_assert!(a.y >= FRAME.y && a.bottom() <= FRAME.bottom());
                for b in &rects[index + 1..] {
                    let apart = a.right() <= b.x || b.right() <= a.x || a.bottom() <= b.y || b.bottom() <= a.y;
                    prop_assert!(apart, "{:?} {:?}", a, b);
                }
                for point in &wanted {
                    prop_assert!(distance(nearest(a, point.at), point.at) >= point.mark);
                }
            }
        }
    }
}
