//! The cost of a truncated SVD.

use super::{Estimate, PROCESS_BYTES, ShapeKnowledge, Sorting, StageEstimate, distinct, ingest};
use crate::input::{Ids, Layout};
use crate::job::svd::{Centering, Method, SvdSpec};
use crate::operator::Inspection;
use crate::table::IdRange;

/// Reads that subspace iteration needs there.
const SUBSPACE_READS: u64 = 12;
/// Bytes of a stored sparse entry: a 16-bit column and an f32 value.
const ENTRY_BYTES: u64 = 6;

/// Estimates a truncated SVD from its input's footers.
pub fn svd(spec: &SvdSpec, inspection: &Inspection) -> Estimate {
    let (nrows, ncols, shape) = shape(&spec.input.layout, inspection);
    let (nnz, block_bytes) = match inspection.vector_length {
        Some(length) => (nrows * length, nrows * length * 4),
        None => (inspection.rows(), inspection.rows() * ENTRY_BYTES),
    };
    let k = u64::from(spec.rank.limit()).min(nrows).min(ncols);
    let method = assumed_method(spec, ncols, inspection.vector_length.is_some());
    let krylov = spec.krylov_block(nnz);
    let width = match method {
        Method::Auto | Method::Lanczos => krylov.width,
        Method::Gram | Method::Subspace | Method::Sketch => spec.wide_block(),
    };
    let width = u64::from(width).min(nrows).min(ncols).max(1);
    let iterations = match method {
        Method::Auto | Method::Lanczos => krylov.steps.min(spec.max_reads - 1).into(),
        Method::Subspace => SUBSPACE_READS.min(u64::from(spec.max_reads) - 1),
        Method::Gram => 1,
        Method::Sketch => 0,
    };
    let means = u64::from(spec.centering == Centering::Columns);
    let sorting = sorting(&spec.input.layout, inspection);
    let mut stages = ingest(inspection, sorting, block_bytes);
    stages.extend(iteration(
        method,
        iterations,
        (nrows, ncols, width),
        block_bytes,
    ));
    stages.push(StageEstimate {
        name: "last read: left vectors and residuals".into(),
        times: 1,
        memory: PROCESS_BYTES + 28 * ncols * k + 12 * k * nrows.min(1 << 18),
        bytes_read: block_bytes + 4 * ncols * k,
        scratch: 4 * nrows * k * 3 + 8 * ncols * k * 2,
    });
    Estimate {
        nrows,
        ncols,
        nnz,
        shape,
        method: method.name().to_owned(),
        reads: iterations + means + 1,
        stages,
        result_bytes: 4 * k * (nrows + ncols),
    }
}

fn shape(layout: &Layout, inspection: &Inspection) -> (u64, u64, ShapeKnowledge) {
    let rows = inspection.rows();
    match (layout, inspection.vector_length) {
        // An svd of edges is refused before it comes here.
        (Layout::Graph(_), _) => (rows, rows, ShapeKnowledge::UpperBound),
        (Layout::Dense(_), length) => (rows, length.unwrap_or(1), ShapeKnowledge::Exact),
        (Layout::Sparse(layout), _) => match layout.ids {
            Ids::Dense {
                shape: Some((nrows, ncols)),
            } => (nrows, ncols, ShapeKnowledge::Exact),
            Ids::Dense { shape: None } => {
                let nrows = inspection.row_id_range.and_then(IdRange::indices);
                let ncols = inspection.column_id_range.and_then(IdRange::indices);
                match nrows.zip(ncols) {
                    Some((nrows, ncols)) => (nrows, ncols, ShapeKnowledge::Exact),
                    None => (rows, rows, ShapeKnowledge::UpperBound),
                }
            }
            Ids::Dictionary => (
                distinct(rows, inspection.row_id_range),
                distinct(rows, inspection.column_id_range),
                ShapeKnowledge::UpperBound,
            ),
        },
    }
}

fn sorting(layout: &Layout, inspection: &Inspection) -> Sorting {
    match layout {
        Layout::Sparse(layout) => match inspection.narrow_id_ranges(&layout.ids) {
            [Some(_), Some(_)] => Sorting::Once,
            [None, _] | [_, None] => Sorting::Twice,
        },
        Layout::Graph(_) | Layout::Dense(_) => Sorting::Twice,
    }
}

fn assumed_method(spec: &SvdSpec, ncols: u64, dense: bool) -> Method {
    match spec.method {
        Method::Auto if dense && ncols <= 2048 => Method::Gram,
        Method::Auto => Method::Lanczos,
        method @ (Method::Lanczos | Method::Gram | Method::Subspace | Method::Sketch) => method,
    }
}

fn iteration(
    method: Method,
    times: u64,
    (nrows, ncols, width): (u64, u64, u64),
    block_bytes: u64,
) -> Vec<StageEstimate> {
    let tall = 4 * ncols * width;
    let stage = |name: &str, memory, scratch| StageEstimate {
        name: name.into(),
        times,
        memory: PROCESS_BYTES + memory,
        bytes_read: block_bytes + tall,
        scratch,
    };
    let panel = 4 * width * nrows.min(1 << 16);
    match method {
        Method::Auto | Method::Lanczos => {
            vec![stage("read A: Krylov step", 4 * tall + panel, 6 * tall)]
        }
        Method::Subspace => vec![stage("read A: subspace step", 4 * tall + panel, 4 * tall)],
        Method::Gram => {
            let gram = 8 * ncols * ncols;
            vec![stage("read A: AᵀA and its eigenvectors", 6 * gram, gram)]
        }
        Method::Sketch => vec![StageEstimate {
            name: "orthonormalize A Ω and project A on it".into(),
            times: 1,
            memory: PROCESS_BYTES + 24 * width * nrows.max(ncols).min(1 << 18),
            bytes_read: 4 * width * nrows + 8 * width * ncols,
            scratch: 12 * width * nrows + 16 * width * ncols,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{DenseLayout, Duplicates, InputSpec, OnBadRow, SparseLayout};
    use crate::job::svd::{Convergence, Rank};
    use crate::job::{OutputSpec, Overwrite};
    use crate::operator::inspect::{PinnedFile, RowGroup};
    use crate::table::IdType;

    fn dense(rows: u64, length: u64) -> Inspection {
        Inspection {
            files: vec![PinnedFile {
                url: "file:///x".into(),
                size: 1,
                version: String::new(),
                row_groups: vec![RowGroup {
                    rows,
                    bytes: rows * length * 4,
                }],
            }],
            row_id_type: IdType::Int64,
            column_id_type: IdType::Int64,
            row_id_range: None,
            column_id_range: None,
            vector_length: Some(length),
        }
    }

    fn spec(method: Method) -> SvdSpec {
        SvdSpec {
            input: InputSpec {
                paths: vec!["file:///x".into()],
                layout: Layout::Dense(DenseLayout {
                    id: None,
                    vector: vec!["v".into()],
                }),
                on_bad_row: OnBadRow::Error,
            },
            output: OutputSpec {
                url: "file:///y".into(),
                overwrite: Overwrite::Refuse,
            },
            rank: Rank::Fixed { k: 64 },
            block_width: None,
            tol: 1e-3,
            max_reads: 32,
            method,
            centering: Centering::None,
            seed: 0,
            convergence: Convergence::Report,
        }
    }

    #[test]
    fn a_narrow_dense_matrix_is_read_twice() {
        let estimate = svd(&spec(Method::Auto), &dense(200_000, 512));
        assert_eq!((estimate.method.as_str(), estimate.reads), ("gram", 2));
        assert_eq!(estimate.result_bytes, 4 * 64 * 200_512);
        assert_eq!(estimate.shape, ShapeKnowledge::Exact);
    }

    fn sparse(ids: Ids) -> SvdSpec {
        let mut spec = spec(Method::Auto);
        spec.input.layout = Layout::Sparse(SparseLayout {
            row: "user".into(),
            col: "item".into(),
            value: None,
            ids,
            duplicates: Duplicates::Sum,
            transforms: Vec::new(),
        });
        spec
    }

    /// Of `rows` triplets whose ids lie in ranges of these spans.
    fn triplets(rows: u64, lowest: u64, spans: [u64; 2]) -> Inspection {
        let [row, column] = spans.map(|span| Some(IdRange { lowest, span }));
        Inspection {
            row_id_range: row,
            column_id_range: column,
            vector_length: None,
            ..dense(rows, 4)
        }
    }

    fn sorts(estimate: &Estimate) -> bool {
        let mut stages = estimate.stages.iter();
        stages.any(|stage| stage.name == "sort entries")
    }

    #[test]
    fn footers_bound_the_ids_of_integers() {
        let known = triplets(20_000_000, 7, [200_000, 50_000]);
        let estimate = svd(&sparse(Ids::Dictionary), &known);
        assert_eq!((estimate.nrows, estimate.ncols), (200_000, 50_000));
        assert_eq!(estimate.shape, ShapeKnowledge::UpperBound);
        assert!(!sorts(&estimate));
        let wide = triplets(1_000, 7, [u64::MAX, 30]);
        let estimate = svd(&sparse(Ids::Dictionary), &wide);
        assert_eq!((estimate.nrows, estimate.ncols), (1_000, 30));
        assert!(sorts(&estimate));
    }

    #[test]
    fn the_highest_indices_say_how_large_a_matrix_of_indices_is() {
        let zero = 1 << 63;
        let indices = triplets(10, zero + 5, [100, 20]);
        let estimate = svd(&sparse(Ids::Dense { shape: None }), &indices);
        assert_eq!((estimate.nrows, estimate.ncols), (105, 25));
        assert_eq!(estimate.shape, ShapeKnowledge::Exact);
        let negative = triplets(10, zero - 5, [100, 20]);
        let estimate = svd(&sparse(Ids::Dense { shape: None }), &negative);
        assert_eq!(estimate.shape, ShapeKnowledge::UpperBound);
    }

    #[test]
    fn memory_grows_with_the_block_and_not_with_the_rows() {
        let peak = |rows| svd(&spec(Method::Lanczos), &dense(rows, 100_000)).peak_memory();
        assert_eq!(peak(10_000_000), peak(20_000_000));
    }
}
