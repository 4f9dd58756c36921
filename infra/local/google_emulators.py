"""Find and start Google's emulators of Bigtable and Pub/Sub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from infra.local.supervisor import Child, Supervisor
from shared.errors import MissingProgramError

_BIGTABLE = """the Bigtable emulator isn't installed. One of these installs it:
  gcloud components install bigtable
  apt-get install google-cloud-cli-bigtable-emulator
  docker run -p 8086:8086 google/cloud-sdk:emulators gcloud beta emulators bigtable start --host-port=0.0.0.0:8086"""
_PUBSUB = """the Pub/Sub emulator isn't installed. One of these installs it:
  gcloud components install pubsub-emulator
  apt-get install google-cloud-cli-pubsub-emulator
  docker run -p 8085:8085 google/cloud-sdk:emulators gcloud beta emulators pubsub start --host-port=0.0.0.0:8085"""
_JAVA = """Java isn't installed, which the Pub/Sub emulator needs. This installs it:
  apt-get install default-jre-headless"""

# A short-lived server starts faster with only the first compiler tier and the single-threaded collector.
_JAVA_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")


def find_bigtable() -> Path:
    """Return the path of the Bigtable emulator; MissingProgramError, with installation commands, if there is none."""
    found = shutil.which("cbtemulator")
    if found:
        return Path(found)
    for root in _sdk_roots():
        path = root / "platform" / "bigtable-emulator" / "cbtemulator"
        if os.access(path, os.X_OK):
            return path
    raise MissingProgramError(_BIGTABLE)


def find_pubsub() -> Path:
    """Return the path of the Pub/Sub emulator jar; MissingProgramError if there is none."""
    for root in _sdk_roots():
        jars = sorted((root / "platform" / "pubsub-emulator" / "lib").glob("cloud-pubsub-emulator-*-all.jar"))
        if jars:
            return jars[-1]
    raise MissingProgramError(_PUBSUB)


def find_java() -> Path:
    """Return the path of the Java runtime; MissingProgramError if there is none."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if not found:
        raise MissingProgramError(_JAVA)
    return Path(found)


def start_bigtable(supervisor: Supervisor, port: int) -> Child:
    """Start the Bigtable emulator, without waiting until it answers."""
    return supervisor.start("bigtable-emulator", [find_bigtable(), "--host=127.0.0.1", f"--port={port}"])


def start_pubsub(supervisor: Supervisor, port: int) -> Child:
    """Start the Pub/Sub emulator, without waiting until it answers."""
    return supervisor.start(
        "pubsub-emulator", [find_java(), *_JAVA_FLAGS, "-jar", find_pubsub(), "--host=127.0.0.1", f"--port={port}"]
    )


def _sdk_roots() -> Iterator[Path]:
    """Yield candidate folders of the Google Cloud CLI: from the environment, then the target of the `gcloud` link."""
    for name in ("CLOUDSDK_ROOT", "CLOUDSDK_ROOT_DIR"):  # the CLI sets the latter for its child processes
        root = os.environ.get(name)
        if root:
            yield Path(root)
    gcloud = shutil.which("gcloud")
    if gcloud:
        yield Path(gcloud).resolve().parent.parent
