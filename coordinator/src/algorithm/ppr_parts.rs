//! Personalized PageRank by forward push on a graph of which a task holds a part.
//!
//! A batch of sources is worked on in rounds, a stage each: every part takes what has arrived,
//! pushes what exceeds a source's threshold, and sends what leaves it to the other parts, combined
//! and sorted. Sums per source come back, and decide the next threshold and when ‖r‖₁ is small
//! enough. A source that is done lists its best vertices and leaves; the others go on.

use rankmill_common::estimate::parts::Parts;
use rankmill_common::job::PprSpec;
use rankmill_common::job::ppr::Stop;
use rankmill_common::operator::merge_scores::{MergedSource, Purpose};
use rankmill_common::operator::power_scores::{Personal, PersonalScores};
use rankmill_common::operator::push_part::{Action, PUSHED_SHARE, PartInput, PartSums, Turn};
use rankmill_common::operator::{MergeScores, PushPart, PushedPart};
use rankmill_common::{Error, ObjectRef, Result};

use super::graph::Graph;
use crate::stages::Stages;

/// Unit roundoff of f64.
const ROUNDOFF: f64 = f64::EPSILON / 2.0;
/// ‖r‖₁ above which no set can be worth a proof.
const PROVABLE: f64 = 0.5;

/// Pushes from the sources of each batch in turn.
pub(super) async fn push(
    stages: &Stages,
    spec: &PprSpec,
    (graph, parts): (&Graph, &Parts),
    batches: impl Iterator<Item = Personal>,
) -> Result<Vec<PersonalScores>> {
    let mut written = Vec::new();
    for personal in batches {
        written.push(Batch::new(spec, graph, parts, personal).run(stages).await?);
    }
    Ok(written)
}

/// The sources that are pushed together.
struct Batch<'a> {
    spec: &'a PprSpec,
    graph: &'a Graph,
    parts: &'a Parts,
    personal: Personal,
    sources: Vec<Source>,
    /// What each part knows.
    states: Vec<Option<ObjectRef>>,
    /// What is on the way, and how much of it goes to which part.
    frontiers: Vec<(ObjectRef, Vec<u64>)>,
    /// The best of the sources that are finished.
    best: Vec<ObjectRef>,
    rounds: u32,
    max_edges: u64,
}

/// A source, as far as it has come.
#[derive(Clone, Copy)]
struct Source {
    progress: Progress,
    /// ‖r‖₁.
    left: f64,
    /// Bound of ‖π − p‖₁.
    residual: f64,
    /// Edges of the vertices with a residual, about; none before the first round.
    volume: Option<f64>,
    edges: u64,
    rounding: f64,
    /// Vertices with a positive score, once it is certain that no other one ever has any.
    closed: Option<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Progress {
    Pushing,
    /// Good enough; its best vertices are to be listed.
    Enough,
    Finished,
}

impl Source {
    fn start() -> Self {
        Self {
            progress: Progress::Pushing,
            left: 1.0,
            residual: 1.0,
            volume: None,
            edges: 0,
            rounding: 0.0,
            closed: None,
        }
    }
}

impl<'a> Batch<'a> {
    fn new(spec: &'a PprSpec, graph: &'a Graph, parts: &'a Parts, personal: Personal) -> Self {
        let edges = graph.matrix.nnz + graph.vertices();
        Self {
            spec,
            graph,
            parts,
            sources: vec![Source::start(); personal.range.count as usize],
            personal,
            states: vec![None; parts.ranges.len()],
            frontiers: Vec::new(),
            best: Vec::new(),
            rounds: 0,
            max_edges: edges.saturating_mul(u64::from(spec.max_iterations)),
        }
    }

    async fn run(mut self, stages: &Stages) -> Result<PersonalScores> {
        loop {
            let turns = self.turns();
            if turns.is_empty() {
                return self.write(stages).await;
            }
            let (running, operators) = self.operators(&turns);
            let name = self.name(&format!("round {}", self.rounds + 1));
            let pushed = stages.run(&name, operators).await?;
            stages.release(self.consumed());
            let listed = self.take(&turns, &running, pushed);
            self.prove(stages, &turns, &listed).await?;
            stages.release(&listed);
            stages.note(format!("error at most {:.1e}", self.worst()));
        }
    }

    fn name(&self, what: &str) -> String {
        let range = self.personal.range;
        format!("push sources from {} in parts: {what}", range.start + 1)
    }

    fn worst(&self) -> f64 {
        let residuals = self.sources.iter().map(|source| source.residual);
        residuals.fold(0.0, f64::max)
    }

    /// What the next round does with the sources that are not finished.
    fn turns(&self) -> Vec<Turn> {
        let turn = |(index, source): (u32, &Source)| {
            let action = match source.progress {
                Progress::Finished => return None,
                Progress::Enough => Action::Finish,
                Progress::Pushing => Action::Push {
                    threshold: source
                        .volume
                        .map(|volume| PUSHED_SHARE * source.left / volume.max(1.0)),
                    max_edges: self.max_edges - source.edges,
                    list: self.spec.stop == Stop::BoundOrProven && source.residual < PROVABLE,
                },
            };
            Some(Turn {
                source: index,
                left: source.left,
                action,
            })
        };
        (0..).zip(&self.sources).filter_map(turn).collect()
    }

    /// The parts that have anything to do, and what.
    fn operators(&self, turns: &[Turn]) -> (Vec<usize>, Vec<PushPart>) {
        let first = self.rounds == 0;
        let mut running = Vec::new();
        let mut operators = Vec::new();
        for (part, rows) in self.parts.ranges.iter().enumerate() {
            let arrived = self.frontiers.iter().filter(|(_, sent)| sent[part] > 0);
            let frontiers: Vec<_> = arrived.map(|(object, _)| object.clone()).collect();
            let state = self.states[part].clone();
            if !first && state.is_none() && frontiers.is_empty() {
                continue;
            }
            running.push(part);
            operators.push(PushPart {
                format: self.graph.matrix.format,
                blocks: self.graph.blocks_of(*rows),
                vertices: self.graph.vertices(),
                parts: self.parts.ranges.clone(),
                part: part as u32,
                lanes: self.parts.lanes,
                turns: turns.to_vec(),
                found: match first {
                    true => PartInput::Seeds,
                    false => PartInput::Round { state, frontiers },
                },
                personal: self.personal.clone(),
            });
        }
        (running, operators)
    }

    /// What the round that has just ended read and no later one will.
    fn consumed(&self) -> impl Iterator<Item = &ObjectRef> {
        let frontiers = self.frontiers.iter().map(|(object, _)| object);
        self.states.iter().flatten().chain(frontiers)
    }

    /// Takes the reports of a round; returns the lists of sources that go on.
    fn take(
        &mut self,
        turns: &[Turn],
        running: &[usize],
        pushed: Vec<PushedPart>,
    ) -> Vec<ObjectRef> {
        self.rounds += 1;
        for (index, turn) in turns.iter().enumerate() {
            let sums = pushed.iter().filter_map(|part| part.sums.get(index));
            let sums = sums.fold(PartSums::default(), add);
            self.advance(turn, &sums);
        }
        let mut listed = Vec::new();
        self.frontiers.clear();
        for (&part, pushed) in running.iter().zip(pushed) {
            self.states[part] = pushed.state;
            let sent = pushed.sent;
            self.frontiers
                .extend(pushed.frontier.map(|object| (object, sent)));
            self.best.extend(pushed.best);
            listed.extend(pushed.listed);
        }
        listed
    }

    fn advance(&mut self, turn: &Turn, sums: &PartSums) {
        let mean_degree = self.graph.matrix.nnz as f64 / self.graph.vertices().max(1) as f64;
        let source = &mut self.sources[turn.source as usize];
        if turn.action == Action::Finish {
            source.progress = Progress::Finished;
            source.closed = (sums.untouched == 0).then_some(sums.positive);
            return;
        }
        source.left = sums.left;
        source.edges += sums.edges;
        source.rounding += sums.rounding;
        source.volume = Some(sums.volume as f64 + sums.receivers as f64 * (1.0 + mean_degree));
        // What is left was added up over so many vertices.
        let terms = (sums.positive + sums.untouched + sums.receivers) as f64;
        let rounding = (source.rounding + 2.0 * terms * source.left) * ROUNDOFF;
        source.residual = source.left + rounding;
        // What was rounded stays; what is left still falls, and with it the bound, until it is no
        // more than that.
        let hopeless = source.rounding * ROUNDOFF >= self.spec.tol && source.left <= rounding;
        let exhausted =
            source.edges >= self.max_edges || self.rounds >= self.spec.max_iterations || hopeless;
        if source.residual <= self.spec.tol || exhausted {
            source.progress = Progress::Enough;
        }
    }

    /// Leaves sources whose set of targets is proven, where that is enough.
    async fn prove(&mut self, stages: &Stages, turns: &[Turn], listed: &[ObjectRef]) -> Result<()> {
        let asked = |turn: &&Turn| matches!(turn.action, Action::Push { list: true, .. });
        let asked: Vec<u32> = turns.iter().filter(asked).map(|turn| turn.source).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let merge = self.merge(listed.to_vec(), asked, Purpose::Prove);
        let name = self.name(&format!("sets after round {}", self.rounds));
        for source in stages.run_one(&name, merge).await?.proven {
            let source = self.sources.get_mut(source as usize);
            let source = source.ok_or_else(|| Error::internal("a proof for no source"))?;
            source.progress = Progress::Enough;
        }
        Ok(())
    }

    fn merge(&self, best: Vec<ObjectRef>, sources: Vec<u32>, purpose: Purpose) -> MergeScores {
        let merged = |index: u32| {
            let source = &self.sources[index as usize];
            MergedSource {
                source: index,
                residual: source.residual,
                closed: source.closed,
            }
        };
        MergeScores {
            best,
            sources: sources.into_iter().map(merged).collect(),
            purpose,
            personal: self.personal.clone(),
        }
    }

    async fn write(mut self, stages: &Stages) -> Result<PersonalScores> {
        let purpose = Purpose::Write {
            rounds: self.rounds,
            edges: self.sources.iter().map(|source| source.edges).sum(),
        };
        let best = std::mem::take(&mut self.best);
        let merge = self.merge(
            best.clone(),
            (0..self.sources.len() as u32).collect(),
            purpose,
        );
        let merged = stages.run_one(&self.name("write scores"), merge).await?;
        stages.release(&best);
        merged
            .written
            .ok_or_else(|| Error::internal("scores that were not written"))
    }
}

/// Sums of two parts.
fn add(a: PartSums, b: &PartSums) -> PartSums {
    PartSums {
        left: a.left + b.left,
        volume: a.volume + b.volume,
        receivers: a.receivers + b.receivers,
        edges: a.edges + b.edges,
        rounding: a.rounding + b.rounding,
        positive: a.positive + b.positive,
        untouched: a.untouched + b.untouched,
    }
}
