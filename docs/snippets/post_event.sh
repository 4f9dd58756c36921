# Posts one event to a local function, as Eventarc does with a Pub/Sub message.
event='{"event_id": "e1", "userId": "u1", "timestamp": "2024-01-15T10:30:00Z", "event_type": "click"}'
curl --silent --show-error "http://localhost:${PORT:-8080}/" \
    --header 'ce-id: 1' \
    --header 'ce-specversion: 1.0' \
    --header 'ce-type: google.cloud.pubsub.topic.v1.messagePublished' \
    --header 'ce-source: //pubsub.googleapis.com/projects/my-project/topics/events' \
    --header 'content-type: application/json' \
    --data '{"message": {
        "data": "'"$(printf %s "$event" | base64 -w0)"'",
        "messageId": "1",
        "publishTime": "2024-01-15T10:30:01Z"
    }}'
