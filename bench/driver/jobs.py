"""The races: which input, what rankmill runs, who else runs, and how well the answer must be.

Every race has contestants in a row; the first is the one that all others are compared with.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rankmill:
    """One rankmill process; `{name}` in its words is replaced by the place of that name."""

    name: str
    words: str
    figure: str = "wall_s"
    packages = ()


@dataclass(frozen=True)
class Cluster:
    """A coordinator and workers of one thread each; the client is given `words`."""

    name: str
    words: str
    workers: int = 2
    memory: str = "4GiB"
    figure: str = "wall_s"
    packages = ()


@dataclass(frozen=True)
class Peer:
    """A script in peers/ with settings.

    If its answer misses the target, `harder` (a setting and ever costlier values) is tried until one
    meets it, and that is measured as well.
    """

    name: str
    script: str
    settings: dict
    packages: tuple
    harder: tuple = ()
    figure: str = "wall_s"
    # Measured once only, for those that take minutes.
    once: bool = False
    # A program that the peer needs, by the name of the flag that gives its place.
    program: str = ""


@dataclass(frozen=True)
class Race:
    name: str
    title: str
    input: str
    contestants: tuple
    # What judge.py compares, with which settings; none where only time counts.
    judge: str = ""
    judged: dict = field(default_factory=dict)
    # The error that an answer may have.
    target: float = 0.0
    unit: str = ""
    # The subcommand that rankmill must have.
    subcommand: str = "svd"
    # Other inputs, by the name that they have in words and settings.
    inputs: dict = field(default_factory=dict)
    # The row of the table of targets.
    wanted: str = ""


SKLEARN, SCIPY, FBPCA = ("scikit-learn",), ("scipy",), ("fbpca", "scipy")
ITERATIONS = ("n_iter", (8, 16, 32, 48))
SPARSE = "svd {input} --row user --col item --value rating -k {k} -o {output}"


def svd_peers(k):
    return (
        Peer("scikit-learn randomized_svd n_iter=4", "sklearn_randomized", {"k": k, "n_iter": 4}, SKLEARN, ITERATIONS),
        Peer("scipy ARPACK float32", "arpack", {"k": k}, SCIPY),
        Peer("fbpca n_iter=4", "fbpca_svd", {"k": k, "n_iter": 4}, FBPCA, once=True),
        Peer("scipy PROPACK float32", "arpack", {"k": k, "solver": "propack", "tol": 1e-3}, SCIPY, once=True),
        Peer("dashSVD tol=1e-2", "dashsvd", {"k": k, "tol": 1e-2, "program": "{program}"}, SCIPY,
             ("tol", (1e-3, 1e-4)), once=True, program="dashsvd"),
        Peer("Spark MLlib computeSVD", "spark_svd", {"k": k}, ("pyspark",), once=True),
    )


def svd(name, title, data, k, wanted):
    words = SPARSE.replace("{k}", str(k))
    return Race(
        name, title, data, (Rankmill("rankmill", words), *svd_peers(k)), "svd", {"k": k}, 1e-4, "max rel. error of σ",
        wanted=wanted,
    )


def pca(name, data, k):
    words = f"svd {{input}} --id id --vector vector --center -k {k} -o {{output}}"
    peers = (
        Peer("numpy Gram + eigh", "numpy_gram", {"k": k}, ()),
        Peer("scikit-learn PCA covariance_eigh", "sklearn_pca", {"k": k}, SKLEARN),
        Peer("scikit-learn PCA randomized n_iter=4", "sklearn_pca",
             {"k": k, "svd_solver": "randomized", "n_iter": 4}, SKLEARN, ITERATIONS),
    )
    wanted = "2× covariance_eigh, match numpy's Gram, 3× randomized"
    return Race(
        name, f"PCA k={k}, dense vectors", data, (Rankmill("rankmill", words), *peers), "pca", {"k": k}, 1e-4,
        "max rel. error of σ", wanted=wanted,
    )


def pagerank(name, data, tol):
    words = f"pagerank {{input}} --src src --dst dst --tol {tol:g} -o {{output}}"
    # float32 stops at an L1 error of some 1e-6; below it only float64 can follow.
    harder = ("tol", (tol / 3, tol / 10, tol / 100))
    dtype = "float32" if tol > 5e-7 else "float64"
    peers = [
        Peer(f"scipy {dtype}", "scipy_pagerank", {"tol": tol, "dtype": dtype}, SCIPY, harder),
        Peer(f"python-graphblas {dtype}", "graphblas_pagerank", {"tol": tol, "dtype": dtype},
             GRAPHBLAS, harder),
        Peer("NetworKit", "networkit_pagerank", {"tol": tol}, ("networkit",), harder),
        Peer("igraph prpack", "igraph_pagerank", {}, ("igraph",), once=True),
        Peer("scikit-network piteration", "sknetwork_pagerank", {"tol": tol}, ("scikit-network",), once=True),
        Peer("Spark GraphX", "graphx_pagerank", {}, ("pyspark",), once=True),
    ]
    return Race(
        name, f"PageRank to L1 {tol:g}", data, (Rankmill("rankmill", words), *peers), "pagerank", {}, tol, "L1 error",
        "pagerank", wanted="2× graphblas and scipy, 10× NetworKit and igraph, 30× GraphX",
    )


GRAPHBLAS = ("python-graphblas", "suitesparse-graphblas")


def ppr(name, data, sources):
    words = "ppr {input} --src src --dst dst --sources {sources} --tol 1e-8 --top-k 100 -o {output}"
    listed = {"sources": "{sources}"}
    power = {**listed, "program": "{program}", "algorithm": "PowForPush", "tol": 1e-8, "sample": 4}
    peers = (
        Peer("scipy float64, 16 columns", "scipy_ppr", listed, SCIPY, once=True),
        Peer("python-graphblas float64, 16 columns", "graphblas_ppr", listed, GRAPHBLAS, once=True),
        Peer("PowerPush", "speedppr", power, SCIPY, once=True, program="speedppr"),
    )
    return Race(
        name, "exact PPR of 64 sources to L1 1e-8", data, (Rankmill("rankmill", words), *peers), "ppr", listed,
        1e-8, "L1 error of the top 100", "ppr", {"sources": sources}, "5× graphblas, 10× scipy, 50× PowerPush",
    )


def ppr_top(name, data, sources):
    """The best of many sources; the reference knows the first 64."""
    words = "ppr {input} --src src --dst dst --sources {sources} --tol 1e-4 --top-k 100 -o {output}"
    listed = {"sources": "{sources}"}
    speed = {**listed, "program": "{program}", "algorithm": "SpeedPPR", "epsilon": 0.5, "sample": 16}
    fora = {**listed, "program": "{program}", "epsilon": 0.5, "sample": 16}
    peers = (
        Peer("SpeedPPR, epsilon 0.5, no index", "speedppr", speed, SCIPY, once=True, program="speedppr"),
        Peer("FORA, epsilon 0.5, no index", "fora", fora, SCIPY, once=True, program="fora"),
    )
    return Race(
        name, "top 100 of 10,000 sources", data, (Rankmill("rankmill, proven bounds", words), *peers), "top",
        {**listed, "first": 64}, 0.01, "1 − precision@100", "ppr", {"sources": sources}, "20× SpeedPPR and FORA",
    )


def ingest(name, data, words, settings):
    peers = (
        Peer("pyarrow, scipy CSR", "ingest_csr", settings, SCIPY, figure="parts_s"),
        Peer("pyarrow decoding alone", "ingest_csr", {**settings, "decode": 1}, (), figure="parts_s"),
    )
    title = f"from Parquet to sorted blocks, {data}"
    return Race(
        name, title, data, (Rankmill("rankmill", words, figure="ingest_s"), *peers),
        wanted="25 M int32 pairs/s, strings 5 M/s",
    )


# The cheapest job there is, so that its input is read and stored.
CHEAP = "-k 1 --oversample 3 --method sketch -o {output}"
RATINGS = "svd {input} --row user --col item --value rating " + CHEAP
EDGES = "svd {input} --row src --col dst " + CHEAP
SOME_RATINGS = {"row": "user", "col": "item", "value": "rating"}
SOME_EDGES = {"row": "src", "col": "dst"}


def memory(name, data):
    words = SPARSE.replace("{k}", "64")
    return Race(
        name, "SVD k=64 within 1 GiB against in memory", data,
        (Rankmill("rankmill", words), Rankmill("rankmill --memory 1GiB", words + " --memory 1GiB")),
        "svd", {"k": 64}, 1e-4, "max rel. error of σ", wanted="peak below 1280 MiB, at most 2.5× the time",
    )


def distribution(name, data, k):
    words = SPARSE.replace("{k}", str(k))
    return Race(
        name, "coordinator and two one-thread workers against embedded", data,
        (Rankmill("embedded --threads 2", words + " --threads 2"), Cluster("coordinator + 2 workers", words)),
        "svd", {"k": k}, 1e-4, "max rel. error of σ", wanted="at most 1.25×",
    )


def scale_out(name, data, k, counts):
    """What a job costs in CPU seconds with more and more workers: 1 ÷ ratio is the efficiency that
    as many processors would give, waiting aside."""
    words = SPARSE.replace("{k}", str(k))
    contestants = tuple(
        Cluster(f"{count} worker{'s' * (count > 1)} of one thread, CPU seconds", words, count, "2GiB", "cpu_s")
        for count in counts
    )
    return Race(name, "CPU seconds with more workers", data, contestants, "svd", {"k": k}, 1e-4, "max rel. error of σ",
                wanted="as few as one worker takes")


def scale_out_cores(name, data, k, counts):
    """How much sooner more workers are done; says something where each has a processor of its own."""
    words = SPARSE.replace("{k}", str(k))
    contestants = tuple(
        Cluster(f"{count} worker{'s' * (count > 1)} of one thread", words, count) for count in counts
    )
    return Race(name, "seconds with more workers", data, contestants, "svd", {"k": k}, 1e-4, "max rel. error of σ",
                wanted="an efficiency near 1, with a processor for every worker")


FULL = (
    svd("svd-s", "SVD k=64, 200k×50k, 20 M entries", "s", 64, "8× ARPACK, 4× scikit-learn n_iter=4"),
    svd("svd-m", "SVD k=64, 1M×200k, 100 M entries", "m", 64, "10× ARPACK, 6× scikit-learn, within 6 GiB"),
    memory("svd-m-1gib", "m"),
    pca("pca-d", "d", 64),
    pagerank("pagerank-18", "rmat18", 1e-6),
    pagerank("pagerank-20", "rmat20", 1e-6),
    pagerank("pagerank-22", "rmat22", 1e-6),
    pagerank("pagerank-20-fine", "rmat20", 1e-8),
    pagerank("pagerank-22-fine", "rmat22", 1e-8),
    ppr("ppr-20", "rmat20", "sources-rmat20"),
    ppr_top("ppr-top-20", "rmat20", "many-sources-rmat20"),
    ingest("ingest-ratings-int32", "s-int32-zstd", RATINGS, SOME_RATINGS),
    ingest("ingest-ratings-string", "s-string-zstd", RATINGS, SOME_RATINGS),
    ingest("ingest-edges-int32", "rmat20-int32-zstd", EDGES, SOME_EDGES),
    ingest("ingest-edges-string", "rmat20-string-zstd", EDGES, SOME_EDGES),
    svd("startup", "SVD k=64, the size of ml-100k", "ml-100k-sized", 64, "0.3 s"),
    distribution("distribution-s", "s", 64),
    distribution("distribution-m", "m", 64),
    scale_out("scale-out-s", "s", 64, (1, 2, 4, 8)),
    scale_out_cores("scale-out-cores-s", "s", 64, (1, 2, 4, 8)),
    scale_out_cores("scale-out-cores-m", "m", 64, (1, 2, 4, 8)),
)

QUICK = (
    svd("svd-quick", "SVD k=8, small", "quick-s", 8, "that it runs"),
    pca("pca-quick", "quick-d", 8),
    pagerank("pagerank-quick", "quick-rmat", 1e-6),
    ppr("ppr-quick", "quick-rmat", "sources-quick-rmat"),
    ppr_top("ppr-top-quick", "quick-rmat", "many-sources-quick-rmat"),
    ingest("ingest-quick-string", "quick-s-string-zstd", RATINGS, SOME_RATINGS),
    ingest("ingest-quick-edges", "quick-rmat-int32-zstd", EDGES, SOME_EDGES),
    distribution("distribution-quick", "quick-s", 8),
    scale_out("scale-out-quick", "quick-s", 8, (1, 3)),
    scale_out_cores("scale-out-cores-quick", "quick-s", 8, (1, 2)),
)
