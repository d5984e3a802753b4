//! `push_part`: a round of forward push for some sources on a part of the graph.
//!
//! Lanes of sources are pushed side by side and written in the order of the sources, so how many
//! lanes there are does not show.

use rankmill_common::job::graph::Dangling;
use rankmill_common::matrix::RowRange;
use rankmill_common::operator::power_scores::SourceList;
use rankmill_common::operator::push_part::{
    Action, PUSHED_SHARE, PartInput, PartSums, PushPart, PushedPart, Turn,
};
use rankmill_common::{Error, Result};
use rankmill_kernels::graph::{OutEdges, PartEntry, PartPush, PartWorkspace};
use rayon::prelude::*;

use super::part_rows;
use super::personal::Sources;
use crate::context::TaskContext;
use crate::storage::by_source::{EntryReader, EntryWriter, Number};
use crate::storage::order::Order;

/// Columns of a state behind the source.
const STATE: [(&str, Number); 3] = [
    ("vertex", Number::Index),
    ("reserve", Number::Score),
    ("residual", Number::Score),
];
/// Columns of a frontier behind the source.
const FRONTIER: [(&str, Number); 2] = [("vertex", Number::Index), ("mass", Number::Score)];
/// Columns of a list of best vertices behind the source.
pub(super) const BEST: [(&str, Number); 3] = [
    ("index", Number::Index),
    ("place", Number::Index),
    ("score", Number::Score),
];

pub(crate) fn run(context: &TaskContext, operator: &PushPart) -> Result<PushedPart> {
    let rows = operator
        .rows()
        .ok_or_else(|| Error::internal("a push on no part of the graph"))?;
    let open = part_rows::open(
        context,
        operator.format,
        operator.vertices,
        &operator.blocks,
    )?;
    let views = part_rows::views(&operator.blocks, &open, rows)?;
    let order = open_order(context, operator)?;
    let part = Part {
        operator,
        rows,
        sources: Sources::read(context, &operator.personal, &order)?,
        order,
        graph: &OutEdges::new(&views),
        found: Found::open(context, operator)?,
        self_loops: match operator.personal.dangling {
            Dangling::Restart => false,
            Dangling::SelfLoop => true,
            Dangling::Uniform => {
                return Err(Error::internal("push cannot spread mass uniformly"));
            }
        },
    };
    part.round(context)
}

/// The numbering, where it is needed: to find the vertex of a source, and the places of the best.
fn open_order(context: &TaskContext, operator: &PushPart) -> Result<Order> {
    let lists = |turn: &Turn| match turn.action {
        Action::Push { list, .. } => list,
        Action::Finish => true,
    };
    let needed = operator.personal.sources == SourceList::All || operator.turns.iter().any(lists);
    let order = operator.personal.order.as_ref().filter(|_| needed);
    Order::open(context, order, operator.vertices)
}

/// What earlier rounds left, mapped.
struct Found {
    state: Option<EntryReader>,
    frontiers: Vec<EntryReader>,
    starts: bool,
}

impl Found {
    fn open(context: &TaskContext, operator: &PushPart) -> Result<Self> {
        let (state, frontiers) = match &operator.found {
            PartInput::Seeds => (None, [].as_slice()),
            PartInput::Round { state, frontiers } => (state.as_ref(), frontiers.as_slice()),
        };
        let lists = (operator.part as usize, operator.parts.len());
        let frontier = |object| EntryReader::open(context, object, lists, FRONTIER.len());
        let state = state.map(|state| EntryReader::open(context, state, (0, 1), STATE.len()));
        Ok(Self {
            state: state.transpose()?,
            frontiers: frontiers.iter().map(frontier).collect::<Result<_>>()?,
            starts: operator.found == PartInput::Seeds,
        })
    }
}

struct Part<'a> {
    operator: &'a PushPart,
    rows: RowRange,
    sources: Sources,
    order: Order,
    graph: &'a OutEdges<'a>,
    found: Found,
    self_loops: bool,
}

impl Part<'_> {
    fn round(&self, context: &TaskContext) -> Result<PushedPart> {
        let lanes = (self.operator.lanes as usize).clamp(1, rayon::current_num_threads());
        let vertices = self.operator.vertices as usize;
        let own = self.rows.start as usize..self.rows.end() as usize;
        let mut workspaces: Vec<_> = (0..lanes)
            .map(|_| PartWorkspace::new(own.clone(), vertices))
            .collect();
        let mut writers = Writers::new(context, self.operator);
        for turns in self.operator.turns.chunks(lanes) {
            context.check_cancelled()?;
            workspaces
                .par_iter_mut()
                .zip(turns)
                .with_max_len(1)
                .try_for_each(|(workspace, turn)| self.turn(workspace, turn))?;
            for (workspace, turn) in workspaces.iter_mut().zip(turns) {
                self.write(&mut writers, workspace, turn)?;
            }
        }
        writers.finish()
    }

    fn turn(&self, workspace: &mut PartWorkspace, turn: &Turn) -> Result<()> {
        workspace.clear();
        self.take_up(workspace, turn)?;
        let Action::Push {
            threshold,
            max_edges,
            ..
        } = turn.action
        else {
            return Ok(());
        };
        let personal = &self.operator.personal;
        let push = PartPush {
            seeds: self.sources.seeds(turn.source as usize),
            damping: personal.damping,
            self_loops: self.self_loops,
            threshold: threshold.unwrap_or_else(|| PUSHED_SHARE * workspace.density(self.graph)),
            left: turn.left,
            max_edges,
        };
        workspace.push(self.graph, &push);
        Ok(())
    }

    /// What the part knows of the source and what has arrived for it.
    fn take_up(&self, workspace: &mut PartWorkspace, turn: &Turn) -> Result<()> {
        let own = |vertex: u32| (self.rows.start..self.rows.end()).contains(&u64::from(vertex));
        let check = |vertex: u32| match own(vertex) {
            true => Ok(vertex),
            false => Err(Error::internal(format!("vertex {vertex} of another part"))),
        };
        if self.found.starts {
            let seeds = self.sources.seeds(turn.source as usize);
            for &(vertex, share) in seeds {
                if own(vertex) {
                    workspace.start(vertex, share, seeds.len());
                }
            }
        }
        let source = turn.source;
        for slices in self.found.state.iter().flat_map(|state| state.of(source)) {
            let numbers = slices.scores(1).iter().zip(slices.scores(2));
            for (&vertex, (&reserve, &residual)) in slices.indices(0).iter().zip(numbers) {
                workspace.restore(PartEntry {
                    vertex: check(vertex)?,
                    reserve,
                    residual,
                });
            }
        }
        for slices in self
            .found
            .frontiers
            .iter()
            .flat_map(|frontier| frontier.of(source))
        {
            for (&vertex, &mass) in slices.indices(0).iter().zip(slices.scores(1)) {
                workspace.arrive(check(vertex)?, mass);
            }
        }
        Ok(())
    }

    fn write(
        &self,
        writers: &mut Writers<'_>,
        workspace: &mut PartWorkspace,
        turn: &Turn,
    ) -> Result<()> {
        let sums = workspace.sums(self.graph);
        writers.sums.push(PartSums {
            left: sums.kept + sums.sent,
            volume: sums.volume,
            receivers: sums.receivers,
            edges: sums.edges,
            rounding: sums.rounding,
            positive: sums.positive,
            untouched: sums.untouched,
        });
        let source = turn.source;
        match turn.action {
            Action::Push { list, .. } => {
                writers.keep(workspace, source)?;
                writers.send(workspace, source)?;
                if list {
                    self.list(&mut writers.listed, workspace, source)?;
                }
                Ok(())
            }
            Action::Finish => self.list(&mut writers.best, workspace, source),
        }
    }

    fn list(
        &self,
        writer: &mut EntryWriter<'_>,
        workspace: &PartWorkspace,
        source: u32,
    ) -> Result<()> {
        let vertices = self.operator.vertices as usize;
        let limit = (self.operator.personal.top_k as usize).min(vertices) + 1;
        for ranked in workspace.best(limit, &|index| self.order.place(index)) {
            let indices = [ranked.index, ranked.place];
            writer.push(0, source, indices, [ranked.score])?;
        }
        Ok(())
    }
}

/// The objects of a round.
struct Writers<'a> {
    state: EntryWriter<'a>,
    frontier: EntryWriter<'a>,
    best: EntryWriter<'a>,
    listed: EntryWriter<'a>,
    parts: &'a [RowRange],
    sent: Vec<u64>,
    sums: Vec<PartSums>,
}

impl<'a> Writers<'a> {
    fn new(context: &'a TaskContext, operator: &'a PushPart) -> Self {
        let parts = operator.parts.len();
        Self {
            state: EntryWriter::new(context, "state.arrow", &STATE, 1),
            frontier: EntryWriter::new(context, "frontier.arrow", &FRONTIER, parts),
            best: EntryWriter::new(context, "best.arrow", &BEST, 1),
            listed: EntryWriter::new(context, "listed.arrow", &BEST, 1),
            parts: &operator.parts,
            sent: vec![0; parts],
            sums: Vec::with_capacity(operator.turns.len()),
        }
    }

    fn keep(&mut self, workspace: &mut PartWorkspace, source: u32) -> Result<()> {
        for entry in workspace.entries() {
            let scores = [entry.reserve, entry.residual];
            self.state.push(0, source, [entry.vertex], scores)?;
        }
        Ok(())
    }

    fn send(&mut self, workspace: &mut PartWorkspace, source: u32) -> Result<()> {
        let mut part = 0;
        for (vertex, mass) in workspace.outbox() {
            while u64::from(vertex) >= self.parts[part].end() {
                part += 1;
            }
            self.sent[part] += 1;
            self.frontier.push(part, source, [vertex], [mass])?;
        }
        Ok(())
    }

    fn finish(self) -> Result<PushedPart> {
        Ok(PushedPart {
            state: self.state.finish()?,
            frontier: self.frontier.finish()?,
            sent: self.sent,
            best: self.best.finish()?,
            listed: self.listed.finish()?,
            sums: self.sums,
        })
    }
}
