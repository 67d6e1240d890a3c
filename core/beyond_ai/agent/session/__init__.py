"""Sessions: what was said in a run, on disk before the side effect that follows, so that it can be continued.

A session is one JSONL file, a tree that is only ever appended to (`journal`): a header, then entries that name their
parent. `tree` reads a conversation out of it, `codec` turns messages into JSON and back, `folder` knows where sessions
lie, `repair` makes a conversation legal again that was cut off, `listing` reads what a list says. `Session` is what a
program holds, `SessionRepository` a folder of them.
"""

from beyond_ai.agent.session.folder import default_folder, latest, new_path
from beyond_ai.agent.session.journal import SessionError
from beyond_ai.agent.session.listing import SessionInfo
from beyond_ai.agent.session.repository import SessionRepository
from beyond_ai.agent.session.session import Session

__all__ = ["Session", "SessionError", "SessionInfo", "SessionRepository", "default_folder", "latest", "new_path"]
