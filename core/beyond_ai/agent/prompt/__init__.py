"""What a run says to the model first: the system prompt, and the task with what it refers to.

`system` puts the system prompt together, out of `context_files` (AGENTS.md), `skills` and what hooks add. `task` reads
a task with its `@file` references, and expands `/skill:name` and `/template` (`templates`); `piped` reads stdin.
"""
