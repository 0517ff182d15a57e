"""The program itself, whatever it computes.

================== ====================================================================
`imports`          quick to start
`console`          what it says while it works; log lines leave progress bars whole
`messages`         how messages name things
`signals`          how it is told to stop
`doctor`           what is installed, and what is missing
================== ====================================================================
"""
