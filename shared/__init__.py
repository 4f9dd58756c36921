"""What every deployed function carries: the path of an event and everything it stands on."""
