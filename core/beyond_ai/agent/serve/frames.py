"""Every frame of the protocol. Within a version members and kinds are only added; unknown ones are to be ignored."""

from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from beyond_ai.agent.policy.approval import Answer
from beyond_ai.spec.conversation import ThinkingLevel

PROTOCOL: Final = 1
LONGEST_NAME: Final = 1_000
"""Characters of a session's name, which stands in its file again and again."""
LONGEST_ID: Final = 1_000
"""Characters of an id: it comes back in frames that have a bound."""


class Frame(BaseModel):
    """What all frames have in common."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Command(Frame):
    """A frame to the agent; `id` comes back with the answer."""

    id: str | None = Field(default=None, max_length=LONGEST_ID)


class ImageData(Frame):
    """An image: `data` is base64."""

    media_type: str
    data: str


def _well_formed(given: object) -> object:
    """The images in GIVEN that are some; others are passed over, as clients of early agents rely on."""
    if not isinstance(given, list):
        return ()
    texts = ("media_type", "data")
    return [image for image in given if isinstance(image, dict) and all(isinstance(image.get(n), str) for n in texts)]


Images = Annotated[tuple[ImageData, ...], BeforeValidator(_well_formed, json_schema_input_type=tuple[ImageData, ...])]


class Words(Command):
    """What the user says: a message, images, or both."""

    message: str
    images: Images = ()

    @model_validator(mode="after")
    def _say_something(self) -> Self:
        if not self.message.strip() and not self.images:
            raise ValueError("the message is empty, and there is no image")
        return self


class Prompt(Words):
    """Do a task. While one is done, `streaming_behavior` says how it waits; without that it is refused."""

    type: Literal["prompt"]
    streaming_behavior: Literal["steer", "follow_up"] | None = None


class Said(Words):
    """Words to the task that is being done."""

    type: Literal["steer", "follow_up"]


class Plain(Command):
    """A command without members."""

    type: Literal[
        "abort",
        "get_state",
        "new_session",
        "get_last_assistant_text",
        "get_session_stats",
        "get_commands",
        "get_available_models",
        "list_branches",
        "clear_queue",
    ]


class GetMessages(Command):
    """The messages of the session, or those behind the one with the id `since`."""

    type: Literal["get_messages"]
    since: str | None = None


class ListSessions(Command):
    """The sessions that can be switched to, from number `offset` on, at most `limit` of them."""

    type: Literal["list_sessions"]
    offset: int = Field(default=0, ge=0)
    limit: int | None = Field(default=None, ge=1)


class SwitchSession(Command):
    """Go on in another session; the start of its id is enough."""

    type: Literal["switch_session"]
    session_id: str


class Fork(Command):
    """Go on in a copy of this session: of its first `upto` messages, or of all."""

    type: Literal["fork"]
    upto: int | None = Field(default=None, ge=0)


class SetSessionName(Command):
    """Name the session."""

    type: Literal["set_session_name"]
    title: str = Field(max_length=LONGEST_NAME)


class Compact(Command):
    """Condense what is older."""

    type: Literal["compact"]
    custom_instructions: str | None = None


class SetModel(Command):
    """Let another model answer, from the next request on; `:level` behind it says how much it reasons."""

    type: Literal["set_model"]
    model: str = Field(min_length=1)


class SetThinking(Command):
    """How much the model reasons, in tokens; null is not at all."""

    type: Literal["set_thinking"]
    budget: int | None = Field(ge=0)


class SwitchBranch(Command):
    """Go on from an earlier entry of the session; a summary tells the model of the branch that is left."""

    type: Literal["switch_branch"]
    target_id: str
    summarize: bool = True
    custom_instructions: str | None = None


class Approve(Command):
    """The answer to an `approval_request`."""

    type: Literal["approve"]
    request_id: str
    decision: Literal["allow", "deny"]
    scope: Literal["once", "session"] = "once"


class Attach(Command):
    """Send events again that came after `from_seq`, if `instance` is this process, and requests that are open."""

    type: Literal["attach"]
    from_seq: int = Field(ge=0)
    instance: str | None = None


AnyCommand = Annotated[
    Prompt
    | Said
    | Plain
    | GetMessages
    | ListSessions
    | SwitchSession
    | Fork
    | SetSessionName
    | Compact
    | SetModel
    | SetThinking
    | SwitchBranch
    | Approve
    | Attach,
    Field(discriminator="type"),
]

COMMANDS: Final = frozenset(
    name for model in get_args(get_args(AnyCommand)[0]) for name in get_args(model.model_fields["type"].annotation)
)
"""The types of commands."""


class Ready(Frame):
    """The first frame."""

    type: Literal["ready"] = "ready"
    session_id: str
    model: str
    protocol: int = PROTOCOL
    version: str
    pid: int
    instance: str
    capabilities: tuple[str, ...]
    limits: dict[str, int]


class Ack(Frame):
    """A command that takes a while was taken up."""

    type: Literal["ack"] = "ack"
    id: str | None = None
    command: str


class Event(Frame):
    """Something happened. `event` has a `kind`; `seq` counts without gaps."""

    type: Literal["event"] = "event"
    event: dict[str, Any]
    seq: int
    replayed: bool | None = None


class Response(Frame):
    """The answer to a command, exactly one; `code` says what kind of failure it is, `data` is one of `answers`."""

    type: Literal["response"] = "response"
    id: str | None = None
    command: str
    success: bool
    data: dict[str, Any] | None = None
    error: str | None = None
    code: str | None = None


class ApprovalRequest(Frame):
    """May this call run? `summary` is what it does, `reason` why it is asked. Without an answer in time it may not."""

    type: Literal["approval_request"] = "approval_request"
    request_id: str
    tool: str
    summary: str
    reason: str
    scope_key: str
    options: tuple[str, ...] = ("allow", "deny")
    call_id: str
    input: dict[str, Any]
    timeout_seconds: float
    replayed: bool | None = None


class ApprovalResolved(Frame):
    """How a request ended, and by whom."""

    type: Literal["approval_resolved"] = "approval_resolved"
    request_id: str
    decision: Literal["allow", "deny"]
    by: Literal["client", "timeout", "cancelled"]


class Exit(Frame):
    """The last frame."""

    type: Literal["exit"] = "exit"
    code: int
    reason: str


AnyFrame = Annotated[
    Ready | Ack | Event | Response | ApprovalRequest | ApprovalResolved | Exit, Field(discriminator="type")
]


def answer_of(command: Approve) -> Answer:
    """What COMMAND says, in the words of the policy."""
    return "no" if command.decision == "deny" else command.scope


def level_of(budget: int | None) -> ThinkingLevel:
    """The level whose budget comes nearest to BUDGET from below."""
    from beyond_ai.agent.models import BUDGETS, LEVELS

    if not budget:
        return "off"
    return max(
        (level for level in LEVELS[1:-1] if BUDGETS[level] <= budget), key=BUDGETS.__getitem__, default="minimal"
    )
