"""What training needs besides networks: cases kept and drawn, losses, schedules, handlers."""
