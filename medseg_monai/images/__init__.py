"""Photographs, masks, slices and volumes, from disk and back."""
