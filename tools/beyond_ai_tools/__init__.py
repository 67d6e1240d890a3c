"""Our own tools for the coding agent."""
