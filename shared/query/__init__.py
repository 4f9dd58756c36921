"""The read API: endpoints over the tables, their parameters, pages, caching and description."""
