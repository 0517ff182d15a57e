"""Scans in, the network's answers out."""
