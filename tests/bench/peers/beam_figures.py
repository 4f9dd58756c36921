"""Peer C: figures by a Beam pipeline on its local runner, from a file of events. It has an environment of its own.

Usage: beam_figures.py EVENTS FILE; writes the figures there, as JSON, and prints the seconds that the pipeline took.
"""

import json
import sys
import time
from pathlib import Path

import apache_beam as beam


def keyed(line):
    """Yield an event under each dimension and value that it counts for."""
    event = json.loads(line)
    user, song, kind = event["userId"], event["songId"], event["event_type"]
    one = (user, song, event["duration"])
    yield ("user", user), one
    if kind == "song_play":
        yield ("song", song), one
    yield ("event_type", kind), one
    yield ("all", "all"), one


class Measure(beam.CombineFn):
    """All measures that the contract has, of each value."""

    def create_accumulator(self):
        """Begin."""
        return 0, set(), set(), 0.0, 0.0

    def add_input(self, accumulator, event):
        """Take in an event."""
        count, users, songs, seconds, longest = accumulator
        user, song, duration = event
        users.add(user)
        songs.add(song)
        return count + 1, users, songs, seconds + duration, max(longest, duration)

    def merge_accumulators(self, accumulators):
        """Put parts together."""
        counts, users, songs, seconds, longest = zip(*accumulators, strict=True)
        return sum(counts), set().union(*users), set().union(*songs), sum(seconds), max(longest)

    def extract_output(self, accumulator):
        """End."""
        count, users, songs, seconds, longest = accumulator
        return count, len(users), len(songs), seconds, longest


def figures(dimension, measured):
    """Return the figures that a dimension has in the contract."""
    count, users, songs, seconds, longest = measured
    if dimension == "user":
        return {"total_events": count, "unique_songs": songs, "listening_seconds": seconds}
    if dimension == "song":
        return {"plays": count, "unique_users": users, "mean_seconds": seconds / count}
    if dimension == "event_type":
        return {"total_events": count, "unique_users": users}
    return {
        "total_events": count,
        "active_users": users,
        "unique_songs": songs,
        "listening_seconds": seconds,
        "longest_seconds": longest,
    }


def line(item):
    """Return a line of JSON."""
    (dimension, value), measured = item
    return json.dumps([dimension, value, figures(dimension, measured)])


if __name__ == "__main__":
    source, target = sys.argv[1:]
    started = time.monotonic()
    with beam.Pipeline(argv=["--runner=DirectRunner"]) as pipeline:
        events = pipeline | beam.io.ReadFromText(source) | beam.FlatMap(keyed)
        events | beam.CombinePerKey(Measure()) | beam.Map(line) | beam.io.WriteToText(target)
    seconds = time.monotonic() - started
    found = {}
    for path in Path(target).parent.glob(Path(target).name + "-*"):
        for text in path.read_text().splitlines():
            dimension, value, measured = json.loads(text)
            found.setdefault(dimension, {})[value] = measured
    Path(target).write_text(json.dumps(found))
    print(seconds)
