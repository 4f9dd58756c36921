"""Days and backfills on Apache Beam: on the local runner, or on Dataflow."""
