"""Protobuf messages of Google's APIs, without the slow import of Google's client packages."""
