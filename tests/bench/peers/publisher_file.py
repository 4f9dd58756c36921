"""Google's publisher client with its default batching, one message per event of a file.

Usage: publisher_file.py FILE; prints the seconds from the first read to the last acknowledgement.
"""

import os
import sys
import time
from pathlib import Path

from google.cloud.pubsub_v1 import PublisherClient

publisher = PublisherClient()
topic = publisher.topic_path(os.environ["GCP_PROJECT_ID"], "events")
started = time.monotonic()
with Path(sys.argv[1]).open("rb") as file:
    futures = [publisher.publish(topic, line.rstrip()) for line in file]
for future in futures:
    future.result()
print(time.monotonic() - started)
