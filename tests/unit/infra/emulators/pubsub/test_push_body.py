"""The JSON body of a push."""

from __future__ import annotations

import json

from infra.emulators.protos import pubsub_pb2 as pb
from infra.emulators.pubsub.delivery.push_body import push_body


def test_absent_fields_are_left_out() -> None:
    message = pb.PubsubMessage(data=b"{}", message_id="7")
    message.publish_time.FromJsonString("2024-01-15T12:00:00Z")

    assert json.loads(push_body(message, "projects/p/subscriptions/s", 0)) == {
        "message": {
            "data": "e30=",
            "messageId": "7",
            "message_id": "7",
            "publishTime": "2024-01-15T12:00:00Z",
            "publish_time": "2024-01-15T12:00:00Z",
        },
        "subscription": "projects/p/subscriptions/s",
    }
