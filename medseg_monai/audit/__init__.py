"""Which labels are probably wrong, and how: what a correction would gain, by the probabilities of a network that has not seen the case.

================== ==================================================================================================
`evidence`         a label beside the probabilities, as log-odds, on a small grid
`corrections`      corrections of a label, and the evidence for each: shifted, swapped, missing and extra parts, outline
`exchange`         corrections of the whole picture: another picture's mask, mirrored or turned masks
`twins`            pictures that are nearly the same in two patients
`findings`         what is found in each case, and the rank
`examine`          all of this for a case, and for all together
`answers`          where probabilities come from: folds, a folder of predictions, a bundle
`run`              a data set from its cases to findings
`output`           the tables, and the pictures of the page
================== ==================================================================================================
"""

from medseg_monai.program.callable_package import make_callable

make_callable(__name__)
