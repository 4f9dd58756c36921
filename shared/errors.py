"""The error tree: what is wrong for good, and what another try may mend."""

from __future__ import annotations


class SluiceError(Exception):
    """Whatever this project raises on purpose; its text is written for the person who has to act on it."""


class PermanentError(SluiceError):
    """Trying again changes nothing: a person has to change data, settings or permissions first."""


class ContractError(PermanentError):
    """A contract file is wrong; the text names the file, the key, what was found and what was expected."""


class SettingsError(PermanentError):
    """A setting is missing or wrong; the text names the variable or flag, what was found and what was expected."""


class RequestError(PermanentError):
    """A message asks `aggregate` for something it can't do, for example a date that isn't one."""


class EventRejectedError(PermanentError):
    """An event handed to the client fails its contract; the text has every finding."""


class SourceError(PermanentError):
    """A file or directory of events can't be read at all; the text names it."""


class MissingProgramError(PermanentError):
    """A program this needs isn't installed; the text says which, and the commands that install it."""


class StackError(PermanentError):
    """A part of the local stack didn't start or ended too early; the text says which and shows its last words."""


class StoreRefusedError(PermanentError):
    """Bigtable refused for good: no such table or family, no permission, or an entry it calls invalid."""


class LayoutChangedError(PermanentError):
    """The contract would put events elsewhere than the one the tables were filled under; the text has both."""


class TransientError(SluiceError):
    """Another try later may succeed; nothing is acknowledged that isn't stored."""


class StoreUnavailableError(TransientError):
    """Bigtable didn't acknowledge in time, for as long as the deadline allowed."""


class OverloadedError(TransientError):
    """This instance holds as much unstored data as it may; the sender should come back later."""
