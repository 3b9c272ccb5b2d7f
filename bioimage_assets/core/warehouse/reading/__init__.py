"""Reading the files of one committed state of a table into Arrow."""
