"""Spark GraphX's PageRank until convergence in local mode (memory= for the driver)."""

import os
import tempfile

import pyspark
from exchange import Call, edges, np, pa, write_scores
from pyspark.sql import SparkSession

call = Call()
src, dst, ids = edges(call)
spark = (
    SparkSession.builder.master("local[*]")
    .config("spark.driver.memory", call.setting("memory", "12g"))
    .config("spark.ui.enabled", "false")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
with tempfile.TemporaryDirectory() as folder:
    # GraphX reads edges as text.
    path = os.path.join(folder, "edges.csv")
    import pyarrow.csv as csv

    options = csv.WriteOptions(include_header=False, delimiter=" ")
    csv.write_csv(pa.table({"src": src, "dst": dst}), path, options)
    jvm, graphx = spark.sparkContext._jvm, spark.sparkContext._jvm.org.apache.spark.graphx
    storage = jvm.org.apache.spark.storage.StorageLevel.MEMORY_AND_DISK()
    graph = graphx.GraphLoader.edgeListFile(spark.sparkContext._jsc.sc(), path, False, 8, storage, storage)
    graph.edges().count()
    call.lap("load")
    tag = jvm.scala.reflect.ClassTag.Int()
    ranked = graphx.lib.PageRank.runUntilConvergence(graph, call.setting("tol", 1e-3), 0.15, tag, tag)
    pairs = ranked.vertices().toJavaRDD().collect()
    scores = np.zeros(len(ids))
    for pair in pairs:
        scores[pair._1()] = pair._2()
    call.lap("solve")
write_scores(call, ids, scores / scores.sum())
spark.stop()
call.done(f"pyspark {pyspark.__version__}")
