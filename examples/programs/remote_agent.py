"""Let the agent on another machine do a task: `python remote_agent.py HOST TASK...`.

Its answer streams to stdout, its calls go to stderr. The key and the gateway are those of HOST's environment.
"""

import asyncio
import sys

from beyond_ai.client import AgentClient, AgentFailed, Frame


def show(frame: Frame) -> None:
    """Write what FRAME says to a person."""
    event = frame.get("event")
    if not isinstance(event, dict):
        return
    if event.get("type") == "text_delta":
        print(event["text"], end="", flush=True)
    elif event["kind"] == "tool_start":
        print(f"> {event['name']} {event['summary']}", file=sys.stderr)
    elif event["kind"] == "agent_end":
        print()


async def main(host: str, task: str) -> int:
    """Do TASK on HOST; the exit code."""
    try:
        # what ssh gets goes through a shell over there
        async with AgentClient("ssh", host, "beyond-ai", "agent", "serve", on_frame=show) as agent:
            counters = await agent.call("prompt", message=task)
    except AgentFailed as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    print(f"{counters['steps']} steps, {counters['output_tokens']} tokens", file=sys.stderr)
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python remote_agent.py HOST TASK...")
    sys.exit(asyncio.run(main(sys.argv[1], " ".join(sys.argv[2:]))))
