"""From images to the network's answers."""
