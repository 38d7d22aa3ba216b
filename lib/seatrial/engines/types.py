"""A plan turned into something that can be started: program, arguments, environment, probes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Command:
    """How to start one engine process. Holds no secret: the API key travels in a file or the environment.

    Attributes:
        engine: Engine id.
        argv: Program and arguments; ``{port}`` and ``{key_file}`` are filled in at launch, on several machines also
            ``{head_address}``, and ``{node_rank}`` by ``machine_commands``.
        env: Environment variables to add.
        model: The model id the server must list once it is up.
        key_env: Environment variable the engine reads its API key from, None where it takes a file.
        key_file_text: What to write into the key file, ``{key}`` being the key; some engines want a config file.
        key_file_suffix: How the key file's name must end, for engines that look at it.
        health_path: Answers 200 when the process is up.
        models_path: Lists the model ids served.
        tokenize_path: Counts tokens, None where the engine has none.
        metrics_path: Prometheus text, None where the engine has none.
        program: What must be importable or on PATH, as a person would install it.
        stand_in: Whether this serves a stand-in rather than DeepSeek V4.
        notes: What a person should know before it is started, one sentence each.
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
        """Whether no model is behind it."""
        return self.engine == "simulated"
