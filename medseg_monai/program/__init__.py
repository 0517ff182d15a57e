"""The program itself: how it starts, what it says while it works, how it stops."""
