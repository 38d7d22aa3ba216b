"""A plan turned into something that can be started: program, arguments, environment, probes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.flags import Flags


@dataclass(frozen=True, slots=True)
class Command:
    """How to start one engine process. Holds no secret: the API key travels in a file or the environment.

    Attributes:
        engine: Engine id.
        argv: Program and arguments. The launch fills in ``{port}`` and ``{key_file}``, on several machines also
            ``{head_address}``; ``machine_commands`` fills in ``{node_rank}``.
        env: Environment variables to add.
        model: The model id the server must list once it is up.
        key_env: Environment variable the engine reads its API key from, None if it takes a file.
        key_file_text: Text of the key file, ``{key}`` being the key; some engines want a config file.
        key_file_suffix: Ending of the key file's name, for engines that look at it.
        health_path: Answers 200 when the process is up.
        models_path: Lists the model ids served.
        tokenize_path: Counts tokens, None if the engine has no such path.
        metrics_path: Figures of the engine, None if it has no such path.
        program: What must be importable or on PATH, as a person would install it.
        stand_in: True if this serves a stand-in rather than DeepSeek V4.
        notes: What a person should know before the start, one sentence each.
        nodes: Machines that run it together.

    """

    engine: str
    argv: tuple[str, ...]
    model: str
    env: dict[str, str] = field(default_factory=dict)
    key_env: str | None = None
    key_file_text: str = "{key}\n"
    key_file_suffix: str = ""
    health_path: str = "/health"
    models_path: str = "/v1/models"
    tokenize_path: str | None = None
    metrics_path: str | None = None
    program: str = ""
    stand_in: bool = False
    notes: tuple[str, ...] = ()
    nodes: int = 1

    @property
    def simulated(self) -> bool:
        """True if no model answers, but a scripted server."""
        return self.engine == "simulated"

    @property
    def starts(self) -> tuple[str, ...]:
        """Words before the first flag: the program, and what it is to run."""
        first = next((at for at, word in enumerate(self.argv) if word.startswith("--")), len(self.argv))
        return self.argv[:first]

    @property
    def flags(self) -> Flags:
        """Flags by name; whoever changes some gives them to ``with_flags``."""
        return Flags.from_words(self.argv[len(self.starts) :])

    def with_flags(self, flags: Flags) -> Command:
        """Return the same command with these flags instead."""
        return replace(self, argv=(*self.starts, *flags.to_argv()))

    def filled(self, port: int, key_file: Path) -> Command:
        """Return the command with its port and the file of its key."""
        values = {"{port}": str(port), "{key_file}": str(key_file.absolute())}
        env = {variable: _fill(value, values) for variable, value in self.env.items()}
        return replace(self, argv=tuple(_fill(word, values) for word in self.argv), env=env)


def _fill(text: str, values: dict[str, str]) -> str:
    # Not str.format: arguments may be JSON, with braces of their own.
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text
