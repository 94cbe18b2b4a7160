"""Below `config`: the tables of the configuration, read into values with one line for every mistake."""
