"""Sub-commands of `beyond-ai`."""
