"""FORA (Wang et al., KDD 2017; its top-k version of TODS 2019), its authors' program, built beforehand.

Settings: program= (path), epsilon=, sample= (sources to answer; the time of all is extrapolated from the
program's own average per source). The program leaves self-loops out. bench/README.md says how it is built: its
probability of a restart is a constant, and it prints no answers unless a line is added.
"""

import os
import re
import subprocess

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from exchange import Call, edges, write_best

call = Call()
src, dst, ids = edges(call)
graph = os.path.join(call.output, "graph")
os.makedirs(graph)
with open(os.path.join(graph, "attribute.txt"), "w") as file:
    file.write(f"n={len(ids)}\nm={len(src)}\n")
plain = csv.WriteOptions(include_header=False, delimiter=" ")
csv.write_csv(pa.table({"src": src, "dst": dst}), os.path.join(graph, "graph.txt"), plain)
wanted = pq.read_table(call.setting("sources", ""))["source"].combine_chunks()
places = pa.compute.index_in(wanted, ids).to_numpy()
sample = min(call.setting("sample", 16), len(places))
with open(os.path.join(graph, "ssquery.txt"), "w") as file:
    file.writelines(f"{place}\n" for place in places[:sample])
words = [call.setting("program", ""), "topk", "--algo", "fora", "--k", "100", "--query_size", str(sample)]
# The version of TODS begins with scores of 1/(10 k): where all vertices together have none so small, it does nothing.
words += ["--opt"] if len(ids) > 1000 else []
words += ["--epsilon", str(call.setting("epsilon", 0.5)), "--prefix", call.output + os.sep, "--dataset", "graph"]
words += ["--result_dir", call.output]
call.lap("load")
said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=call.output).stdout
call.lap("write")
average = float(re.findall(r"Average query time \(s\): *([0-9.e+-]+)", said)[-1])
tables = []
for place in places[:sample]:
    rows = re.findall(rf"^TOP {place} (\d+) (\S+)$", said, re.MULTILINE)
    targets = ids.take(pa.array([int(target) for target, _ in rows]))
    scores = [float(score) for _, score in rows]
    if not any(scores):
        raise SystemExit(f"no answer for source {ids[int(place)]}")
    tables.append(pa.table({"source": pa.repeat(ids[int(place)], len(rows)), "target": targets, "score": scores}))
write_best(call, tables)
# What the program takes to print its answers is not counted.
call.seconds["write"] = 0.0
call.seconds["solve"] = average * sample
call.done("FORA", extrapolated=[sample, len(places)])
