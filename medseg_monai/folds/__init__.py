"""Cross-validation: folds by group, a network for each, scores of every case by the network that has not seen it, and their ensemble."""
