"""Write an event and an aggregate, and read both."""

from datetime import datetime

from shared.bigtable_client import BigTableClient

client = BigTableClient(project_id="your-project-id", instance_id="your-instance-id")  # both default to the environment

client.write_event(
    user_id="user123",
    event_id="event456",
    event_data={"event_type": "click", "page": "/home", "timestamp": "2024-01-15T10:30:00Z"},
)
events = client.get_user_events(
    user_id="user123", start_time=datetime(2024, 1, 15), end_time=datetime(2024, 1, 16), limit=100
)
print(events)

client.write_aggregate(
    dimension="user",
    dimension_value="user123",
    date=datetime(2024, 1, 15),
    stats={"total_events": 100, "unique_songs": 25},
)
print(client.get_daily_aggregates(dimension="user", dimension_value="user123", date=datetime(2024, 1, 15)))
