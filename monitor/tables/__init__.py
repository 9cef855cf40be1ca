"""Topics as Parquet files, a folder for each day: for DuckDB, pandas, Spark.

`TABLES` are what can be written, `export` writes one. Needs pyarrow, the extra `tables`; the
columns can be read without it.
"""
