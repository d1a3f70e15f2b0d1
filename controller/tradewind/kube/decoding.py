"""Decodes the bytes of lists and watches to objects with their identity.

There are two ways, chosen by `decode`: a msgspec struct type is decoded directly from the bytes (fast, and other fields
are skipped); any other callable gets the object as a dict.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

import msgspec
import orjson

from tradewind.kube.errors import ApiError
from tradewind.kube.objects import Key, RawMeta, RawObject, raw_meta

T = TypeVar("T")
S = TypeVar("S")

DEEPEST = 10_000
"""The maximum nesting depth of JSON in the API server (Go's encoding/json)."""
_UNDECODABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class MalformedStream(Exception):  # noqa: N818
    """Invalid JSON, or JSON that is no watch event: the rest of the stream cannot be trusted."""


class Item(NamedTuple, Generic[T]):
    """One object with its identity; `object` is None if it could not be decoded."""

    key: Key
    uid: str
    resource_version: str
    object: T | None
    error: Exception | None = None


class Page(NamedTuple, Generic[T]):
    """One page of a list."""

    items: list[Item[T]]
    resource_version: str
    continue_token: str


class Event(NamedTuple, Generic[T]):
    """One line of a watch: ADDED, MODIFIED, DELETED, or BOOKMARK (its item has only a resourceVersion)."""

    type: str
    item: Item[T]


class Decoder(Protocol[T]):
    """Decodes the two kinds of responses that an informer gets."""

    def page(self, body: bytes) -> Page[T]:
        """Decode a list; it includes items that cannot be decoded. Raises MalformedStream if it is not a list."""
        ...

    def event(self, line: bytes) -> Event[T]:
        """Decode a watch event. Raises ApiError for an ERROR event, and MalformedStream if it is not an event."""
        ...


def decoder_for(decode: Callable[[dict[str, Any]], T] | type[T]) -> Decoder[T]:
    """Return the decoder for a msgspec struct type with a `metadata` field, or for a function of a dict."""
    if isinstance(decode, type) and issubclass(decode, msgspec.Struct):
        return _StructDecoder(cast(type[T], decode))
    return _DictDecoder(cast(Callable[[dict[str, Any]], T], decode))


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _RawList(msgspec.Struct):
    metadata: _ListMeta
    # Go encodes a nil slice as null.
    items: list[msgspec.Raw] | None = None


class _RawEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _StructEvent(msgspec.Struct, Generic[T]):
    type: str
    object: T


_raw_list = msgspec.json.Decoder(_RawList)
_raw_event = msgspec.json.Decoder(_RawEvent)
_raw_object = msgspec.json.Decoder(RawObject)


class _StructDecoder(Generic[T]):
    def __init__(self, struct: type[T]) -> None:
        if "metadata" not in getattr(struct, "__struct_fields__", ()):
            raise TypeError(f"{struct.__name__} has no metadata field to identify objects by")
        self._object: Any = msgspec.json.Decoder(struct)
        self._event: Any = msgspec.json.Decoder(_StructEvent[struct])  # type: ignore[valid-type]

    def page(self, body: bytes) -> Page[T]:
        listed = _decode_list(body)
        return Page(
            [self._item(raw) for raw in listed.items or ()],
            listed.metadata.resource_version,
            listed.metadata.continue_,
        )

    def event(self, line: bytes) -> Event[T]:
        # The common case in one pass; anything else takes the slow path.
        if line.startswith((b'{"type":"BOOKMARK"', b'{"type":"ERROR"')):
            return self._unusual_event(line)
        try:
            event = self._event.decode(line)
        except _UNDECODABLE:
            return self._unusual_event(line)
        if event.type not in ("ADDED", "MODIFIED", "DELETED"):
            return self._unusual_event(line)
        return Event(event.type, _identified(event.object.metadata, event.object))

    def _unusual_event(self, line: bytes) -> Event[T]:
        event = _skim(_raw_event, line)
        if event.type == "ERROR":
            raise _watch_error(event.object)
        if event.type == "BOOKMARK":
            return Event(event.type, _identified(_meta_of(event.object), None))
        return Event(event.type, self._item(event.object))

    def _item(self, raw: msgspec.Raw) -> Item[T]:
        try:
            decoded = self._object.decode(raw)
        except _UNDECODABLE as error:
            return _identified(_meta_of(raw), None, error)
        return _identified(decoded.metadata, decoded)


class _DictDecoder(Generic[T]):
    def __init__(self, decode: Callable[[dict[str, Any]], T]) -> None:
        self._decode = decode

    def page(self, body: bytes) -> Page[T]:
        listed = _decode_list(body)
        return Page(
            [self._raw_item(raw) for raw in listed.items or ()],
            listed.metadata.resource_version,
            listed.metadata.continue_,
        )

    def event(self, line: bytes) -> Event[T]:
        try:
            event = orjson.loads(line)
            kind, document = event["type"], event["object"]
        except orjson.JSONDecodeError:
            skimmed = _skim(_raw_event, line)
            return Event(skimmed.type, self._raw_item(skimmed.object))
        except (KeyError, TypeError) as error:
            raise MalformedStream(str(error)) from error
        if not isinstance(document, dict):
            raise MalformedStream(f"the object of a {kind} event is not a JSON object")
        if kind == "ERROR":
            raise ApiError.from_status(document)
        if kind == "BOOKMARK":
            return Event(kind, _identified(_converted_meta(document), None))
        return Event(kind, self._item(document))

    def _raw_item(self, raw: msgspec.Raw) -> Item[T]:
        try:
            document = orjson.loads(bytes(raw))
        except orjson.JSONDecodeError as error:
            return _identified(_meta_of(raw), None, error)
        return self._item(document)

    def _item(self, document: dict[str, Any]) -> Item[T]:
        meta = _converted_meta(document)
        try:
            return _identified(meta, self._decode(document))
        except Exception as error:
            # The caller's function does not support this object: skip it, and no others.
            return _identified(meta, None, error)


def _identified(meta: Any, decoded: T | None, error: Exception | None = None) -> Item[T]:
    return Item((meta.namespace, meta.name), meta.uid, meta.resource_version, decoded, error)


def _decode_list(body: bytes) -> _RawList:
    return _skim(_raw_list, body)


def _meta_of(raw: msgspec.Raw) -> RawMeta:
    return _skim(_raw_object, raw).metadata


def _skim(decoder: msgspec.json.Decoder[S], data: bytes | msgspec.Raw) -> S:
    """Decode data of which most is skipped, at any nesting depth: one object of a list that is nested too deeply must
    not prevent decoding the others."""
    try:
        try:
            return decoder.decode(data)
        except RecursionError:
            limit = sys.getrecursionlimit()
            sys.setrecursionlimit(limit + DEEPEST)
            try:
                return decoder.decode(data)
            finally:
                sys.setrecursionlimit(limit)
    except _UNDECODABLE as error:
        raise MalformedStream(str(error)) from error


def _converted_meta(document: dict[str, Any]) -> RawMeta:
    try:
        return raw_meta(document)
    except msgspec.ValidationError as error:
        raise MalformedStream(str(error)) from error


def _watch_error(raw: msgspec.Raw) -> ApiError:
    try:
        document = orjson.loads(bytes(raw))
    except orjson.JSONDecodeError as error:
        raise MalformedStream(str(error)) from error
    return ApiError.from_status(document if isinstance(document, dict) else {})
