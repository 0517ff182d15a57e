"""How good an answer is likely to be: whether the picture is of the kind that the network knows, and why a case is flagged."""
