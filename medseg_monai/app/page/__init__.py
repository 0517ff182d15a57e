"""What the browser shows, on NiceGUI: the page and its panels, and two elements of its own (viewer.js, drop.js)."""
