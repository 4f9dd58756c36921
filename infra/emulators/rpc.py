"""Handlers of gRPC methods, for services whose package has no servicer class to derive from."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc

from infra.emulators.errors import ApiError

Unary = Callable[[Any], Any] | Callable[[Any], Awaitable[Any]]
Stream = Callable[[Any], AsyncIterator[Any]]
BidirectionalStream = Callable[[AsyncIterator[Any]], AsyncIterator[Any]]

_DETAILS = "grpc-status-details-bin"


def unary(request: Any, method: Unary) -> grpc.RpcMethodHandler:
    """Return the handler of a method with one request and one response.

    Args:
        request: the class of the request, of protobuf or of proto-plus; the method gets an instance of it.
        method: the method, plain or async; an `ApiError` that it raises becomes the status of the call.
    """

    async def call(message: Any, context: Any) -> Any:
        try:
            response = method(message)
            return await response if inspect.isawaitable(response) else response
        except ApiError as error:
            await _abort(context, error)

    return grpc.unary_unary_rpc_method_handler(
        call, request_deserializer=_deserializer(request), response_serializer=serialize
    )


def server_stream(request: Any, method: Stream) -> grpc.RpcMethodHandler:
    """Return the handler of a method with one request and a stream of responses; else like `unary`."""
    return grpc.unary_stream_rpc_method_handler(
        _streamed(method), request_deserializer=_deserializer(request), response_serializer=serialize
    )


def bidirectional_stream(request: Any, method: BidirectionalStream) -> grpc.RpcMethodHandler:
    """Return the handler of a method with a stream of requests and one of responses; else like `unary`."""
    return grpc.stream_stream_rpc_method_handler(
        _streamed(method), request_deserializer=_deserializer(request), response_serializer=serialize
    )


def _streamed(method: Callable[[Any], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
    """Return the method with its `ApiError` as the status of the call."""

    async def call(given: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for response in method(given):
                yield response
        except ApiError as error:
            await _abort(context, error)

    return call


def service(name: str, methods: Mapping[str, grpc.RpcMethodHandler]) -> grpc.GenericRpcHandler:
    """Return the handler of a service by its full name, such as `google.bigtable.v2.Bigtable`."""
    return grpc.method_handlers_generic_handler(name, dict(methods))


def serialize(message: Any) -> bytes:
    """Return the bytes of a message of protobuf or of proto-plus; bytes unchanged."""
    if isinstance(message, bytes):
        return message
    protobuf = type(message).pb(message) if hasattr(type(message), "pb") else message
    data: bytes = protobuf.SerializeToString()
    return data


async def _abort(context: Any, error: ApiError) -> None:
    details = ((_DETAILS, error.details),) if error.details is not None else ()
    await context.abort(error.code, error.text, details)


def _deserializer(request: Any) -> Callable[[bytes], Any]:
    deserialize: Callable[[bytes], Any] = request.deserialize if hasattr(request, "deserialize") else request.FromString
    return deserialize
