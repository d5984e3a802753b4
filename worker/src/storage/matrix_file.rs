//! A tall or small matrix as the file that it is, or will be: the numbers once, in memory, between
//! the few bytes that Arrow puts around them.
//!
//! What Arrow puts around numbers depends on their shape alone, so it is taken from Arrow's own
//! writer once per shape.
//!
//! Invariant: [`MatrixFile::segments`] are, in order, the bytes that [`super::ipc`] writes for the
//! same numbers.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use arrow::buffer::Buffer;
use bytemuck::cast_slice;
use rankmill_common::matrix::Precision;
use rankmill_common::{Digest, Error, ObjectRef, Result};
use rankmill_kernels::Panel;
use rankmill_kernels::tall::Entries;

use super::ipc;
use super::tall::batch_rows;
use super::vectors;

/// Numbers of a matrix, row-major.
#[derive(Clone, Debug)]
pub(crate) enum Numbered {
    /// Of 32 bits.
    Single(Panel),
    /// Of 64 bits.
    Double(Vec<f64>),
}

/// What decides the bytes around the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) nrows: usize,
    pub(super) ncols: usize,
    pub(super) double: bool,
}

/// A file without its numbers.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Around(Vec<u8>),
    Numbers(Range<usize>),
}

/// Some numbers of a matrix in memory, of which other objects may hold others.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    whole: Arc<Numbered>,
    range: Range<usize>,
}

/// The memory that numbers lie in, as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) address: usize,
    pub(super) bytes: u64,
}

/// A complete object in memory.
#[derive(Debug)]
pub(crate) struct MatrixFile {
    object: ObjectRef,
    shape: Shape,
    template: Arc<Template>,
    numbers: Part,
}

impl Numbered {
    /// The numbers as kernels take them.
    pub(crate) fn entries(&self) -> Entries<'_> {
        match self {
            Self::Single(panel) => Entries::Single(panel.as_slice()),
            Self::Double(entries) => Entries::Double(entries),
        }
    }

    /// How they are stored.
    pub(crate) fn precision(&self) -> Precision {
        match self {
            Self::Single(_) => Precision::Single,
            Self::Double(_) => Precision::Double,
        }
    }
}

impl From<Numbered> for Part {
    fn from(numbers: Numbered) -> Self {
        let range = 0..numbers.entries().len();
        Self::of(&Arc::new(numbers), range)
    }
}

impl Part {
    /// The numbers `range` of a matrix.
    pub(crate) fn of(whole: &Arc<Numbered>, range: Range<usize>) -> Self {
        Self {
            whole: Arc::clone(whole),
            range,
        }
    }

    /// The numbers as kernels take them.
    pub(crate) fn entries(&self) -> Entries<'_> {
        self.whole.entries().slice(self.range.clone())
    }

    /// The numbers as a panel, where they are of 32 bits and the whole matrix.
    pub(crate) fn panel(&self) -> Option<&Panel> {
        match &*self.whole {
            Numbered::Single(panel) if panel.as_slice().len() == self.range.len() => Some(panel),
            Numbered::Single(_) | Numbered::Double(_) => None,
        }
    }

    pub(super) fn is_double(&self) -> bool {
        self.whole.precision() == Precision::Double
    }

    /// What stays in memory as long as this does.
    pub(super) fn memory(&self) -> Memory {
        Memory {
            address: Arc::as_ptr(&self.whole) as usize,
            bytes: self.whole.entries().len() as u64 * self.whole.precision().bytes(),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self.entries() {
            Entries::Single(entries) => cast_slice(entries),
            Entries::Double(entries) => cast_slice(entries),
        }
    }
}

impl Template {
    /// What Arrow puts around the numbers of a matrix of this shape.
    pub(super) fn of(shape: Shape) -> Result<Self> {
        let written = if shape.double {
            write_blank::<f64>(shape)
        } else {
            write_blank::<f32>(shape)
        };
        let Blanks {
            mut pieces, around, ..
        } = written?;
        pieces.push(Piece::Around(around));
        Ok(Self { pieces })
    }

    fn segments<'a>(&'a self, numbers: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.pieces.iter().map(move |piece| match piece {
            Piece::Around(around) => around.as_slice(),
            Piece::Numbers(range) => &numbers[range.clone()],
        })
    }
}

/// What stands for numbers while a template is made. No part of a file around numbers begins with it.
const BLANK: u8 = 0xa7;
/// So many of them tell numbers from what is around them.
const TELLING: usize = 64;

/// Keeps what is written except for numbers.
#[derive(Default)]
struct Blanks {
    pieces: Vec<Piece>,
    around: Vec<u8>,
    /// Bytes of the numbers that are to come next.
    expected: usize,
    seen: usize,
}

impl io::Write for Blanks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let expected = self.expected;
        let blank = |bytes: &[u8]| bytes.iter().take(TELLING).all(|byte| *byte == BLANK);
        match bytes.get(..expected) {
            Some(numbers) if expected > 0 && blank(numbers) => {
                let around = std::mem::take(&mut self.around);
                self.pieces.push(Piece::Around(around));
                self.pieces
                    .push(Piece::Numbers(self.seen..self.seen + expected));
                self.around.extend_from_slice(&bytes[expected..]);
                self.seen += expected;
                self.expected = 0;
            }
            Some(_) | None => self.around.extend_from_slice(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file of blanks, one batch of which is in memory at a time.
fn write_blank<T: vectors::Number>(shape: Shape) -> Result<Blanks> {
    let schema = vectors::schema::<T>(shape.ncols)?;
    let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
    let row_bytes = shape.ncols * size_of::<T>();
    let most = batch_rows::<T>(shape.ncols).min(shape.nrows);
    // Words, so that they are aligned as numbers have to be. Most of their pages are never touched.
    let mut words = vec![0_u64; (most * row_bytes).div_ceil(size_of::<u64>())];
    words
        .iter_mut()
        .take(TELLING.div_ceil(size_of::<u64>()))
        .for_each(|word| {
            *word = u64::from_ne_bytes([BLANK; 8]);
        });
    let blanks = Buffer::from_vec(words);
    let mut writer = ipc::file_writer(Blanks::default(), &schema)?;
    for first in (0..shape.nrows).step_by(most.max(1)) {
        let count = most.min(shape.nrows - first);
        let bytes = count * row_bytes;
        let numbers = blanks.slice_with_length(0, bytes);
        writer.get_mut().expected = bytes;
        let batch = vectors::batch::<T>(&schema, count, shape.ncols, numbers)?;
        writer.write(&batch).map_err(internal)?;
        if writer.get_ref().expected > 0 {
            return Err(Error::internal(
                "Arrow wrote no numbers where some were due",
            ));
        }
    }
    writer.finish().map_err(internal)?;
    writer.into_inner().map_err(internal)
}

impl MatrixFile {
    /// The object `key` that holds `numbers`.
    pub(super) fn new(key: String, shape: Shape, template: Arc<Template>, numbers: Part) -> Self {
        /// Fewer bytes are hashed by one thread.
        const SHARED: usize = 1 << 20;
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        for segment in template.segments(numbers.bytes()) {
            size += segment.len() as u64;
            if segment.len() < SHARED {
                hasher.update(segment);
            } else {
                hasher.update_rayon(segment);
            }
        }
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        Self {
            object: ObjectRef { key, size, digest },
            shape,
            template,
            numbers,
        }
    }

    /// What names it.
    pub(crate) fn object(&self) -> &ObjectRef {
        &self.object
    }

    /// Numbers of each row.
    pub(crate) fn ncols(&self) -> usize {
        self.shape.ncols
    }

    /// The numbers.
    pub(crate) fn numbers(&self) -> &Part {
        &self.numbers
    }

    /// Writes the whole file.
    pub(super) fn write(&self, target: &mut impl io::Write) -> io::Result<()> {
        for segment in self.template.segments(self.numbers.bytes()) {
            target.write_all(segment)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file as Arrow writes it.
    fn by_arrow<T: vectors::Number>(shape: Shape, numbers: &[T]) -> Vec<u8> {
        let schema = vectors::schema::<T>(shape.ncols).expect("a schema");
        let mut writer = ipc::file_writer(Vec::new(), &schema).expect("a writer");
        super::super::tall::for_each_batch(shape.nrows, shape.ncols, numbers, |count, part| {
            let batch = vectors::batch::<T>(&schema, count, shape.ncols, part)?;
            writer.write(&batch).expect("a batch");
            Ok(())
        })
        .expect("batches");
        writer.into_inner().expect("a file")
    }

    #[test]
    fn a_template_is_what_arrow_writes_around_any_numbers() {
        for (nrows, ncols) in [
            (0, 3),
            (1, 1),
            (7, 1),
            (5, 0),
            (33, 16),
            (70_000, 96),
            (65_536, 64),
        ] {
            let single = vec![f32::from_bits(0xa7a7_a7a7); nrows * ncols];
            let double: Vec<f64> = (0..nrows * ncols).map(|i| i as f64).collect();
            let shape = |double| Shape {
                nrows,
                ncols,
                double,
            };
            let mut panel = Panel::new(nrows, ncols);
            panel.as_mut_slice().copy_from_slice(&single);
            let cases = [
                (
                    shape(false),
                    by_arrow(shape(false), &single),
                    Numbered::Single(panel),
                ),
                (
                    shape(true),
                    by_arrow(shape(true), &double),
                    Numbered::Double(double),
                ),
            ];
            for (shape, expected, numbers) in cases {
                let numbers = Part::from(numbers);
                let template = Template::of(shape).expect("a template");
                let found: Vec<u8> = template
                    .segments(numbers.bytes())
                    .flatten()
                    .copied()
                    .collect();
                assert!(found == expected, "{shape:?}");
            }
        }
    }
}
