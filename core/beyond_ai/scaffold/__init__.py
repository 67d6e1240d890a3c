"""What `beyond-ai plugins new` writes: a complete distribution with one plugin, for each kind.

`templates` holds its files as plain text with `$placeholders`: `project` those that every kind has, and a folder a kind
the plugin, its test and how it is put to use.
"""

from beyond_ai.scaffold.distribution import NewDistribution

__all__ = ["NewDistribution"]
