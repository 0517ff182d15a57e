"""Images in, the network's answers out."""
