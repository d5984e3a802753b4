//! Pure numeric kernels of rankmill: functions of their arguments, with no I/O, no clock and no
//! tokio. Parallelism is the current rayon pool: the caller runs them inside `pool.install`.
//!
//! Invariant: every result is bitwise the same for any number of threads. Work is cut by the
//! problem's shape alone; whoever writes an output element adds to it in ascending index order;
//! partial sums are folded in index order; dense factorizations run sequentially.

pub mod block;
mod compensated;
pub mod dense;
pub mod eigen_top;
pub mod graph;
pub mod limits;
pub mod panel;
pub mod random;
mod reduce;
mod simd;
pub mod small;
pub mod sparse;
pub mod tall;

pub use block::{BlockError, Centering, Certified, MatrixBlock, Mean, Scratch};
pub use compensated::Compensated;
pub use dense::DenseBlock;
pub use eigen_top::leading_eigenpairs;
pub use panel::{Panel, zeroed};
pub use random::{Philox, gaussian_panel, gaussian_row};
pub use small::{
    Orthonormalizer, Small, SmallError, Svd, cholesky, longest_directions,
    scaled_rank_revealing_orthonormalizer, svd, symmetric_eigen, symmetric_eigenvalues,
    upper_inverse,
};
pub use sparse::{Columns, Segment, SparseBlock};
