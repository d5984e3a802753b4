"""Makes relations.parquet from the database files of WordNet 3.0.

    python make.py DICT_DIR [OUTPUT]

DICT_DIR holds data.noun, data.verb, data.adj and data.adv (/usr/share/wordnet where Debian's
package wordnet-base is installed). Needs pyarrow only. The rows are sorted, so one version of
pyarrow always writes the same bytes.
"""

import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FILES = {"n": "data.noun", "v": "data.verb", "a": "data.adj", "r": "data.adv"}


def pointers(line, pos):
    """Yields (source, target) for each pointer of one synset line; see wndb(5WN).

    The line reads: offset lex_file type w_cnt(hex) (word lex_id)* p_cnt (symbol offset pos
    source/target)* ... A satellite adjective (type s) is an adjective: its id ends in -a.
    """
    fields = line.split(" | ")[0].split()
    count_at = 4 + 2 * int(fields[3], 16)
    for i in range(int(fields[count_at])):
        _symbol, offset, target_pos, _words = fields[count_at + 1 + 4 * i :][:4]
        yield f"{fields[0]}-{pos}", f"{offset}-{target_pos}"


def count_relations(dict_dir):
    """Counts the pointers between each ordered pair of synsets."""
    relations = Counter()
    for pos, name in FILES.items():
        for line in (dict_dir / name).read_text(encoding="ascii").splitlines():
            if not line.startswith("  "):  # the licence at the head of each file is indented
                relations.update(pointers(line, pos))
    return relations


def as_table(relations):
    """One row per pair, sorted by source and target."""
    pairs = sorted(relations)
    return pa.table(
        {
            "source": pa.array([source for source, _ in pairs], pa.string()),
            "target": pa.array([target for _, target in pairs], pa.string()),
            "weight": pa.array([relations[pair] for pair in pairs], pa.float32()),
        }
    )


def main():
    dict_dir = Path(sys.argv[1])
    output = sys.argv[2] if len(sys.argv) > 2 else Path(__file__).with_name("relations.parquet")
    table = as_table(count_relations(dict_dir))
    pq.write_table(table, output, compression="zstd", compression_level=19)
    print(f"{table.num_rows} pairs written to {output}")


if __name__ == "__main__":
    main()
