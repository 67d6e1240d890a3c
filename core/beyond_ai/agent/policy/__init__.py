"""What a run may do: path fences, denied tools and commands, and questions to a person.

`rules` is what the command line says, checked when the run starts; `fence` binds paths; `approval` asks, and remembers
the answers for as long as the session is open; `guard` has it ask before a command destroys something. All of it fails
closed.
"""

from beyond_ai.agent.policy.approval import Approval, Gate
from beyond_ai.agent.policy.environment import child_environment
from beyond_ai.agent.policy.fence import Fence
from beyond_ai.agent.policy.rules import Mode, Rules, parse_rules

__all__ = ["Approval", "Fence", "Gate", "Mode", "Rules", "child_environment", "parse_rules"]
