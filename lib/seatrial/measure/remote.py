"""Attaches to an OpenAI-compatible server by its URL, whoever launched it."""

from __future__ import annotations

from dataclasses import replace

from seatrial.errors import MeasurementError, UsageError
from seatrial.json_text import JsonError
from seatrial.measure.single_request import request_once
from seatrial.measure.stream.chunks import one_line
from seatrial.measure.target import RemoteServer, Target, find_target
from seatrial.server.loopback import listed_models
from seatrial.units import counted

_LIST_S = 30.0
_MODELS_SHOWN = 5


def open_remote(url: str, api_key_env: str = "") -> RemoteServer:
    """Return the server at a URL, with the models it lists: it answers, and takes the key.

    Args:
        url: Its base, ``http://host:port`` or ``https://...``; a path before ``/v1`` is allowed.
        api_key_env: Name of the environment variable with its key; empty if it takes none.

    Raises:
        UsageError: If no request may go to the URL, the variable is not set, the server wants another key, or its
            certificate is not trusted.
        MeasurementError: If it does not answer.

    """
    server = RemoteServer(url, (), api_key_env)
    target = find_target(server)
    return replace(server, url=target.url, models=_models(target))


def with_model(target: Target) -> Target:
    """Return the target with the model to ask for: the one it has, or the only one that the server lists.

    Raises:
        UsageError: If the server lists none or several.

    """
    if target.model is not None:
        return target
    models = _models(target)
    if len(models) != 1:
        shown = ", ".join(map(one_line, models[:_MODELS_SHOWN]))
        offered = f"lists {counted(len(models), 'model')} ({shown})" if models else "lists no model"
        raise UsageError(f"{target.url} {offered}.", remedy="Name one: model=...")
    return replace(target, model=models[0])


def _models(target: Target) -> tuple[str, ...]:
    """Return the models that a server lists; none if it has no list.

    Raises:
        UsageError: If it wants another key.
        MeasurementError: If it does not answer, or answers with an error.

    """
    reply = request_once(target, "/v1/models", None, _LIST_S)
    if reply.no_such_page:
        return ()
    if reply.reason:
        raise reply.refusal(target)
    try:
        return tuple(dict.fromkeys(listed_models(reply.document())))
    except JsonError as error:
        raise MeasurementError(
            f"{target.url} answered the question for its models with something else than JSON.",
            remedy="Check the address: it should be the base of an OpenAI-compatible server.",
        ) from error
