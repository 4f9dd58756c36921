"""Peer C: measures by a Beam pipeline on its local runner, from a file of events. It has its own environment.

Usage: beam_aggregate.py EVENTS FILE; writes the measures to FILE as JSON and prints the seconds of the pipeline.
"""

import json
import sys
import time
from pathlib import Path

import apache_beam as beam


def keyed(line):
    """Yield ((dimension, value), event) for each dimension of an event."""
    event = json.loads(line)
    user, song, kind = event["userId"], event["songId"], event["event_type"]
    values = (user, song, event["duration"])
    yield ("user", user), values
    if kind == "song_play":
        yield ("song", song), values
    yield ("event_type", kind), values
    yield ("all", "all"), values


class Measure(beam.CombineFn):
    """Computes all measures of the contract for a value."""

    def create_accumulator(self):
        """Return an empty accumulator."""
        return 0, set(), set(), 0.0, 0.0

    def add_input(self, accumulator, event):
        """Return the accumulator with an event."""
        count, users, songs, seconds, longest = accumulator
        user, song, duration = event
        users.add(user)
        songs.add(song)
        return count + 1, users, songs, seconds + duration, max(longest, duration)

    def merge_accumulators(self, accumulators):
        """Merge accumulators."""
        counts, users, songs, seconds, longest = zip(*accumulators, strict=True)
        return sum(counts), set().union(*users), set().union(*songs), sum(seconds), max(longest)

    def extract_output(self, accumulator):
        """Return the measures of an accumulator."""
        count, users, songs, seconds, longest = accumulator
        return count, len(users), len(songs), seconds, longest


def measures(dimension, measured):
    """Return the measures of the contract for a dimension."""
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
    """Return the measures of a value as a line of JSON."""
    (dimension, value), measured = item
    return json.dumps([dimension, value, measures(dimension, measured)])


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
