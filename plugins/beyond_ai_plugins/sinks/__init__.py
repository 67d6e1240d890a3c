"""Usage sinks."""
