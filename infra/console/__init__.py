"""The console: pages in the browser that show the tables and the running stack."""
