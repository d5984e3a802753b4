//! Leading eigenpairs of a symmetric positive semidefinite matrix that fits in memory.
//!
//! Restarted block Krylov with Rayleigh–Ritz, all in f64 (Musco & Musco 2015; the restart keeps
//! the leading Ritz vectors, as in thick-restart Lanczos). Small matrices, or many eigenpairs, are
//! decomposed whole.

use crate::random::gaussian_row;
use crate::small::{
    Orthonormalizer, Small, SmallError, scaled_rank_revealing_orthonormalizer, symmetric_eigen,
};
use crate::tall::tiles;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Up to this order the whole decomposition is cheap.
const SMALL_ORDER: usize = 1024;

/// Columns beyond k in a block.
const OVERSAMPLING: usize = 16;

/// Blocks of a Krylov basis between restarts.
const BLOCKS: usize = 5;

/// Restarts before the whole decomposition is cheaper.
const MAX_RESTARTS: usize = 12;

/// Residual norms are at most this times the largest eigenvalue.
const TOLERANCE: f64 = 1e-12;

/// Rows of a product that one task owns.
const OWNED_ROWS: usize = 128;

/// The `k` leading eigenvalues (descending) and orthonormal eigenvectors (n×k) of `gram` (n×n,
/// symmetric positive semidefinite), with residuals ‖G v − θ v‖ ≤ 1e-12·θ₁.
///
/// k above n means n. `seed` picks the starting block. Errs as [`symmetric_eigen`].
pub fn leading_eigenpairs(
    gram: &Small,
    k: usize,
    seed: u64,
) -> Result<(Vec<f64>, Small), SmallError> {
    let n = gram.nrows();
    let k = k.min(n);
    let width = k + OVERSAMPLING;
    let iterate = n > SMALL_ORDER && k <= n / 4 && BLOCKS * width <= n / 2;
    if iterate
        && gram.as_slice().iter().all(|entry| entry.is_finite())
        && let Some(pairs) = krylov(gram, k, width, seed)?
    {
        return Ok(pairs);
    }
    let (values, vectors) = symmetric_eigen(gram)?;
    Ok((values[..k].to_vec(), vectors.submatrix(0..n, 0..k)))
}

/// The eigenpairs by restarted block Krylov, or `None` if it does not converge.
fn krylov(
    gram: &Small,
    k: usize,
    width: usize,
    seed: u64,
) -> Result<Option<(Vec<f64>, Small)>, SmallError> {
    let n = gram.nrows();
    let mut start = gaussian(n, width, seed);
    for _ in 0..MAX_RESTARTS {
        let Some((basis, image)) = krylov_basis(gram, start)? else {
            return Ok(None);
        };
        let (values, rotation) = symmetric_eigen(&transposed_product(&basis, &image))?;
        let leading = rotation.submatrix(0..rotation.nrows(), 0..width.min(rotation.ncols()));
        let vectors = product(&basis, &leading);
        if converged(&product(&image, &leading), &vectors, &values[..k]) {
            return Ok(Some((values[..k].to_vec(), vectors.submatrix(0..n, 0..k))));
        }
        start = vectors;
    }
    Ok(None)
}

/// An orthonormal basis K of span{X, GX, …} and G K, or `None` if X lacks rank.
fn krylov_basis(gram: &Small, start: Small) -> Result<Option<(Small, Small)>, SmallError> {
    let width = start.ncols();
    let Some(mut block) = orthonormalize(start, None)? else {
        return Ok(None);
    };
    if block.ncols() < width {
        return Ok(None);
    }
    let mut image = product(gram, &block);
    let (mut basis, mut images) = (block.clone(), image.clone());
    for _ in 1..BLOCKS {
        let Some(next) = orthonormalize(image, Some(&basis))? else {
            break;
        };
        block = next;
        image = product(gram, &block);
        basis = basis.hstack(&block);
        images = images.hstack(&image);
    }
    Ok(Some((basis, images)))
}

/// Orthonormal columns spanning those of `block` less their part in `basis`; `None` if nothing is
/// left of them. Projected and orthonormalized until both hold to rounding.
fn orthonormalize(mut block: Small, basis: Option<&Small>) -> Result<Option<Small>, SmallError> {
    let scale = block.frobenius();
    for round in 0..3 {
        if let Some(basis) = basis {
            // Twice is enough (Giraud et al. 2005), for each change of the block.
            for _ in 0..2 {
                let inside = product(basis, &transposed_product(basis, &block));
                block = block.add(&inside.scale(-1.0));
            }
        }
        // Directions at the level of rounding carry no information; later rounds have unit columns.
        let floor = if round == 0 { 1e-13 * scale } else { 1e-3 };
        let gram = transposed_product(&block, &block);
        let Orthonormalizer {
            transform, rank, ..
        } = scaled_rank_revealing_orthonormalizer(&gram, floor)?;
        if rank == 0 {
            return Ok(None);
        }
        block = product(&block, &transform);
    }
    Ok(Some(block))
}

fn converged(images: &Small, vectors: &Small, values: &[f64]) -> bool {
    let limit = TOLERANCE
        * values
            .first()
            .copied()
            .unwrap_or(0.0)
            .max(f64::MIN_POSITIVE);
    (0..values.len()).all(|j| {
        let residual2: f64 = (0..vectors.nrows())
            .map(|i| {
                let residual = values[j].mul_add(-vectors[(i, j)], images[(i, j)]);
                residual * residual
            })
            .sum();
        residual2.sqrt() <= limit
    })
}

fn gaussian(n: usize, width: usize, seed: u64) -> Small {
    let mut row = vec![0.0; width];
    let mut entries = Vec::with_capacity(n * width);
    for i in 0..n {
        gaussian_row(seed, u32::MAX, i as u64, &mut row);
        entries.extend(row.iter().map(|&entry| f64::from(entry)));
    }
    Small::from_vec(n, width, entries)
}

/// a b, tasks owning rows.
fn product(a: &Small, b: &Small) -> Small {
    owned_product(a.as_mat(), b)
}

/// aᵀ b, tasks owning rows.
fn transposed_product(a: &Small, b: &Small) -> Small {
    owned_product(a.as_mat().transpose(), b)
}

fn owned_product(a: MatRef<'_, f64>, b: &Small) -> Small {
    let (m, l) = (a.nrows(), b.ncols());
    let mut out = Small::zeros(m, l);
    if l == 0 {
        return out;
    }
    let tasks = out
        .as_mut_slice()
        .par_chunks_mut(OWNED_ROWS * l)
        .enumerate();
    tasks.for_each(|(task, out)| {
        let rows = out.len() / l;
        let a = a.subrows(task * OWNED_ROWS, rows);
        let mut out = MatMut::from_row_major_slice_mut(out, rows, l);
        for depth in tiles(0..a.ncols()) {
            matmul(
                out.as_mut(),
                Accum::Add,
                a.subcols(depth.start, depth.len()),
                b.as_mat().subrows(depth.start, depth.len()),
                1.0,
                Par::Seq,
            );
        }
    });
    out
}
