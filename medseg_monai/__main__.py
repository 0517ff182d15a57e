"""`python -m medseg_monai` is the `medseg` command."""

from medseg_monai.cli import main

main()
