"""Everything for training except the networks: caching and sampling of cases, losses, schedules, handlers."""
