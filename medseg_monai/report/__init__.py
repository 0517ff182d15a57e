"""Evaluations and explanations as one HTML file."""
