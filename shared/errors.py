"""The exceptions of this project: permanent ones, and transient ones after which a retry may succeed."""

from __future__ import annotations


class SluiceError(Exception):
    """Base class of all exceptions; the text is written for the person who must act on it."""


class PermanentError(SluiceError):
    """A retry fails too, until a person changes data, settings or permissions."""


class ContractError(PermanentError):
    """A contract file is invalid; the text names the file, the key, the value found and the value expected."""


class SettingsError(PermanentError):
    """A setting is missing or invalid; the text names the variable or flag, the value found and the value expected."""


class RequestError(PermanentError):
    """A request to `aggregate` or `load` is invalid, for example its date."""


class EventRejectedError(PermanentError):
    """An event written with the client breaks its contract; the text contains every finding."""


class SourceError(PermanentError):
    """A file or directory of events can't be read; the text names it."""


class MissingProgramError(PermanentError):
    """A required program isn't installed; the text names it and the commands that install it."""


class StackError(PermanentError):
    """A process of the local stack didn't start, or ended too early; the text names it and quotes its log."""


class JobError(PermanentError):
    """A job on Beam failed; the text is its error."""


class ExportError(PermanentError):
    """An export can't be written or read; the text names the file or bucket."""


class QueryError(PermanentError):
    """A query of `sluice sql` failed; the text is DuckDB's message."""


class StoreRefusedError(PermanentError):
    """Bigtable refused a call: a table, column family or permission is missing, or an entry is invalid."""


class LayoutChangedError(PermanentError):
    """The contract makes other cell keys than the one that the tables were filled with; the text contains both."""


class TransientError(SluiceError):
    """A later retry may succeed; unstored messages stay unacknowledged."""


class StoreUnavailableError(TransientError):
    """Bigtable didn't acknowledge a call before its deadline."""


class OverloadedError(TransientError):
    """The instance is at capacity with unstored data; the sender should retry later."""
