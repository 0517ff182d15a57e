"""The program itself, independent of what it computes.

================== ====================================================================
`imports`          quick start-up
`console`          log lines that do not break progress bars
`messages`         names in messages
`signals`          stopping cleanly
`doctor`           what is installed, and what is missing
================== ====================================================================
"""
