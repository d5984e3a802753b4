//! NumPy's `.npy` format, versions 1 to 3: two-dimensional arrays in C order.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use rankmill_common::{Error, Result};

use super::Imported;
use super::lines::open;
use super::sink::Sink;
use crate::local_file::io_failed;

const MAGIC: [u8; 6] = *b"\x93NUMPY";
const LONGEST_HEADER: usize = 1 << 20;
/// Bytes that are read at once.
const CHUNK_BYTES: u64 = 8 << 20;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    number: Number,
    rows: u64,
    cols: i32,
}

/// Types of elements; integers become 64-bit floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Float32,
    Float64,
    Int32,
    Int64,
}

impl Number {
    fn bytes(self) -> u64 {
        match self {
            Self::Float32 | Self::Int32 => 4,
            Self::Float64 | Self::Int64 => 8,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Float32 => DataType::Float32,
            Self::Float64 | Self::Int32 | Self::Int64 => DataType::Float64,
        }
    }

    fn decode(self, bytes: &[u8]) -> ArrayRef {
        match self {
            Self::Float32 => {
                let numbers = bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x));
                Arc::new(Float32Array::from_iter_values(numbers))
            }
            Self::Float64 => {
                let numbers = bytes.as_chunks().0.iter().map(|x| f64::from_le_bytes(*x));
                Arc::new(Float64Array::from_iter_values(numbers))
            }
            Self::Int32 => {
                let numbers = bytes.as_chunks().0.iter().map(|x| i32::from_le_bytes(*x));
                Arc::new(Float64Array::from_iter_values(numbers.map(f64::from)))
            }
            Self::Int64 => {
                let numbers = bytes.as_chunks().0.iter().map(|x| i64::from_le_bytes(*x));
                Arc::new(Float64Array::from_iter_values(numbers.map(|x| x as f64)))
            }
        }
    }
}

pub(super) fn import(file: &Path, place: &Path) -> Result<Imported> {
    let mut source = Source::open(file)?;
    let header = source.header;
    let item: FieldRef = Arc::new(Field::new("item", header.number.data_type(), false));
    let vector = DataType::FixedSizeList(Arc::clone(&item), header.cols);
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("vector", vector, false),
    ]);
    let mut sink = Sink::begin(place, Arc::new(schema))?;
    while let Some((first_row, numbers)) = source.next_rows()? {
        let ids: Vec<i64> = (first_row..source.row).map(|id| id as i64).collect();
        let vectors = FixedSizeListArray::try_new(Arc::clone(&item), header.cols, numbers, None)
            .map_err(|e| Error::internal(e.to_string()))?;
        sink.write(vec![Arc::new(Int64Array::from(ids)), Arc::new(vectors)])?;
    }
    Ok(Imported {
        rows: sink.finish()?,
        note: format!(": vectors of {} numbers", header.cols),
    })
}

/// An array file that is read from the front.
struct Source<'a> {
    reader: BufReader<File>,
    path: &'a Path,
    header: Header,
    /// The row that is read next.
    row: u64,
    buffer: Vec<u8>,
}

impl<'a> Source<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let mut reader = open(path)?;
        let header = read_header(&mut reader)
            .or_else(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    Ok(Err("the file ends within its header".to_owned()))
                }
                _ => Err(io_failed(path, &e)),
            })?
            .map_err(|what| Error::invalid_input(format!("{}: {what}", path.display())))?;
        Ok(Self {
            reader,
            path,
            header,
            row: 0,
            buffer: Vec::new(),
        })
    }

    /// The next rows' numbers and the index of the first of them; absent at the end.
    fn next_rows(&mut self) -> Result<Option<(u64, ArrayRef)>> {
        let left = self.header.rows - self.row;
        if left == 0 {
            let beyond = self.reader.read(&mut [0]);
            return match beyond.map_err(|e| io_failed(self.path, &e))? {
                0 => Ok(None),
                _ => Err(self.error("the file goes on after its last row")),
            };
        }
        let row_bytes = self.header.cols as u64 * self.header.number.bytes();
        let count = (CHUNK_BYTES / row_bytes).clamp(1, left);
        self.buffer.resize((count * row_bytes) as usize, 0);
        if let Err(e) = self.reader.read_exact(&mut self.buffer) {
            if e.kind() != std::io::ErrorKind::UnexpectedEof {
                return Err(io_failed(self.path, &e));
            }
            return Err(self.error(&format!(
                "the file ends between row {} and {} of {}",
                self.row,
                self.row + count,
                self.header.rows
            )));
        }
        self.row += count;
        let numbers = self.header.number.decode(&self.buffer);
        Ok(Some((self.row - count, numbers)))
    }

    fn error(&self, what: &str) -> Error {
        Error::invalid_input(format!("{}: {what}", self.path.display()))
    }
}

type Parsed = std::result::Result<Header, String>;

fn read_header(reader: &mut impl Read) -> std::io::Result<Parsed> {
    let mut start = [0; 8];
    if reader.read_exact(&mut start).is_err() || start[..6] != MAGIC {
        return Ok(Err("this is no .npy file".to_owned()));
    }
    let length = match start[6] {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            usize::from(u16::from_le_bytes(length))
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length)?;
            u32::from_le_bytes(length) as usize
        }
        version => return Ok(Err(format!("version {version} of .npy is not known"))),
    };
    if length > LONGEST_HEADER {
        return Ok(Err(format!("a header of {length} bytes cannot be right")));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    Ok(parse_header(&String::from_utf8_lossy(&text)))
}

/// Reads the Python dictionary that NumPy writes.
fn parse_header(text: &str) -> Parsed {
    let number = match value_of(text, "descr") {
        Some("'<f4'") => Number::Float32,
        Some("'<f8'") => Number::Float64,
        Some("'<i4'") => Number::Int32,
        Some("'<i8'") => Number::Int64,
        Some(records) if records.starts_with('[') => {
            return Err(format!(
                "elements of type {records} are records: save \
                 numpy.lib.recfunctions.structured_to_unstructured(a) instead"
            ));
        }
        Some(other) => {
            return Err(format!(
                "elements of type {other} are not supported: convert with a.astype('f4')"
            ));
        }
        None => return Err("the header has no descr".to_owned()),
    };
    match value_of(text, "fortran_order") {
        Some("False") => {}
        Some("True") => {
            return Err(
                "the array is in Fortran order: save np.ascontiguousarray(a) instead".to_owned(),
            );
        }
        Some(_) | None => return Err("the header has no fortran_order".to_owned()),
    }
    let shape = value_of(text, "shape").and_then(|shape| {
        let inner = shape.strip_prefix('(')?.strip_suffix(')')?;
        let sizes = inner
            .split(',')
            .map(str::trim)
            .filter(|size| !size.is_empty());
        sizes
            .map(|size| size.parse().ok())
            .collect::<Option<Vec<u64>>>()
    });
    match shape.as_deref() {
        Some(&[rows, cols]) if rows > 0 && cols > 0 => {
            let cols = i32::try_from(cols).map_err(|_| format!("rows of {cols} are too long"))?;
            Ok(Header { number, rows, cols })
        }
        Some(shape) => Err(format!("a two-dimensional array is needed, not {shape:?}")),
        None => Err("the header has no shape".to_owned()),
    }
}

/// The text behind a key: up to the comma or brace that ends the value.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("'{key}'"))?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    Some(rest[..end_of_value(rest)?].trim())
}

/// Where a Python value ends that a dictionary goes on behind: at the first comma or brace outside
/// of its own brackets and strings.
fn end_of_value(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0u32, None);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => _ = characters.next(),
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, ',' | '}') if depth == 0 => return Some(at),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.checked_sub(1)?,
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(content);
        bytes
    }

    fn import_bytes(bytes: &[u8]) -> Result<Imported> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.npy");
        std::fs::write(&path, bytes).expect("written");
        import(&path, &folder.path().join("a.parquet"))
    }

    #[test]
    fn reads_what_numpy_writes() {
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }      \n";
        let expected = Header {
            number: Number::Float64,
            rows: 3,
            cols: 2,
        };
        assert_eq!(parse_header(header), Ok(expected));
        let imported = import_bytes(&file(header, &[0; 48])).expect("imported");
        assert_eq!(imported.rows, 3);
    }

    #[test]
    fn integers_become_floats() {
        let column = Number::Int32.decode(&[1, 0, 0, 0, 255, 255, 255, 255]);
        let column: &Float64Array = column.as_any().downcast_ref().expect("floats");
        assert_eq!(column.values().as_ref(), [1.0, -1.0]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let header = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        let good = header("'<f4'", "False", "(3, 2)");
        for (bytes, part) in [
            (b"PK\x03\x04 a zip file".to_vec(), "no .npy"),
            (file(&header("'>f4'", "False", "(3, 2)"), &[]), "'>f4'"),
            (
                file(&header("'<f4'", "True", "(3, 2)"), &[]),
                "ascontiguousarray",
            ),
            (file(&header("'<f4'", "False", "(6,)"), &[]), "not [6]"),
            (file(&header("'<f4'", "False", "(0, 2)"), &[]), "not [0, 2]"),
            (
                file(
                    &header("[('a', '<f4'), ('b]', '<i4', (2,))]", "False", "(3,)"),
                    &[],
                ),
                "type [('a', '<f4'), ('b]', '<i4', (2,))] are records",
            ),
            (
                file(&good, &[])[..40].to_vec(),
                "a.npy: the file ends within its header",
            ),
            (file(&good, &[])[..9].to_vec(), "ends within its header"),
            (file(&good, &[0; 23]), "ends between row 0 and 3"),
            (file(&good, &[0; 25]), "goes on"),
        ] {
            let error = import_bytes(&bytes).err().expect(part);
            assert!(error.message.contains(part), "{part}: {error}");
        }
    }
}
