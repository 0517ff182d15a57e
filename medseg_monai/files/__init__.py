"""Files of text that this program writes for people and other programs.

================== ====================================================================
`writing`          whole or not at all; only one process at a time in a folder
`state`            whether a file is still the one that was read
`csv_tables`       tables that are safe to open in a spreadsheet and are read back exactly
`markdown`         tables and text in which nothing from outside becomes markup
================== ====================================================================
"""
