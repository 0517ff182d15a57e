"""Trained weights for other runtimes, and bundles as packages."""
