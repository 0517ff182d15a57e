"""What runs inside a MONAI Label server; needs MONAI Label to be installed (`make label-env`)."""
