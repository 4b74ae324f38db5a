use super::*;

/// Draws nodes that are called by their places; a run came to those of `path`.
fn assert_drawn(nodes: usize, edges: &[(usize, usize)], path: &[usize], expected: &str) {
    let graph = Graph::between(nodes, edges.to_vec());
    let sign = |place: usize| if path.contains(&place) { '●' } else { '○' };
    let marks: Vec<Mark> = (0..nodes).map(|place| Mark { sign: sign(place), text: format!("n{place}") }).collect();
    let is_taken: Vec<bool> = edges.iter().map(|(from, to)| path.contains(from) && path.contains(to)).collect();
    let drawn = draw(&graph, &marks, &is_taken).join("\n");
    assert_eq!(drawn, expected.trim(), "\n{drawn}\n");
}

#[test]
fn a_chain_goes_straight_down_and_the_path_is_heavy() {
    assert_drawn(
        3,
        &[(0, 1), (1, 2)],
        &[0, 1],
        "
● n0
┃
● n1
│
○ n2
",
    );
}

#[test]
fn branches_fork_to_the_right_and_come_back_in_the_join() {
    assert_drawn(
        6,
        &[(0, 1), (1, 4), (0, 2), (2, 4), (0, 3), (3, 4), (4, 5)],
        &[0, 2, 4, 5],
        "
●     n0
┡━┱─┐
○ ┃ │ n1
│ ┃ │
│ ● │ n2
│ ┃ │
│ ┃ ○ n3
│ ┃ │
┢━┹─┘
●     n4
┃
●     n5
",
    );
}

#[test]
fn a_transition_past_layers_goes_on_beside_their_nodes_and_lines_cross() {
    assert_drawn(
        6,
        &[(0, 2), (0, 3), (1, 3), (1, 2), (2, 4), (3, 4), (3, 5)],
        &[0, 3, 5],
        "
●       n0
┡━┓
│ ┃ ○   n1
│ ┃ ├─┐
├─╂─┼─┘
○ ┃ │   n2
│ ┃ │
│ ┠─┘
│ ●     n3
│ ┡━┓
├─┘ ┃
○   ┃   n4
    ●   n5
",
    );
}

#[test]
fn lone_nodes_and_several_starts_stand_side_by_side() {
    assert_drawn(
        4,
        &[(0, 3)],
        &[],
        "
○   n0
│
│ ○ n1
│ ○ n2
○   n3
",
    );
}

#[test]
fn a_graph_that_is_too_wide_is_listed_and_says_so() {
    let edges: Vec<_> = (1..100).map(|to| (0, to)).collect();
    let graph = Graph::between(100, edges);
    let marks: Vec<Mark> = (0..100).map(|place| Mark { sign: '○', text: format!("n{place}") }).collect();
    let lines = draw(&graph, &marks, &[false; 99]);
    assert!(lines[0].contains("not drawn"), "{}", lines[0]);
    assert_eq!((lines.len(), lines[100].as_str()), (101, "○ n99"));
}
