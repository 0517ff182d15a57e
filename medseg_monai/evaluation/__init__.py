"""From masks and truth to scores, tables and comparisons."""
