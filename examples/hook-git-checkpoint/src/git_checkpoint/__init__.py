"""A git commit before the agent writes, and the way back."""
