"""docs/serve-protocol.md says of the frames of `agent serve` what they are. Its schema is generated (`tests/docs`)."""

from pathlib import Path
from typing import get_args

from beyond_ai.agent.serve import frames
from beyond_ai.agent.serve.reader import LARGEST
from beyond_ai.agent.serve.server import CAPABILITIES

TEXT = (Path(__file__).parents[1] / "docs" / "serve-protocol.md").read_text()


def test_every_frame_and_its_members_are_in_the_document() -> None:
    for union in (frames.AnyCommand, frames.AnyFrame):
        for model in get_args(get_args(union)[0]):
            for name in (*get_args(model.model_fields["type"].annotation), *model.model_fields):
                assert f"`{name}`" in TEXT, (model, name)
    for name in CAPABILITIES:
        assert f"`{name}`" in TEXT
    assert f"protocol {frames.PROTOCOL}" in TEXT
    assert f"{LARGEST // 1024**2} MiB" in TEXT
