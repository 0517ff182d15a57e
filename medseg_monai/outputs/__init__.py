"""What prediction writes."""
