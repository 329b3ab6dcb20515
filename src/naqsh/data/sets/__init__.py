"""The named data sets' readers: each module has `read(wanted: Wanted) -> DataSet`."""
