"""Running commands: all of what they start belongs to them, and their output is held in bounds."""
