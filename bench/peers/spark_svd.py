"""Spark MLlib's RowMatrix.computeSVD in local mode (memory= for the driver)."""

import os
import sys

import pyspark
from exchange import Call
from pyspark.mllib.linalg import Vectors
from pyspark.mllib.linalg.distributed import IndexedRow, IndexedRowMatrix
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.window import Window

# Spark's own Python processes need this environment's packages.
os.environ["PYSPARK_PYTHON"] = sys.executable
call = Call()
k = call.setting("k", 64)
spark = (
    SparkSession.builder.master("local[*]")
    .config("spark.driver.memory", call.setting("memory", "8g"))
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "16")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
table = spark.read.parquet(call.input)
items = table.select("item").distinct().withColumn("column", F.row_number().over(Window.orderBy("item")) - 1)
items = items.cache()
width = items.count()
rows = table.join(items, "item").groupBy("user").agg(F.collect_list(F.struct("column", "rating")).alias("entries"))
def index(row):
    entries = {}
    for entry in row.entries:
        entries[entry["column"]] = entries.get(entry["column"], 0.0) + entry["rating"]
    return IndexedRow(row.user, Vectors.sparse(width, entries))
matrix = IndexedRowMatrix(rows.rdd.map(index).cache(), numCols=width)
matrix.numRows()
call.lap("load")
svd = matrix.computeSVD(k, computeU=True)
s, v = svd.s.toArray(), svd.V.toArray()
left = svd.U.rows.map(lambda row: (row.index, [float(x) for x in row.vector])).toDF(["id", "vector"])
call.lap("solve")
left.write.mode("overwrite").parquet(os.path.join(call.output, "left"))
right = [(row.item, [float(x) for x in v[row.column]]) for row in items.collect()]
spark.createDataFrame(right, ["id", "vector"]).write.mode("overwrite").parquet(os.path.join(call.output, "right"))
values = [(index, float(value)) for index, value in enumerate(s)]
spark.createDataFrame(values, ["component", "value"]).write.mode("overwrite").parquet(
    os.path.join(call.output, "singular_values.parquet")
)
call.lap("write")
spark.stop()
call.done(f"pyspark {pyspark.__version__}")
