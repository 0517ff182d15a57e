"""The Python face, ``import medseg_monai as mm``: a function for each command, with its options' names and defaults.

============ ==================================================================================
`prepare`    a raw download -> a data set
`datasets`   a data set to look at: images and masks by number, id and split
`plan`       what to train on the data, the machine and the time
`train`      weights, their history and what comes next
`evaluate`   scores of each case, the worst ones, plots
`compare`    evaluations side by side
`predict`    the masks of a folder
`explain`    where a network looks
`tune`       thresholds and cleaning of masks
`review`     how far masks can be trusted
`drift`      a batch of images against training's
`audit`      labels that are probably wrong
`correct`    a mask corrected by clicks
`export`     weights for other runtimes
`rerun`      a training repeated and compared
`arguments`  what the functions accept
`noting`     warnings, which are collected; errors, of which the one is raised that explains it
`running`    a bundle's config run for a Python program, without an exit
`results`    what all results can do: say what was noted, be saved
============ ==================================================================================

The commands call these functions. They print nothing, leave logging alone and return objects that draw themselves in a notebook.
Modules here import nothing heavy until a function is called.
"""
