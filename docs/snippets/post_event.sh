# Posts one event to a local function, as Pub/Sub pushes a message.
event='{"event_id": "e1", "userId": "u1", "timestamp": "2024-01-15T10:30:00Z", "event_type": "click"}'
curl --silent --show-error "http://localhost:${PORT:-8080}/" \
    --header 'content-type: application/json' \
    --data '{"message": {
        "data": "'"$(printf %s "$event" | base64 -w0)"'",
        "messageId": "1",
        "publishTime": "2024-01-15T10:30:01Z"
    }}'
