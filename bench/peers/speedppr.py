"""SpeedPPR and PowerPush (Wu et al., SIGMOD 2021), their authors' program, built beforehand.

Settings: program= (path), algorithm= (PowForPush or SpeedPPR), tol= (L1, PowForPush), epsilon=
(SpeedPPR), sample= (sources to answer; the time of all is extrapolated from the program's own
average per source). The program leaves self-loops out: on a graph that has some, its answer is another. Writes the 100 highest scores of each source.
"""

import os
import re
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
from exchange import Call, edges, np, write_best

call = Call()
algorithm = call.setting("algorithm", "PowForPush")
src, dst, ids = edges(call)
folder = os.path.join(call.output, "speedppr")
os.makedirs(folder)
meta, binary, query = (os.path.join(folder, name) for name in ("attribute.txt", "graph.bin", "query"))
pairs = np.stack([src, dst], axis=1).astype(np.uint32)
pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
pairs.tofile(binary)
with open(meta, "w") as file:
    file.write(f"n={len(ids)}\nm={len(pairs)}\n")
wanted = pq.read_table(call.setting("sources", ""))["source"].combine_chunks()
places = pa.compute.index_in(wanted, ids).to_numpy()
sample = min(call.setting("sample", 16), len(places))
with open(query, "w") as file:
    file.writelines(f"{place}\n" for place in places[:sample])
words = [call.setting("program", ""), "-algo", algorithm, "-meta", meta, "-graph_binary", binary]
words += ["-query", query, "-query_size", str(sample), "-alpha", "0.15", "-estimation_folder", folder]
if algorithm == "SpeedPPR":
    words += ["-epsilon", str(call.setting("epsilon", 0.5))]
else:
    words += ["-l1_error", str(call.setting("tol", 1e-8))]
call.lap("load")
said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
call.lap("write")
average = float(re.findall(r"Average Time Used ([0-9.]+)", said)[-1])
tables = []
for place in places[:sample]:
    name = next(name for name in os.listdir(folder) if re.fullmatch(rf"(.*_)?{place}(_.*)?\.txt", name))
    with open(os.path.join(folder, name)) as file:
        rows = [line.split() for _, line in zip(range(100), file)]
    top = pa.array([int(row[0]) for row in rows])
    scores = [float(row[1]) for row in rows]
    source = pa.repeat(ids[int(place)], len(top))
    tables.append(pa.table({"source": source, "target": ids.take(top), "score": scores}))
write_best(call, tables)
# What the program takes to print whole vectors as text is not counted.
call.seconds["write"] = 0.0
call.seconds["solve"] = average * sample
call.done(algorithm, extrapolated=[sample, len(places)])
