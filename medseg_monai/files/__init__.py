"""Files of text that this program writes for people and other programs.

================== ====================================================================
`writing`          whole or not at all; one process at a time in a folder
`csv_tables`       tables that are safe to open in a spreadsheet, and read back exactly
`markdown`         tables and text in which nothing from outside becomes markup
================== ====================================================================
"""
