//! A workflow's graph as text: a node a line, layer by layer, transitions as lines between them. Branches
//! fork to the right, joins come back to the left. What a run has taken is drawn heavy.

use super::Graph;

/// So many transitions side by side are drawn; a line of a terminal has no room for more.
const LANES_MAX: usize = 30;

/// Box drawings by the weight of their lines up, right, down and left: none, light, heavy.
const BOXES: [[char; 27]; 3] = [
    [
        ' ', '╴', '╸', '╷', '┐', '┑', '╻', '┒', '┓', '╶', '─', '╾', '┌', '┬', '┭', '┎', '┰', '┱', '╺', '╼', '━', '┍',
        '┮', '┯', '┏', '┲', '┳',
    ],
    [
        '╵', '┘', '┙', '│', '┤', '┥', '╽', '┧', '┪', '└', '┴', '┵', '├', '┼', '┽', '┟', '╁', '╅', '┕', '┶', '┷', '┝',
        '┾', '┿', '┢', '╆', '╈',
    ],
    [
        '╹', '┚', '┛', '╿', '┦', '┩', '┃', '┨', '┫', '┖', '┸', '┹', '┞', '╀', '╃', '┠', '╂', '╉', '┗', '┺', '┻', '┡',
        '╄', '╇', '┣', '╊', '╋',
    ],
];

/// How a node stands in the drawing: its sign, and what is said beside it.
pub struct Mark {
    pub sign: char,
    pub text: String,
}

/// How heavy a line is.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    #[default]
    None,
    Light,
    Heavy,
}

/// The lines that meet in one character.
#[derive(Clone, Copy, Default)]
struct Cell {
    up: Weight,
    right: Weight,
    down: Weight,
    left: Weight,
}

impl Cell {
    fn glyph(self) -> char {
        BOXES[self.up as usize][self.right as usize * 9 + self.down as usize * 3 + self.left as usize]
    }
}

/// Transitions on their way down, all to one node; side by side.
#[derive(Clone, Copy)]
struct Lane {
    to: usize,
    weight: Weight,
}

/// The lines of the drawing. `marks` are the nodes, `is_taken` says of each transition whether it is drawn heavy.
/// Where too many transitions stand side by side, the nodes alone, and a line that says so.
pub fn draw(graph: &Graph, marks: &[Mark], is_taken: &[bool]) -> Vec<String> {
    drawn(graph, marks, is_taken).unwrap_or_else(|| listed(graph, marks))
}

fn listed(graph: &Graph, marks: &[Mark]) -> Vec<String> {
    let too_wide = format!("more than {LANES_MAX} transitions stand side by side: the nodes by layer, not drawn");
    let nodes = graph.by_layer().into_iter().flatten().map(|place| &marks[place]);
    let nodes = nodes.map(|Mark { sign, text }| format!("{sign} {text}"));
    [too_wide].into_iter().chain(nodes).collect()
}

fn drawn(graph: &Graph, marks: &[Mark], is_taken: &[bool]) -> Option<Vec<String>> {
    let mut drawing = Drawing { graph, is_taken, lanes: Vec::new(), lines: Vec::new() };
    for layer in graph.by_layer() {
        let mut places: Vec<(usize, usize)> = layer.into_iter().map(|place| (drawing.lane_to(place), place)).collect();
        places.sort_unstable();
        for (_, place) in places {
            drawing.node(place);
            if drawing.lanes.len() > LANES_MAX {
                return None;
            }
        }
    }
    Some(drawing.lines(marks))
}

/// A line of the drawing: its cells, every second of them a lane, and the node that stands on it and in which lane.
struct Line {
    cells: Vec<Cell>,
    node: Option<(usize, usize)>,
}

struct Drawing<'a> {
    graph: &'a Graph,
    is_taken: &'a [bool],
    lanes: Vec<Option<Lane>>,
    lines: Vec<Line>,
}

impl Drawing<'_> {
    /// The leftmost lane that leads to this node; where there is none, behind all.
    fn lane_to(&self, place: usize) -> usize {
        self.lanes.iter().position(|lane| lane.is_some_and(|lane| lane.to == place)).unwrap_or(usize::MAX)
    }

    fn node(&mut self, place: usize) {
        let lane = match self.lane_to(place) {
            usize::MAX => self.free_lane(0),
            lane => lane,
        };
        self.join(place, lane);
        let mut cells = self.cells();
        cells[2 * lane] = Cell::default();
        self.lines.push(Line { cells, node: Some((place, lane)) });
        self.fork(place, lane);
    }

    /// A lane that nothing is in, from this one on.
    fn free_lane(&mut self, from: usize) -> usize {
        let free = (from..self.lanes.len()).find(|lane| self.lanes[*lane].is_none());
        free.unwrap_or_else(|| {
            self.lanes.push(None);
            self.lanes.len() - 1
        })
    }

    /// The lanes that lead to the node come together in its own.
    fn join(&mut self, place: usize, lane: usize) {
        let coming = |other: &usize| self.lanes[*other].is_some_and(|other| other.to == place);
        let others: Vec<usize> = (lane + 1..self.lanes.len()).filter(coming).collect();
        if others.is_empty() {
            if self.lanes[lane].is_none() {
                self.lanes[lane] = Some(Lane { to: place, weight: Weight::None });
            }
            return;
        }
        let mut cells = self.cells();
        for other in others {
            let weight = self.lanes[other].take().map_or(Weight::None, |lane| lane.weight);
            cells[2 * other].down = Weight::None;
            connect(&mut cells, lane, other, weight);
            cells[2 * lane].down = cells[2 * lane].down.max(weight);
        }
        self.lines.push(Line { cells, node: None });
    }

    /// A lane to each node that may follow: the first in the node's own, the others to the right of it.
    fn fork(&mut self, place: usize, lane: usize) {
        self.lanes[lane] = None;
        let mut following: Vec<Lane> = Vec::new();
        for number in &self.graph.outgoing[place] {
            let (to, weight) =
                (self.graph.edges[*number].1, if self.is_taken[*number] { Weight::Heavy } else { Weight::Light });
            match following.iter_mut().find(|lane| lane.to == to) {
                Some(lane) => lane.weight = lane.weight.max(weight),
                None => following.push(Lane { to, weight }),
            }
        }
        let heaviest = following.iter().map(|lane| lane.weight).max().unwrap_or_default();
        let mut forks = Vec::new();
        for (number, next) in following.into_iter().enumerate() {
            let at = if number == 0 { lane } else { self.free_lane(lane + 1) };
            self.lanes[at] = Some(next);
            forks.push((at, next.weight));
        }
        if forks.is_empty() {
            return;
        }
        let mut cells = self.cells();
        cells[2 * lane].up = heaviest;
        for (at, weight) in forks.into_iter().skip(1) {
            cells[2 * at].up = Weight::None;
            connect(&mut cells, lane, at, weight);
        }
        self.lines.push(Line { cells, node: None });
    }

    /// A line on which every lane goes straight on.
    fn cells(&self) -> Vec<Cell> {
        let mut cells = vec![Cell::default(); 2 * self.lanes.len()];
        for (at, lane) in self.lanes.iter().enumerate() {
            let weight = lane.map_or(Weight::None, |lane| lane.weight);
            cells[2 * at] = Cell { up: weight, down: weight, ..Cell::default() };
        }
        cells
    }

    fn lines(self, marks: &[Mark]) -> Vec<String> {
        let width = 2 * self.lanes.len();
        let line = |line: Line| {
            let mut text: Vec<char> = line.cells.into_iter().map(Cell::glyph).collect();
            // The last cell is always empty: it parts the lanes from the text.
            text.resize(width, ' ');
            let Some((place, lane)) = line.node else {
                return text.into_iter().collect::<String>().trim_end().to_owned();
            };
            text[2 * lane] = marks[place].sign;
            text.into_iter().chain(marks[place].text.chars()).collect()
        };
        self.lines.into_iter().map(line).collect()
    }
}

/// A line across from one lane to another that is to the right of it.
fn connect(cells: &mut [Cell], left: usize, right: usize, weight: Weight) {
    for at in 2 * left..2 * right {
        cells[at].right = cells[at].right.max(weight);
        cells[at + 1].left = cells[at + 1].left.max(weight);
    }
}

#[cfg(test)]
mod tests;
